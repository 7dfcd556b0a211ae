//! Calibration: expected calibration error over 15 equal-width bins, and slope and intercept ([`calibration_line`]).

mod line;

pub use line::{CalibrationLine, LOGIT_CLIP, LineBound, binned_calibration_line, calibration_line};

use crate::{Merge, exact::FixedSum, share};
use serde::{Deserialize, Serialize};

/// Bins of equal width over `[0, 1]`: bin `i` is `[i/15, (i+1)/15)`, the last one closed.
pub const BINS: usize = 15;

/// Reliability counts. For a binary model observe `(P(positive), truth is positive)`; for a multiclass model the top
/// label's confidence and whether that label was right (Guo et al. 2017).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    bins: [Bin; BINS],
    invalid: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bin {
    n: u64,
    hits: u64,
    confidence: FixedSum,
}

/// One bin of the reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower edge of the bin.
    pub from: f64,
    /// Upper edge of the bin.
    pub to: f64,
    /// Observations.
    pub n: u64,
    /// Mean confidence.
    pub confidence: f64,
    /// Observed share of hits.
    pub hits: f64,
}

impl Calibration {
    /// Counts an observation; a confidence outside `[0, 1]` is counted as invalid. Returns whether it was valid.
    pub fn observe(&mut self, confidence: f64, hit: bool) -> bool {
        if !(0.0..=1.0).contains(&confidence) {
            self.invalid += 1;
            return false;
        }
        let bin = &mut self.bins[bin_of(confidence)];
        bin.n += 1;
        bin.hits += u64::from(hit);
        bin.confidence.add(confidence)
    }

    /// Observations counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.bins.iter().map(|bin| bin.n).sum()
    }

    /// Observations refused because their confidence was no probability.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// The non-empty bins.
    #[must_use]
    pub fn reliability(&self) -> Vec<ReliabilityBin> {
        let row = |(i, bin): (usize, &Bin)| {
            Some(ReliabilityBin {
                from: i as f64 / BINS as f64,
                to: (i + 1) as f64 / BINS as f64,
                n: bin.n,
                confidence: (bin.n > 0).then(|| bin.confidence.value() / bin.n as f64)?,
                hits: share(bin.hits, bin.n)?,
            })
        };
        self.bins.iter().enumerate().filter_map(row).collect()
    }

    /// Expected calibration error `Σ n_b/n · |hits_b − confidence_b|`; `None` without observations. With few
    /// observations it is biased upwards (.054 at n = 500 for a perfectly calibrated model): judge the paired change,
    /// or [`Calibration::ece_debiased`].
    #[must_use]
    pub fn ece(&self) -> Option<f64> {
        self.weighted(|bin| (bin.hits - bin.confidence).abs())
    }

    /// Squared calibration error with the sampling variance of each bin's share taken off (Kumar et al. 2019), without
    /// upward bias; bins with one observation contribute nothing. May be slightly negative. `None` without observations.
    #[must_use]
    pub fn squared_error_debiased(&self) -> Option<f64> {
        self.weighted(|bin| {
            let noise = bin.hits * (1.0 - bin.hits) / (bin.n.max(2) - 1) as f64;
            if bin.n < 2 { 0.0 } else { (bin.hits - bin.confidence).powi(2) - noise }
        })
    }

    /// Debiased calibration error on the scale of a probability: the root of [`Calibration::squared_error_debiased`], 0
    /// where that is negative. It is the ℓ₂ error of Kumar et al. (2019), at least as large as the ℓ₁ error that
    /// [`Calibration::ece`] estimates, and near zero for a calibrated model at any number of rows.
    #[must_use]
    pub fn ece_debiased(&self) -> Option<f64> {
        self.squared_error_debiased().map(|squared| squared.max(0.0).sqrt())
    }

    fn weighted(&self, of_bin: impl Fn(&ReliabilityBin) -> f64) -> Option<f64> {
        let n = self.n();
        (n > 0)
            .then(|| self.reliability().iter().map(|bin| bin.n as f64 * of_bin(bin)).sum::<f64>() / n as f64)
    }
}

fn bin_of(confidence: f64) -> usize {
    ((confidence * BINS as f64) as usize).min(BINS - 1)
}

impl Merge for Calibration {
    fn merge(&mut self, other: &Self) {
        self.invalid += other.invalid;
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            mine.n += theirs.n;
            mine.hits += theirs.hits;
            mine.confidence.merge(&theirs.confidence);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_belong_to_the_outer_bins_and_nonsense_is_counted() {
        let mut calibration = Calibration::default();
        assert!(calibration.observe(0.0, false) && calibration.observe(1.0, true));
        assert!(!calibration.observe(f64::NAN, true) && !calibration.observe(1.5, true));
        assert_eq!((calibration.ece(), calibration.n(), calibration.invalid()), (Some(0.0), 2, 2));
        assert_eq!(calibration.reliability()[1].from, 14.0 / 15.0);
        assert_eq!(Calibration::default().ece(), None);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bits(
            rows in prop::collection::vec((0.0f64..=1.0, any::<bool>()), 0..60), cut in 0usize..60,
        ) {
            let of = |rows: &[(f64, bool)]| {
                let mut c = Calibration::default();
                for &(p, hit) in rows { c.observe(p, hit); }
                c
            };
            let cut = cut.min(rows.len());
            let mut right = of(&rows[cut..]);
            right.merge(&of(&rows[..cut]));
            prop_assert_eq!(right, of(&rows));
        }
    }
}

//! Agreement of two versions whose answers are numbers.

use crate::{
    Interval, Merge,
    intervals::wilson,
    paired::{Difference, PairedMoments},
    share,
};
use serde::{Deserialize, Serialize};

/// When two numbers count as equal: `|challenger − champion| ≤ absolute + relative·|champion|` (numpy's `isclose` with the
/// champion as the reference).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// In the answers' unit.
    pub absolute: f64,
    /// As a fraction of the champion's answer.
    pub relative: f64,
}

impl Tolerance {
    /// Whether the answers are equal within the tolerance; `false` for what is not finite.
    #[must_use]
    pub fn holds(&self, champion: f64, challenger: f64) -> bool {
        (challenger - champion).abs() <= self.absolute + self.relative * champion.abs()
    }
}

/// Differences of numeric answers to the same requests, exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumericAgreement {
    within: u64,
    moments: PairedMoments,
}

/// Limits of agreement (Bland & Altman 1986): where 95 % of the differences lie, if they are about normal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitsOfAgreement {
    /// Mean difference, challenger minus champion, with its t interval.
    pub bias: Difference,
    /// Standard deviation of the differences.
    pub standard_deviation: f64,
    /// `bias − 1.96·sd` and `bias + 1.96·sd`.
    pub limits: Interval,
    /// Standard error of either limit, `sd·√(3/n)`.
    pub limit_standard_error: f64,
}

impl NumericAgreement {
    /// Counts a pair of answers. A pair with an answer that is not finite or exceeds 1e150 is counted as invalid; returns
    /// whether it was valid.
    pub fn observe(&mut self, tolerance: Tolerance, champion: f64, challenger: f64) -> bool {
        let valid = self.moments.observe(champion, challenger);
        self.within += u64::from(valid && tolerance.holds(champion, challenger));
        valid
    }

    /// Valid pairs.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.moments.n()
    }

    /// Pairs refused.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.moments.invalid()
    }

    /// Pairs that agree within the tolerance.
    #[must_use]
    pub fn within(&self) -> u64 {
        self.within
    }

    /// Their share; `None` without pairs.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        share(self.within, self.n())
    }

    /// Wilson interval of the share; `None` without pairs.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        wilson(self.within, self.n(), confidence)
    }

    /// Mean difference and limits of agreement; `None` with fewer than two pairs or for a confidence outside (0, 1).
    #[must_use]
    pub fn limits(&self, confidence: f64) -> Option<LimitsOfAgreement> {
        let bias = self.moments.mean_difference(confidence)?;
        let n = bias.n as f64;
        let standard_deviation = bias.standard_error * n.sqrt();
        let reach = 1.96 * standard_deviation;
        Some(LimitsOfAgreement {
            bias,
            standard_deviation,
            limits: Interval::new(bias.delta - reach, bias.delta + reach)?,
            limit_standard_error: standard_deviation * (3.0 / n).sqrt(),
        })
    }
}

impl Merge for NumericAgreement {
    fn merge(&mut self, other: &Self) {
        self.within += other.within;
        self.moments.merge(&other.moments);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_absolute_relative_or_both() {
        let of = |absolute, relative| Tolerance { absolute, relative };
        assert!(of(0.5, 0.0).holds(10.0, 10.5) && !of(0.5, 0.0).holds(10.0, 10.6));
        assert!(of(0.0, 0.05).holds(-100.0, -105.0) && !of(0.0, 0.05).holds(100.0, 105.1));
        assert!(of(0.0, 0.0).holds(0.0, -0.0) && !of(1.0, 1.0).holds(f64::NAN, f64::NAN));
        assert!(!of(1.0, 0.0).holds(f64::INFINITY, f64::INFINITY));
    }

    #[test]
    fn a_constant_offset_has_a_bias_and_no_spread() {
        let mut agreement = NumericAgreement::default();
        let tolerance = Tolerance { absolute: 0.1, relative: 0.0 };
        assert_eq!((agreement.share(), agreement.limits(0.95)), (None, None));
        (0..50).for_each(|i| {
            assert!(agreement.observe(tolerance, 1e8 + f64::from(i), 1e8 + f64::from(i) + 0.5));
        });
        assert!(!agreement.observe(tolerance, f64::NAN, 1.0));
        let limits = agreement.limits(0.95).unwrap();
        assert_eq!((limits.bias.delta, limits.standard_deviation), (0.5, 0.0));
        assert_eq!((agreement.share(), agreement.n(), agreement.invalid()), (Some(0.0), 50, 1));
    }
}

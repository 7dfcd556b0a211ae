//! Differences of means over pairs: log loss, Brier score, absolute and squared errors.

use crate::{Interval, Merge, exact::ExactSum, quantiles::t_quantile};
use serde::{Deserialize, Serialize};

/// First and second moments of the champion's value `x` and the challenger's value `y` on the same requests, exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedMoments {
    n: u64,
    invalid: u64,
    x: ExactSum,
    y: ExactSum,
    xx: ExactSum,
    yy: ExactSum,
    xy: ExactSum,
}

/// An estimated difference (challenger minus champion) with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Pairs.
    pub n: u64,
    /// The champion's value.
    pub champion: f64,
    /// The challenger's value.
    pub challenger: f64,
    /// Challenger minus champion.
    pub delta: f64,
    /// Standard error of the delta.
    pub standard_error: f64,
    /// Two-sided interval for the delta.
    pub interval: Interval,
}

/// Largest size of a value: its square must stay in range.
const LIMIT: f64 = 1e150;

impl PairedMoments {
    /// Counts a pair. A pair with a value that is not finite or exceeds 1e150 is counted as invalid; returns whether it
    /// was valid.
    pub fn observe(&mut self, champion: f64, challenger: f64) -> bool {
        // NaN compares false.
        if !(champion.abs() <= LIMIT && challenger.abs() <= LIMIT) {
            self.invalid += 1;
            return false;
        }
        self.n += 1;
        self.x.add(champion);
        self.y.add(challenger);
        self.xx.add_product(champion, champion);
        self.yy.add_product(challenger, challenger);
        self.xy.add_product(champion, challenger)
    }

    /// Valid pairs.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Pairs refused.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Both means; `None` without pairs.
    #[must_use]
    pub fn means(&self) -> Option<(f64, f64)> {
        let n = self.n as f64;
        (self.n > 0).then(|| (self.x.value() / n, self.y.value() / n))
    }

    /// Difference of the means with the paired t interval; `None` with fewer than two pairs.
    #[must_use]
    pub fn mean_difference(&self, confidence: f64) -> Option<Difference> {
        let (champion, challenger) = self.means()?;
        let (xx, yy, xy) = self.covariances()?;
        let delta = self.y.pair().minus(self.x.pair()).over(self.n as f64).value();
        self.difference(champion, challenger, delta, xx + yy - 2.0 * xy, confidence)
    }

    /// Difference of the root means, for squared errors: the delta of two RMSE, with variance by the delta method
    /// (Deng et al. 2018). `None` with fewer than two pairs or if an arm has no error at all.
    #[must_use]
    pub fn root_mean_difference(&self, confidence: f64) -> Option<Difference> {
        let (mean_x, mean_y) = self.means().filter(|&(x, y)| x > 0.0 && y > 0.0)?;
        let (xx, yy, xy) = self.covariances()?;
        let (champion, challenger) = (mean_x.sqrt(), mean_y.sqrt());
        let (gx, gy) = (-0.5 / champion, 0.5 / challenger);
        let variance = gx * gx * xx + gy * gy * yy + 2.0 * gx * gy * xy;
        self.difference(champion, challenger, challenger - champion, variance, confidence)
    }

    /// Sample variances of x and y and their covariance.
    fn covariances(&self) -> Option<(f64, f64, f64)> {
        let n = self.n as f64;
        let centred = |product: &ExactSum, a: &ExactSum, b: &ExactSum| {
            product.pair().minus(a.pair().times(b.pair()).over(n)).over(n - 1.0).value()
        };
        (self.n > 1).then(|| {
            let xx = centred(&self.xx, &self.x, &self.x).max(0.0);
            (xx, centred(&self.yy, &self.y, &self.y).max(0.0), centred(&self.xy, &self.x, &self.y))
        })
    }

    fn difference(
        &self,
        champion: f64,
        challenger: f64,
        delta: f64,
        variance: f64,
        confidence: f64,
    ) -> Option<Difference> {
        let standard_error = (variance.max(0.0) / self.n as f64).sqrt();
        let reach = t_quantile(0.5 + confidence / 2.0, (self.n - 1) as f64)? * standard_error;
        let interval = Interval::new(delta - reach, delta + reach)?;
        Some(Difference { n: self.n, champion, challenger, delta, standard_error, interval })
    }
}

impl Merge for PairedMoments {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.invalid += other.invalid;
        self.x.merge(&other.x);
        self.y.merge(&other.y);
        self.xx.merge(&other.xx);
        self.yy.merge(&other.yy);
        self.xy.merge(&other.xy);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(pairs: &[(f64, f64)]) -> PairedMoments {
        let mut moments = PairedMoments::default();
        pairs.iter().for_each(|&(x, y)| assert!(moments.observe(x, y)));
        moments
    }

    #[test]
    fn one_pair_has_means_but_no_interval() {
        assert_eq!(PairedMoments::default().means(), None);
        let one = of(&[(1.0, 2.0)]);
        assert_eq!((one.means(), one.mean_difference(0.95)), (Some((1.0, 2.0)), None));
    }

    #[test]
    fn equal_values_differ_by_exactly_nothing_however_large() {
        let row = of(&[(1e9 + 0.1, 1e9 + 0.1), (3e9, 3e9), (0.3, 0.3)]).mean_difference(0.95).unwrap();
        assert_eq!((row.delta, row.standard_error), (0.0, 0.0));
        assert_eq!(Some(row.interval), Interval::new(0.0, 0.0));
    }

    #[test]
    fn a_small_difference_of_large_values_keeps_its_variance() {
        let pairs: Vec<(f64, f64)> = (0..100).map(|i| (1e9, 1e9 + f64::from(i % 2))).collect();
        let row = of(&pairs).mean_difference(0.95).unwrap();
        assert_eq!(row.delta, 0.5);
        assert!((row.standard_error - (0.25_f64 / 99.0).sqrt()).abs() < 1e-12, "{row:?}");
    }

    #[test]
    fn roots_follow_the_delta_method() {
        let pairs: Vec<(f64, f64)> = (1..=200).map(|i| (f64::from(i % 7), f64::from(i % 5))).collect();
        let row = of(&pairs).root_mean_difference(0.95).unwrap();
        let (x, y) = of(&pairs).means().unwrap();
        assert_eq!(row.delta, y.sqrt() - x.sqrt());
        // The linearised values' own standard error.
        let linear: Vec<f64> =
            pairs.iter().map(|(a, b)| b / (2.0 * y.sqrt()) - a / (2.0 * x.sqrt())).collect();
        let mean = linear.iter().sum::<f64>() / 200.0;
        let variance = linear.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / 199.0;
        assert!((row.standard_error - (variance / 200.0).sqrt()).abs() < 1e-12);
        assert_eq!(of(&[(0.0, 1.0), (0.0, 2.0)]).root_mean_difference(0.95), None);
    }

    #[test]
    fn nonsense_is_counted() {
        let mut moments = PairedMoments::default();
        assert!(!moments.observe(f64::NAN, 1.0) && !moments.observe(1.0, f64::NEG_INFINITY));
        assert_eq!((moments.n(), moments.invalid(), moments.means()), (0, 2, None));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bits(
            pairs in prop::collection::vec((-1e12f64..1e12, -1e-3f64..1e-3), 0..40), cut in 0usize..40,
        ) {
            let cut = cut.min(pairs.len());
            let mut right = of(&pairs[cut..]);
            right.merge(&of(&pairs[..cut]));
            right.merge(&PairedMoments::default());
            prop_assert_eq!(&right, &of(&pairs));
            prop_assert_eq!(right.mean_difference(0.9), of(&pairs).mean_difference(0.9));
        }
    }
}

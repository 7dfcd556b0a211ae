//! Differences of means over pairs: log loss, Brier score, absolute and squared errors.

use crate::{
    Interval, Merge,
    exact::{DoubleDouble, ExactSum, text},
    quantiles::t_quantile,
};
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
        difference_of(self.n, [champion, challenger], delta, variance, confidence)
    }
}

/// A difference of means (champion's first) with the paired t interval, from the variance of one pair's difference.
fn difference_of(
    n: u64,
    [champion, challenger]: [f64; 2],
    delta: f64,
    variance: f64,
    confidence: f64,
) -> Option<Difference> {
    let standard_error = (variance.max(0.0) / n as f64).sqrt();
    let reach = t_quantile(0.5 + confidence / 2.0, (n - 1) as f64)? * standard_error;
    let interval = Interval::new(delta - reach, delta + reach)?;
    Some(Difference { n, champion, challenger, delta, standard_error, interval })
}

/// The same for bounded values such as log loss and Brier score, several times faster: each value is rounded to a multiple of
/// 2⁻⁴⁰ (an error of at most 4.6e-13), and all sums are integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossMoments {
    n: u64,
    invalid: u64,
    #[serde(with = "text")]
    x: i128,
    #[serde(with = "text")]
    y: i128,
    /// Sum of the squared differences `(y − x)²`.
    #[serde(with = "text")]
    squares: i128,
}

const FIXED_BITS: u32 = 40;

impl LossMoments {
    /// Largest size of a value; 8·10⁹ pairs that differ by that much do not overflow the sums.
    pub const LIMIT: f64 = 64.0;

    /// Counts a pair. `None`, and a value that is not finite or exceeds [`LossMoments::LIMIT`] in size, make it invalid;
    /// returns whether it was valid.
    #[inline]
    pub fn observe(&mut self, champion: Option<f64>, challenger: Option<f64>) -> bool {
        let (Some(x), Some(y)) = (fixed(champion), fixed(challenger)) else {
            self.invalid += 1;
            return false;
        };
        self.n += 1;
        self.x += i128::from(x);
        self.y += i128::from(y);
        self.squares += i128::from(y - x) * i128::from(y - x);
        true
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
        let mean = |sum| DoubleDouble::of_fixed(sum, FIXED_BITS).over(self.n as f64).value();
        (self.n > 0).then(|| (mean(self.x), mean(self.y)))
    }

    /// Difference of the means with the paired t interval; `None` with fewer than two pairs.
    #[must_use]
    pub fn mean_difference(&self, confidence: f64) -> Option<Difference> {
        let (champion, challenger) = self.means()?;
        if self.n < 2 {
            return None;
        }
        let n = self.n as f64;
        let sum = DoubleDouble::of_fixed(self.y - self.x, FIXED_BITS);
        let squares = DoubleDouble::of_fixed(self.squares, 2 * FIXED_BITS);
        let variance = squares.minus(sum.times(sum).over(n)).over(n - 1.0).value();
        difference_of(self.n, [champion, challenger], sum.over(n).value(), variance, confidence)
    }
}

/// The nearest multiple of 2⁻⁴⁰, ties to even; `None` for what is too large, or no number.
#[inline]
fn fixed(value: Option<f64>) -> Option<i64> {
    // In a double of this size the last bit is one, so adding it rounds, and the result's low bits are the integer.
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52
    const UNIT: f64 = (1_u64 << FIXED_BITS) as f64;
    let value = value.filter(|value| value.abs() <= LossMoments::LIMIT)?;
    Some((value * UNIT + ROUND).to_bits() as i64 - ROUND.to_bits() as i64)
}

impl Merge for LossMoments {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.invalid += other.invalid;
        self.x += other.x;
        self.y += other.y;
        self.squares += other.squares;
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
    fn bounded_losses_give_the_same_difference_in_integers() {
        let pairs: Vec<(f64, f64)> =
            (1..=5_000).map(|i| (36.0 / f64::from(i), f64::from(i % 97) / 96.0)).collect();
        let mut bounded = LossMoments::default();
        pairs.iter().for_each(|&(x, y)| assert!(bounded.observe(Some(x), Some(y))));
        let (ours, exact) =
            (bounded.mean_difference(0.95).unwrap(), of(&pairs).mean_difference(0.95).unwrap());
        for (a, b) in [
            (ours.champion, exact.champion),
            (ours.challenger, exact.challenger),
            (ours.delta, exact.delta),
            (ours.standard_error, exact.standard_error),
            (ours.interval.low, exact.interval.low),
        ] {
            assert!((a - b).abs() < 2e-12, "{a} {b}");
        }
        let text = serde_json::to_string(&bounded).unwrap();
        assert_eq!(serde_json::from_str::<LossMoments>(&text).unwrap(), bounded);
    }

    #[test]
    fn what_is_no_bounded_loss_is_counted() {
        let mut bounded = LossMoments::default();
        for (x, y) in
            [(None, Some(1.0)), (Some(1.0), None), (Some(f64::NAN), Some(1.0)), (Some(1.0), Some(65.0))]
        {
            assert!(!bounded.observe(x, y));
        }
        assert_eq!((bounded.n(), bounded.invalid(), bounded.means()), (0, 4, None));
        assert!(bounded.observe(Some(-64.0), Some(64.0)));
        assert_eq!((bounded.means(), bounded.mean_difference(0.95)), (Some((-64.0, 64.0)), None));
        assert!(bounded.observe(Some(-64.0), Some(64.0)));
        let row = bounded.mean_difference(0.95).unwrap();
        assert_eq!((row.delta, row.standard_error), (128.0, 0.0));
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

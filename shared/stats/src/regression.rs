//! RMSE, MAE and R² with exact sums.

use crate::{Merge, exact::ExactSum};
use serde::{Deserialize, Serialize};

/// Errors of one model on a numeric target, in the target's unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regression {
    n: u64,
    invalid: u64,
    absolute: ExactSum,
    squared: ExactSum,
    truth: ExactSum,
    truth_squared: ExactSum,
}

const LIMIT: f64 = 1e149;

impl Regression {
    /// Counts an observation. One that is not finite, or exceeds 1e149 (its square would overflow), is counted as
    /// invalid; returns whether it was valid.
    pub fn observe(&mut self, truth: f64, predicted: f64) -> bool {
        if !(truth.abs() <= LIMIT && predicted.abs() <= LIMIT) {
            self.invalid += 1;
            return false;
        }
        let miss = truth - predicted;
        self.n += 1;
        self.absolute.add(miss.abs());
        self.squared.add_product(miss, miss);
        self.truth.add(truth);
        self.truth_squared.add_product(truth, truth)
    }

    /// Observations counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Observations refused.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Mean absolute error; `None` without observations.
    #[must_use]
    pub fn mae(&self) -> Option<f64> {
        (self.n > 0).then(|| self.absolute.value() / self.n as f64)
    }

    /// Root mean squared error; `None` without observations.
    #[must_use]
    pub fn rmse(&self) -> Option<f64> {
        (self.n > 0).then(|| (self.squared.value() / self.n as f64).sqrt())
    }

    /// Coefficient of determination `1 − Σ(y−ŷ)² / Σ(y−ȳ)²`; `None` with fewer than two observations or a constant
    /// target (scikit-learn invents 0 or 1 there).
    #[must_use]
    pub fn r2(&self) -> Option<f64> {
        if self.n < 2 {
            return None;
        }
        let truth = self.truth.pair();
        let spread = self.truth_squared.pair().minus(truth.times(truth).over(self.n as f64)).value();
        // A constant target leaves only the rounding of the pair arithmetic.
        (spread > self.truth_squared.value() * 1e-28).then(|| 1.0 - self.squared.value() / spread)
    }
}

impl Merge for Regression {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.invalid += other.invalid;
        self.absolute.merge(&other.absolute);
        self.squared.merge(&other.squared);
        self.truth.merge(&other.truth);
        self.truth_squared.merge(&other.truth_squared);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_constant_target_has_no_r2_and_a_large_offset_does_not_hurt_it() {
        let mut constant = Regression::default();
        let mut shifted = Regression::default();
        for i in 0..100 {
            constant.observe(0.1, f64::from(i));
            shifted.observe(1e12 + f64::from(i), 1e12 + f64::from(i) + 0.5);
        }
        assert_eq!(constant.r2(), None);
        assert!((shifted.r2().unwrap() - (1.0 - 25.0 / 83_325.0)).abs() < 1e-12);
        assert_eq!(Regression::default().rmse(), None);
    }

    #[test]
    fn nonsense_is_counted() {
        let mut regression = Regression::default();
        assert!(!regression.observe(f64::NAN, 1.0) && !regression.observe(1.0, f64::INFINITY));
        assert_eq!((regression.n(), regression.invalid(), regression.mae()), (0, 2, None));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bits(rows in prop::collection::vec((-1e9f64..1e9, -1e9f64..1e9), 0..40), cut in 0usize..40) {
            let of = |rows: &[(f64, f64)]| { let mut r = Regression::default(); for &(y, p) in rows { r.observe(y, p); } r };
            let cut = cut.min(rows.len());
            let mut right = of(&rows[cut..]);
            right.merge(&of(&rows[..cut]));
            prop_assert_eq!(right, of(&rows));
        }
    }
}

//! Weighted RMSE, MAE and R².

use super::is_weight;
use crate::{Merge, exact::ExactSum};
use serde::{Deserialize, Serialize};

/// Largest truth or prediction: weighted squares stay far from overflow.
const LIMIT: f64 = 1e90;

/// Weighted errors on a numeric target, in the target's unit; definitions as in [`crate::regression::Regression`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedRegression {
    n: u64,
    invalid: u64,
    weight: ExactSum,
    absolute: ExactSum,
    squared: ExactSum,
    truth: ExactSum,
    truth_squared: ExactSum,
}

impl WeightedRegression {
    /// Adds a row. A value that is not finite or beyond 1e90 in size, or an impossible weight, is counted as invalid;
    /// returns whether it was valid.
    pub fn observe(&mut self, truth: f64, predicted: f64, weight: f64) -> bool {
        if !(truth.abs() <= LIMIT && predicted.abs() <= LIMIT && is_weight(weight)) {
            self.invalid += 1;
            return false;
        }
        let miss = truth - predicted;
        self.n += 1;
        self.weight.add(weight);
        self.absolute.add_product(miss.abs(), weight);
        self.squared.add_triple(miss, miss, weight);
        self.truth.add_product(truth, weight);
        self.truth_squared.add_triple(truth, truth, weight)
    }

    /// Rows counted, those of weight zero included.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Rows refused.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Weighted mean absolute error; `None` without weight.
    #[must_use]
    pub fn mae(&self) -> Option<f64> {
        self.total().map(|weight| self.absolute.value() / weight)
    }

    /// Root of the weighted mean squared error; `None` without weight.
    #[must_use]
    pub fn rmse(&self) -> Option<f64> {
        self.total().map(|weight| (self.squared.value() / weight).sqrt())
    }

    /// Coefficient of determination `1 − Σw(y−ŷ)² / Σw(y−ȳ)²` with the weighted mean ȳ; `None` with fewer than two rows or a
    /// constant target.
    #[must_use]
    pub fn r2(&self) -> Option<f64> {
        let weight = self.total().filter(|_| self.n > 1)?;
        // Multiplied by the weight, so that nothing is divided before the difference.
        let truth = self.truth.pair();
        let product = self.truth_squared.pair().times(self.weight.pair());
        let spread = product.minus(truth.times(truth)).value() / weight;
        // A constant target leaves only the rounding of the pair arithmetic.
        (spread > self.truth_squared.value() * 1e-28).then(|| 1.0 - self.squared.value() / spread)
    }

    fn total(&self) -> Option<f64> {
        Some(self.weight.value()).filter(|&weight| weight > 0.0)
    }
}

impl Merge for WeightedRegression {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.invalid += other.invalid;
        self.weight.merge(&other.weight);
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
    use crate::regression::Regression;

    #[test]
    fn equal_weights_give_the_unweighted_errors_even_far_from_zero() {
        for offset in [0.0, 1e9] {
            let (mut weighted, mut plain) = (WeightedRegression::default(), Regression::default());
            for i in 0..200_u32 {
                let (truth, predicted) = (offset + f64::from(i % 13), offset + f64::from(i % 11) + 0.3);
                assert!(weighted.observe(truth, predicted, 0.1));
                plain.observe(truth, predicted);
            }
            for (ours, theirs) in
                [(weighted.mae(), plain.mae()), (weighted.rmse(), plain.rmse()), (weighted.r2(), plain.r2())]
            {
                assert!((ours.unwrap() - theirs.unwrap()).abs() < 1e-12, "{ours:?} {theirs:?}");
            }
        }
    }

    #[test]
    fn what_is_undefined_is_not_said() {
        let mut regression = WeightedRegression::default();
        assert!(!regression.observe(1.0, 1.0, -0.5) && !regression.observe(f64::NAN, 1.0, 1.0));
        assert_eq!((regression.invalid(), regression.mae(), regression.rmse()), (2, None, None));
        (0..9).for_each(|i| assert!(regression.observe(0.1, f64::from(i), 0.3)));
        assert_eq!((regression.r2(), regression.n()), (None, 9));
    }
}

//! Metrics of rows that carry weights (scikit-learn's `sample_weight`): inverse sampling shares, costs, exposure.
//!
//! Weights and weighted losses are summed exactly ([`ExactSum`]), so weighted metrics merge like all others. They are apart
//! from the unweighted ones, which count in integers and are faster. A weight that is negative or not finite makes its row
//! invalid; a weight of zero is allowed and changes no metric.

mod confusion;
mod regression;

pub use confusion::WeightedConfusion;
pub use regression::WeightedRegression;

use crate::{
    Merge,
    exact::ExactSum,
    losses::{brier_loss, log_loss},
};
use serde::{Deserialize, Serialize};

/// Largest weight: products with losses stay far from overflow.
pub const MAX_WEIGHT: f64 = 1e100;

/// Whether a weight counts.
pub(crate) fn is_weight(weight: f64) -> bool {
    (0.0..=MAX_WEIGHT).contains(&weight)
}

/// Weighted mean `Σ w·x / Σ w` of a per-row value, exact but for one rounding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedMean {
    n: u64,
    invalid: u64,
    weight: ExactSum,
    sum: ExactSum,
}

impl WeightedMean {
    /// Counts a value. `None`, a value beyond 1e100 in size or an impossible weight is counted as invalid; returns whether
    /// it was valid.
    pub fn observe(&mut self, value: Option<f64>, weight: f64) -> bool {
        let value = value.filter(|value| value.abs() <= MAX_WEIGHT && is_weight(weight));
        let Some(value) = value else {
            self.invalid += 1;
            return false;
        };
        self.n += 1;
        self.weight.add(weight) && self.sum.add_product(value, weight)
    }

    /// Rows in the mean, those of weight zero included.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Rows refused.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Sum of the weights.
    #[must_use]
    pub fn total_weight(&self) -> f64 {
        self.weight.value()
    }

    /// The mean; `None` where the weights sum to zero.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let weight = self.weight.value();
        (weight > 0.0).then(|| self.sum.value() / weight)
    }
}

impl Merge for WeightedMean {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.invalid += other.invalid;
        self.weight.merge(&other.weight);
        self.sum.merge(&other.sum);
    }
}

/// Weighted log loss and Brier score of binary probabilities, clipped and defined as in [`crate::losses`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedLosses {
    /// Log loss in nats.
    pub log_loss: WeightedMean,
    /// Brier score.
    pub brier: WeightedMean,
}

impl WeightedLosses {
    /// Counts a row by the probability of the positive class; returns whether it was valid.
    pub fn observe(&mut self, probability_of_positive: f64, truth: bool, weight: f64) -> bool {
        let of_truth = if truth { probability_of_positive } else { 1.0 - probability_of_positive };
        self.log_loss.observe(log_loss(of_truth), weight)
            & self.brier.observe(brier_loss(probability_of_positive, truth), weight)
    }
}

impl Merge for WeightedLosses {
    fn merge(&mut self, other: &Self) {
        self.log_loss.merge(&other.log_loss);
        self.brier.merge(&other.brier);
    }
}

/// Weighted area under the ROC curve: the share of (positive, negative) pairs, each weighing the product of its weights, in
/// which the positive scores higher; ties count one half. Summed exactly where it can be lost. `None` if the lengths differ,
/// a score is NaN, a weight is impossible, or a class has no weight.
#[must_use]
pub fn weighted_auc(truths: &[bool], scores: &[f64], weights: &[f64]) -> Option<f64> {
    let lengths = truths.len() == scores.len() && truths.len() == weights.len();
    if !lengths || scores.iter().any(|s| s.is_nan()) || !weights.iter().all(|&w| is_weight(w)) {
        return None;
    }
    let score = |&row: &usize| scores[row] + 0.0; // -0.0 ties with 0.0
    let mut order: Vec<usize> = (0..truths.len()).collect();
    order.sort_unstable_by(|a, b| score(a).total_cmp(&score(b)));
    let sum = |rows: &[usize], class: bool| -> f64 {
        let mut sum = ExactSum::default();
        rows.iter().filter(|&&row| truths[row] == class).for_each(|&row| {
            sum.add(weights[row]);
        });
        sum.value()
    };
    let (mut below, mut wins) = (ExactSum::default(), ExactSum::default());
    for tied in order.chunk_by(|a, b| score(a) == score(b)) {
        let (positive, negative) = (sum(tied, true), sum(tied, false));
        wins.add_product(positive, below.value());
        wins.add_product(positive, negative / 2.0);
        below.add(negative);
    }
    let pairs = sum(&order, true) * below.value();
    (pairs > 0.0 && pairs.is_finite()).then(|| wins.value() / pairs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::{auc::auc, losses::LogLoss};

    #[test]
    fn impossible_weights_are_counted_and_zero_weights_change_nothing() {
        let mut mean = WeightedMean::default();
        assert!(mean.observe(Some(3.0), 2.0) && mean.observe(Some(99.0), 0.0));
        for (value, weight) in
            [(Some(1.0), -1.0), (Some(1.0), f64::NAN), (Some(1.0), f64::INFINITY), (None, 1.0)]
        {
            assert!(!mean.observe(value, weight));
        }
        assert!(!mean.observe(Some(f64::NAN), 1.0) && !mean.observe(Some(1e200), 1.0));
        assert_eq!((mean.mean(), mean.n(), mean.invalid(), mean.total_weight()), (Some(3.0), 2, 6, 2.0));
        assert_eq!(WeightedMean::default().mean(), None);
        let mut weightless = WeightedMean::default();
        weightless.observe(Some(3.0), 0.0);
        assert_eq!(weightless.mean(), None);
    }

    #[test]
    fn equal_weights_give_the_unweighted_metrics() {
        let truths: Vec<bool> = (0..90).map(|i| i % 3 == 0).collect();
        let scores: Vec<f64> = (0..90).map(|i| f64::from((i * 29) % 31) / 30.0).collect();
        let weighted = weighted_auc(&truths, &scores, &[0.7; 90]).unwrap();
        assert!((weighted - auc(&truths, &scores).unwrap()).abs() < 1e-15);
        let (mut losses, mut plain) = (WeightedLosses::default(), LogLoss::default());
        for (&truth, &p) in truths.iter().zip(&scores) {
            assert!(losses.observe(p, truth, 3.0));
            plain.observe(if truth { p } else { 1.0 - p });
        }
        assert!((losses.log_loss.mean().unwrap() - plain.0.mean().unwrap()).abs() < 1e-12);
        assert!(!losses.observe(1.5, true, 1.0));
        assert_eq!((losses.log_loss.invalid(), losses.brier.invalid()), (1, 1));
    }

    #[test]
    fn a_class_without_weight_is_absent() {
        assert_eq!(weighted_auc(&[true, false], &[0.9, 0.1], &[1.0, 0.0]), None);
        assert_eq!(weighted_auc(&[true, false], &[0.9, 0.1], &[1.0]), None);
        assert_eq!(weighted_auc(&[true, false], &[0.9, 0.1], &[1.0, -1.0]), None);
        assert_eq!(weighted_auc(&[true, false, true], &[0.9, 0.5, 0.1], &[3.0, 1.0, 1.0]), Some(0.75));
    }
}

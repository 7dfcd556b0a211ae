//! Log loss and Brier score as exact sums.
//!
//! Logarithms come from `libm` in software, so that the sums have the same bits on every processor.

use crate::{Merge, exact::FixedSum};
use serde::{Deserialize, Serialize};

/// Probabilities are cut to `[ε, 1 − ε]` with ε = 2⁻⁵² before the logarithm, as scikit-learn does for `f64`: one
/// certain and wrong answer costs 36.04 nats, not infinity.
pub const CLIP: f64 = f64::EPSILON;

/// `−ln p` of the probability that was given to the truth, in nats, cut as [`CLIP`] says; `None` unless `p` is in
/// `[0, 1]`.
#[must_use]
pub fn log_loss(probability_of_truth: f64) -> Option<f64> {
    let valid = (0.0..=1.0).contains(&probability_of_truth);
    valid.then(|| -libm::log(probability_of_truth.clamp(CLIP, 1.0 - CLIP)))
}

/// `(p − y)²` for a binary truth; `None` unless `p` is in `[0, 1]`.
#[must_use]
pub fn brier_loss(probability_of_positive: f64, truth: bool) -> Option<f64> {
    let miss = probability_of_positive - f64::from(u8::from(truth));
    (0.0..=1.0).contains(&probability_of_positive).then_some(miss * miss)
}

/// Mean of a bounded per-observation loss with an exact sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeanLoss {
    n: u64,
    invalid: u64,
    sum: FixedSum,
}

impl MeanLoss {
    /// Counts a loss. `None` and what [`FixedSum`] refuses are counted as invalid; returns whether it was valid.
    pub fn observe(&mut self, loss: Option<f64>) -> bool {
        let valid = loss.is_some_and(|loss| self.sum.add(loss));
        *(if valid { &mut self.n } else { &mut self.invalid }) += 1;
        valid
    }

    /// Observations in the mean.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Observations that had no valid loss.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// The mean; `None` without observations.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum.value() / self.n as f64)
    }
}

impl Merge for MeanLoss {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.invalid += other.invalid;
        self.sum.merge(&other.sum);
    }
}

/// Log loss, binary or multiclass, in nats (scikit-learn's `log_loss`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLoss(pub MeanLoss);

impl LogLoss {
    /// Counts the probability given to the true class; for a binary model `p` or `1 − p`.
    pub fn observe(&mut self, probability_of_truth: f64) -> bool {
        self.0.observe(log_loss(probability_of_truth))
    }
}

impl Merge for LogLoss {
    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }
}

/// Brier score: the mean squared error of probabilities. Binary as scikit-learn's default (0 to 1); multiclass as the
/// sum over classes (0 to 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brier(pub MeanLoss);

impl Brier {
    /// Counts a binary observation by the probability of the positive class.
    pub fn observe(&mut self, probability_of_positive: f64, truth: bool) -> bool {
        self.0.observe(brier_loss(probability_of_positive, truth))
    }

    /// Counts a multiclass observation by all classes' probabilities and the index of the truth. A truth outside the
    /// classes, or a probability outside `[0, 1]`, is invalid.
    pub fn observe_classes(&mut self, probabilities: &[f64], truth: usize) -> bool {
        let parts = probabilities.iter().enumerate().map(|(class, &p)| brier_loss(p, class == truth));
        let loss = if truth < probabilities.len() { parts.sum::<Option<f64>>() } else { None };
        self.0.observe(loss)
    }
}

impl Merge for Brier {
    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_certain_error_costs_the_clip_and_no_more() {
        assert!((log_loss(0.0).unwrap() - 36.043_653_389_117_15).abs() < 1e-12);
        assert!(log_loss(1.0).unwrap() < 1e-15);
        assert_eq!((log_loss(f64::NAN), log_loss(1.1), brier_loss(-0.1, true)), (None, None, None));
    }

    #[test]
    fn invalid_scores_are_counted_and_change_nothing_else() {
        let mut loss = LogLoss::default();
        loss.observe(0.5);
        let before = loss.0.mean();
        assert!(!loss.observe(f64::NAN) && !loss.observe(f64::INFINITY));
        assert_eq!((loss.0.mean(), loss.0.n(), loss.0.invalid()), (before, 1, 2));
        let mut brier = Brier::default();
        assert!(!brier.observe_classes(&[0.5, 0.5], 2));
        assert_eq!((brier.0.mean(), brier.0.invalid()), (None, 1));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bits(ps in prop::collection::vec(0.0f64..=1.0, 0..80), cut in 0usize..80) {
            let of = |ps: &[f64]| { let mut l = LogLoss::default(); for &p in ps { l.observe(p); } l };
            let cut = cut.min(ps.len());
            let mut right = of(&ps[cut..]);
            right.merge(&of(&ps[..cut]));
            prop_assert_eq!(right, of(&ps));
        }
    }
}

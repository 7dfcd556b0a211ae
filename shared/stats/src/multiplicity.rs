//! Many guardrails, many segments: sharing one alpha.

use serde::{Deserialize, Serialize};

/// Shares `alpha` over guardrails in proportion to their policy weights (weighted Bonferroni); an e-process then rejects
/// at its own share. `None` if there is no weight, one is negative or not finite, or they sum to zero. Weights of zero
/// get no alpha and can never reject.
#[must_use]
pub fn share_alpha(alpha: f64, weights: &[f64]) -> Option<Vec<f64>> {
    let total: f64 = weights.iter().sum();
    let valid =
        weights.iter().all(|w| w.is_finite() && *w >= 0.0) && total > 0.0 && alpha > 0.0 && alpha < 1.0;
    valid.then(|| weights.iter().map(|w| alpha * w / total).collect())
}

/// Holm's step-down adjusted p-values (1979), in the order given: row `i` is rejected at family-wise level `alpha` where
/// `adjusted[i] <= alpha`. P-values that are not numbers in `[0, 1]` count as 1.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let n = p_values.len();
    let mut running = 0.0_f64;
    adjusted(p_values, sorted(p_values).into_iter().enumerate(), |rank, p| {
        running = running.max((n - rank) as f64 * p).min(1.0);
        running
    })
}

/// Benjamini and Hochberg's adjusted p-values (1995), for display only: they bound the share of false discoveries, not
/// the chance of one.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let n = p_values.len();
    let mut running = 1.0_f64;
    adjusted(p_values, sorted(p_values).into_iter().enumerate().rev(), |rank, p| {
        running = running.min(n as f64 / (rank + 1) as f64 * p);
        running
    })
}

fn cleaned(p: f64) -> f64 {
    if (0.0..=1.0).contains(&p) { p } else { 1.0 }
}

fn sorted(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| cleaned(p_values[a]).total_cmp(&cleaned(p_values[b])));
    order
}

fn adjusted(
    p_values: &[f64],
    ranks: impl Iterator<Item = (usize, usize)>,
    mut adjust: impl FnMut(usize, f64) -> f64,
) -> Vec<f64> {
    let mut out = vec![1.0; p_values.len()];
    ranks.for_each(|(rank, index)| out[index] = adjust(rank, cleaned(p_values[index])));
    out
}

/// One guardrail's e-process against its share of alpha.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The guardrail's share of alpha.
    pub alpha: f64,
    /// `ln(1/alpha)`, which `log_e` must reach to reject.
    pub log_threshold: f64,
}

impl Threshold {
    /// The threshold of a share; `None` unless it is in (0, 1).
    #[must_use]
    pub fn of(alpha: f64) -> Option<Self> {
        (alpha > 0.0 && alpha < 1.0).then(|| Self { alpha, log_threshold: -alpha.ln() })
    }

    /// Whether an e-value of this logarithm rejects.
    #[must_use]
    pub fn reached(&self, log_e: f64) -> bool {
        log_e >= self.log_threshold
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_alpha() {
        let shares = share_alpha(0.05, &[1.0, 1.0, 2.0, 0.0]).unwrap();
        assert_eq!(shares, [0.0125, 0.0125, 0.025, 0.0]);
        assert_eq!(
            (share_alpha(0.05, &[]), share_alpha(0.05, &[0.0]), share_alpha(0.05, &[-1.0, 2.0])),
            (None, None, None)
        );
        assert_eq!(Threshold::of(0.0), None);
    }

    #[test]
    fn nonsense_rejects_nothing() {
        assert_eq!(holm(&[f64::NAN, 0.01]), [1.0, 0.02]);
        assert!(holm(&[]).is_empty());
    }
}

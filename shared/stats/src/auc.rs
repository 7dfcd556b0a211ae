//! Area under the ROC curve: exact with ties, paired by DeLong, and for any number of rows as a mergeable histogram
//! with its bound ([`AucHistogram`]) and the grouped jackknife of a paired difference ([`PairedAucHistogram`]).

mod histogram;
mod paired;

pub use histogram::{AUC_BINS, AucHistogram, BinnedAuc};
pub use paired::{COARSE_BINS, PairedAucAtScale, PairedAucHistogram};

use crate::{
    Interval,
    intervals::{newcombe_independent, normal_interval},
};
use serde::{Deserialize, Serialize};

/// Exact area under the ROC curve: the share of (positive, negative) pairs in which the positive scores higher, ties
/// counting one half. Counted in integers, rounded once. `None` if a class is absent, a score is NaN, or the lengths
/// differ.
#[must_use]
pub fn auc(truths: &[bool], scores: &[f64]) -> Option<f64> {
    let ranks = doubled_midranks(truths, scores)?;
    let positives = truths.iter().filter(|&&t| t).count() as u128;
    let negatives = truths.len() as u128 - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let sum: u128 = truths.iter().zip(&ranks).filter(|(t, _)| **t).map(|(_, &rank)| u128::from(rank)).sum();
    Some((sum - positives * (positives + 1)) as f64 / (2 * positives * negatives) as f64)
}

/// Twice the midrank (from 1) of each score among all; twice, so that ties stay integers.
fn doubled_midranks(truths: &[bool], scores: &[f64]) -> Option<Vec<u64>> {
    if truths.len() != scores.len() || scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    Some(midranks_of(scores, &(0..scores.len()).collect::<Vec<_>>()))
}

/// Twice the midranks of the chosen rows among themselves, in the order of `rows`.
fn midranks_of(scores: &[f64], rows: &[usize]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let score = |position: usize| scores[rows[position]] + 0.0; // -0.0 ties with 0.0
    order.sort_unstable_by(|&a, &b| score(a).total_cmp(&score(b)));
    let mut ranks = vec![0; rows.len()];
    let mut start = 0;
    for tied in order.chunk_by(|&a, &b| score(a) == score(b)) {
        let end = start + tied.len();
        // Ranks start+1 ..= end share their mean, (start + 1 + end) / 2.
        tied.iter().for_each(|&position| ranks[position] = (start + 1 + end) as u64);
        start = end;
    }
    ranks
}

/// Two AUCs on the same rows and their difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedAuc {
    /// Positive rows.
    pub positives: u64,
    /// Negative rows.
    pub negatives: u64,
    /// The champion's AUC.
    pub champion: f64,
    /// The challenger's AUC.
    pub challenger: f64,
    /// Challenger minus champion.
    pub delta: f64,
    /// Variance of the delta.
    pub variance: f64,
    /// Whether every row has the same score from both: the delta is then zero beyond doubt.
    pub same_scores: bool,
}

impl PairedAuc {
    /// Normal interval of the delta; `None` for a confidence outside (0, 1). Where the variance vanishes though the scores
    /// differ (both versions separate the classes without an error, as they easily do on few rows), it would have no width:
    /// then Newcombe's interval with the smaller class as the number of trials.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        let interval = if self.variance > 0.0 || self.same_scores {
            normal_interval(self.delta, self.variance.sqrt(), confidence)
        } else {
            interval_without_variance(
                [self.positives, self.negatives],
                [self.champion, self.challenger],
                confidence,
            )
        };
        interval.map(|i| i.clamped(-1.0, 1.0))
    }
}

/// An interval for the difference of two areas that show no variance: as if each were a share of the smaller class.
fn interval_without_variance(classes: [u64; 2], areas: [f64; 2], confidence: f64) -> Option<Interval> {
    let trials = classes[0].min(classes[1]);
    let [champion, challenger] = areas.map(|area| ((area * trials as f64).round() as u64).min(trials));
    newcombe_independent(champion, trials, challenger, trials, confidence)
}

/// Paired comparison of two AUCs (DeLong et al. 1988, in the O(n log n) form of Sun & Xu 2014). `None` with fewer than
/// two rows of a class, a NaN score, or lengths that differ.
#[must_use]
pub fn delong(truths: &[bool], champion: &[f64], challenger: &[f64]) -> Option<PairedAuc> {
    let rows = |class: bool| truths.iter().enumerate().filter(move |(_, t)| **t == class).map(|(i, _)| i);
    let (positives, negatives): (Vec<usize>, Vec<usize>) = (rows(true).collect(), rows(false).collect());
    if positives.len() < 2 || negatives.len() < 2 {
        return None;
    }
    let one = Placements::of(truths, champion, &positives, &negatives)?;
    let two = Placements::of(truths, challenger, &positives, &negatives)?;
    let variance = variance_of_difference(&one.positives, &two.positives)
        + variance_of_difference(&one.negatives, &two.negatives);
    let same_scores = champion == challenger;
    let (champion, challenger) = (auc(truths, champion)?, auc(truths, challenger)?);
    Some(PairedAuc {
        positives: positives.len() as u64,
        negatives: negatives.len() as u64,
        champion,
        challenger,
        delta: challenger - champion,
        variance,
        same_scores,
    })
}

/// DeLong's structural components: for each positive the share of negatives it beats, and the reverse.
struct Placements {
    positives: Vec<f64>,
    negatives: Vec<f64>,
}

impl Placements {
    fn of(truths: &[bool], scores: &[f64], positives: &[usize], negatives: &[usize]) -> Option<Self> {
        let all = doubled_midranks(truths, scores)?;
        let within = |rows: &[usize], others: usize| -> Vec<f64> {
            let own = midranks_of(scores, rows);
            rows.iter().zip(own).map(|(&row, own)| (all[row] - own) as f64 / (2 * others) as f64).collect()
        };
        Some(Self {
            positives: within(positives, negatives.len()),
            negatives: within(negatives, positives.len())
                .into_iter()
                .map(|beaten_by| 1.0 - beaten_by)
                .collect(),
        })
    }
}

/// Variance of the mean of the paired differences.
fn variance_of_difference(one: &[f64], two: &[f64]) -> f64 {
    let n = one.len() as f64;
    let differences = || one.iter().zip(two).map(|(a, b)| b - a);
    let mean = differences().sum::<f64>() / n;
    differences().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_defined() {
        assert_eq!(auc(&[true, true], &[0.1, 0.2]), None);
        assert_eq!(auc(&[true, false], &[f64::NAN, 0.2]), None);
        assert_eq!(auc(&[true, false, true, false], &[0.5; 4]), Some(0.5));
        assert_eq!(auc(&[true, false], &[0.0, -0.0]), Some(0.5));
        assert_eq!(delong(&[true, false, false], &[0.1; 3], &[0.2; 3]), None);
        let constant = delong(&[true, true, false, false], &[0.5; 4], &[0.5; 4]).unwrap();
        assert_eq!((constant.delta, constant.variance), (0.0, 0.0));
        assert_eq!(constant.interval(0.95), Interval::new(0.0, 0.0));
    }

    #[test]
    fn two_perfect_scores_on_few_rows_prove_nothing() {
        let truths: Vec<bool> = (0..12).map(|i| i >= 6).collect();
        let champion: Vec<f64> = (0..12).map(f64::from).collect();
        let challenger: Vec<f64> = champion.iter().map(|s| s * s).collect();
        let row = delong(&truths, &champion, &challenger).unwrap();
        assert_eq!((row.delta, row.variance, row.same_scores), (0.0, 0.0, false));
        let interval = row.interval(0.95).unwrap();
        assert!(interval.low < -0.3 && interval.high > 0.3, "{interval:?}");
    }
}

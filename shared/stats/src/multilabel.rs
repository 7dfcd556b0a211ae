//! Answers that are sets of labels: agreement and quality.
//!
//! The same counts serve both: against the truth they are quality, champion against challenger they are agreement. A label
//! named twice in one set counts once. Definitions are scikit-learn's on the indicator matrix whose columns are all labels
//! seen on either side, with `zero_division=0` for F1 and `zero_division=1` for Jaccard (two empty sets agree).

use crate::{Merge, cells::change, confusion::f1, losses::MeanLoss, share};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How two sets of labels overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Labels in both.
    pub both: u64,
    /// Labels in the first, the truth.
    pub truth: u64,
    /// Labels in the second, the prediction.
    pub predicted: u64,
}

impl Overlap {
    /// Counts the overlap of two lists, without allocating; for the short lists that label sets are.
    #[must_use]
    pub fn of<S: AsRef<str>>(truth: &[S], predicted: &[S]) -> Self {
        let both = distinct(truth).filter(|label| contains(predicted, label)).count() as u64;
        Self { both, truth: distinct(truth).count() as u64, predicted: distinct(predicted).count() as u64 }
    }

    /// Whether the sets are equal.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.both == self.truth && self.both == self.predicted
    }

    /// Labels in one set only.
    #[must_use]
    pub fn differing(&self) -> u64 {
        self.truth + self.predicted - 2 * self.both
    }

    /// Jaccard similarity, intersection over union; 1 for two empty sets.
    #[must_use]
    pub fn jaccard(&self) -> f64 {
        share(self.both, self.truth + self.predicted - self.both).unwrap_or(1.0)
    }
}

fn contains<S: AsRef<str>>(list: &[S], label: &str) -> bool {
    list.iter().any(|other| other.as_ref() == label)
}

fn distinct<S: AsRef<str>>(list: &[S]) -> impl Iterator<Item = &str> {
    list.iter()
        .enumerate()
        .map(|(i, label)| (i, label.as_ref()))
        .filter_map(|(i, label)| (!contains(&list[..i], label)).then_some(label))
}

/// Counts over rows of label sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multilabel {
    n: u64,
    exact: u64,
    differing: u64,
    jaccard: MeanLoss,
    labels: BTreeMap<String, LabelCounts>,
}

/// Rows of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCounts {
    /// Rows whose truth (or champion's answer) has it.
    pub truth: u64,
    /// Rows whose prediction (or challenger's answer) has it.
    pub predicted: u64,
    /// Rows where both have it.
    pub both: u64,
}

impl LabelCounts {
    /// F1 of the label, 0 where undefined.
    #[must_use]
    pub fn f1(&self) -> f64 {
        f1(self.truth, self.predicted, self.both)
    }
}

impl Multilabel {
    /// Counts a row: the truth and the prediction, or the champion's and the challenger's answer. Allocates for a label's
    /// first appearance only. Returns how the sets overlap, for paired comparisons of rows.
    pub fn observe<S: AsRef<str>>(&mut self, truth: &[S], predicted: &[S]) -> Overlap {
        let overlap = Overlap::of(truth, predicted);
        self.n += 1;
        self.exact += u64::from(overlap.is_exact());
        self.differing += overlap.differing();
        self.jaccard.observe(Some(overlap.jaccard()));
        for label in distinct(truth) {
            let both = u64::from(contains(predicted, label));
            change(&mut self.labels, label, |counts| {
                counts.add(&LabelCounts { truth: 1, predicted: both, both });
            });
        }
        for label in distinct(predicted).filter(|label| !contains(truth, label)) {
            change(&mut self.labels, label, |counts| counts.predicted += 1);
        }
        overlap
    }

    /// Rows counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Counts by label, in order.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, LabelCounts> {
        &self.labels
    }

    /// Share of rows whose sets are equal (scikit-learn's `accuracy_score`); `None` without rows.
    #[must_use]
    pub fn subset_accuracy(&self) -> Option<f64> {
        share(self.exact, self.n)
    }

    /// Share of wrong (row, label) decisions. `labels` is the number of labels the task has, if the policy says it, at least
    /// those seen; `None` without rows or labels.
    #[must_use]
    pub fn hamming_loss(&self, labels: Option<u64>) -> Option<f64> {
        let seen = self.labels.len() as u64;
        share(self.differing, self.n.saturating_mul(labels.unwrap_or(seen).max(seen)))
    }

    /// Mean Jaccard similarity of the rows (`average="samples"`); `None` without rows.
    #[must_use]
    pub fn jaccard(&self) -> Option<f64> {
        self.jaccard.mean()
    }

    /// F1 over all (row, label) decisions together, 0 if no label was ever set; `None` without rows.
    #[must_use]
    pub fn micro_f1(&self) -> Option<f64> {
        let mut all = LabelCounts::default();
        self.labels.values().for_each(|counts| all.add(counts));
        (self.n > 0).then(|| all.f1())
    }

    /// Unweighted mean of the seen labels' F1; `None` if no label was ever set.
    #[must_use]
    pub fn macro_f1(&self) -> Option<f64> {
        let n = self.labels.len();
        (n > 0).then(|| self.labels.values().map(LabelCounts::f1).sum::<f64>() / n as f64)
    }
}

impl LabelCounts {
    fn add(&mut self, other: &Self) {
        self.truth += other.truth;
        self.predicted += other.predicted;
        self.both += other.both;
    }
}

impl Merge for Multilabel {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.exact += other.exact;
        self.differing += other.differing;
        self.jaccard.merge(&other.jaccard);
        for (label, counts) in &other.labels {
            change(&mut self.labels, label, |mine| mine.add(counts));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_compared_as_sets() {
        let mut scores = Multilabel::default();
        assert!(scores.observe(&["a", "b"], &["b", "a", "a"]).is_exact());
        assert!(scores.observe::<&str>(&[], &[]).is_exact());
        let overlap = scores.observe(&["a", "c"], &["b", "c"]);
        assert_eq!((overlap.differing(), overlap.jaccard()), (2, 1.0 / 3.0));
        assert_eq!((scores.subset_accuracy(), scores.n()), (Some(2.0 / 3.0), 3));
        assert_eq!(
            (scores.hamming_loss(None), scores.hamming_loss(Some(10))),
            (Some(2.0 / 9.0), Some(2.0 / 30.0))
        );
        assert_eq!(scores.hamming_loss(Some(1)), scores.hamming_loss(None));
        assert_eq!(scores.labels()["a"], LabelCounts { truth: 2, predicted: 1, both: 1 });
        assert_eq!(scores.micro_f1(), Some(6.0 / 8.0));
        assert!((scores.macro_f1().unwrap() - (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-15);
    }

    #[test]
    fn nothing_seen_is_no_score() {
        let mut scores = Multilabel::default();
        let all = |s: &Multilabel| {
            [s.subset_accuracy(), s.hamming_loss(None), s.jaccard(), s.micro_f1(), s.macro_f1()]
        };
        assert_eq!(all(&scores), [None; 5]);
        scores.observe::<&str>(&[], &[]);
        assert_eq!(all(&scores), [Some(1.0), None, Some(1.0), Some(0.0), None]);
    }
}

//! Confusion counts over label strings, and what follows from them: accuracy and F1.
//!
//! Definitions are scikit-learn's with `zero_division=0`: the classes are all labels seen as truth or as prediction.

use crate::{
    Merge,
    cells::{Counts, add, change},
    share,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Counts of (true label, predicted label). Serialises as a sorted list of `[truth, predicted, count]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(String, String, u64)>", into = "Vec<(String, String, u64)>")]
pub struct Confusion {
    /// By truth, then by prediction.
    cells: BTreeMap<String, Counts>,
}

impl Confusion {
    /// Counts one observation; allocates for new labels only.
    pub fn observe(&mut self, truth: &str, predicted: &str) {
        self.observe_n(truth, predicted, 1);
    }

    /// Counts `n` equal observations.
    pub fn observe_n(&mut self, truth: &str, predicted: &str, n: u64) {
        if n > 0 {
            change(&mut self.cells, truth, |row| add(row, predicted, n));
        }
    }

    /// Observations counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.cells().map(|(.., n)| n).sum()
    }

    /// Observations with this truth and this prediction.
    #[must_use]
    pub fn count(&self, truth: &str, predicted: &str) -> u64 {
        self.cells.get(truth).and_then(|row| row.get(predicted)).copied().unwrap_or(0)
    }

    /// The non-empty cells `((truth, predicted), count)` in order.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.cells
            .iter()
            .flat_map(|(truth, row)| row.iter().map(move |(p, &n)| (truth.as_str(), p.as_str(), n)))
    }

    /// All labels seen as truth or as prediction, in order.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        let all: BTreeSet<&str> = self.cells().flat_map(|(truth, predicted, _)| [truth, predicted]).collect();
        all.into_iter().collect()
    }

    /// Correctly predicted observations.
    #[must_use]
    pub fn correct(&self) -> u64 {
        self.cells().filter(|(truth, predicted, _)| truth == predicted).map(|(.., n)| n).sum()
    }

    /// Share of correct predictions; `None` without observations.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        share(self.correct(), self.n())
    }

    /// Precision, recall, F1 and support of each class, in the order of [`Confusion::labels`].
    #[must_use]
    pub fn classes(&self) -> Vec<ClassScores> {
        let mut by_label: BTreeMap<&str, ClassCounts> = BTreeMap::new();
        for (truth, predicted, n) in self.cells() {
            by_label.entry(truth).or_default().truth += n;
            by_label.entry(predicted).or_default().predicted += n;
            if truth == predicted {
                by_label.entry(truth).or_default().both += n;
            }
        }
        by_label.into_iter().map(|(label, counts)| counts.scores(label)).collect()
    }

    /// Unweighted mean of the classes' F1; `None` without observations.
    #[must_use]
    pub fn macro_f1(&self) -> Option<f64> {
        let classes = self.classes();
        (!classes.is_empty()).then(|| classes.iter().map(|c| c.f1).sum::<f64>() / classes.len() as f64)
    }

    /// Mean of the classes' F1 weighted by their true counts; `None` without observations.
    #[must_use]
    pub fn weighted_f1(&self) -> Option<f64> {
        let n = self.n();
        (n > 0).then(|| self.classes().iter().map(|c| c.f1 * c.support as f64).sum::<f64>() / n as f64)
    }
}

#[derive(Default)]
struct ClassCounts {
    truth: u64,
    predicted: u64,
    both: u64,
}

impl ClassCounts {
    fn scores(&self, label: &str) -> ClassScores {
        ClassScores {
            label: label.to_owned(),
            support: self.truth,
            predicted: self.predicted,
            precision: share(self.both, self.predicted),
            recall: share(self.both, self.truth),
            f1: f1(self.truth, self.predicted, self.both),
        }
    }
}

/// `2·TP / (true + predicted)`, 0 for a class that was neither seen nor predicted.
pub(crate) fn f1(truth: u64, predicted: u64, both: u64) -> f64 {
    share(2 * both, truth + predicted).unwrap_or(0.0)
}

/// Scores of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// The class.
    pub label: String,
    /// Observations whose truth is this class.
    pub support: u64,
    /// Observations predicted as this class.
    pub predicted: u64,
    /// Share of the predicted that are truly of the class; `None` if it was never predicted.
    pub precision: Option<f64>,
    /// Share of the class that was found; `None` if the class is absent.
    pub recall: Option<f64>,
    /// Harmonic mean of both, 0 where undefined (scikit-learn's `zero_division=0`).
    pub f1: f64,
}

impl Merge for Confusion {
    fn merge(&mut self, other: &Self) {
        other.cells().for_each(|(truth, predicted, n)| self.observe_n(truth, predicted, n));
    }
}

impl From<Vec<(String, String, u64)>> for Confusion {
    fn from(rows: Vec<(String, String, u64)>) -> Self {
        let mut confusion = Self::default();
        rows.iter().for_each(|(truth, predicted, n)| confusion.observe_n(truth, predicted, *n));
        confusion
    }
}

impl From<Confusion> for Vec<(String, String, u64)> {
    fn from(confusion: Confusion) -> Self {
        confusion.cells().map(|(truth, predicted, n)| (truth.to_owned(), predicted.to_owned(), n)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_seen_is_no_score() {
        let empty = Confusion::default();
        assert_eq!((empty.accuracy(), empty.macro_f1(), empty.weighted_f1()), (None, None, None));
    }

    #[test]
    fn a_class_that_is_only_predicted_lowers_the_macro_mean() {
        let mut confusion = Confusion::default();
        confusion.observe_n("a", "a", 3);
        confusion.observe("a", "b");
        assert_eq!(confusion.macro_f1(), Some((6.0 / 7.0) / 2.0));
        assert_eq!(confusion.weighted_f1(), Some(6.0 / 7.0));
        assert_eq!(confusion.classes()[1].recall, None);
    }

    proptest! {
        #[test]
        fn merging_forms_a_monoid(rows in prop::collection::vec((0u8..4, 0u8..4), 0..60), cut in 0usize..60) {
            let count = |rows: &[(u8, u8)]| {
                let mut c = Confusion::default();
                rows.iter().for_each(|(t, p)| c.observe(&t.to_string(), &p.to_string()));
                c
            };
            let cut = cut.min(rows.len());
            let (left, right) = (count(&rows[..cut]), count(&rows[cut..]));
            let mut one = left.clone();
            one.merge(&right);
            let mut two = right;
            two.merge(&left);
            two.merge(&Confusion::default());
            prop_assert_eq!(&one, &count(&rows));
            prop_assert_eq!(&two, &one);
            let text = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(serde_json::from_str::<Confusion>(&text).unwrap(), one);
        }
    }
}

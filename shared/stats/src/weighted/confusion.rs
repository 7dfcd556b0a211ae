//! Weighted confusion, accuracy and F1.

use super::is_weight;
use crate::{Merge, cells::change, exact::ExactSum};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Sums of weights by (true label, predicted label); definitions as in [`crate::confusion::Confusion`]. Serialises as a
/// sorted list of `[truth, predicted, sum]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Rows", into = "Rows")]
pub struct WeightedConfusion {
    /// By truth, then by prediction.
    cells: BTreeMap<String, BTreeMap<String, ExactSum>>,
    invalid: u64,
}

impl WeightedConfusion {
    /// Adds a row. An impossible weight is counted as invalid; returns whether it was valid. A row of weight zero counts for
    /// its labels alone: they are then classes, with no support.
    pub fn observe(&mut self, truth: &str, predicted: &str, weight: f64) -> bool {
        if !is_weight(weight) {
            self.invalid += 1;
            return false;
        }
        change(&mut self.cells, truth, |row| {
            change(row, predicted, |sum| {
                sum.add(weight);
            });
        });
        true
    }

    fn cells(&self) -> impl Iterator<Item = (&str, &str, &ExactSum)> {
        self.cells
            .iter()
            .flat_map(|(truth, row)| row.iter().map(move |(p, sum)| (truth.as_str(), p.as_str(), sum)))
    }

    fn add(&mut self, truth: &str, predicted: &str, sum: &ExactSum) {
        change(&mut self.cells, truth, |row| change(row, predicted, |mine| mine.merge(sum)));
    }

    /// Rows refused.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// All labels seen as truth or as prediction, in order.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        let all: BTreeSet<&str> = self.cells().flat_map(|(truth, predicted, _)| [truth, predicted]).collect();
        all.into_iter().collect()
    }

    /// Sum of the weights of rows with this truth and this prediction.
    #[must_use]
    pub fn weight(&self, truth: &str, predicted: &str) -> f64 {
        self.cells.get(truth).and_then(|row| row.get(predicted)).map_or(0.0, ExactSum::value)
    }

    /// Sum of all weights.
    #[must_use]
    pub fn total_weight(&self) -> f64 {
        self.sum(|_, _| true)
    }

    /// Share of the weight that was predicted right; `None` without weight.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        self.over_total(self.sum(|truth, predicted| truth == predicted))
    }

    /// Unweighted mean of the classes' F1, each from weighted counts; `None` without weight.
    #[must_use]
    pub fn macro_f1(&self) -> Option<f64> {
        let f1 = self.f1_by_class();
        (self.total_weight() > 0.0).then(|| f1.iter().map(|(_, f1)| f1).sum::<f64>() / f1.len() as f64)
    }

    /// Mean of the classes' F1 by their true weight; `None` without weight.
    #[must_use]
    pub fn weighted_f1(&self) -> Option<f64> {
        self.over_total(self.f1_by_class().iter().map(|(support, f1)| support * f1).sum())
    }

    /// True weight and F1 of each class, in the order of the labels; F1 is 0 where it is undefined.
    fn f1_by_class(&self) -> Vec<(f64, f64)> {
        let of = |label: &str| {
            let truth = self.sum(|t, _| t == label);
            let predicted = self.sum(|_, p| p == label);
            let both = self.weight(label, label);
            (truth, if truth + predicted > 0.0 { 2.0 * both / (truth + predicted) } else { 0.0 })
        };
        self.labels().into_iter().map(of).collect()
    }

    fn sum(&self, which: impl Fn(&str, &str) -> bool) -> f64 {
        let mut sum = ExactSum::default();
        let cells = self.cells().filter(|(truth, predicted, _)| which(truth, predicted));
        cells.for_each(|(.., weight)| sum.merge(weight));
        sum.value()
    }

    fn over_total(&self, part: f64) -> Option<f64> {
        let total = self.total_weight();
        (total > 0.0).then(|| part / total)
    }
}

impl Merge for WeightedConfusion {
    fn merge(&mut self, other: &Self) {
        self.invalid += other.invalid;
        other.cells().for_each(|(truth, predicted, sum)| self.add(truth, predicted, sum));
    }
}

#[derive(Serialize, Deserialize)]
struct Rows {
    invalid: u64,
    cells: Vec<(String, String, ExactSum)>,
}

impl From<Rows> for WeightedConfusion {
    fn from(rows: Rows) -> Self {
        let mut confusion = Self { invalid: rows.invalid, ..Self::default() };
        rows.cells.iter().for_each(|(truth, predicted, sum)| confusion.add(truth, predicted, sum));
        confusion
    }
}

impl From<WeightedConfusion> for Rows {
    fn from(confusion: WeightedConfusion) -> Self {
        let row = |(t, p, sum): (&str, &str, &ExactSum)| (t.to_owned(), p.to_owned(), sum.clone());
        Self { invalid: confusion.invalid, cells: confusion.cells().map(row).collect() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::confusion::Confusion;

    #[test]
    fn equal_weights_give_the_unweighted_scores() {
        let (mut weighted, mut plain) = (WeightedConfusion::default(), Confusion::default());
        for i in 0..120_u32 {
            let (truth, predicted) = ((i % 4).to_string(), (i * i % 5).to_string());
            assert!(weighted.observe(&truth, &predicted, 0.25));
            plain.observe(&truth, &predicted);
        }
        assert_eq!((weighted.labels(), weighted.total_weight()), (plain.labels(), 30.0));
        for (ours, theirs) in [
            (weighted.accuracy(), plain.accuracy()),
            (weighted.macro_f1(), plain.macro_f1()),
            (weighted.weighted_f1(), plain.weighted_f1()),
        ] {
            assert!((ours.unwrap() - theirs.unwrap()).abs() < 1e-15);
        }
    }

    #[test]
    fn without_weight_there_is_no_score() {
        let mut confusion = WeightedConfusion::default();
        assert!(!confusion.observe("a", "a", -1.0) && !confusion.observe("a", "a", f64::NAN));
        assert!(confusion.observe("a", "b", 0.0));
        assert_eq!((confusion.accuracy(), confusion.macro_f1(), confusion.weighted_f1()), (None, None, None));
        assert_eq!((confusion.invalid(), confusion.labels()), (2, vec!["a", "b"]));
        let text = serde_json::to_string(&confusion).unwrap();
        assert_eq!(serde_json::from_str::<WeightedConfusion>(&text).unwrap(), confusion);
    }
}

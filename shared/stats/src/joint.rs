//! Joint cells (truth, champion's answer, challenger's answer): paired differences of metrics that are not means, such
//! as macro F1.

use crate::{
    Arm, Interval, Merge,
    bootstrap::Bootstrap,
    cells::{Counts, add, change},
    confusion::{Confusion, f1},
    intervals::PairedCounts,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Counts of `(truth, champion, challenger)`. Serialises as a sorted list of `[truth, champion, challenger, count]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(String, String, String, u64)>", into = "Vec<(String, String, String, u64)>")]
pub struct JointConfusion {
    /// By truth, then by the champion's, then by the challenger's answer.
    cells: BTreeMap<String, BTreeMap<String, Counts>>,
}

/// A paired difference of a metric with its bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedMetric {
    /// Pairs.
    pub n: u64,
    /// The champion's value.
    pub champion: f64,
    /// The challenger's value.
    pub challenger: f64,
    /// Challenger minus champion.
    pub delta: f64,
    /// Interval for the delta; `None` if the data are too thin to resample.
    pub interval: Option<Interval>,
}

impl JointConfusion {
    /// Counts one pair with its truth; allocates for new labels only.
    pub fn observe(&mut self, truth: &str, champion: &str, challenger: &str) {
        self.observe_n(truth, champion, challenger, 1);
    }

    /// Counts `n` equal pairs.
    pub fn observe_n(&mut self, truth: &str, champion: &str, challenger: &str, n: u64) {
        if n > 0 {
            change(&mut self.cells, truth, |rows| change(rows, champion, |row| add(row, challenger, n)));
        }
    }

    /// The non-empty cells `(truth, champion, challenger, count)`, in order.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str, &str, u64)> {
        self.cells.iter().flat_map(|(truth, rows)| {
            rows.iter().flat_map(move |(a, row)| {
                row.iter().map(move |(b, &n)| (truth.as_str(), a.as_str(), b.as_str(), n))
            })
        })
    }

    /// Pairs counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.cells().map(|(.., n)| n).sum()
    }

    /// The confusion counts of one version.
    #[must_use]
    pub fn confusion(&self, arm: Arm) -> Confusion {
        let mut confusion = Confusion::default();
        for (truth, champion, challenger, n) in self.cells() {
            confusion.observe_n(truth, if arm == Arm::Champion { champion } else { challenger }, n);
        }
        confusion
    }

    /// Pairs by which version was right: what accuracy's paired interval needs.
    #[must_use]
    pub fn correctness(&self) -> PairedCounts {
        let mut counts = PairedCounts::default();
        for (truth, champion, challenger, n) in self.cells() {
            *match (champion == truth, challenger == truth) {
                (true, true) => &mut counts.both,
                (true, false) => &mut counts.champion_only,
                (false, true) => &mut counts.challenger_only,
                (false, false) => &mut counts.neither,
            } += n;
        }
        counts
    }

    /// Paired difference of macro F1; `None` without pairs.
    #[must_use]
    pub fn macro_f1(&self, bootstrap: Bootstrap) -> Option<PairedMetric> {
        self.f1(bootstrap, |_, classes| 1.0 / classes)
    }

    /// Paired difference of weighted F1; `None` without pairs.
    #[must_use]
    pub fn weighted_f1(&self, bootstrap: Bootstrap) -> Option<PairedMetric> {
        self.f1(bootstrap, |share, _| share)
    }

    /// Difference of a weighted mean of class F1, the weight from the class's share of the truth and the number of
    /// classes an arm has seen.
    fn f1(&self, bootstrap: Bootstrap, weight: impl Fn(f64, f64) -> f64) -> Option<PairedMetric> {
        let names: BTreeSet<&str> = self.cells().flat_map(|(a, b, c, _)| [a, b, c]).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let index = |label: &str| names.binary_search(&label).ok();
        let rows: Vec<[usize; 3]> =
            self.cells().filter_map(|(a, b, c, _)| Some([index(a)?, index(b)?, index(c)?])).collect();
        let cells: Vec<u64> = self.cells().map(|(.., n)| n).collect();
        let of_arm = |cells: &[u64], arm: usize| {
            let mut counts = vec![[0_u64; 3]; names.len()]; // true, predicted, both
            for (row, &n) in rows.iter().zip(cells) {
                counts[row[0]][0] += n;
                counts[row[arm]][1] += n;
                counts[row[0]][2] += if row[0] == row[arm] { n } else { 0 };
            }
            let total: u64 = cells.iter().sum();
            let seen = counts.iter().filter(|c| c[0] + c[1] > 0).count() as f64;
            let part = |c: &[u64; 3]| {
                if c[0] + c[1] == 0 {
                    0.0
                } else {
                    weight(c[0] as f64 / total as f64, seen) * f1(c[0], c[1], c[2])
                }
            };
            (total > 0).then(|| counts.iter().map(part).sum::<f64>())
        };
        let delta = |cells: &[u64]| Some(of_arm(cells, 2)? - of_arm(cells, 1)?);
        Some(PairedMetric {
            n: self.n(),
            champion: of_arm(&cells, 1)?,
            challenger: of_arm(&cells, 2)?,
            delta: delta(&cells)?,
            interval: bootstrap.interval(&cells, delta),
        })
    }
}

impl Merge for JointConfusion {
    fn merge(&mut self, other: &Self) {
        for (truth, champion, challenger, n) in other.cells() {
            self.observe_n(truth, champion, challenger, n);
        }
    }
}

impl From<Vec<(String, String, String, u64)>> for JointConfusion {
    fn from(rows: Vec<(String, String, String, u64)>) -> Self {
        let mut joint = Self::default();
        rows.iter()
            .for_each(|(truth, champion, challenger, n)| joint.observe_n(truth, champion, challenger, *n));
        joint
    }
}

impl From<JointConfusion> for Vec<(String, String, String, u64)> {
    fn from(joint: JointConfusion) -> Self {
        let owned = |(a, b, c, n): (&str, &str, &str, u64)| (a.to_owned(), b.to_owned(), c.to_owned(), n);
        joint.cells().map(owned).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn f1_agrees_with_the_confusion_counts() {
        let mut joint = JointConfusion::default();
        let labels = ["a", "b", "c"];
        for i in 0..200_usize {
            joint.observe(labels[i % 3], labels[(i * i) % 3], labels[(i / 2) % 3]);
        }
        let bootstrap = Bootstrap { replicates: 200, ..Bootstrap::with_seed(3) };
        let (macro_f1, weighted) =
            (joint.macro_f1(bootstrap).unwrap(), joint.weighted_f1(bootstrap).unwrap());
        let challenger = joint.confusion(Arm::Challenger);
        assert!((macro_f1.challenger - challenger.macro_f1().unwrap()).abs() < 1e-15);
        assert!((weighted.challenger - challenger.weighted_f1().unwrap()).abs() < 1e-15);
        assert!(macro_f1.interval.unwrap().contains(macro_f1.delta));
        assert_eq!(joint.correctness().n(), 200);
        assert_eq!(JointConfusion::default().macro_f1(bootstrap), None);
    }

    #[test]
    fn equal_answers_have_exactly_no_difference() {
        let mut joint = JointConfusion::default();
        joint.observe_n("a", "a", "a", 50);
        joint.observe_n("b", "a", "a", 50);
        let row = joint.macro_f1(Bootstrap { replicates: 200, ..Bootstrap::with_seed(3) }).unwrap();
        assert_eq!((row.delta, row.interval), (0.0, Interval::new(0.0, 0.0)));
    }
}

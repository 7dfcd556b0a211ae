//! Agreement of two versions on the same requests, the matrix of their disagreements, and why it is 100 %.

use crate::{
    Interval, Merge,
    cells::{Counts, add, change},
    intervals::wilson,
    share,
};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap};

/// Counts of (champion's answer, challenger's answer). The challenger's is absent where it failed: a disagreement.
/// Serialises as a sorted list of `[champion, challenger | null, count]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(String, Option<String>, u64)>", into = "Vec<(String, Option<String>, u64)>")]
pub struct Agreement {
    /// By the champion's answer.
    cells: BTreeMap<String, Answers>,
}

/// What the challenger answered where the champion gave one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answers {
    failed: u64,
    given: Counts,
}

/// Traffic is one-sided if the most frequent answer has at least this share of all,
pub const ONE_SIDED_SHARE: f64 = 0.99;
/// and all others together are fewer than this: 30 equal answers are the fewest that bound the disagreement on them by 10 %
/// (95 %, rule of three).
pub const ENOUGH_OTHERS: u64 = 30;

/// Why two versions agree on everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum FullAgreement {
    /// Both are the same package: the comparison says nothing about a change.
    SameDigest,
    /// Nearly every answer was this one ([`ONE_SIDED_SHARE`], [`ENOUGH_OTHERS`]): the traffic hardly asked what could tell
    /// the versions apart.
    OneSidedTraffic {
        /// The most frequent answer.
        label: String,
    },
    /// Several answers were seen, often enough, and all were equal.
    TrulyEqual {
        /// Number of different answers.
        labels: u64,
    },
}

impl Agreement {
    /// Counts one pair; `None` for a challenger that failed. Allocates for new answers only.
    pub fn observe(&mut self, champion: &str, challenger: Option<&str>) {
        self.observe_n(champion, challenger, 1);
    }

    /// Counts `n` equal pairs.
    pub fn observe_n(&mut self, champion: &str, challenger: Option<&str>, n: u64) {
        if n > 0 {
            change(&mut self.cells, champion, |answers| match challenger {
                Some(challenger) => add(&mut answers.given, challenger, n),
                None => answers.failed += n,
            });
        }
    }

    /// Pairs counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.matrix().map(|(.., n)| n).sum()
    }

    /// Pairs with equal answers.
    #[must_use]
    pub fn agreed(&self) -> u64 {
        self.matrix().filter(|(a, b, _)| *b == Some(*a)).map(|(.., n)| n).sum()
    }

    /// Pairs in which the challenger failed.
    #[must_use]
    pub fn challenger_failures(&self) -> u64 {
        self.cells.values().map(|answers| answers.failed).sum()
    }

    /// Share of equal answers; `None` without pairs.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        share(self.agreed(), self.n())
    }

    /// Wilson interval of the share; `None` without pairs.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        wilson(self.agreed(), self.n(), confidence)
    }

    /// The matrix as `(champion, challenger, count)`, agreements included, in order.
    pub fn matrix(&self) -> impl Iterator<Item = (&str, Option<&str>, u64)> {
        self.cells.iter().flat_map(|(champion, answers)| {
            let failed = (answers.failed > 0).then_some((champion.as_str(), None, answers.failed));
            let given = answers.given.iter().map(move |(b, &n)| (champion.as_str(), Some(b.as_str()), n));
            failed.into_iter().chain(given)
        })
    }

    /// Why all answers are equal; `None` if they are not, or there are none. The same digest goes before all; else traffic
    /// is one-sided as [`ONE_SIDED_SHARE`] and [`ENOUGH_OTHERS`] say (of equally frequent answers the first by name is
    /// named); what is left is truly equal.
    #[must_use]
    pub fn full_agreement(&self, same_digest: bool) -> Option<FullAgreement> {
        let n = self.n();
        if n == 0 || self.agreed() != n {
            return None;
        }
        if same_digest {
            return Some(FullAgreement::SameDigest);
        }
        // All pairs agree, so every cell is one answer.
        let (label, _, most) = self.matrix().max_by_key(|&(label, _, count)| (count, Reverse(label)))?;
        let one_sided = most as f64 >= ONE_SIDED_SHARE * n as f64 && n - most < ENOUGH_OTHERS;
        Some(if one_sided {
            FullAgreement::OneSidedTraffic { label: label.to_owned() }
        } else {
            FullAgreement::TrulyEqual { labels: self.cells.len() as u64 }
        })
    }
}

impl Merge for Agreement {
    fn merge(&mut self, other: &Self) {
        other.matrix().for_each(|(champion, challenger, n)| self.observe_n(champion, challenger, n));
    }
}

impl From<Vec<(String, Option<String>, u64)>> for Agreement {
    fn from(rows: Vec<(String, Option<String>, u64)>) -> Self {
        let mut agreement = Self::default();
        rows.iter()
            .for_each(|(champion, challenger, n)| agreement.observe_n(champion, challenger.as_deref(), *n));
        agreement
    }
}

impl From<Agreement> for Vec<(String, Option<String>, u64)> {
    fn from(agreement: Agreement) -> Self {
        agreement.matrix().map(|(a, b, n)| (a.to_owned(), b.map(str::to_owned), n)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn full_agreement_names_its_cause() {
        let mut agreement = Agreement::default();
        assert_eq!((agreement.full_agreement(true), agreement.share()), (None, None));
        agreement.observe_n("no", Some("no"), 40);
        let one_sided = FullAgreement::OneSidedTraffic { label: "no".into() };
        assert_eq!(agreement.full_agreement(false), Some(one_sided));
        assert_eq!(agreement.full_agreement(true), Some(FullAgreement::SameDigest));
        agreement.observe("yes", Some("yes"));
        assert_eq!(agreement.full_agreement(false), Some(FullAgreement::TrulyEqual { labels: 2 }));
        assert!(agreement.interval(0.95).unwrap().low < 0.95);
    }

    #[test]
    fn a_few_other_answers_do_not_make_traffic_two_sided_but_thirty_do() {
        let of = |no, yes| {
            let mut agreement = Agreement::default();
            agreement.observe_n("no", Some("no"), no);
            agreement.observe_n("yes", Some("yes"), yes);
            agreement.full_agreement(false).unwrap()
        };
        let one_sided = |label: &str| FullAgreement::OneSidedTraffic { label: label.into() };
        let truly_equal = FullAgreement::TrulyEqual { labels: 2 };
        assert_eq!((of(2_000, 5), of(5, 2_000)), (one_sided("no"), one_sided("yes")));
        assert_eq!((of(1_000_000, 29), of(1_000_000, 30)), (one_sided("no"), truly_equal.clone()));
        assert_eq!((of(99, 1), of(98, 2)), (one_sided("no"), truly_equal.clone()));
        assert_eq!(of(20, 20), truly_equal);
    }

    #[test]
    fn a_failed_challenger_disagrees() {
        let mut agreement = Agreement::default();
        agreement.observe_n("no", Some("no"), 3);
        agreement.observe("no", None);
        assert_eq!((agreement.share(), agreement.challenger_failures()), (Some(0.75), 1));
        assert_eq!(agreement.full_agreement(false), None);
        let text = serde_json::to_string(&agreement).unwrap();
        assert_eq!(serde_json::from_str::<Agreement>(&text).unwrap(), agreement);
        let mut doubled = agreement.clone();
        doubled.merge(&agreement);
        assert_eq!((doubled.n(), doubled.agreed()), (8, 6));
    }
}

//! Agreement of two versions on the same requests, the matrix of their disagreements, and why it is 100 %.

use crate::{Interval, Merge, intervals::wilson, share};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts of (champion's answer, challenger's answer). The challenger's is absent where it failed: a disagreement.
/// Serialises as a sorted list of `[champion, challenger | null, count]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(String, Option<String>, u64)>", into = "Vec<(String, Option<String>, u64)>")]
pub struct Agreement {
    cells: BTreeMap<(String, Option<String>), u64>,
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
    /// Counts one pair; `None` for a challenger that failed.
    pub fn observe(&mut self, champion: &str, challenger: Option<&str>) {
        self.observe_n(champion, challenger, 1);
    }

    /// Counts `n` equal pairs.
    pub fn observe_n(&mut self, champion: &str, challenger: Option<&str>, n: u64) {
        if n > 0 {
            *self.cells.entry((champion.to_owned(), challenger.map(str::to_owned))).or_default() += n;
        }
    }

    /// Pairs counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.cells.values().sum()
    }

    /// Pairs with equal answers.
    #[must_use]
    pub fn agreed(&self) -> u64 {
        self.cells.iter().filter(|((a, b), _)| b.as_ref() == Some(a)).map(|(_, n)| n).sum()
    }

    /// Pairs in which the challenger failed.
    #[must_use]
    pub fn challenger_failures(&self) -> u64 {
        self.cells.iter().filter(|((_, b), _)| b.is_none()).map(|(_, n)| n).sum()
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
        self.cells.iter().map(|((a, b), &n)| (a.as_str(), b.as_deref(), n))
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
        // All pairs agree, so every cell is one answer. The first of equals has the smaller name.
        let answers = self.cells.iter().map(|((label, _), &count)| (label, count));
        let (label, most) = answers.rev().max_by_key(|&(_, count)| count)?;
        let one_sided = most as f64 >= ONE_SIDED_SHARE * n as f64 && n - most < ENOUGH_OTHERS;
        Some(if one_sided {
            FullAgreement::OneSidedTraffic { label: label.clone() }
        } else {
            FullAgreement::TrulyEqual { labels: self.cells.len() as u64 }
        })
    }
}

impl Merge for Agreement {
    fn merge(&mut self, other: &Self) {
        for (key, n) in &other.cells {
            *self.cells.entry(key.clone()).or_default() += n;
        }
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
        agreement.cells.into_iter().map(|((a, b), n)| (a, b, n)).collect()
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

//! Agreement of two versions on the same requests, the matrix of their disagreements, and why it is 100 %.

use crate::{Interval, Merge, intervals::wilson, share};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Counts of (champion's answer, challenger's answer). The challenger's is absent where it failed: a disagreement.
/// Serialises as a sorted list of `[champion, challenger | null, count]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(String, Option<String>, u64)>", into = "Vec<(String, Option<String>, u64)>")]
pub struct Agreement {
    cells: BTreeMap<(String, Option<String>), u64>,
}

/// Why two versions agree on everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum FullAgreement {
    /// Both are the same package: the comparison says nothing about a change.
    SameDigest,
    /// Every answer was this one: the traffic never asked what could tell the versions apart.
    OneSidedTraffic {
        /// The only answer seen.
        label: String,
    },
    /// Several answers were seen and all were equal.
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

    /// Why all answers are equal; `None` if they are not, or there are none.
    #[must_use]
    pub fn full_agreement(&self, same_digest: bool) -> Option<FullAgreement> {
        if self.n() == 0 || self.agreed() != self.n() {
            return None;
        }
        let labels: BTreeSet<&String> = self.cells.keys().map(|(a, _)| a).collect();
        Some(match labels.first() {
            _ if same_digest => FullAgreement::SameDigest,
            Some(&label) if labels.len() == 1 => FullAgreement::OneSidedTraffic { label: label.clone() },
            _ => FullAgreement::TrulyEqual { labels: labels.len() as u64 },
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

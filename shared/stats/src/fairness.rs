//! Demographic parity and equalised odds, per version and as the paired increase.
//!
//! Definitions are fairlearn's: the difference between the largest and the smallest group rate; for equalised odds the
//! larger of the differences in true and in false positive rates (`agg="worst_case"`), or their mean (`agg="mean"`).

use crate::{Arm, Merge, bootstrap::Bootstrap, cells::change, joint::PairedMetric, share};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts of (group, true label, champion's decision, challenger's decision), each of the last three yes or no. A
/// multiclass model is judged by whether the favourable class was predicted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FairnessCells {
    /// By group; within it at `4·label + 2·champion + challenger`.
    groups: BTreeMap<String, [u64; 8]>,
}

/// The rates of one group under one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupRates {
    /// The group.
    pub group: String,
    /// Rows.
    pub n: u64,
    /// Rows whose label is positive.
    pub positives: u64,
    /// Share decided yes; `None` for an empty group.
    pub selection_rate: Option<f64>,
    /// Share of positives decided yes; `None` without positives.
    pub true_positive_rate: Option<f64>,
    /// Share of negatives decided yes; `None` without negatives.
    pub false_positive_rate: Option<f64>,
    /// Share decided right; `None` for an empty group.
    pub accuracy: Option<f64>,
}

/// What a group without positives (or negatives) contributes to equalised odds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentClass {
    /// Nothing: its rate is undefined. The default, since a rate of zero would invent a difference.
    #[default]
    Leave,
    /// A rate of zero, as fairlearn does.
    Zero,
}

/// A fairness metric; 0 is equal treatment, 1 the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FairnessMetric {
    /// Largest minus smallest selection rate.
    DemographicParity,
    /// The larger of the true and the false positive rates' differences (fairlearn's default, `agg="worst_case"`).
    EqualisedOdds(AbsentClass),
    /// The mean of both differences (`agg="mean"`); where only one is defined, that one.
    EqualisedOddsMean(AbsentClass),
}

impl FairnessCells {
    /// Counts one pair; allocates for a new group only.
    pub fn observe(&mut self, group: &str, label: bool, champion: bool, challenger: bool) {
        self.observe_n(group, label, champion, challenger, 1);
    }

    /// Counts `n` equal pairs.
    pub fn observe_n(&mut self, group: &str, label: bool, champion: bool, challenger: bool, n: u64) {
        if n > 0 {
            let index = 4 * usize::from(label) + 2 * usize::from(champion) + usize::from(challenger);
            change(&mut self.groups, group, |cells| cells[index] += n);
        }
    }

    /// Rows over all groups.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.groups.values().flatten().sum()
    }

    /// Only the groups of at least `min_n` rows, and the names of those left out (they are not judged, and the report
    /// says so).
    #[must_use]
    pub fn of_at_least(&self, min_n: u64) -> (Self, Vec<String>) {
        let (large, small): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.groups.clone().into_iter().partition(|(_, cells)| cells.iter().sum::<u64>() >= min_n);
        (Self { groups: large }, small.into_keys().collect())
    }

    /// The rates of every group under one version, by group name.
    #[must_use]
    pub fn rates(&self, arm: Arm) -> Vec<GroupRates> {
        let row = |(group, cells): (&String, &[u64; 8])| {
            let Decisions { n, positives, yes, true_yes } = Decisions::of(cells, arm);
            let false_yes = yes - true_yes;
            GroupRates {
                group: group.clone(),
                n,
                positives,
                selection_rate: share(yes, n),
                true_positive_rate: share(true_yes, positives),
                false_positive_rate: share(false_yes, n - positives),
                accuracy: share(true_yes + (n - positives - false_yes), n),
            }
        };
        self.groups.iter().map(row).collect()
    }

    /// The metric of one version; `None` if fewer than two groups have the rate it compares.
    #[must_use]
    pub fn metric(&self, metric: FairnessMetric, arm: Arm) -> Option<f64> {
        evaluate(&self.flat(), metric, arm)
    }

    /// Largest minus smallest selection rate of one version.
    #[must_use]
    pub fn demographic_parity_difference(&self, arm: Arm) -> Option<f64> {
        self.metric(FairnessMetric::DemographicParity, arm)
    }

    /// Equalised odds difference of one version; groups without a class are left out of its rate.
    #[must_use]
    pub fn equalised_odds_difference(&self, arm: Arm) -> Option<f64> {
        self.metric(FairnessMetric::EqualisedOdds(AbsentClass::Leave), arm)
    }

    /// The paired increase: the challenger's metric minus the champion's, with an interval from the Poisson bootstrap of
    /// the joint cells. `None` if either version has no value.
    #[must_use]
    pub fn increase(&self, metric: FairnessMetric, bootstrap: Bootstrap) -> Option<PairedMetric> {
        let cells = self.flat();
        let champion = evaluate(&cells, metric, Arm::Champion)?;
        let challenger = evaluate(&cells, metric, Arm::Challenger)?;
        let delta = |cells: &[u64]| {
            Some(evaluate(cells, metric, Arm::Challenger)? - evaluate(cells, metric, Arm::Champion)?)
        };
        let interval = bootstrap.interval_of_extremes(&cells, delta);
        Some(PairedMetric { n: self.n(), champion, challenger, delta: challenger - champion, interval })
    }

    fn flat(&self) -> Vec<u64> {
        self.groups.values().flatten().copied().collect()
    }
}

/// What one version decided in one group.
struct Decisions {
    n: u64,
    positives: u64,
    yes: u64,
    true_yes: u64,
}

impl Decisions {
    fn of(cells: &[u64], arm: Arm) -> Self {
        let bit = if arm == Arm::Champion { 2 } else { 1 };
        let sum = |mask: usize| -> u64 {
            cells.iter().enumerate().filter(|(i, _)| i & mask == mask).map(|(_, n)| n).sum()
        };
        Self { n: sum(0), positives: sum(4), yes: sum(bit), true_yes: sum(4 | bit) }
    }
}

fn evaluate(cells: &[u64], metric: FairnessMetric, arm: Arm) -> Option<f64> {
    let groups = || cells.chunks_exact(8).map(|group| Decisions::of(group, arm)).filter(|d| d.n > 0);
    match metric {
        FairnessMetric::DemographicParity => spread(groups().map(|d| share(d.yes, d.n))),
        FairnessMetric::EqualisedOdds(absent) => odds(&groups, absent, f64::max),
        FairnessMetric::EqualisedOddsMean(absent) => odds(&groups, absent, |a, b| (a + b) / 2.0),
    }
}

/// The differences in true and in false positive rates, combined; where only one is defined, that one.
fn odds<I: Iterator<Item = Decisions>>(
    groups: &impl Fn() -> I,
    absent: AbsentClass,
    combine: fn(f64, f64) -> f64,
) -> Option<f64> {
    let rate = |yes, n| share(yes, n).or((absent == AbsentClass::Zero).then_some(0.0));
    let true_rates = spread(groups().map(|d| rate(d.true_yes, d.positives)));
    let false_rates = spread(groups().map(|d| rate(d.yes - d.true_yes, d.n - d.positives)));
    match (true_rates, false_rates) {
        (Some(a), Some(b)) => Some(combine(a, b)),
        (one, other) => one.or(other),
    }
}

/// Largest minus smallest of the defined rates; `None` with fewer than two.
fn spread(rates: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (mut n, mut low, mut high) = (0, f64::INFINITY, f64::NEG_INFINITY);
    for rate in rates.flatten() {
        n += 1;
        low = low.min(rate);
        high = high.max(rate);
    }
    (n > 1).then_some(high - low)
}

impl Merge for FairnessCells {
    fn merge(&mut self, other: &Self) {
        for (group, theirs) in &other.groups {
            let mine = self.groups.entry(group.clone()).or_default();
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const QUICK: Bootstrap = Bootstrap { seed: 5, replicates: 400, confidence: 0.95 };

    #[test]
    fn one_group_cannot_be_compared() {
        let mut cells = FairnessCells::default();
        assert_eq!(cells.demographic_parity_difference(Arm::Champion), None);
        cells.observe("a", true, true, false);
        assert_eq!(cells.demographic_parity_difference(Arm::Champion), None);
        assert_eq!(cells.increase(FairnessMetric::DemographicParity, QUICK), None);
    }

    #[test]
    fn a_group_without_positives_invents_no_difference() {
        let mut cells = FairnessCells::default();
        cells.observe_n("a", true, true, true, 10);
        cells.observe_n("a", false, false, false, 10);
        cells.observe_n("b", false, false, false, 10);
        assert_eq!(cells.equalised_odds_difference(Arm::Champion), Some(0.0));
        let fairlearn = FairnessMetric::EqualisedOdds(AbsentClass::Zero);
        assert_eq!(cells.metric(fairlearn, Arm::Champion), Some(1.0));
    }

    #[test]
    fn small_groups_can_be_set_aside() {
        let mut cells = FairnessCells::default();
        cells.observe_n("large", true, true, true, 300);
        cells.observe_n("small", true, true, false, 3);
        let (large, left_out) = cells.of_at_least(30);
        assert_eq!((large.n(), left_out), (300, vec!["small".to_owned()]));
    }

    #[test]
    fn the_increase_is_paired() {
        let mut cells = FairnessCells::default();
        for (group, both, champion_only) in [("a", 200, 0), ("b", 150, 50)] {
            cells.observe_n(group, true, true, true, both);
            cells.observe_n(group, true, true, false, champion_only);
            cells.observe_n(group, false, false, false, 300);
        }
        let row = cells.increase(FairnessMetric::DemographicParity, QUICK).unwrap();
        assert_eq!((row.champion, row.challenger), (0.0, 0.4 - 0.3));
        let interval = row.interval.unwrap();
        assert!(interval.contains(row.delta) && interval.high < 0.25, "{interval:?}");
        let mut halves = FairnessCells::default();
        halves.merge(&cells);
        assert_eq!(halves, cells);
    }
}

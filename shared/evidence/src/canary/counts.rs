//! What both arms did, counted from tallies: the same for any order of the same tallies, each counted once.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use seatrial_domain::policy::{Canary, Unit};
use seatrial_domain::route::{Arm, Weight};
use seatrial_stats::Merge;
use seatrial_stats::exceedance::MIN_REFERENCE;
use seatrial_stats::sketch::LatencySketch;
use serde::{Deserialize, Serialize};

use super::history::{self, Classes, History};
use super::ratio::Split;
use crate::observation::Tally;

/// Seconds after which a request that was assigned and never reported counts as an error of its arm.
pub const GRACE_SECONDS: i64 = 15;

pub(super) const CHAMPION: usize = 0;
pub(super) const CANARY: usize = 1;

/// Counts are cut here, far beyond all that is real, so that no sum of them overflows.
const MOST: u64 = 1 << 50;

/// What one arm did under one weight.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmTally {
    /// Requests assigned.
    pub requests: u64,
    /// Requests that failed because of the version, those never reported included.
    pub errors: u64,
    /// Of these, requests that were never reported.
    pub never_reported: u64,
    /// What the error test counts: the first error of each unit, or every error, as the policy says.
    pub events: u64,
    /// Requests that failed because of the client.
    pub client_errors: u64,
    /// Answers by class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: Classes,
    /// Latencies of answered requests.
    pub latency: LatencySketch,
}

/// Both arms under one weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AtWeight {
    /// Champion and canary.
    pub arms: [ArmTally; 2],
    /// The champion's answers before the counted window: the first [`MIN_REFERENCE`] of this weight, up to the end of their
    /// second.
    pub first: LatencySketch,
    /// Latencies of both arms since then.
    pub later: [LatencySketch; 2],
    /// The units of both arms, for the check of the split.
    pub split: Split,
    /// The first and the last second that tallies name, by the producers' clocks.
    pub seconds: Option<(i64, i64)>,
    /// The first second of the counted window.
    pub later_from: Option<i64>,
    first_answers: u64,
}

/// Both arms under each weight of one epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// By the challenger's share.
    pub at: BTreeMap<Weight, AtWeight>,
    /// The same over time, for charts.
    pub history: History,
    /// Tallies that contradict themselves and were not counted.
    pub refused: u64,
    failed_units: HashSet<String>,
    seen_units: HashSet<u64>,
    open: BTreeMap<(Weight, usize), u64>,
    unit: Counted,
}

/// What counts as one error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Counted {
    #[default]
    FirstOfUnit,
    Every,
}

impl Counts {
    /// Nothing counted yet, by these rules.
    #[must_use]
    pub fn new(rules: &Canary) -> Self {
        let unit = match rules.unit {
            Unit::FirstErrorPerUnit => Counted::FirstOfUnit,
            Unit::Request => Counted::Every,
        };
        Self { history: History::new(rules), unit, ..Self::default() }
    }

    /// Sums the tallies of seconds before `watermark` (exclusive), each tally once.
    #[must_use]
    pub fn of(tallies: Vec<Tally>, watermark: i64, rules: &Canary) -> Self {
        let mut counts = Self::new(rules);
        counts.add(tallies, watermark);
        counts
    }

    /// Adds the challenger's answers in the concurrent shadow, of the replays that were queued in this second.
    pub fn add_shadow(&mut self, second: i64, classes: &Classes) {
        self.history.count_shadow(second, classes);
    }

    /// Adds the tallies of seconds before `watermark` (exclusive), each once. All of one second come in one call, and calls
    /// in the order of seconds: then any cut into calls gives the same counts.
    pub fn add(&mut self, tallies: Vec<Tally>, watermark: i64) {
        self.add_if(tallies, watermark, |_| true);
    }

    /// The same of tallies of which only some count. Of the others is known which units failed already.
    pub fn add_if(&mut self, mut tallies: Vec<Tally>, watermark: i64, counts: impl Fn(&Tally) -> bool) {
        tallies.retain(|tally| tally.second < watermark);
        tallies.sort_by(|a, b| (a.second, &a.tally_id).cmp(&(b.second, &b.tally_id)));
        let mut known = BTreeSet::new();
        for tally in tallies {
            if !known.insert(tally.tally_id.clone()) {
                continue;
            }
            if counts(&tally) {
                self.count(&tally, watermark);
            } else if tally.route.weight > Weight::ZERO && tally.defect().is_none() {
                self.failed_units.extend(tally.error_units);
            }
        }
    }

    fn count(&mut self, tally: &Tally, watermark: i64) {
        let arm = match tally.role {
            Arm::Champion => CHAMPION,
            Arm::Challenger => CANARY,
            Arm::Standby | Arm::Pinned => return,
        };
        let sketch = match sketch_of(tally) {
            Some(sketch) if tally.defect().is_none() => sketch,
            _ => {
                self.refused += 1;
                return;
            }
        };
        let weight = tally.route.weight;
        let events = match self.unit {
            // The first error of a unit in whichever arm it was: a broken unit that moves from the champion to the canary with
            // a new step has failed before, and counted again it would speak against the canary alone.
            Counted::FirstOfUnit if !tally.error_units.is_empty() => {
                let units = tally.error_units.iter();
                units.filter(|&u| weight > Weight::ZERO && self.failed_units.insert(u.clone())).count() as u64
            }
            Counted::FirstOfUnit | Counted::Every => tally.errors,
        };
        let at = self.at.entry(weight).or_default();
        at.split.count(tally, &mut self.seen_units);
        at.time(tally.second, arm, &sketch);
        let sum = &mut at.arms[arm];
        grow(&mut sum.requests, tally.assigned);
        grow(&mut sum.errors, tally.errors);
        grow(&mut sum.client_errors, tally.client_errors);
        grow(&mut sum.events, events);
        history::add(&mut sum.classes, &tally.classes);
        self.history.count(tally, arm, events, &sketch);
        sum.latency.merge(&sketch);
        if tally.second < watermark - GRACE_SECONDS {
            let ended = tally.answered + tally.errors + tally.client_errors;
            grow(self.open.entry((weight, arm)).or_default(), tally.assigned.saturating_sub(ended));
        }
    }

    /// Both arms at a weight, with what was assigned and never reported among the errors.
    #[must_use]
    pub fn arms(&self, weight: Weight) -> [ArmTally; 2] {
        let mut arms = self.at.get(&weight).map(|at| at.arms.clone()).unwrap_or_default();
        for (arm, tally) in arms.iter_mut().enumerate() {
            let never = self.open.get(&(weight, arm)).copied().unwrap_or_default();
            tally.never_reported = never;
            grow(&mut tally.errors, never);
            grow(&mut tally.events, never);
        }
        arms
    }
}

impl AtWeight {
    /// The counted window begins with the second after the one in which the champion had enough answers: what is compared with
    /// a threshold is never what the threshold came from.
    fn time(&mut self, second: i64, arm: usize, sketch: &LatencySketch) {
        self.seconds = Some(self.seconds.map_or((second, second), |(a, b)| (a.min(second), b.max(second))));
        if self.later_from.is_some_and(|from| second >= from) {
            self.later[arm].merge(sketch);
            return;
        }
        if arm == CHAMPION {
            self.first.merge(sketch);
            self.first_answers += sketch.n();
            if self.first_answers >= MIN_REFERENCE {
                self.later_from = Some(second + 1);
            }
        }
    }
}

/// The sketch of a tally; none when it holds more than was answered.
fn sketch_of(tally: &Tally) -> Option<LatencySketch> {
    if tally.latency.is_null() {
        return Some(LatencySketch::default());
    }
    let sketch = serde_json::from_value::<LatencySketch>(tally.latency.clone()).ok()?;
    (sketch.n() <= tally.answered).then_some(sketch)
}

pub(super) fn grow(sum: &mut u64, by: u64) {
    *sum = sum.saturating_add(by).min(MOST);
}

//! What both arms did over time, in slots of a width that is fixed before the canary starts: for tests that learn from one slot
//! to the next, and for charts.

use std::collections::BTreeMap;

use seatrial_domain::policy::Canary;
use seatrial_domain::route::Weight;
use seatrial_stats::Merge;
use seatrial_stats::sketch::LatencySketch;

use super::counts::{CANARY, grow};
use crate::observation::{TALLY_CLASSES, Tally};

/// The shortest slot in seconds, and how many the longest canary is divided into at most.
const SHORTEST: i64 = 10;
const SLOTS: i64 = 1_024;
/// Producers' clocks are not trusted: what would make more slots than this goes into the nearest one.
const MOST_SLOTS: usize = 4 * SLOTS as usize;

/// Answers by class.
pub type Classes = BTreeMap<String, u64>;

/// What one arm did in a slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotArm {
    /// Requests.
    pub requests: u64,
    /// Errors.
    pub errors: u64,
    /// What the error test counts.
    pub events: u64,
    /// Latencies of answers.
    pub latency: LatencySketch,
}

/// Both arms under one weight in a slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slot {
    /// Champion and canary.
    pub arms: [SlotArm; 2],
    /// The canary's answers.
    pub classes: Classes,
}

/// The slots of a canary.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    width: i64,
    /// By the slot's first second and the weight.
    pub slots: BTreeMap<(i64, Weight), Slot>,
    /// The challenger's answers in the concurrent shadow, by the slot's first second.
    pub shadow: BTreeMap<i64, Classes>,
}

impl Default for History {
    fn default() -> Self {
        Self { width: SHORTEST, slots: BTreeMap::new(), shadow: BTreeMap::new() }
    }
}

impl History {
    pub(super) fn new(rules: &Canary) -> Self {
        let longest = rules.steps.len() as i64 * i64::from(rules.max_hold_seconds);
        Self { width: (longest / SLOTS + 1).max(SHORTEST), ..Self::default() }
    }

    /// The width of a slot in seconds.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.width
    }

    fn slot_of(&self, second: i64) -> i64 {
        second.div_euclid(self.width) * self.width
    }

    pub(super) fn count(&mut self, tally: &Tally, arm: usize, events: u64, latency: &LatencySketch) {
        let weight = tally.route.weight;
        if weight == Weight::ZERO {
            return;
        }
        let mut key = (self.slot_of(tally.second), weight);
        if self.slots.len() >= MOST_SLOTS && !self.slots.contains_key(&key) {
            let nearest = self.slots.range(key..).next().or_else(|| self.slots.iter().next_back());
            key = nearest.map_or(key, |(key, _)| *key);
        }
        let slot = self.slots.entry(key).or_default();
        let sums = &mut slot.arms[arm];
        grow(&mut sums.requests, tally.assigned);
        grow(&mut sums.errors, tally.errors);
        grow(&mut sums.events, events);
        sums.latency.merge(latency);
        if arm == CANARY {
            add(&mut slot.classes, &tally.classes);
        }
    }

    pub(super) fn count_shadow(&mut self, second: i64, classes: &Classes) {
        let slot = self.slot_of(second);
        if self.shadow.len() < MOST_SLOTS || self.shadow.contains_key(&slot) {
            add(self.shadow.entry(slot).or_default(), classes);
        }
    }
}

/// Adds answers by class. A version that makes up classes without end is not kept in full.
pub(super) fn add(sums: &mut Classes, classes: &Classes) {
    for (class, n) in classes {
        if sums.contains_key(class) || sums.len() < TALLY_CLASSES {
            grow(sums.entry(class.clone()).or_default(), *n);
        }
    }
}

//! Counts of two arms by the canary weight that was in force: the state of every test that conditions on the weight.

use crate::Merge;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Events of both arms under one weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmCounts {
    /// Events of the canary.
    pub canary: u64,
    /// Events of the champion.
    pub champion: u64,
}

/// Event counts by weight. A weight is kept in millionths, so equal weights meet in one stratum and merging adds
/// integers. Serialises as a list of `[weight in millionths, canary, champion]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u64, u64)>", into = "Vec<(u32, u64, u64)>")]
pub struct Strata {
    counts: BTreeMap<u32, ArmCounts>,
}

const MILLION: f64 = 1_000_000.0;

impl Strata {
    /// Adds events under `weight`, a fraction of the traffic. Returns `false`, adding nothing, unless `weight` rounds
    /// to something strictly between 0 and 1: with one arm alone an event says nothing about the arms.
    pub fn add(&mut self, canary: u64, champion: u64, weight: f64) -> bool {
        let key = (weight * MILLION).round();
        if !(1.0..MILLION).contains(&key) {
            return false;
        }
        if canary + champion > 0 {
            let counts = self.counts.entry(key as u32).or_default();
            counts.canary += canary;
            counts.champion += champion;
        }
        true
    }

    /// The strata `(weight, counts)` by rising weight.
    pub fn iter(&self) -> impl Iterator<Item = (f64, ArmCounts)> {
        self.counts.iter().map(|(&key, &counts)| (f64::from(key) / MILLION, counts))
    }

    /// Events of each arm over all weights: for display only. Rates pooled over weights mislead (Simpson's paradox).
    #[must_use]
    pub fn totals(&self) -> ArmCounts {
        let mut totals = ArmCounts::default();
        for counts in self.counts.values() {
            totals.canary += counts.canary;
            totals.champion += counts.champion;
        }
        totals
    }
}

impl Merge for Strata {
    fn merge(&mut self, other: &Self) {
        for (&key, theirs) in &other.counts {
            let mine = self.counts.entry(key).or_default();
            mine.canary += theirs.canary;
            mine.champion += theirs.champion;
        }
    }
}

impl From<Vec<(u32, u64, u64)>> for Strata {
    fn from(rows: Vec<(u32, u64, u64)>) -> Self {
        let mut strata = Self::default();
        for (key, canary, champion) in rows {
            strata.add(canary, champion, f64::from(key) / MILLION);
        }
        strata
    }
}

impl From<Strata> for Vec<(u32, u64, u64)> {
    fn from(strata: Strata) -> Self {
        strata.counts.into_iter().map(|(key, counts)| (key, counts.canary, counts.champion)).collect()
    }
}

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
#[serde(try_from = "Vec<(u32, u64, u64)>", into = "Vec<(u32, u64, u64)>")]
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

    /// The most that any alternative can gain over "the arm is the canary's with the weight's probability": in each stratum
    /// the log likelihood ratio of the share seen, counted where it is above the weight (`more`) or below it (`fewer`).
    pub(crate) fn log_ratio_at_most(&self, more: bool, fewer: bool) -> f64 {
        let of_stratum = |(weight, counts): (f64, ArmCounts)| {
            let (canary, champion) = (counts.canary as f64, counts.champion as f64);
            let share = canary / (canary + champion);
            if (share > weight && !more) || (share < weight && !fewer) {
                return 0.0;
            }
            let term = |count: f64, ratio: f64| if count > 0.0 { count * ratio.ln() } else { 0.0 };
            term(canary, share / weight) + term(champion, (1.0 - share) / (1.0 - weight))
        };
        // A hair above, so that rounding never hides a rejection.
        self.iter().map(of_stratum).sum::<f64>() * (1.0 + 1e-9) + 1e-9
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

impl TryFrom<Vec<(u32, u64, u64)>> for Strata {
    type Error = String;

    fn try_from(rows: Vec<(u32, u64, u64)>) -> Result<Self, String> {
        let mut strata = Self::default();
        for (key, canary, champion) in rows {
            if !strata.add(canary, champion, f64::from(key) / MILLION) {
                return Err(format!("a weight of {key} millionths is not between 0 and 1"));
            }
        }
        Ok(strata)
    }
}

impl From<Strata> for Vec<(u32, u64, u64)> {
    fn from(strata: Strata) -> Self {
        strata.counts.into_iter().map(|(key, counts)| (key, counts.canary, counts.champion)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_meet_in_one_stratum_and_impossible_ones_are_refused() {
        let mut strata = Strata::default();
        assert!(strata.add(1, 2, 0.05) && strata.add(3, 4, 0.1 / 2.0) && strata.add(0, 0, 0.25));
        assert!(!strata.add(1, 1, 0.0) && !strata.add(1, 1, 1.0) && !strata.add(1, 1, f64::NAN));
        let rows: Vec<_> = strata.iter().collect();
        assert_eq!(rows, [(0.05, ArmCounts { canary: 4, champion: 6 })]);
        let text = serde_json::to_string(&strata).unwrap();
        assert_eq!(text, "[[50000,4,6]]");
        assert_eq!(serde_json::from_str::<Strata>(&text).unwrap(), strata);
        assert!(serde_json::from_str::<Strata>("[[1000000,4,6]]").is_err());
    }
}

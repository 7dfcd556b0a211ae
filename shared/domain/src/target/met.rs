//! From when on callers met the weights of a canary, where something else splits them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::route::Weight;

/// Seconds after a target was seen in step before what its callers do is taken for the weight's. A target may say so before all of it
/// does so (AWS gives no bound for how soon all of Lambda follows an alias), and producers' clocks are not ours.
const SETTLING_SECONDS: i64 = 10;

/// Since when a target was first seen in step with each weight of one epoch.
///
/// A server behind a target does not know what its callers meet: it reports the registry's weight from the moment of the step, and a
/// target may need minutes to follow. What was served in between says nothing about the split, and dilutes every comparison that is
/// made under the condition of the weight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Met(BTreeMap<Weight, Timestamp>);

impl Met {
    /// Notes that the target was seen in step with this weight; the first time counts.
    #[must_use]
    pub fn with(mut self, weight: Weight, at: Timestamp) -> Self {
        self.0.entry(weight).or_insert(at);
        self
    }

    /// Whether requests of this second that report this weight were split by it. Without a challenger's share there is nothing to
    /// split.
    #[must_use]
    pub fn holds(&self, weight: Weight, second: i64) -> bool {
        weight == Weight::ZERO
            || self.0.get(&weight).is_some_and(|at| second > at.as_second() + SETTLING_SECONDS)
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_holds_from_some_seconds_after_it_was_first_seen_at_the_target() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let quarter = Weight::from_bps(2_500).unwrap();
        let met = Met::default().with(quarter, at(100)).with(quarter, at(500));
        assert!(!met.holds(quarter, 110) && met.holds(quarter, 111), "the first time counts");
        assert!(!met.holds(Weight::FULL, 1_000), "another weight was never met");
        assert!(met.holds(Weight::ZERO, 0) && Met::default().holds(Weight::ZERO, 0));
        let kept: Met = serde_json::from_str(&serde_json::to_string(&met).unwrap()).unwrap();
        assert_eq!(kept, met);
    }
}

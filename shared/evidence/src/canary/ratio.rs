//! Did the canary get the share of units that the route says?
//!
//! Units that were named are a sample whose buckets are recomputed here, exactly: a unit on the wrong side was misrouted, or
//! diverted because the challenger was not loaded. What no recomputation sees are units that are lost on one side before they
//! are reported; the sequential multinomial test of Lindon & Malek (2022) finds those. A unit counts once over the whole canary.

use std::collections::HashSet;

use seatrial_domain::policy::Margin;
use seatrial_domain::promotion::CanaryStep;
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::verdict::{Direction, MetricClass};
use seatrial_stats::srm::SampleRatio;
use serde::{Deserialize, Serialize};

use super::counts::{CANARY, CHAMPION, Counts, grow};
use super::row::{CanaryRow, RowState};
use super::words::{count, percent};
use crate::observation::{Tally, UnitSample};
use crate::report::MetricUnit;

/// The name of the row.
pub const SAMPLE_RATIO: &str = "sample_ratio";

/// The level of the test. A mismatch voids every comparison, so it is not cried lightly; it is no part of alpha, since nothing is
/// rolled back for it.
pub const RATIO_ALPHA: f64 = 0.001;

/// From this share of diverted requests on, and so many of them, the canary is not what the route says.
const DIVERTED_SHARE: f64 = 0.1;
const DIVERTED_LEAST: u64 = 20;

/// The units under one weight, by the side that the split gives them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Champion and canary.
    pub units: [u64; 2],
    /// Requests that the split gave to the challenger and the champion answered.
    pub diverted: u64,
    /// Sampled units that the challenger answered though the split gives them to the champion.
    pub misrouted: u64,
}

impl Split {
    /// Counts a tally's units; `seen` holds the named units of all weights, since a unit that was seen before keeps its side and
    /// says nothing new.
    pub(super) fn count(&mut self, tally: &Tally, seen: &mut HashSet<u64>) {
        let weight = tally.route.weight;
        let arm = match tally.role {
            Arm::Champion => CHAMPION,
            Arm::Challenger => CANARY,
            Arm::Standby | Arm::Pinned => return,
        };
        if weight == Weight::ZERO {
            return;
        }
        let mut sides = |arm: usize, requests: u64, diverted: u64| {
            let diverted = if arm == CHAMPION { diverted.min(requests) } else { 0 };
            grow(&mut self.units[arm], requests - diverted);
            grow(&mut self.units[CANARY], diverted);
        };
        grow(&mut self.diverted, if arm == CHAMPION { tally.diverted } else { 0 });
        let Some(units) = &tally.units else {
            sides(arm, tally.assigned, tally.diverted);
            return;
        };
        sides(arm, units.single, units.diverted);
        for unit in &units.sampled {
            let Ok(hash) = u64::from_str_radix(unit, 16) else { continue };
            if !UnitSample::holds(hash) {
                continue;
            }
            let canary = hash % 10_000 < u64::from(weight.bps());
            self.misrouted += u64::from(!canary && arm == CANARY);
            if seen.insert(hash) {
                grow(&mut self.units[usize::from(canary)], 1);
            }
        }
    }
}

/// Judges the split of all steps.
pub(super) fn row(counts: &Counts, steps: &[CanaryStep], asked: [u64; 2]) -> CanaryRow {
    let mut ratio = SampleRatio::default();
    let mut all = Split::default();
    for step in steps {
        let Some(at) = counts.at.get(&step.weight) else { continue };
        let split = at.split;
        ratio.observe_counts(split.units[CANARY], split.units[CHAMPION], step.weight.fraction());
        grow(&mut all.units[CANARY], split.units[CANARY]);
        grow(&mut all.units[CHAMPION], split.units[CHAMPION]);
        grow(&mut all.diverted, split.diverted);
        grow(&mut all.misrouted, split.misrouted);
    }
    let n = all.units[CANARY] + all.units[CHAMPION];
    let (expected, seen) = (ratio.expected_canary(), all.units[CANARY]);
    let meant = all.diverted + asked[CANARY];
    let unloaded = all.diverted >= DIVERTED_LEAST && all.diverted as f64 >= DIVERTED_SHARE * meant as f64;
    let uneven = ratio.rejects(RATIO_ALPHA);
    let share = |of: f64| (n > 0).then(|| of / n as f64);
    let (wanted, found) = (share(expected), share(seen as f64));
    let shown = |share: Option<f64>| share.map_or_else(|| "none".into(), percent);
    let split = format!(
        "{} of {} units ({}) were the challenger's, {} were expected by the weights in force",
        count(seen),
        count(n),
        shown(found),
        shown(wanted)
    );
    let diverted = if all.diverted == 0 {
        String::new()
    } else {
        format!(
            "; {} requests meant for the challenger were answered by the champion because the challenger was not loaded",
            count(all.diverted)
        )
    };
    let (state, why) = if uneven {
        let why = format!(
            "the split is not the route's: {split}{diverted}; usual causes are servers that do not report, that hold an old \
             route, or that lose requests of one version"
        );
        (RowState::Rejected, why)
    } else if unloaded {
        let why = format!(
            "the challenger is often not loaded{diverted}, of {} meant for it; {split}",
            count(meant)
        );
        (RowState::Rejected, why)
    } else if all.misrouted > 0 {
        let why = format!(
            "{} sampled units were answered by the challenger though the route gives them to the champion: a server holds \
             another route; {split}",
            count(all.misrouted)
        );
        (RowState::Rejected, why)
    } else if n == 0 {
        (RowState::NotYetKnown, "no unit was seen yet".to_owned())
    } else {
        (RowState::Shown, format!("{split}{diverted}"))
    };
    CanaryRow {
        state,
        alpha: Some(RATIO_ALPHA),
        log_e: Some(ratio.log_e()),
        threshold: Some(-RATIO_ALPHA.ln()),
        champion: wanted,
        challenger: found,
        estimate: wanted.zip(found).map(|(wanted, found)| found - wanted),
        margin: None::<Margin>,
        n,
        why,
        ..CanaryRow::blank(SAMPLE_RATIO, MetricClass::Signal, MetricUnit::Share, Direction::LowerIsBetter)
    }
}

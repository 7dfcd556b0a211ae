//! Latency: answers beyond thresholds that were frozen before they were counted.
//!
//! The thresholds come from the champion's window before the step; where it has too few answers, from everything before the
//! step; and where even that is too little, from the champion's first answers within the step, and only what came after them
//! counts. Each threshold is longer than the champion's percentile by the margin, so the answers beyond the lower one are at
//! most one in a hundred while p99 has grown by no more than the margin.

use seatrial_domain::policy::{Canary, LATENCY_P99, Margin};
use seatrial_domain::promotion::CanaryStep;
use seatrial_domain::route::Weight;
use seatrial_stats::Merge;
use seatrial_stats::exceedance::{LatencyEProcess, MIN_REFERENCE, Thresholds};
use seatrial_stats::noninferiority::{planned_n, rate_bounds_anytime};
use seatrial_stats::sketch::{LatencySketch, bin_ceiling_us};
use serde::{Deserialize, Serialize};

use super::counts::{CANARY, CHAMPION, Counts};
use super::errors::share;
use super::judge::{Scene, StepCounts};
use super::row::{CanaryRow, RowState, Watched};
use super::words::{count, percent};
use crate::report::MetricUnit;

/// The share of answers that may lie beyond a 99th percentile.
const BEYOND: f64 = 0.01;

/// The thresholds of a step, and where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// The thresholds in microseconds, longer than the champion's by the margin.
    pub thresholds: Thresholds,
    /// Whether they come from the champion's first answers within the step: then only what came later counts.
    pub within_step: bool,
}

/// The champion's 99th percentile and one and a half times that, each longer by the margin.
pub(crate) fn longer(champion: &LatencySketch, margin: f64) -> Option<Thresholds> {
    let frozen = Thresholds::freeze(champion)?;
    let longer = |us: u64| bin_ceiling_us((us as f64 * (1.0 + margin)) as u64);
    Some(Thresholds { p99_us: longer(frozen.p99_us), far_us: longer(frozen.far_us) })
}

/// The thresholds of each step, in order.
pub(super) fn freeze(rules: &Canary, steps: &[CanaryStep], counts: &Counts) -> Vec<Option<Frozen>> {
    let margin = rules.rule(LATENCY_P99).map_or(0.0, |rule| match rule.margin {
        Margin::Absolute(margin) | Margin::Relative(margin) => margin,
    });
    let champion = |weight: Weight| counts.at.get(&weight).map(|at| &at.arms[CHAMPION].latency);
    let empty = LatencySketch::default();
    let mut window = champion(Weight::ZERO).unwrap_or(&empty);
    let mut before = window.clone();
    let mut frozen = Vec::new();
    for step in steps {
        let earlier = longer(window, margin).or_else(|| longer(&before, margin));
        let first = || counts.at.get(&step.weight).and_then(|at| longer(&at.first, margin));
        frozen.push(match earlier {
            Some(thresholds) => Some(Frozen { thresholds, within_step: false }),
            None => first().map(|thresholds| Frozen { thresholds, within_step: true }),
        });
        window = champion(step.weight).unwrap_or(&empty);
        before.merge(window);
    }
    frozen
}

/// The e-process over these steps.
pub(super) fn process(steps: &[StepCounts], counts: &Counts) -> LatencyEProcess {
    let mut process = LatencyEProcess::default();
    for step in steps {
        if let (Some(frozen), Some([champion, canary])) = (step.frozen, counted(step, counts)) {
            process.observe_window(canary, champion, step.weight.fraction(), frozen.thresholds);
        }
    }
    process
}

/// The latencies of both arms that are compared with the step's thresholds.
fn counted<'a>(step: &StepCounts, counts: &'a Counts) -> Option<[&'a LatencySketch; 2]> {
    let at = counts.at.get(&step.weight)?;
    Some(if step.frozen?.within_step {
        [&at.later[CHAMPION], &at.later[CANARY]]
    } else {
        [&at.arms[CHAMPION].latency, &at.arms[CANARY].latency]
    })
}

/// Whether harm is found: more answers beyond the thresholds than the weight explains, and p99 itself beyond the margin.
pub(crate) fn rejects(process: &LatencyEProcess, alpha: f64, over: u64, n: u64) -> bool {
    process.rejects(alpha) && share(over, n).is_some_and(|share| share > BEYOND)
}

/// Whether it is known, at every look, that more than one in a hundred answers is beyond the lower threshold.
pub(crate) fn slow_beyond_doubt(over: u64, n: u64, level: f64) -> bool {
    // The bound lies below the share, so most looks need no bound.
    share(over, n).is_some_and(|share| share > BEYOND)
        && rate_bounds_anytime(over, n, level).is_some_and(|(lower, _)| lower > BEYOND)
}

pub(super) fn row(watched: &Watched<'_>, scene: &Scene<'_>) -> CanaryRow {
    let blank = CanaryRow::of(watched, MetricUnit::Microseconds);
    let Some(now) = scene.steps.last() else { return blank };
    let process = process(scene.steps, scene.counts);
    let log_e = process.log_e();
    let (Some(frozen), Some([champion, canary])) = (now.frozen, counted(now, scene.counts)) else {
        return unknown(watched, scene, now, log_e);
    };
    let thresholds = frozen.thresholds;
    let (champion_n, canary_n) = (champion.n(), canary.n());
    let over = |arm: &LatencySketch| arm.count_above(thresholds.p99_us);
    let bounds = rate_bounds_anytime(over(canary), canary_n, scene.level());
    let planned = planned(watched, scene, now.weight, thresholds, champion);
    let total = champion_n.saturating_add(canary_n);
    let threshold = -watched.alpha.ln();
    let growth = percent(watched.margin());
    let counted = format!(
        "{} of {} answers of the challenger at {} and {} of {} of the champion are beyond {} ms (the champion's p99 {} and {growth})",
        count(over(canary)),
        count(canary_n),
        now.weight,
        count(over(champion)),
        count(champion_n),
        milliseconds(thresholds.p99_us),
        if frozen.within_step { "at the beginning of the step" } else { "before the step" },
    );
    let (state, why) = if rejects(&process, watched.alpha, over(canary), canary_n) {
        let why = format!(
            "the challenger is slower: its p99 grew by more than {growth} over the champion's; {counted} (log e-value \
             {log_e:.2}, rejected from {threshold:.2})"
        );
        (RowState::Rejected, why)
    } else if bounds.is_some_and(|(_, upper)| upper <= BEYOND) {
        (RowState::NonInferior, format!("p99 has grown by no more than {growth}: {counted}"))
    } else if planned.is_some_and(|n| total >= n)
        && canary_n > 0
        && !slow_beyond_doubt(over(canary), canary_n, scene.level())
    {
        let why = format!(
            "{counted}; not rejected at the planned {} answers, which detect that all take {} longer",
            count(planned.unwrap_or(total)),
            percent(watched.detect())
        );
        (RowState::AtPlannedN, why)
    } else {
        let plan = match planned {
            None => "no n is enough".to_owned(),
            Some(n) if total >= n => format!(
                "the planned {} answers are seen, and too many of the challenger are beyond it",
                count(n)
            ),
            Some(n) => scene.traffic.progress(total, n, "planned answers"),
        };
        (RowState::NotYetKnown, format!("{counted}; {plan}"))
    };
    let p99 = |arm: &LatencySketch| arm.quantile_us(0.99);
    CanaryRow {
        state,
        log_e: Some(log_e),
        champion: p99(champion),
        challenger: p99(canary),
        estimate: p99(champion).zip(p99(canary)).map(|(champion, canary)| canary - champion),
        n: total,
        n_needed: planned,
        seconds_left: planned.and_then(|n| scene.traffic.seconds_until(total, n)),
        why,
        ..blank
    }
}

/// The row of a step without thresholds.
fn unknown(watched: &Watched<'_>, scene: &Scene<'_>, now: &StepCounts, log_e: f64) -> CanaryRow {
    let seen = now.champion.latency.n();
    CanaryRow {
        log_e: Some(log_e),
        n: seen,
        n_needed: Some(MIN_REFERENCE),
        seconds_left: scene.traffic.seconds_until(seen, MIN_REFERENCE),
        why: format!(
            "latency has nothing to be compared with yet: {}",
            scene.traffic.progress(seen, MIN_REFERENCE, "answers of the champion")
        ),
        ..CanaryRow::of(watched, MetricUnit::Microseconds)
    }
}

/// Answers of both arms with which a challenger whose every answer takes longer by `detect` is found.
fn planned(
    watched: &Watched<'_>,
    scene: &Scene<'_>,
    weight: Weight,
    thresholds: Thresholds,
    champion: &LatencySketch,
) -> Option<u64> {
    let shares = thresholds.shares(champion, 1.0 + watched.detect())?;
    shares
        .into_iter()
        .filter_map(|(baseline, harm)| {
            planned_n(baseline, harm, weight.fraction(), watched.alpha / 2.0, scene.rules.power)
        })
        .min()
}

fn milliseconds(us: u64) -> String {
    let ms = us as f64 / 1_000.0;
    if ms >= 10.0 { format!("{ms:.0}") } else { format!("{ms:.2}") }
}

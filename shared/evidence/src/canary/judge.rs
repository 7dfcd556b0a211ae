//! The judgement of a step: every metric as a row, and what they come to together.

use jiff::Timestamp;
use seatrial_domain::policy::{Canary, ERROR_RATE, LATENCY_P99, OUTPUT_DISTRIBUTION};
use seatrial_domain::promotion::CanaryStep;
use seatrial_domain::route::Weight;
use seatrial_domain::task::HealthState;
use seatrial_domain::verdict::MetricClass;
use serde::{Deserialize, Serialize};

use super::answers::Looks;
use super::counts::{ArmTally, CANARY, CHAMPION, Counts};
use super::latency::Frozen;
use super::ratio::Split;
use super::row::{CanaryRow, RowState, Watched, watched};
use super::traffic::{Traffic, TrafficState};
use super::words::{count, duration};
use super::{answers, chart, errors, latency, ratio, signals};
use crate::charts::CanaryChart;
use crate::live::SignalCounts;

/// How far a tally's second may lie outside its step before the clock that named it counts as wrong.
const SKEW_SECONDS: i64 = 30;

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The pinned rules.
    pub rules: &'a Canary,
    /// The steps so far; the last is the present one.
    pub steps: &'a [CanaryStep],
    /// What was counted.
    pub counts: &'a Counts,
    /// What was said about the requests.
    pub signals: &'a SignalCounts,
    /// The time.
    pub now: Timestamp,
    /// Up to when the counts are complete; none before the first report.
    pub watermark: Option<Timestamp>,
    /// How late tallies may be by the policy, in seconds: the watermark is that much behind.
    pub lateness_seconds: u32,
}

/// A judgement with all it rests on: the evidence of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What the canary is.
    pub state: HealthState,
    /// One sentence: statistic, n seen and needed, estimate, bound, margin.
    pub why: String,
    /// The step, from 0.
    pub step: u32,
    /// The challenger's share.
    pub weight: Weight,
    /// When the step began.
    pub since: Timestamp,
    /// When it was judged.
    pub judged_at: Timestamp,
    /// Up to when the counts are complete.
    pub watermark: Option<Timestamp>,
    /// The traffic of this step.
    pub traffic: Traffic,
    /// Every metric, the split of traffic included.
    pub metrics: Vec<CanaryRow>,
    /// Sentences that people should get: each signal that rejects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// What else was noticed, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was counted in each step, never pooled.
    pub steps: Vec<StepCounts>,
    /// The canary over time.
    pub chart: CanaryChart,
}

impl Judgement {
    /// The row of a metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&CanaryRow> {
        self.metrics.iter().find(|row| row.name == name)
    }
}

/// What was counted in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepCounts {
    /// The challenger's share.
    pub weight: Weight,
    /// The champion.
    pub champion: ArmTally,
    /// The canary.
    pub canary: ArmTally,
    /// The units of both arms.
    pub split: Split,
    /// What latencies are compared with; none while the champion has too few answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
}

/// Everything that metrics are judged from.
pub(super) struct Scene<'a> {
    pub rules: &'a Canary,
    /// The steps as taken.
    pub taken: &'a [CanaryStep],
    /// The steps as counted.
    pub steps: &'a [StepCounts],
    pub counts: &'a Counts,
    pub signals: &'a SignalCounts,
    pub traffic: &'a Traffic,
    /// Up to when everything is there, in Unix seconds.
    pub watermark: i64,
}

impl Scene<'_> {
    /// The level of bounds that let a guardrail pass: all must pass, so each has the whole of alpha.
    pub fn level(&self) -> f64 {
        self.rules.alpha.clamp(1e-9, 0.499)
    }
}

/// What was counted in each step.
#[must_use]
pub(super) fn step_counts(rules: &Canary, steps: &[CanaryStep], counts: &Counts) -> Vec<StepCounts> {
    let frozen = latency::freeze(rules, steps, counts);
    let of = |(step, frozen): (&CanaryStep, Option<Frozen>)| {
        let [champion, canary] = counts.arms(step.weight);
        let split = counts.at.get(&step.weight).map(|at| at.split).unwrap_or_default();
        StepCounts { weight: step.weight, champion, canary, split, frozen }
    };
    steps.iter().zip(frozen).map(of).collect()
}

/// Judges the last step; none when there is none.
#[must_use]
pub fn judge(facts: &Facts<'_>) -> Option<Judgement> {
    let present = facts.steps.last()?;
    let steps = step_counts(facts.rules, facts.steps, facts.counts);
    let now = steps.last()?;
    let requests = [now.champion.requests, now.canary.requests];
    let traffic = Traffic::of(present, requests, facts.now, facts.watermark, facts.lateness_seconds);
    let scene = Scene {
        rules: facts.rules,
        taken: facts.steps,
        steps: &steps,
        counts: facts.counts,
        signals: facts.signals,
        traffic: &traffic,
        watermark: facts.watermark.map_or(i64::MIN / 2, Timestamp::as_second),
    };
    let (mut metrics, sequences) = rows(&scene);
    metrics.push(split(&scene));
    let (state, why) = decide(facts, present, now, &traffic, &metrics);
    let notify = metrics.iter().filter(|row| row.holds()).map(|row| row.why.clone()).collect();
    let chart = chart::chart(&scene, &metrics, &sequences);
    Some(Judgement {
        state,
        why,
        step: facts.steps.len() as u32 - 1,
        weight: present.weight,
        since: present.at,
        judged_at: facts.now,
        watermark: facts.watermark,
        notes: notes(facts),
        traffic,
        metrics,
        notify,
        steps,
        chart,
    })
}

/// The rows of all watched metrics, and the evidence over time of those that learn from slot to slot.
fn rows(scene: &Scene<'_>) -> (Vec<CanaryRow>, Vec<(String, Looks)>) {
    let (mut rows, mut sequences) = (Vec::new(), Vec::new());
    for watched in watched(scene.rules) {
        let mut row = row(&watched, scene, &mut sequences);
        if watched.rule.class == MetricClass::Info {
            row.state = RowState::Shown;
        }
        rows.push(row);
    }
    (rows, sequences)
}

fn row(watched: &Watched<'_>, scene: &Scene<'_>, sequences: &mut Vec<(String, Looks)>) -> CanaryRow {
    let judged = match watched.name {
        ERROR_RATE => return errors::row(watched, scene),
        LATENCY_P99 => return latency::row(watched, scene),
        OUTPUT_DISTRIBUTION => answers::row(watched, scene),
        _ => {
            let rule = scene.rules.signal_rule(watched.name).unwrap_or(watched.rule);
            signals::row(&Watched { rule, ..*watched }, scene)
        }
    };
    let (row, looks) = judged;
    sequences.push((watched.name.to_owned(), looks));
    row
}

fn split(scene: &Scene<'_>) -> CanaryRow {
    let sum = |of: fn(&StepCounts) -> &ArmTally| scene.steps.iter().map(|step| of(step).requests).sum();
    let mut asked = [0; 2];
    asked[CHAMPION] = sum(|step| &step.champion);
    asked[CANARY] = sum(|step| &step.canary);
    ratio::row(scene.counts, scene.taken, asked)
}

/// What the rows come to. `Healthy` needs a reason for each guardrail; everything that is missing is named.
fn decide(
    facts: &Facts<'_>,
    present: &CanaryStep,
    step: &StepCounts,
    traffic: &Traffic,
    metrics: &[CanaryRow],
) -> (HealthState, String) {
    let rules = facts.rules;
    if let Some(row) = metrics.iter().find(|row| row.degrades()) {
        return (HealthState::Degraded, row.why.clone());
    }
    let held = facts.now.as_second() - present.at.as_second();
    let mut open = Vec::new();
    let flowing = traffic.state == TrafficState::Flowing;
    if !flowing {
        open.push(traffic.why.clone());
    }
    if held < i64::from(rules.hold_seconds) {
        open.push(format!("held {held} s of {} s", rules.hold_seconds));
    }
    if step.canary.requests < rules.min_requests {
        let so_far = traffic.progress(step.canary.requests, rules.min_requests, "requests of the challenger");
        open.push(if flowing { format!("too little: {so_far}") } else { so_far });
    }
    open.extend(metrics.iter().filter(|row| row.holds()).map(|row| row.why.clone()));
    let guardrails = || metrics.iter().filter(|row| row.class == MetricClass::Guardrail);
    let brief = |row: &CanaryRow| match row.n_needed {
        Some(needed) => format!("{}: {} of {} seen", row.name, count(row.n), count(needed)),
        None => format!("{}: {} seen", row.name, count(row.n)),
    };
    let missing = guardrails().filter(|row| !row.is_well());
    open.extend(missing.map(|row| if flowing { row.why.clone() } else { brief(row) }));
    if open.is_empty() && guardrails().next().is_some() {
        let whys: Vec<&str> = guardrails().map(|row| row.why.as_str()).collect();
        return (HealthState::Healthy, whys.join("; "));
    }
    let open = open.join("; ");
    let left = i64::from(rules.max_hold_seconds) - held;
    if left <= 0 {
        let held = duration(held.max(0) as u64);
        return (HealthState::Exhausted, format!("not known after {held}, the longest hold: {open}"));
    }
    (HealthState::NotYetKnown, format!("{open}; {} are left at most", duration(left as u64)))
}

/// What was counted oddly, and what was not counted.
fn notes(facts: &Facts<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if facts.counts.refused > 0 {
        notes.push(format!(
            "{} tallies contradict themselves and were not counted",
            count(facts.counts.refused)
        ));
    }
    let signals = facts.signals;
    if signals.unmatched > 0 {
        notes.push(format!("{} signals or labels name no request of the canary", count(signals.unmatched)));
    }
    if signals.late > 0 {
        notes.push(format!("{} signals or labels came after their time", count(signals.late)));
    }
    for (place, step) in facts.steps.iter().enumerate() {
        let Some((first, last)) = facts.counts.at.get(&step.weight).and_then(|at| at.seconds) else {
            continue;
        };
        let ends = facts.steps.get(place + 1).map_or(facts.now, |next| next.at);
        let (early, late) = (step.at.as_second() - first, last - ends.as_second());
        if early > SKEW_SECONDS || late > SKEW_SECONDS {
            let by = duration(early.max(late).max(0) as u64);
            notes.push(format!(
                "a server's clock is wrong: it names seconds up to {by} outside the step at {}; counted is by the weight, not \
                 by the time",
                step.weight
            ));
        }
    }
    notes
}

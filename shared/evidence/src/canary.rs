//! Is a canary healthy, degraded, or not yet known. Pure: tallies and a policy in, a judgement out.
//!
//! Harm is rejected by the conditional-arm e-process over all steps: given an error, it is the canary's with the weight then
//! in force. Being healthy needs more than not being rejected: the upper bound of the excess error rate *of this step*
//! within its margin, or the n planned to detect an excess of that margin. Counts are never pooled over steps.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use seatrial_domain::policy::{Canary, ERROR_RATE, LATENCY_P99, Margin, Unit};
use seatrial_domain::promotion::CanaryStep;
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::task::HealthState;
use seatrial_stats::Merge;
use seatrial_stats::eprocess::ArmEProcess;
use seatrial_stats::exceedance::{LatencyEProcess, Thresholds};
use seatrial_stats::noninferiority::{ArmRates, planned_n, rate_difference_upper_anytime};
use seatrial_stats::sketch::{LatencySketch, bin_ceiling_us};
use serde::{Deserialize, Serialize};

use crate::observation::Tally;

/// Seconds after which a request that was assigned and never reported counts as an error of its arm.
pub const GRACE_SECONDS: i64 = 15;

/// The probability with which a canary of the planned n detects an excess of the margin.
const POWER: f64 = 0.8;

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
    /// Latencies of answered requests.
    pub latency: LatencySketch,
}

/// Both arms under each weight of one epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts(pub BTreeMap<Weight, [ArmTally; 2]>);

const CHAMPION: usize = 0;
const CANARY: usize = 1;

impl Counts {
    /// Sums the tallies of seconds before `watermark` (exclusive), each tally once.
    #[must_use]
    pub fn of(mut tallies: Vec<Tally>, watermark: i64, unit: Unit) -> Self {
        tallies.sort_by(|a, b| (a.second, &a.tally_id).cmp(&(b.second, &b.tally_id)));
        let mut known_tallies = BTreeSet::new();
        let mut failed_units: [BTreeSet<String>; 2] = Default::default();
        let mut open: BTreeMap<(Weight, usize), u64> = BTreeMap::new();
        let mut counts = Self::default();
        for tally in tallies {
            let arm = match tally.role {
                Arm::Champion => CHAMPION,
                Arm::Challenger => CANARY,
                Arm::Standby | Arm::Pinned => continue,
            };
            if tally.second >= watermark || !known_tallies.insert(tally.tally_id.clone()) {
                continue;
            }
            let weight = tally.route.weight;
            let sum = &mut counts.0.entry(weight).or_default()[arm];
            sum.requests += tally.assigned;
            sum.errors += tally.errors;
            sum.client_errors += tally.client_errors;
            sum.events += match unit {
                Unit::FirstErrorPerUnit if !tally.error_units.is_empty() => {
                    let mut fresh = |u: &String| failed_units[arm].insert(u.clone());
                    tally.error_units.iter().filter(|&unit| fresh(unit)).count() as u64
                }
                Unit::FirstErrorPerUnit | Unit::Request => tally.errors,
            };
            if let Ok(sketch) = serde_json::from_value::<LatencySketch>(tally.latency.clone()) {
                sum.latency.merge(&sketch);
            }
            if tally.second < watermark - GRACE_SECONDS {
                let ended = tally.answered + tally.errors + tally.client_errors;
                *open.entry((weight, arm)).or_default() += tally.assigned.saturating_sub(ended);
            }
        }
        for ((weight, arm), never) in open {
            let sum = &mut counts.0.entry(weight).or_default()[arm];
            sum.never_reported = never;
            sum.errors += never;
            sum.events += never;
        }
        counts
    }

    fn at(&self, weight: Weight) -> [ArmTally; 2] {
        self.0.get(&weight).cloned().unwrap_or_default()
    }
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The pinned rules.
    pub rules: &'a Canary,
    /// The steps so far; the last is the present one.
    pub steps: &'a [CanaryStep],
    /// What was counted.
    pub counts: &'a Counts,
    /// The time.
    pub now: Timestamp,
    /// Up to when the counts are complete; none before the first report.
    pub watermark: Option<Timestamp>,
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
    /// The error test over all steps.
    pub errors: ErrorTest,
    /// The latency test over all steps.
    pub latency: LatencyTest,
    /// What was counted in each step, never pooled.
    pub steps: Vec<StepCounts>,
}

/// The error test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorTest {
    /// The alpha spent on it.
    pub alpha: f64,
    /// Logarithm of the e-value against "the canary fails as often as the champion"; it rejects at `-ln(alpha)`.
    pub log_e: f64,
    /// Whether it rejects.
    pub rejected: bool,
    /// Canary rate minus champion rate in this step, by request.
    pub difference: Option<f64>,
    /// Its upper bound that holds at every look.
    pub upper: Option<f64>,
    /// How large the bound may be.
    pub margin: f64,
    /// Requests of both arms at which an excess of the margin is detected with 80 % probability.
    pub planned_n: Option<u64>,
}

/// The latency test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyTest {
    /// The alpha spent on it.
    pub alpha: f64,
    /// Logarithm of the e-value.
    pub log_e: f64,
    /// Whether it rejects, and the canary's 99th percentile in this step is beyond the champion's earlier one by the margin.
    pub rejected: bool,
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
    /// Latency thresholds in microseconds, frozen from the champion's window before this step; none without enough of it.
    pub thresholds: Option<Thresholds>,
}

/// Judges the last step.
#[must_use]
pub fn judge(facts: &Facts<'_>) -> Option<Judgement> {
    let present = facts.steps.last()?;
    let rules = facts.rules;
    let (error_margin, latency_margin) = (margin_of(rules, ERROR_RATE), margin_of(rules, LATENCY_P99));
    let (alpha_errors, alpha_latency) = (alpha_of(rules, ERROR_RATE), alpha_of(rules, LATENCY_P99));
    let (mut errors, mut latency) = (ArmEProcess::default(), LatencyEProcess::default());
    let mut window = facts.counts.at(Weight::ZERO)[CHAMPION].latency.clone();
    let mut before = window.clone();
    let mut steps = Vec::new();
    for step in facts.steps {
        let [champion, canary] = facts.counts.at(step.weight);
        let weight = step.weight.fraction();
        errors.observe_counts(canary.events, champion.events, weight);
        // The champion's previous window, or all before this step where that window alone is too short.
        let thresholds = freeze(&window, latency_margin).or_else(|| freeze(&before, latency_margin));
        if let Some(thresholds) = thresholds {
            latency.observe_window(&canary.latency, &champion.latency, weight, thresholds);
        }
        before.merge(&champion.latency);
        window = champion.latency.clone();
        steps.push(StepCounts { weight: step.weight, champion, canary, thresholds });
    }
    let now = steps.last()?;
    let rates = ArmRates {
        canary_errors: now.canary.errors.min(now.canary.requests),
        canary_n: now.canary.requests,
        champion_errors: now.champion.errors.min(now.champion.requests),
        champion_n: now.champion.requests,
    };
    let baseline =
        if rates.champion_n == 0 { 0.0 } else { rates.champion_errors as f64 / rates.champion_n as f64 };
    let detect = (baseline + error_margin).min(1.0);
    let error_test = ErrorTest {
        alpha: alpha_errors,
        log_e: errors.log_e(),
        rejected: alpha_errors > 0.0 && errors.rejects(alpha_errors),
        difference: rates.difference(),
        upper: rate_difference_upper_anytime(&errors, &rates, alpha_errors.clamp(1e-6, 0.499)),
        margin: error_margin,
        planned_n: planned_n(baseline, detect, now.weight.fraction(), alpha_errors, POWER),
    };
    let latency_test = LatencyTest {
        alpha: alpha_latency,
        log_e: latency.log_e(),
        rejected: alpha_latency > 0.0 && latency.rejects(alpha_latency) && slower(now),
    };
    let (state, why) = decide(facts, present, now, &error_test, &latency_test);
    Some(Judgement {
        state,
        why,
        step: facts.steps.len() as u32 - 1,
        weight: present.weight,
        since: present.at,
        judged_at: facts.now,
        watermark: facts.watermark,
        errors: error_test,
        latency: latency_test,
        steps,
    })
}

fn margin_of(rules: &Canary, metric: &str) -> f64 {
    rules.rule(metric).map_or(0.0, |rule| match rule.margin {
        Margin::Absolute(m) | Margin::Relative(m) => m,
    })
}

fn alpha_of(rules: &Canary, metric: &str) -> f64 {
    rules.guardrails().into_iter().find(|(name, ..)| *name == metric).map_or(0.0, |(.., alpha)| alpha)
}

/// The champion's earlier 99th percentile and one and a half times that, each longer by the margin.
fn freeze(before: &LatencySketch, margin: f64) -> Option<Thresholds> {
    let frozen = Thresholds::freeze(before)?;
    let longer = |us: u64| bin_ceiling_us((us as f64 * (1.0 + margin)) as u64);
    Some(Thresholds { p99_us: longer(frozen.p99_us), far_us: longer(frozen.far_us) })
}

/// Whether more than one in a hundred canary answers of this step is beyond the lower threshold: its 99th percentile has grown
/// by more than the margin.
fn slower(step: &StepCounts) -> bool {
    let canary = &step.canary.latency;
    step.thresholds.is_some_and(|t| canary.count_above(t.p99_us) * 100 > canary.n())
}

fn decide(
    facts: &Facts<'_>,
    present: &CanaryStep,
    step: &StepCounts,
    errors: &ErrorTest,
    latency: &LatencyTest,
) -> (HealthState, String) {
    let rules = facts.rules;
    let held = facts.now.as_second() - present.at.as_second();
    let (seen, needed) = (step.canary.requests, rules.min_requests);
    let counted = format!(
        "{} errors in {seen} requests of the challenger at {}, {} in {} of the champion",
        step.canary.errors, step.weight, step.champion.errors, step.champion.requests
    );
    if errors.rejected {
        let why = format!(
            "the challenger fails more often than the champion: {counted} (log e-value {:.2}, rejected from {:.2})",
            errors.log_e,
            -errors.alpha.ln()
        );
        return (HealthState::Degraded, why);
    }
    if latency.rejected {
        let why = format!(
            "the challenger is slower: its p99 grew by more than {:.0} % over the champion's (log e-value {:.2}); {counted}",
            margin_of(rules, LATENCY_P99) * 100.0,
            latency.log_e
        );
        return (HealthState::Degraded, why);
    }
    let total = step.canary.requests + step.champion.requests;
    let bound = errors
        .upper
        .map_or_else(|| "no bound yet".into(), |u| format!("excess error rate at most {:.2} %", u * 100.0));
    let inside = errors.upper.is_some_and(|u| u <= errors.margin);
    let planned =
        errors.planned_n.is_some_and(|n| total >= n) && errors.difference.is_some_and(|d| d <= errors.margin);
    let open = if held < i64::from(rules.hold_seconds) {
        Some(format!("held {held} s of {} s", rules.hold_seconds))
    } else if seen < needed {
        Some(format!("{seen} requests of the challenger seen of {needed} needed"))
    } else if !(inside || planned) {
        let plan = errors
            .planned_n
            .map_or_else(|| "no n is enough".into(), |n| format!("{total} of {n} planned requests seen"));
        Some(format!("{bound}, the margin is {:.2} %, and {plan}", errors.margin * 100.0))
    } else {
        None
    };
    let Some(open) = open else {
        let how = if inside {
            format!("{bound}, within the margin of {:.2} %", errors.margin * 100.0)
        } else {
            format!("not rejected at the planned {} requests; {bound}", errors.planned_n.unwrap_or(total))
        };
        let latency = if step.thresholds.is_none() {
            "; latency is not judged at this step: the champion answered fewer than 1000 requests before it"
        } else {
            ""
        };
        return (HealthState::Healthy, format!("{counted}; {how}{latency}"));
    };
    let upto = facts.watermark.map_or_else(
        || "nothing is reported yet".into(),
        |w| format!("counted up to {}", w.strftime("%H:%M:%S")),
    );
    if held >= i64::from(rules.max_hold_seconds) {
        return (
            HealthState::Exhausted,
            format!("not known after {held} s, the longest hold: {open}; {counted}; {upto}"),
        );
    }
    (
        HealthState::NotYetKnown,
        format!("{open}; {counted}; {upto}; {} s are left at most", i64::from(rules.max_hold_seconds) - held),
    )
}

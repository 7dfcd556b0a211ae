//! Errors: the conditional-arm e-process over all steps, and the bound of the excess rate within the present one.

use seatrial_stats::eprocess::ArmEProcess;
use seatrial_stats::noninferiority::{ArmRates, planned_n, rate_difference_upper_anytime};

use super::judge::{Scene, StepCounts};
use super::row::{CanaryRow, RowState, Watched};
use super::words::{count, percent};
use crate::report::MetricUnit;

/// The e-process over these steps.
pub(super) fn process(steps: &[StepCounts]) -> ArmEProcess {
    let mut process = ArmEProcess::default();
    for step in steps {
        process.observe_counts(step.canary.events, step.champion.events, step.weight.fraction());
    }
    process
}

/// Requests and errors of a step, as rates.
pub(super) fn rates(step: &StepCounts) -> ArmRates {
    ArmRates {
        canary_errors: step.canary.errors.min(step.canary.requests),
        canary_n: step.canary.requests,
        champion_errors: step.champion.errors.min(step.champion.requests),
        champion_n: step.champion.requests,
    }
}

/// The share of errors; none without requests.
pub(super) fn share(errors: u64, n: u64) -> Option<f64> {
    (n > 0).then(|| errors as f64 / n as f64)
}

/// Whether harm is found.
pub(crate) fn rejects(process: &ArmEProcess, alpha: f64) -> bool {
    process.rejects(alpha)
}

pub(super) fn row(watched: &Watched<'_>, scene: &Scene<'_>) -> CanaryRow {
    let Some(now) = scene.steps.last() else { return CanaryRow::of(watched, MetricUnit::Share) };
    let process = process(scene.steps);
    let rates = rates(now);
    let (margin, threshold) = (watched.margin(), -watched.alpha.ln());
    let baseline = share(rates.champion_errors, rates.champion_n).unwrap_or(0.0);
    let detect = (baseline + watched.detect()).min(1.0);
    let planned = planned_n(baseline, detect, now.weight.fraction(), watched.alpha, scene.rules.power);
    let upper = rate_difference_upper_anytime(&process, &rates, scene.level());
    let difference = rates.difference();
    let total = rates.canary_n.saturating_add(rates.champion_n);
    let counted = format!(
        "{} errors in {} requests of the challenger at {}, {} in {} of the champion",
        count(rates.canary_errors),
        count(rates.canary_n),
        now.weight,
        count(rates.champion_errors),
        count(rates.champion_n)
    );
    let bound = upper.map_or_else(
        || "no bound yet".to_owned(),
        |upper| format!("excess error rate at most {}", percent(upper)),
    );
    let inside = |bound: Option<f64>| bound.is_some_and(|bound| bound <= margin);
    let log_e = process.log_e();
    let (state, why) = if rejects(&process, watched.alpha) {
        let why = format!(
            "the challenger fails more often than the champion: {counted} (log e-value {log_e:.2}, rejected from {threshold:.2})"
        );
        (RowState::Rejected, why)
    } else if inside(upper) {
        (RowState::NonInferior, format!("{counted}; {bound}, within the margin of {}", percent(margin)))
    } else if planned.is_some_and(|n| total >= n) && inside(difference) {
        let why = format!(
            "{counted}; not rejected at the planned {} requests, which detect an excess of {}; {bound}",
            count(planned.unwrap_or(total)),
            percent(watched.detect())
        );
        (RowState::AtPlannedN, why)
    } else {
        let plan = match planned {
            None => "no n is enough".to_owned(),
            Some(n) if total >= n => {
                format!("the planned {} requests are seen, and the excess is beyond the margin", count(n))
            }
            Some(n) => scene.traffic.progress(total, n, "planned requests"),
        };
        (RowState::NotYetKnown, format!("{counted}; {bound}, the margin is {}; {plan}", percent(margin)))
    };
    CanaryRow {
        state,
        log_e: Some(log_e),
        champion: share(rates.champion_errors, rates.champion_n),
        challenger: share(rates.canary_errors, rates.canary_n),
        estimate: difference,
        upper,
        n: total,
        n_needed: planned,
        seconds_left: planned.and_then(|n| scene.traffic.seconds_until(total, n)),
        why,
        ..CanaryRow::of(watched, MetricUnit::Share)
    }
}

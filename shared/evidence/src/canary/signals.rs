//! Signals: what people and programs said about the requests that both arms served.

use seatrial_domain::policy::Margin;
use seatrial_domain::verdict::Direction;
use seatrial_stats::confseq::Moments;
use seatrial_stats::margin;
use seatrial_stats::planner::planned_units;
use seatrial_stats::signal::{Rule, SignalSequence, Slice, State, Values};

use super::answers::Looks;
use super::judge::Scene;
use super::row::{CanaryRow, RowState, Watched};
use super::words::{count, value};
use crate::live::{SLICE_SECONDS, UnitMoments};
use crate::report::MetricUnit;

pub(super) fn row(watched: &Watched<'_>, scene: &Scene<'_>) -> (CanaryRow, Looks) {
    let blank = CanaryRow::of(watched, MetricUnit::Number);
    let (slices, times, clipped) = slices(watched.name, scene);
    let values = values(watched.rule.bounds, &slices);
    let champion_mean = champion_mean(&slices, scene.taken.len());
    let (margin, detect) = match watched.rule.margin {
        Margin::Absolute(margin) => (Some(margin), Some(watched.detect())),
        Margin::Relative(share) => {
            let of = |share: f64| champion_mean.map(|mean| share * mean.abs());
            (of(share), of(watched.detect()))
        }
    };
    let rule = |alpha: f64| Rule {
        values,
        direction: match watched.rule.direction {
            Direction::HigherIsBetter => margin::Direction::HigherIsBetter,
            Direction::LowerIsBetter => margin::Direction::LowerIsBetter,
        },
        margin: margin.unwrap_or(0.0),
        alpha,
        expected: None,
    };
    let Some((harm, looks)) = run(rule(watched.alpha), &slices, &times) else {
        let why = format!("{} cannot be judged: its bounds or its margin are no numbers", watched.name);
        return (CanaryRow { why, ..blank }, Looks::new());
    };
    let present = scene.taken.len().saturating_sub(1) as u32;
    let in_step = slices.last().is_some_and(|slice| slice.step == present);
    let judged = harm.judgement();
    // Failing is a union over guardrails and shares alpha; passing is an intersection and needs no part of it.
    let well = run(rule(scene.level()), &slices, &[]).map(|(sequence, _)| sequence.judgement());
    let well = well.filter(|_| in_step && margin.is_some());
    let n = if in_step { judged.canary_units.saturating_add(judged.champion_units) } else { 0 };
    let planned = detect.and_then(|detect| {
        let weight = scene.steps.last()?.weight.fraction();
        planned_units(
            deviation(watched.rule.bounds, &slices, present)?,
            detect,
            weight,
            watched.alpha,
            scene.rules.power,
        )
    });
    let threshold = -watched.alpha.ln();
    let name = watched.name;
    let shown = |x: Option<f64>| x.map_or_else(|| "unknown".to_owned(), |x| value(MetricUnit::Number, x));
    let (champion, canary) = if in_step { (judged.champion, judged.canary) } else { (None, None) };
    let means = format!(
        "{name} {} on {} units of the challenger, {} on {} of the champion{}",
        shown(canary),
        count(if in_step { judged.canary_units } else { 0 }),
        shown(champion),
        count(if in_step { judged.champion_units } else { 0 }),
        if clipped > 0 { format!(", {} values outside the bounds", count(clipped)) } else { String::new() }
    );
    let interval = well.and_then(|judged| judged.interval);
    let bound = interval.map_or_else(
        || "no bound yet".to_owned(),
        |i| {
            format!(
                "the difference is {} to {}",
                value(MetricUnit::Number, i.low),
                value(MetricUnit::Number, i.high)
            )
        },
    );
    let allowed = margin.map_or_else(|| "unknown".to_owned(), |m| value(MetricUnit::Number, m));
    let inside =
        judged.difference.zip(margin).is_some_and(|(difference, margin)| match watched.rule.direction {
            Direction::LowerIsBetter => difference <= margin,
            Direction::HigherIsBetter => -difference <= margin,
        });
    let (state, why) = if judged.state == State::Harm {
        let why = format!(
            "{name} is worse: {means} (log e-value {:.2}, rejected from {threshold:.2})",
            judged.log_e
        );
        (RowState::Rejected, why)
    } else if well.is_some_and(|judged| judged.state == State::NotWorse) {
        (RowState::NonInferior, format!("{means}; {bound}, within the margin of {allowed}"))
    } else if planned.is_some_and(|planned| n >= planned) && inside {
        let why =
            format!("{means}; not rejected at the planned {} units; {bound}", count(planned.unwrap_or(n)));
        (RowState::AtPlannedN, why)
    } else {
        let plan = planned.map_or_else(
            || "the n needed is not known yet".to_owned(),
            |planned| scene.traffic.progress(n, planned, "planned units"),
        );
        (RowState::NotYetKnown, format!("{means}; {bound}, the margin is {allowed}; {plan}"))
    };
    let row = CanaryRow {
        state,
        log_e: Some(judged.log_e),
        champion,
        challenger: canary,
        estimate: judged.difference.filter(|_| in_step),
        lower: interval.map(|i| i.low),
        upper: interval.map(|i| i.high),
        n,
        n_needed: planned,
        seconds_left: planned.and_then(|planned| scene.traffic.seconds_until(n, planned)),
        why,
        ..blank
    };
    (row, looks)
}

/// The slices of all steps in order, when each ended, and how many values were clipped.
fn slices(name: &str, scene: &Scene<'_>) -> (Vec<Slice>, Vec<i64>, u64) {
    let (mut slices, mut times, mut clipped) = (Vec::new(), Vec::new(), 0);
    let Some(by_weight) = scene.signals.by_name.get(name) else { return (slices, times, clipped) };
    for (place, step) in scene.taken.iter().enumerate() {
        for slice in by_weight.get(&step.weight).into_iter().flatten() {
            slices.push(Slice {
                step: place as u32,
                weight: step.weight.fraction(),
                canary: moments(&slice.canary),
                champion: moments(&slice.champion),
            });
            times.push(slice.from + SLICE_SECONDS);
            clipped += slice.canary.clipped + slice.champion.clipped;
        }
    }
    (slices, times, clipped)
}

fn moments(units: &UnitMoments) -> Moments {
    Moments { n: units.n, sum: units.sum, squares: units.sum_squares }
}

fn run(rule: Rule, slices: &[Slice], times: &[i64]) -> Option<(SignalSequence, Looks)> {
    let mut sequence = SignalSequence::new(rule)?;
    let mut looks = Looks::new();
    for (place, slice) in slices.iter().enumerate() {
        sequence.push(slice);
        if let Some(at) = times.get(place) {
            looks.push((*at, sequence.log_e()));
        }
    }
    Some((sequence, looks))
}

/// A signal from 0 to 1 whose units were all one or the other is a count of events, which are found sooner.
fn values(bounds: Option<[f64; 2]>, slices: &[Slice]) -> Values {
    let whole = |m: &Moments| m.sum == m.squares && m.sum.fract() == 0.0;
    match bounds {
        Some([0.0, 1.0]) if slices.iter().all(|slice| whole(&slice.canary) && whole(&slice.champion)) => {
            Values::Events
        }
        Some([low, high]) => Values::Bounded { low, high },
        None => Values::Unbounded,
    }
}

/// The champion's mean before the present step, else in it: what a relative margin is a share of.
fn champion_mean(slices: &[Slice], steps: usize) -> Option<f64> {
    let present = steps.saturating_sub(1) as u32;
    let sum = |of: fn(u32, u32) -> bool| {
        slices
            .iter()
            .filter(|slice| of(slice.step, present))
            .fold(Moments::default(), |sum, slice| sum.plus(slice.champion))
    };
    sum(|step, present| step < present).mean().or_else(|| sum(|step, present| step == present).mean())
}

/// The standard deviation of units in this step; before any, the largest that the bounds allow.
fn deviation(bounds: Option<[f64; 2]>, slices: &[Slice], present: u32) -> Option<f64> {
    let seen = slices
        .iter()
        .filter(|slice| slice.step == present)
        .fold(Moments::default(), |sum, slice| sum.plus(slice.champion).plus(slice.canary));
    let most = bounds.map(|[low, high]| (high - low) / 2.0);
    seen.variance().filter(|_| seen.n >= 100).map(f64::sqrt).filter(|deviation| *deviation > 0.0).or(most)
}

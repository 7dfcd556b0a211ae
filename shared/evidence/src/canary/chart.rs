//! The canary over time, computed anew from the counts: what a look at each of these times would have found.

use seatrial_domain::policy::{ERROR_RATE, LATENCY_P99};
use seatrial_domain::route::Weight;
use seatrial_stats::eprocess::ArmEProcess;
use seatrial_stats::exceedance::LatencyEProcess;
use seatrial_stats::noninferiority::{ArmRates, rate_difference_upper_anytime};

use super::answers::Looks;
use super::counts::{CANARY, CHAMPION};
use super::history::Slot;
use super::judge::Scene;
use super::row::CanaryRow;
use crate::charts::{
    CanaryBand, CanaryChart, DifferenceLook, DifferenceSequence, EvidenceLook, EvidenceSequence, MAX_POINTS,
};

pub(super) fn chart(scene: &Scene<'_>, rows: &[CanaryRow], sequences: &[(String, Looks)]) -> CanaryChart {
    let began = scene.taken.first().map(|step| step.at).unwrap_or_default();
    let since = |second: i64| (second - began.as_second()).max(0) as f64;
    let mut told = told(scene);
    let mut evidence = Vec::new();
    for row in rows {
        let (Some(threshold), Some(log_e)) = (row.threshold, row.log_e) else { continue };
        let looks = match row.name.as_str() {
            ERROR_RATE => std::mem::take(&mut told.errors),
            LATENCY_P99 => std::mem::take(&mut told.latency),
            name => sequences
                .iter()
                .find(|(of, _)| of == name)
                .map(|(_, looks)| looks.clone())
                .unwrap_or_default(),
        };
        let mut looks: Vec<EvidenceLook> =
            thin(looks).into_iter().map(|(at, log_e)| EvidenceLook { at: since(at), log_e }).collect();
        // The last look is the judged one, which also counts what is in no whole slot.
        let last = EvidenceLook { at: since(scene.watermark), log_e };
        looks.retain(|look| look.at < last.at);
        looks.push(last);
        evidence.push(EvidenceSequence { name: row.name.clone(), threshold, looks });
    }
    let differences = rows.iter().find(|row| row.name == ERROR_RATE).map(|row| DifferenceSequence {
        name: row.name.clone(),
        unit: row.unit,
        direction: row.direction,
        margin: row.margin.map(|margin| match margin {
            seatrial_domain::policy::Margin::Absolute(m) | seatrial_domain::policy::Margin::Relative(m) => m,
        }),
        looks: told
            .differences
            .into_iter()
            .map(|(at, look)| DifferenceLook { at: since(at), ..look })
            .collect(),
    });
    CanaryChart {
        started_at: began,
        steps: scene
            .taken
            .iter()
            .map(|step| CanaryBand {
                since: since(step.at.as_second()),
                weight: step.weight.fraction() * 100.0,
            })
            .collect(),
        until: since(scene.watermark),
        evidence: evidence
            .into_iter()
            .filter(|sequence| sequence.looks.iter().all(|look| look.log_e.is_finite()))
            .collect(),
        differences: differences.into_iter().filter(|sequence| !sequence.looks.is_empty()).collect(),
    }
}

#[derive(Default)]
struct Told {
    errors: Looks,
    latency: Looks,
    differences: Vec<(i64, DifferenceLook)>,
}

/// Errors and latency after each of some slots.
fn told(scene: &Scene<'_>) -> Told {
    let history = &scene.counts.history;
    let over = |from: i64| from + history.width() <= scene.watermark;
    let mut starts: Vec<i64> =
        history.slots.keys().map(|(from, _)| *from).filter(|from| over(*from)).collect();
    starts.dedup();
    let stride = starts.len().div_ceil(MAX_POINTS - 1).max(1);
    let mut told = Told::default();
    let (mut errors, mut latency) = (ArmEProcess::default(), LatencyEProcess::default());
    let mut rates: (Weight, ArmRates) = Default::default();
    for (place, from) in starts.iter().enumerate() {
        for (&(_, weight), slot) in history.slots.range((*from, Weight::ZERO)..=(*from, Weight::FULL)) {
            let [champion, canary] = &slot.arms;
            errors.observe_counts(canary.events, champion.events, weight.fraction());
            slower(scene, weight, *from, slot, &mut latency);
            if rates.0 != weight {
                rates = (weight, ArmRates::default());
            }
            let sum = &mut rates.1;
            sum.canary_n += canary.requests;
            sum.champion_n += champion.requests;
            sum.canary_errors += canary.errors;
            sum.champion_errors += champion.errors;
        }
        if (place + 1) % stride != 0 && place + 1 != starts.len() {
            continue;
        }
        let at = from + history.width();
        told.errors.push((at, errors.log_e()));
        told.latency.push((at, latency.log_e()));
        if let Some(estimate) = rates.1.difference() {
            let upper = rate_difference_upper_anytime(&errors, &rates.1, scene.level());
            told.differences.push((at, DifferenceLook { at: 0.0, estimate, lower: None, upper }));
        }
    }
    told
}

/// Counts a slot's slow answers, if the slot lies in the counted window of its step.
fn slower(scene: &Scene<'_>, weight: Weight, from: i64, slot: &Slot, latency: &mut LatencyEProcess) {
    let Some(frozen) = scene.steps.iter().find(|step| step.weight == weight).and_then(|step| step.frozen)
    else {
        return;
    };
    let counted_from = scene.counts.at.get(&weight).and_then(|at| at.later_from);
    if frozen.within_step && counted_from.is_none_or(|counted| from < counted) {
        return;
    }
    let [champion, canary] = [&slot.arms[CHAMPION].latency, &slot.arms[CANARY].latency];
    latency.observe_window(canary, champion, weight.fraction(), frozen.thresholds);
}

/// At most as many looks as a chart has points, the last among them.
fn thin(looks: Looks) -> Looks {
    let stride = looks.len().div_ceil(MAX_POINTS - 1).max(1);
    let last = looks.len().saturating_sub(1);
    looks
        .into_iter()
        .enumerate()
        .filter(|(place, _)| place % stride == 0 || *place == last)
        .map(|(_, look)| look)
        .collect()
}

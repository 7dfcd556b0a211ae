//! What pictures of the benchmark are drawn from. Charts add nothing to a verdict.

use std::collections::BTreeMap;

use seatrial_domain::policy::Policy;
use seatrial_stats::calibration::Calibration as Reliability;
use seatrial_stats::intervals::wilson;
use seatrial_stats::sketch::{LatencySketch, RELATIVE_ERROR};

use super::bench::{Bench, Side};
use super::data::{Answers, FAILED, Judged, Truths};
use super::{calibration, crossing};
use crate::charts::{
    AnswerMatrix, Calibration, CalibrationBin, CalibrationCurve, ChartData, LatencyCurve, LatencyCurves,
    QuantilePoint, ScoreDistribution, ThresholdCrossings,
};
use crate::progress::CONFIDENCE;
use crate::report::MetricGroup;

/// Bins of a distribution.
const BINS: usize = 25;
/// Answers of the matrix that have a row of their own.
const ANSWERS: usize = 10;
/// The quantiles of the latency curves.
const QUANTILES: [f64; 7] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999];
/// What stands for answers without a row of their own.
const OTHER: &str = "(other)";

/// The charts of a benchmark. Counts are of rows, whatever their weight.
#[must_use]
pub fn charts(data: &Judged, policy: &Policy) -> ChartData {
    let bench = Bench::new(data);
    ChartData {
        scores: scores(data, policy).into_iter().collect(),
        latency: latency(data).into_iter().collect(),
        answers: answers(data).into_iter().collect(),
        calibration: reliability(&bench).into_iter().collect(),
        crossings: crossings(&bench, policy).into_iter().collect(),
        ..ChartData::default()
    }
}

fn of(data: &Judged) -> String {
    match (&data.truths, &data.positive) {
        (Truths::Numbers(_), _) => "predicted value".into(),
        (_, Some(positive)) => format!("score of class {positive}"),
        _ => "score of the answered class".into(),
    }
}

/// The scores, or the numbers, that a version really gave.
fn given(data: &Judged, answers: &Answers) -> Vec<f64> {
    let of_row = |r: usize| match (&data.truths, &data.positive) {
        (Truths::Numbers(_), _) => answers.value(r),
        (_, Some(positive)) => answers.given(r, positive),
        _ => answers.given(r, answers.label(r)),
    };
    (0..data.truths.len()).filter_map(of_row).filter(|x| x.is_finite()).collect()
}

fn scores(data: &Judged, policy: &Policy) -> Option<ScoreDistribution> {
    let challenger = given(data, &data.challenger);
    let champion = data.champion.as_ref().map(|c| given(data, c));
    let (mut low, mut high) = (0.0, 1.0);
    if matches!(data.truths, Truths::Numbers(_)) {
        let all = || challenger.iter().chain(champion.iter().flatten()).copied();
        low = all().fold(f64::INFINITY, f64::min);
        high = all().fold(f64::NEG_INFINITY, f64::max);
    }
    // Where no number was given there are no ends, and where all are equal no bins.
    let width = (high - low) / BINS as f64;
    if challenger.is_empty() || !width.is_finite() || width <= 0.0 {
        return None;
    }
    let counts = |values: &[f64]| {
        let mut bins = vec![0_u64; BINS];
        values.iter().for_each(|v| bins[(((v - low) / width) as usize).min(BINS - 1)] += 1);
        bins
    };
    Some(ScoreDistribution {
        group: MetricGroup::Offline,
        of: of(data),
        edges: (0..=BINS).map(|i| low + width * i as f64).collect(),
        champion: champion.as_deref().map(counts),
        challenger: counts(&challenger),
        threshold: policy.decision_threshold.filter(|_| data.positive.is_some()),
    })
}

fn latency(data: &Judged) -> Option<LatencyCurves> {
    let curve = |sketch: &LatencySketch| {
        let n = sketch.n();
        let beyond = |q: f64| n as f64 * (1.0 - q) >= 1.0;
        let point = |&q: &f64| Some(QuantilePoint { q, us: sketch.quantile_us(q)? });
        LatencyCurve { n, points: QUANTILES.iter().filter(|q| beyond(**q)).filter_map(point).collect() }
    };
    let challenger = curve(&data.challenger.latency);
    (!challenger.points.is_empty()).then(|| LatencyCurves {
        group: MetricGroup::Offline,
        champion: data.champion.as_ref().map(|c| curve(&c.latency)).filter(|c| !c.points.is_empty()),
        challenger,
        relative_error: Some(RELATIVE_ERROR),
    })
}

/// Rows that the champion failed are left out: there is no answer to put them under.
fn answers(data: &Judged) -> Option<AnswerMatrix> {
    let (Truths::Classes(truths), Some(champion)) = (&data.truths, &data.champion) else { return None };
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for r in 0..truths.len() {
        for label in [champion.label(r), data.challenger.label(r)] {
            *seen.entry(label).or_default() += u64::from(label != FAILED);
        }
    }
    let mut frequent: Vec<(&str, u64)> = seen.into_iter().filter(|(_, n)| *n > 0).collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut names: Vec<&str> = frequent.iter().take(ANSWERS).map(|(name, _)| *name).collect();
    if frequent.len() > ANSWERS {
        names.push(OTHER);
    }
    let place = |label: &str| names.iter().position(|n| *n == label).unwrap_or(names.len() - 1);
    let mut counts = vec![vec![0_u64; names.len() + 1]; names.len()];
    for r in (0..truths.len()).filter(|&r| champion.label(r) != FAILED) {
        let theirs = data.challenger.label(r);
        let column = if theirs == FAILED { names.len() } else { place(theirs) };
        counts[place(champion.label(r))][column] += 1;
    }
    (!names.is_empty()).then(|| AnswerMatrix {
        group: MetricGroup::Offline,
        answers: names.iter().map(|n| (*n).to_owned()).collect(),
        counts,
    })
}

fn reliability(bench: &Bench<'_>) -> Option<Calibration> {
    let curve = |side: &Side| {
        let given = side.confidence.as_ref()?;
        let line =
            bench.data.positive.as_ref().and_then(|_| calibration::exact_line(bench, side, &bench.all));
        Some(CalibrationCurve {
            bins: bins(&calibration::curve(given.iter().copied())),
            slope: line.as_ref().map(|l| l.slope),
            intercept: line.as_ref().map(|l| l.intercept),
        })
    };
    Some(Calibration {
        group: MetricGroup::Offline,
        of: bench
            .data
            .positive
            .as_ref()
            .map_or_else(|| "the answered class".into(), |p| format!("class {p}")),
        champion: bench.champion.as_ref().and_then(curve),
        challenger: curve(&bench.challenger).filter(|c| !c.bins.is_empty())?,
    })
}

fn bins(curve: &Reliability) -> Vec<CalibrationBin> {
    let interval = |hits: f64, n: u64| wilson((hits * n as f64).round() as u64, n, CONFIDENCE);
    let bin = |b: &seatrial_stats::calibration::ReliabilityBin| CalibrationBin {
        score: b.confidence,
        share: b.hits,
        interval: interval(b.hits, b.n).map(|i| [i.low, i.high]),
        n: b.n,
    };
    curve.reliability().iter().map(bin).collect()
}

fn crossings(bench: &Bench<'_>, policy: &Policy) -> Option<ThresholdCrossings> {
    let threshold = policy.decision_threshold?;
    let counts = crossing::counts(bench, threshold).filter(|c| c.n() > 0)?;
    Some(ThresholdCrossings {
        group: MetricGroup::Offline,
        of: of(bench.data),
        threshold,
        n: counts.n(),
        up: counts.reached.challenger_only,
        down: counts.reached.champion_only,
    })
}

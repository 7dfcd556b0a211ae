//! What the report draws of a shadow.

use seatrial_domain::policy::Policy;
use seatrial_stats::Interval;
use seatrial_stats::intervals::wilson;
use seatrial_stats::sketch::{LatencySketch, RELATIVE_ERROR};

use super::labels;
use crate::charts::{
    AnswerMatrix, Calibration, CalibrationBin, CalibrationCurve, ChartData, CoverageBar, LabelCoverage,
    LatencyCurve, LatencyCurves, QuantilePoint, ScoreDistribution, ThresholdCrossings,
};
use crate::progress::CONFIDENCE;
use crate::report::MetricGroup;
use crate::summary::moments::Reliability;
use crate::summary::{SCORE_BINS, Summary};

/// Quantiles that are drawn, where they rest on at least one call beyond them.
const QUANTILES: [f64; 10] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999];
/// Answers that are drawn apart.
const ANSWERS: usize = 8;
/// Parts of a division that are drawn.
const PARTS: usize = 12;
const GROUP: MetricGroup = MetricGroup::Shadow;

/// The charts of a shadow. What there is nothing to draw of is left out.
#[must_use]
pub fn charts(policy: &Policy, summary: &Summary) -> ChartData {
    ChartData {
        scores: scores(policy, summary).into_iter().collect(),
        latency: latency(summary).into_iter().collect(),
        answers: answers(summary).into_iter().collect(),
        drift: Vec::new(),
        calibration: calibration(summary).into_iter().collect(),
        crossings: crossings(policy, summary).into_iter().collect(),
        coverage: coverage(policy, summary),
        importances: Vec::new(),
    }
}

/// Whose probability the scores are, in words.
fn about(summary: &Summary) -> String {
    match summary.positive.first() {
        Some(class) => format!("class {class}"),
        None => "the answered class".into(),
    }
}

fn scores(policy: &Policy, summary: &Summary) -> Option<ScoreDistribution> {
    let scores = &summary.scores;
    (!scores.challenger.is_empty()).then(|| ScoreDistribution {
        group: GROUP,
        of: format!("score of {}", about(summary)),
        edges: (0..=SCORE_BINS).map(|i| i as f64 / SCORE_BINS as f64).collect(),
        champion: (!scores.champion.is_empty()).then(|| scores.champion.clone()),
        challenger: scores.challenger.clone(),
        threshold: policy.decision_threshold,
    })
}

fn latency(summary: &Summary) -> Option<LatencyCurves> {
    let curve = |sketch: &LatencySketch| {
        let n = sketch.n();
        let points = QUANTILES
            .iter()
            .filter(|q| n as f64 * (1.0 - **q) >= 1.0)
            .filter_map(|&q| Some(QuantilePoint { q, us: sketch.quantile_us(q)? }))
            .collect();
        LatencyCurve { n, points }
    };
    (!summary.challenger_latency.is_empty()).then(|| LatencyCurves {
        group: GROUP,
        champion: Some(curve(&summary.champion_latency)),
        challenger: curve(&summary.challenger_latency),
        relative_error: Some(RELATIVE_ERROR),
    })
}

/// The matrix of answers: the champion's down, the challenger's across, then its failures.
fn answers(summary: &Summary) -> Option<AnswerMatrix> {
    let agreement = summary.agreement();
    if agreement.n() == 0 || summary.numbers != Default::default() {
        return None;
    }
    let mut frequent: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for (champion, challenger, n) in agreement.matrix() {
        *frequent.entry(champion).or_default() += n;
        if let Some(challenger) = challenger {
            *frequent.entry(challenger).or_default() += n;
        }
    }
    let mut order: Vec<(&str, u64)> = frequent.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut names: Vec<String> = order.iter().map(|(name, _)| (*name).to_owned()).collect();
    if names.len() > ANSWERS {
        names.truncate(ANSWERS - 1);
        names.push(crate::summary::cells::OTHER.to_owned());
    }
    let last = names.len() - 1;
    let place = |name: &str| names.iter().position(|n| n == name).unwrap_or(last);
    let mut counts = vec![vec![0; names.len() + 1]; names.len()];
    for (champion, challenger, n) in agreement.matrix() {
        counts[place(champion)][challenger.map_or(names.len(), place)] += n;
    }
    Some(AnswerMatrix { group: GROUP, answers: names, counts })
}

fn calibration(summary: &Summary) -> Option<Calibration> {
    let curve = |reliability: &Reliability| CalibrationCurve {
        bins: reliability
            .bins()
            .iter()
            .filter_map(|bin| {
                let interval = wilson(bin.hits, bin.n, CONFIDENCE);
                Some(CalibrationBin {
                    score: bin.score()?,
                    share: bin.hits as f64 / bin.n as f64,
                    interval: interval.map(|i: Interval| [i.low, i.high]),
                    n: bin.n,
                })
            })
            .collect(),
        slope: None,
        intercept: None,
    };
    let total = summary.reliability.total();
    (total.challenger.n() > 0).then(|| Calibration {
        group: GROUP,
        of: about(summary),
        champion: Some(curve(&total.champion)),
        challenger: curve(&total.challenger),
    })
}

fn crossings(policy: &Policy, summary: &Summary) -> Option<ThresholdCrossings> {
    let total = summary.crossings.total();
    Some(ThresholdCrossings {
        group: GROUP,
        of: format!("score of {}", about(summary)),
        threshold: policy.decision_threshold?,
        n: (total.n() > 0).then(|| total.n())?,
        up: total.challenger_only,
        down: total.champion_only,
    })
}

fn coverage(policy: &Policy, summary: &Summary) -> Vec<LabelCoverage> {
    if summary.labelled().labelled == 0 {
        return Vec::new();
    }
    labels::divisions(policy, summary)
        .into_iter()
        .map(|(by, mut parts)| {
            parts.retain(|(_, c)| c.mature > 0);
            parts.sort_by(|a, b| b.1.mature.cmp(&a.1.mature).then_with(|| a.0.cmp(&b.0)));
            parts.truncate(PARTS);
            let bar = |(name, c): (String, crate::summary::Coverage)| CoverageBar {
                name,
                mature: c.mature,
                labelled: c.labelled,
            };
            LabelCoverage { by, bars: parts.into_iter().map(bar).collect() }
        })
        .filter(|division| division.bars.len() > 1)
        .collect()
}

//! The rows of the held-out benchmark. Pure: truths and answers in, judged rows out.
//!
//! A row on which a version fails counts as wrong in every metric: a class of its own that no row has, probability 0 for the
//! truth, the wrong side for fairness, the far end of the range for a number. Where units repeat or rows have weights,
//! intervals come from the delete-a-group jackknife over units.

mod bench;
mod calibration;
mod charts;
mod classes;
mod crossing;
mod data;
mod fairness;
mod numbers;
mod segments;
mod summary;
mod weighted;

use seatrial_domain::policy::{Margin, MetricRule, Policy, applies};
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};

pub use charts::charts;
pub use data::{Answer, Answers, FAILED, Judged, Truths};
pub use summary::summary;

use crate::report::{MetricGroup, MetricRow, MetricUnit};
use crate::rows::{self, Estimate, Name};
use bench::Bench;
use segments::Measured;

/// All rows by the policy's offline rules.
#[must_use]
pub fn rows(data: &Judged, policy: &Policy) -> Vec<MetricRow> {
    let bench = Bench::new(data);
    let mut rows = Vec::new();
    for (metric, rule) in policy.offline.metrics.iter().filter(|(metric, _)| applies(metric, policy.task)) {
        match metric.as_str() {
            "segment_accuracy" => rows.extend(segments::rows(&bench, policy, rule, ACCURACY)),
            "demographic_parity" | "equalised_odds" => {
                rows.extend(fairness::rows(&bench, policy, metric, rule));
            }
            crossing::NAME => rows.push(crossing::row(&bench, policy, rule)),
            _ => rows.push(whole(&bench, policy, metric, rule)),
        }
        if metric == ABSOLUTE_ERROR.metric {
            rows.extend(segments::rows(&bench, policy, rule, ABSOLUTE_ERROR));
        }
    }
    if policy.decision_threshold.is_some() && !policy.offline.metrics.contains_key(crossing::NAME) {
        rows.push(crossing::row(&bench, policy, &SHOWN));
    }
    rows.sort_by_key(|r| (r.segment.is_some(), r.class != MetricClass::Guardrail));
    rows
}

/// What segments are judged by where answers are classes.
const ACCURACY: Measured<'_> = Measured {
    name: "segment_accuracy",
    metric: "accuracy",
    unit: MetricUnit::Share,
    lower_is_better: false,
};

/// What segments are judged by where answers are numbers: by the rule of `mae` itself.
const ABSOLUTE_ERROR: Measured<'_> =
    Measured { name: "mae", metric: "mae", unit: MetricUnit::Number, lower_is_better: true };

/// The rule of a row that is shown and never judged.
const SHOWN: MetricRule = MetricRule {
    class: MetricClass::Info,
    margin: Margin::Absolute(0.0),
    direction: Direction::LowerIsBetter,
    limit: None,
};

/// The row of a metric over all rows.
fn whole(bench: &Bench<'_>, policy: &Policy, metric: &str, rule: &MetricRule) -> MetricRow {
    let name = Name { group: MetricGroup::Offline, name: metric, segment: None, unit: unit_of(metric) };
    let paired = bench.champion.is_some();
    let (estimate, min_n, more) = match estimate(bench, metric) {
        Ok((estimate, more)) => (estimate, policy.offline.min_n, more),
        Err(why) => {
            let rule = MetricRule { class: MetricClass::Info, ..*rule };
            return rows::without(name, &rule, why);
        }
    };
    // Few calls are timed, however large the benchmark is.
    let min_n = if metric.starts_with("latency") { 100.min(min_n) } else { min_n };
    let mut row = rows::judge(name, rule, &estimate, min_n, paired);
    if let Some(more) = more {
        row.why.push_str("; ");
        row.why.push_str(&more);
    }
    row
}

/// What was measured, and what else the sentence should say.
fn estimate(bench: &Bench<'_>, name: &str) -> Result<(Estimate, Option<String>), String> {
    if let Some(q) = name.strip_prefix("latency_p").and_then(|p| p.parse::<f64>().ok()) {
        let champion = bench.data.champion.as_ref().map(|c| &c.latency);
        return Ok((rows::latency(champion, &bench.data.challenger.latency, q / 100.0), None));
    }
    let two_classes = matches!(name, "auc" | "brier" | "calibration_slope" | "calibration_intercept");
    if two_classes && bench.data.positive.is_none() {
        return Err(format!("{name} is defined for two classes, and this model has no positive class"));
    }
    let metric = classes::metric(bench, name)
        .or_else(|| numbers::metric(bench, name))
        .or_else(|| calibration::metric(bench, name))
        .ok_or_else(|| format!("{name} is not measured on a benchmark"))?;
    if let Some((estimate, more)) = calibration::judged(bench, name, &metric) {
        return Ok((estimate, Some(more)));
    }
    let mut estimate = bench.values(&metric);
    // Rows that are independent and count the same have methods made for them, which are exact or nearly so.
    let made = bench.champion.as_ref().filter(|_| bench.independent).and_then(|champion| {
        classes::difference(bench, name, champion).or_else(|| numbers::difference(bench, name, champion))
    });
    match made {
        Some((interval, how)) => (estimate.interval, estimate.how) = (interval, how),
        None => estimate.interval = bench.of_difference(&metric),
    }
    let own = if bench.independent { classes::own(bench, name) } else { None };
    estimate.own = own.or_else(|| bench.of_own(&metric));
    Ok((estimate, None))
}

/// Every offline row without a benchmark: never a pass.
#[must_use]
pub fn rows_without_benchmark(policy: &Policy) -> Vec<MetricRow> {
    let why =
        "no benchmark is set for the model: nothing could be measured; set one with `seatrial benchmark set`";
    let row = |(metric, rule): (&String, &MetricRule)| {
        let name = Name { group: MetricGroup::Offline, name: metric, segment: None, unit: unit_of(metric) };
        rows::without(name, rule, why)
    };
    policy.offline.metrics.iter().filter(|(metric, _)| applies(metric, policy.task)).map(row).collect()
}

fn unit_of(metric: &str) -> MetricUnit {
    match metric {
        m if m.starts_with("latency") => MetricUnit::Microseconds,
        "log_loss"
        | "brier"
        | "ece"
        | "calibration_slope"
        | "calibration_intercept"
        | "rmse"
        | "mae"
        | "r2" => MetricUnit::Number,
        _ => MetricUnit::Share,
    }
}

/// The worst guardrail row, and a sentence about it.
#[must_use]
pub fn verdict(rows: &[MetricRow]) -> (Verdict, String) {
    let guardrails: Vec<&MetricRow> = rows.iter().filter(|r| r.class == MetricClass::Guardrail).collect();
    let verdict = Verdict::worst(guardrails.iter().map(|r| r.verdict));
    let of = |v: Verdict| guardrails.iter().filter(move |r| r.verdict == v);
    let why = match (verdict, of(verdict).next()) {
        (_, None) => "no guardrail could be judged".to_owned(),
        (Verdict::Pass, _) => format!("all {} guardrails pass", guardrails.len()),
        (word, Some(first)) => {
            let also = of(verdict).count() - 1;
            let more = if also > 0 { format!(" (and {also} more)") } else { String::new() };
            let what = if word == Verdict::Fail { "fails" } else { "is inconclusive" };
            format!("{} {what}: {}{more}", first.name, first.why)
        }
    };
    (verdict, why)
}

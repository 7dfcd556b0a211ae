//! The metrics that a policy may name, and the tasks they are defined for.

use std::collections::BTreeMap;

use super::{Margin, MetricRule, Task};
use crate::verdict::{Direction, MetricClass};

/// Metrics that `offline.metrics` may name.
pub const OFFLINE_METRICS: [&str; 19] = [
    "accuracy",
    "macro_f1",
    "weighted_f1",
    "auc",
    "log_loss",
    "brier",
    "ece",
    "calibration_slope",
    "calibration_intercept",
    "threshold_crossing",
    "segment_accuracy",
    "demographic_parity",
    "equalised_odds",
    "rmse",
    "mae",
    "r2",
    "latency_p50",
    "latency_p95",
    "latency_p99",
];

/// Metrics that `shadow.metrics` may name.
pub const SHADOW_METRICS: [&str; 19] = [
    "agreement",
    "error_rate",
    "accuracy",
    "macro_f1",
    "weighted_f1",
    "auc",
    "log_loss",
    "brier",
    "ece",
    "threshold_crossing",
    "segment_accuracy",
    "demographic_parity",
    "equalised_odds",
    "rmse",
    "mae",
    "drift",
    "latency_p50",
    "latency_p95",
    "latency_p99",
];

/// Whether a metric is defined for what a model answers.
#[must_use]
pub fn applies(metric: &str, task: Task) -> bool {
    match metric {
        "auc"
        | "brier"
        | "calibration_slope"
        | "calibration_intercept"
        | "threshold_crossing"
        | "demographic_parity"
        | "equalised_odds" => task == Task::Binary,
        "accuracy" | "macro_f1" | "weighted_f1" | "log_loss" | "ece" | "segment_accuracy" => {
            matches!(task, Task::Binary | Task::Multiclass)
        }
        "rmse" | "mae" | "r2" => task == Task::Regression,
        _ => true,
    }
}

/// The metrics of the benchmark that compare groups of a protected attribute, for what a model answers.
#[must_use]
pub const fn fairness_metrics(task: Task) -> &'static [&'static str] {
    match task {
        Task::Binary => &["demographic_parity", "equalised_odds"],
        // Each protected attribute is a segment, whose accuracy is judged.
        Task::Multiclass => &["segment_accuracy"],
        _ => &[],
    }
}

const fn rule(class: MetricClass, margin: Margin, direction: Direction, limit: Option<f64>) -> MetricRule {
    MetricRule { class, margin, direction, limit }
}

/// The rules of the benchmark where the policy names none. Those that are not defined for the task are passed over.
pub(super) fn offline() -> BTreeMap<String, MetricRule> {
    use Direction::{HigherIsBetter as Higher, LowerIsBetter as Lower};
    use MetricClass::{Guardrail, Info, Signal};
    let point = Margin::Absolute(0.01);
    named([
        ("accuracy", rule(Guardrail, point, Higher, None)),
        ("macro_f1", rule(Guardrail, Margin::Absolute(0.02), Higher, None)),
        ("auc", rule(Guardrail, point, Higher, None)),
        ("log_loss", rule(Signal, Margin::Absolute(0.02), Lower, None)),
        ("brier", rule(Info, Margin::Absolute(0.01), Lower, None)),
        ("ece", rule(Info, Margin::Absolute(0.02), Lower, None)),
        ("segment_accuracy", rule(Guardrail, Margin::Absolute(0.05), Higher, None)),
        ("demographic_parity", rule(Guardrail, Margin::Absolute(0.05), Lower, None)),
        ("equalised_odds", rule(Guardrail, Margin::Absolute(0.05), Lower, None)),
        ("rmse", rule(Guardrail, Margin::Relative(0.05), Lower, None)),
        ("mae", rule(Guardrail, Margin::Relative(0.05), Lower, None)),
        ("r2", rule(Info, Margin::Absolute(0.02), Higher, None)),
        ("latency_p50", rule(Info, Margin::Relative(0.5), Lower, None)),
        ("latency_p95", rule(Info, Margin::Relative(0.5), Lower, None)),
        ("latency_p99", rule(Signal, Margin::Relative(0.5), Lower, None)),
    ])
}

/// The rules of the shadow where the policy names none.
pub(super) fn shadow() -> BTreeMap<String, MetricRule> {
    use Direction::{HigherIsBetter as Higher, LowerIsBetter as Lower};
    use MetricClass::{Guardrail, Info, Signal};
    let none = Margin::Absolute(0.0);
    named([
        ("agreement", rule(Signal, none, Higher, Some(0.8))),
        ("error_rate", rule(Guardrail, Margin::Absolute(0.01), Lower, None)),
        ("accuracy", rule(Info, Margin::Absolute(0.01), Higher, None)),
        ("log_loss", rule(Info, Margin::Absolute(0.02), Lower, None)),
        ("rmse", rule(Info, Margin::Relative(0.05), Lower, None)),
        ("drift", rule(Info, none, Lower, Some(0.2))),
        ("latency_p50", rule(Info, Margin::Relative(1.0), Lower, None)),
        ("latency_p95", rule(Info, Margin::Relative(1.0), Lower, None)),
        ("latency_p99", rule(Signal, Margin::Relative(1.0), Lower, None)),
    ])
}

fn named<const N: usize>(rules: [(&str, MetricRule); N]) -> BTreeMap<String, MetricRule> {
    rules.into_iter().map(|(name, rule)| (name.to_owned(), rule)).collect()
}

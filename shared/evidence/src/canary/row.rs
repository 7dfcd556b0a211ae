//! One metric of a canary, judged.

use seatrial_domain::policy::{Canary, CanaryMetric, LATENCY_P99, Margin};
use seatrial_domain::verdict::{Direction, MetricClass};
use serde::{Deserialize, Serialize};

use crate::report::MetricUnit;

/// One metric of a canary: what it says, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryRow {
    /// The metric.
    pub name: String,
    /// What it may cause: a guardrail rolls back, a signal holds the canary and tells, info is shown.
    pub class: MetricClass,
    /// What it says.
    pub state: RowState,
    /// The level at which it rejects harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Natural logarithm of the e-value against "no harm", over all steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_e: Option<f64>,
    /// Where `log_e` rejects: `-ln(alpha)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The unit of the values.
    #[serde(default)]
    pub unit: MetricUnit,
    /// Which way is better.
    pub direction: Direction,
    /// The champion's value in this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<f64>,
    /// The challenger's value in this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<f64>,
    /// Challenger minus champion in this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<f64>,
    /// The lower bound of `estimate` that holds at every look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// The upper bound of `estimate` that holds at every look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// How much worse the challenger may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// What was counted in this step: requests, answers or units of both arms.
    pub n: u64,
    /// How many of them are needed to detect what the policy names, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_needed: Option<u64>,
    /// Seconds until they are there at the present rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// One sentence.
    pub why: String,
}

/// What a metric of a canary says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// "No harm" is rejected.
    Rejected,
    /// No worse than the margin allows, with a bound that holds at every look.
    NonInferior,
    /// Not rejected with as much data as detects, with the policy's power, what the policy names.
    AtPlannedN,
    /// None of these.
    NotYetKnown,
    /// Shown only.
    Shown,
}

impl CanaryRow {
    pub(super) fn blank(name: &str, class: MetricClass, unit: MetricUnit, direction: Direction) -> Self {
        Self {
            name: name.to_owned(),
            class,
            state: RowState::NotYetKnown,
            alpha: None,
            log_e: None,
            threshold: None,
            unit,
            direction,
            champion: None,
            challenger: None,
            estimate: None,
            lower: None,
            upper: None,
            margin: None,
            n: 0,
            n_needed: None,
            seconds_left: None,
            why: String::new(),
        }
    }

    /// A row of a watched metric with its rule, and nothing seen.
    pub(super) fn of(watched: &Watched<'_>, unit: MetricUnit) -> Self {
        Self {
            alpha: Some(watched.alpha),
            threshold: Some(-watched.alpha.ln()),
            margin: Some(watched.rule.margin),
            ..Self::blank(watched.name, watched.rule.class, unit, watched.rule.direction)
        }
    }

    /// Whether the metric is good enough for the next step.
    #[must_use]
    pub fn is_well(&self) -> bool {
        matches!(self.state, RowState::NonInferior | RowState::AtPlannedN)
    }

    /// Whether a guardrail rejects.
    #[must_use]
    pub fn degrades(&self) -> bool {
        self.class == MetricClass::Guardrail && self.state == RowState::Rejected
    }

    /// Whether a signal rejects: the canary is held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.class == MetricClass::Signal && self.state == RowState::Rejected
    }
}

/// A watched metric with its rule and the level at which it rejects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watched<'a> {
    pub name: &'a str,
    pub rule: CanaryMetric,
    pub alpha: f64,
}

impl Watched<'_> {
    /// The smallest harm that must be detected. An error rate harms as soon as it is higher; p99 harms beyond its margin only, so
    /// a growth by the margin itself is no harm that could be detected, and twice it is taken.
    pub(crate) fn detect(&self) -> f64 {
        let default = if self.name == LATENCY_P99 { 2.0 * self.margin() } else { self.margin() };
        self.rule.detect.unwrap_or(default)
    }

    pub(crate) fn margin(&self) -> f64 {
        let (Margin::Absolute(margin) | Margin::Relative(margin)) = self.rule.margin;
        margin
    }
}

/// All metrics with their levels. Guardrails share alpha by their weights, since each may roll back; signals share another alpha,
/// since each may hold; a metric that is only shown has the whole.
pub(crate) fn watched(rules: &Canary) -> Vec<Watched<'_>> {
    let all = rules.rules();
    let sum = |class: MetricClass| -> f64 {
        all.iter().filter(|(_, rule)| rule.class == class).map(|(_, rule)| weight_of(rule)).sum()
    };
    let (guardrails, signals) = (sum(MetricClass::Guardrail), sum(MetricClass::Signal));
    let level = |rule: &CanaryMetric| {
        let part = match rule.class {
            MetricClass::Guardrail => weight_of(rule) / guardrails,
            MetricClass::Signal => weight_of(rule) / signals,
            MetricClass::Info => 1.0,
        };
        (rules.alpha * part).clamp(1e-9, 0.499)
    };
    all.iter().map(|(name, rule)| Watched { name, rule: *rule, alpha: level(rule) }).collect()
}

/// A weight that is no number or not above 0 would spend nothing: the policy's check refuses it for guardrails.
fn weight_of(rule: &CanaryMetric) -> f64 {
    if rule.weight.is_finite() && rule.weight > 0.0 { rule.weight } else { 1e-6 }
}

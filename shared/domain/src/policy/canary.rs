//! How traffic shifts to a challenger, and what is watched while it does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Margin;
use crate::verdict::{Direction, MetricClass};

/// The metric of errors: the challenger's error rate beside the champion's.
pub const ERROR_RATE: &str = "error_rate";
/// The metric of latency: the 99th percentile's growth.
pub const LATENCY_P99: &str = "latency_p99";
/// The metric of answers: the canary's classes beside the challenger's own answers in the concurrent shadow.
pub const OUTPUT_DISTRIBUTION: &str = "output_distribution";

/// The metric of labels: whether the answer that was served is the true one, where a label came. It is judged as a signal with
/// the bounds 0 and 1 is.
pub const ACCURACY: &str = "accuracy";

/// How traffic shifts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Canary {
    /// The challenger's shares in percent, rising, each below 100. The crown is the step to 100.
    pub steps: Vec<f64>,
    /// The shortest time at a step in seconds.
    pub hold_seconds: u32,
    /// The longest time at a step in seconds, for evidence that is not yet enough.
    pub max_hold_seconds: u32,
    /// Seconds between looks, at most 60.
    pub check_seconds: u32,
    /// The fewest requests of the challenger at a step.
    pub min_requests: u64,
    /// The probability of rolling back a harmless challenger, over the whole canary and all its guardrails.
    pub alpha: f64,
    /// What is watched: [`ERROR_RATE`], [`LATENCY_P99`], [`OUTPUT_DISTRIBUTION`], and signals by their own names. What is
    /// not named here of the first three keeps its default ([`Canary::rule`]).
    pub metrics: BTreeMap<String, CanaryMetric>,
    /// The probability with which the canary must detect what its guardrails name in `detect`.
    pub power: f64,
    /// Whether the canary's tests are tried on seeded streams before the report: a gate that cannot fire blocks.
    pub self_test: bool,
    /// The share of live requests that are still replayed during the canary, in percent: the reference for its answers.
    pub shadow_percent: f64,
    /// What happens when the longest hold ends without enough evidence.
    pub not_yet_known: NotYetKnown,
    /// The share that stays on the old champion after the crown, in percent.
    pub holdback_percent: f64,
    /// Seconds after the crown during which the holdback stays and rollback is watched for.
    pub stability_seconds: u32,
    /// What is randomised for error counting.
    pub unit: Unit,
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            steps: vec![1.0, 5.0, 25.0, 50.0],
            hold_seconds: 600,
            max_hold_seconds: 6 * 3_600,
            check_seconds: 30,
            min_requests: 500,
            alpha: 0.05,
            metrics: BTreeMap::new(),
            power: 0.8,
            self_test: true,
            shadow_percent: 1.0,
            not_yet_known: NotYetKnown::Rollback,
            holdback_percent: 1.0,
            stability_seconds: 86_400,
            unit: Unit::FirstErrorPerUnit,
        }
    }
}

/// How one metric of a canary is judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryMetric {
    /// `guardrail` rolls back and must be known before the next step; `signal` holds the canary and tells people; `info`
    /// is shown.
    pub class: MetricClass,
    /// How much worse the challenger may be and still be healthy. Errors: a difference of rates. Latency: the growth of p99 as
    /// a share (`"50%rel"`). Answers: a total-variation distance. A signal: its own unit for each unit of traffic, or a
    /// share of the champion's mean.
    pub margin: Margin,
    /// Which way is better.
    #[serde(default = "lower")]
    pub direction: Direction,
    /// The smallest harm that the canary must be able to detect, in the terms of `margin`; when it is not named the margin itself,
    /// and for latency, which harms beyond its margin only, twice the margin. The plan is refused when it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<f64>,
    /// Its part of alpha among the guardrails.
    #[serde(default = "one")]
    pub weight: f64,
    /// For a signal: the least and the greatest value. A value outside is counted and clipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f64; 2]>,
    /// For a signal: what a served request without one counts as.
    #[serde(default)]
    pub absent: Absent,
    /// For a signal: seconds after its request within which it counts. A request is judged when they are over, whatever comes
    /// later, so that every look sees the same.
    #[serde(default = "a_minute")]
    pub within_seconds: u32,
}

/// Requests of one unit are counted by slices of the evidence clock of this many seconds.
pub const SLICE_SECONDS: i64 = 10;

impl CanaryMetric {
    /// Seconds after a unit's first request at which its signal is judged, at the latest: its slice is over, every request that
    /// counts has come, and what was said of the last of them.
    #[must_use]
    pub fn settled_after_seconds(&self) -> u64 {
        SLICE_SECONDS.unsigned_abs() + 2 * u64::from(self.within_seconds)
    }
}

fn a_minute() -> u32 {
    60
}

fn lower() -> Direction {
    Direction::LowerIsBetter
}

fn one() -> f64 {
    1.0
}

/// What a served request counts as for which no signal came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// As zero: nobody clicked, nothing was bought.
    #[default]
    Zero,
    /// As nothing: only requests with a value count.
    Skip,
}

impl Canary {
    /// The rule of a metric: the policy's, or the default of the three that are always watched.
    #[must_use]
    pub fn rule(&self, metric: &str) -> Option<CanaryMetric> {
        self.metrics.get(metric).copied().or_else(|| default_rule(metric))
    }

    /// All metrics that are watched, by name: the three built-in ones first, then signals.
    #[must_use]
    pub fn rules(&self) -> Vec<(&str, CanaryMetric)> {
        let built_in = [ERROR_RATE, LATENCY_P99, OUTPUT_DISTRIBUTION];
        let signals = self.metrics.keys().map(String::as_str).filter(|name| !built_in.contains(name));
        built_in.into_iter().chain(signals).filter_map(|name| Some((name, self.rule(name)?))).collect()
    }

    /// The guardrails with their part of alpha; the parts add up to `alpha`.
    #[must_use]
    pub fn guardrails(&self) -> Vec<(&str, CanaryMetric, f64)> {
        let rules: Vec<_> =
            self.rules().into_iter().filter(|(_, rule)| rule.class == MetricClass::Guardrail).collect();
        let all: f64 = rules.iter().map(|(_, rule)| rule.weight).sum();
        rules.into_iter().map(|(name, rule)| (name, rule, self.alpha * rule.weight / all)).collect()
    }

    /// The rule of a signal with its bounds; [`ACCURACY`] has its own.
    #[must_use]
    pub fn signal_rule(&self, name: &str) -> Option<CanaryMetric> {
        let rule = self.metrics.get(name).copied()?;
        Some(if name == ACCURACY {
            CanaryMetric { bounds: Some([0.0, 1.0]), absent: Absent::Skip, ..rule }
        } else {
            rule
        })
    }

    /// The names of the signals: metrics that people and programs report.
    pub fn signals(&self) -> impl Iterator<Item = &str> {
        let built_in = [ERROR_RATE, LATENCY_P99, OUTPUT_DISTRIBUTION];
        self.metrics.keys().map(String::as_str).filter(move |name| !built_in.contains(name))
    }
}

fn default_rule(metric: &str) -> Option<CanaryMetric> {
    let (class, margin) = match metric {
        ERROR_RATE => (MetricClass::Guardrail, Margin::Absolute(0.01)),
        LATENCY_P99 => (MetricClass::Guardrail, Margin::Relative(0.5)),
        OUTPUT_DISTRIBUTION => (MetricClass::Signal, Margin::Absolute(0.1)),
        _ => return None,
    };
    Some(CanaryMetric {
        class,
        margin,
        direction: Direction::LowerIsBetter,
        detect: None,
        weight: 1.0,
        bounds: None,
        absent: Absent::Zero,
        within_seconds: a_minute(),
    })
}

/// What happens to a canary that is not yet known at its longest hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotYetKnown {
    /// It is rolled back.
    Rollback,
}

/// What is counted as one error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The first error of each unit: robust when few units send most requests.
    FirstErrorPerUnit,
    /// Every error.
    Request,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_shared_over_guardrails_by_their_weights() {
        let canary: Canary = serde_json::from_value(serde_json::json!({
            "alpha": 0.04,
            "metrics": {
                "error_rate": { "class": "guardrail", "margin": 0.02, "weight": 2 },
                "policy_violation": { "class": "guardrail", "margin": 0.001 },
                "thumbs_down": { "class": "signal", "margin": 0.01 },
            },
        }))
        .unwrap();
        let shares: Vec<_> = canary.guardrails().into_iter().map(|(name, _, alpha)| (name, alpha)).collect();
        assert_eq!(shares, [(ERROR_RATE, 0.02), (LATENCY_P99, 0.01), ("policy_violation", 0.01)]);
        assert_eq!(canary.signals().collect::<Vec<_>>(), ["policy_violation", "thumbs_down"]);
        assert_eq!(canary.rule(OUTPUT_DISTRIBUTION).unwrap().class, MetricClass::Signal);
        assert!(canary.rule("revenue").is_none());
    }
}

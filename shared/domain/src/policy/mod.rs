//! The rules of one model: what is compared, by which margins, who decides, how traffic shifts.
//!
//! A policy is JSON (or YAML at the command line), versioned and hashed. Every field has a default, unknown fields are
//! refused, and [`Policy::check`] reports every defect at once.

mod check;
mod margin;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::route::Weight;
use crate::verdict::{Direction, MetricClass};

pub use check::{Defect, OFFLINE_METRICS, SHADOW_METRICS};
pub use margin::Margin;

/// The rules of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The version of this format: 1.
    pub schema: u32,
    /// What the model answers. Only `binary` and `multiclass` are supported; others are refused.
    pub task: Task,
    /// For `binary`: the class whose probability scores are about. Default: the last class of `config.yaml`.
    pub positive_class: Option<String>,
    /// Input columns whose values name segments.
    pub segments: Vec<String>,
    /// Input or benchmark columns that are protected attributes. Each is a segment too.
    pub protected: Vec<String>,
    /// Segments that must be judged, as `column=value`. One that is too small is inconclusive.
    pub named_segments: Vec<String>,
    /// The fewest rows a segment needs to be judged.
    pub segment_min_n: u64,
    /// Rules of the held-out benchmark.
    pub offline: Offline,
    /// Rules of the shadow.
    pub shadow: Shadow,
    /// Who decides, and how.
    pub approval: Approval,
    /// How traffic shifts.
    pub canary: Canary,
    /// What servers report.
    pub observations: Observations,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            schema: 1,
            task: Task::Binary,
            positive_class: None,
            segments: Vec::new(),
            protected: Vec::new(),
            named_segments: Vec::new(),
            segment_min_n: 200,
            offline: Offline::default(),
            shadow: Shadow::default(),
            approval: Approval::default(),
            canary: Canary::default(),
            observations: Observations::default(),
        }
    }
}

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of two classes.
    Binary,
    /// One of several classes.
    Multiclass,
    /// Any set of classes.
    Multilabel,
    /// A number.
    Regression,
    /// An order of items.
    Ranking,
    /// Text.
    Text,
}

/// How one metric is judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRule {
    /// What it may cause.
    pub class: MetricClass,
    /// How much worse the challenger may be.
    pub margin: Margin,
    /// Which way is better.
    pub direction: Direction,
    /// An absolute limit that the bound of the interval must meet; the only rule for a first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// Rules of the held-out benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Offline {
    /// Metrics by name: `accuracy`, `macro_f1`, `auc`, `log_loss`, `ece`, `latency_p50|p95|p99`,
    /// `demographic_parity`, `equalised_odds`, `segment_accuracy`.
    pub metrics: BTreeMap<String, MetricRule>,
    /// Metrics in which the challenger must be better for an approval without people.
    pub tracked: Vec<String>,
    /// The fewest benchmark rows for any verdict but inconclusive.
    pub min_n: u64,
}

impl Default for Offline {
    fn default() -> Self {
        use Direction::{HigherIsBetter as Higher, LowerIsBetter as Lower};
        use MetricClass::{Guardrail, Info, Signal};
        let rule = |class, margin, direction| MetricRule { class, margin, direction, limit: None };
        let point = Margin::Absolute(0.01);
        let metrics = [
            ("accuracy", rule(Guardrail, point, Higher)),
            ("macro_f1", rule(Guardrail, Margin::Absolute(0.02), Higher)),
            ("auc", rule(Guardrail, point, Higher)),
            ("log_loss", rule(Signal, Margin::Absolute(0.02), Lower)),
            ("ece", rule(Info, Margin::Absolute(0.02), Lower)),
            ("segment_accuracy", rule(Guardrail, Margin::Absolute(0.05), Higher)),
            ("demographic_parity", rule(Guardrail, Margin::Absolute(0.05), Lower)),
            ("equalised_odds", rule(Guardrail, Margin::Absolute(0.05), Lower)),
            ("latency_p50", rule(Info, Margin::Relative(0.5), Lower)),
            ("latency_p95", rule(Info, Margin::Relative(0.5), Lower)),
            ("latency_p99", rule(Signal, Margin::Relative(0.5), Lower)),
        ];
        Self {
            metrics: metrics.into_iter().map(|(name, rule)| (name.to_owned(), rule)).collect(),
            tracked: Vec::new(),
            min_n: 200,
        }
    }
}

/// Rules of the shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shadow {
    /// Whether there is a shadow at all.
    pub enabled: bool,
    /// The share of live requests that are replayed, in percent.
    pub sample_percent: f64,
    /// The shortest duration in seconds.
    pub window_seconds: u32,
    /// The longest duration in seconds; then the comparison goes on with what there is.
    pub max_seconds: u32,
    /// The fewest pairs.
    pub min_pairs: u64,
    /// The fewest answers of each class by the champion.
    pub min_per_class: u64,
    /// Metrics by name: `agreement` (absolute limit), `error_rate`, `accuracy` (where labels arrived), `latency_p50|p95|p99`.
    pub metrics: BTreeMap<String, MetricRule>,
    /// The least share of replays in which the replayed champion answers what the champion really answered.
    pub min_fidelity: f64,
    /// The share of challenger errors above which the shadow is ended at once, once `abort_min_pairs` are seen.
    pub abort_error_rate: f64,
    /// The fewest pairs for that.
    pub abort_min_pairs: u64,
    /// How many partitions pairs are written to: 1 to 64. Fewer make fewer and larger files where traffic is low.
    pub partitions: u16,
}

impl Default for Shadow {
    fn default() -> Self {
        use Direction::{HigherIsBetter as Higher, LowerIsBetter as Lower};
        use MetricClass::{Guardrail, Info, Signal};
        let metrics = [
            (
                "agreement",
                MetricRule {
                    class: Signal,
                    margin: Margin::Absolute(0.0),
                    direction: Higher,
                    limit: Some(0.8),
                },
            ),
            (
                "error_rate",
                MetricRule {
                    class: Guardrail,
                    margin: Margin::Absolute(0.01),
                    direction: Lower,
                    limit: None,
                },
            ),
            (
                "accuracy",
                MetricRule { class: Info, margin: Margin::Absolute(0.01), direction: Higher, limit: None },
            ),
            (
                "latency_p50",
                MetricRule { class: Info, margin: Margin::Relative(1.0), direction: Lower, limit: None },
            ),
            (
                "latency_p95",
                MetricRule { class: Info, margin: Margin::Relative(1.0), direction: Lower, limit: None },
            ),
            (
                "latency_p99",
                MetricRule { class: Signal, margin: Margin::Relative(1.0), direction: Lower, limit: None },
            ),
        ];
        Self {
            enabled: true,
            sample_percent: 10.0,
            window_seconds: 86_400,
            max_seconds: 7 * 86_400,
            min_pairs: 1_000,
            min_per_class: 50,
            metrics: metrics.into_iter().map(|(name, rule)| (name.to_owned(), rule)).collect(),
            min_fidelity: 0.99,
            abort_error_rate: 0.2,
            abort_min_pairs: 50,
            partitions: 64,
        }
    }
}

/// Who decides, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Whether people must decide.
    pub mode: ApprovalMode,
    /// Who may decide.
    pub approvers: Vec<Approver>,
    /// How many of them must approve.
    pub quorum: u32,
    /// Whether submitter and approver must differ. Then a link alone cannot decide: a login is needed.
    pub separation_of_duties: bool,
    /// Seconds until an undecided gate expires.
    pub expires_seconds: u32,
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            mode: ApprovalMode::Required,
            approvers: Vec::new(),
            quorum: 1,
            separation_of_duties: true,
            expires_seconds: 3 * 86_400,
        }
    }
}

/// Whether people must decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// Always.
    Required,
    /// Unless every tracked metric is better; refused by this release.
    AutoUnlessBlocked,
}

/// A person who may decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Their own mail address, to which links go; also their name in records.
    pub email: String,
    /// Other principals that are the same person: IAM user ARNs, role ids, OIDC subjects.
    #[serde(default)]
    pub principals: Vec<String>,
}

impl Approver {
    /// Whether `principal` is this person.
    #[must_use]
    pub fn is(&self, principal: &str) -> bool {
        self.email.eq_ignore_ascii_case(principal) || self.principals.iter().any(|p| p == principal)
    }
}

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
    /// The probability of rolling back a harmless challenger, over the whole canary.
    pub alpha: f64,
    /// How much the challenger's error rate may exceed the champion's (absolute) and still be healthy.
    pub error_margin: f64,
    /// The share of alpha spent on errors; the rest goes to latency.
    pub alpha_errors: f64,
    /// The growth of p99 latency that counts as degraded, as a fraction (0.5 is half as long again).
    pub latency_margin: f64,
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
            error_margin: 0.01,
            alpha_errors: 0.5,
            latency_margin: 0.5,
            not_yet_known: NotYetKnown::Rollback,
            holdback_percent: 1.0,
            stability_seconds: 86_400,
            unit: Unit::FirstErrorPerUnit,
        }
    }
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

/// What servers report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Observations {
    /// The share of requests reported as rows, in percent. The shadow's sample lies within it.
    pub row_percent: f64,
    /// Seconds that tallies may be late before the watermark passes them.
    pub lateness_seconds: u32,
    /// Input columns that are never stored.
    pub drop_columns: Vec<String>,
    /// Principals that may report for this model: the role ids (`AROA…`) or user ids of its data planes and label sources.
    /// Empty: whoever the queue's own policy lets in.
    pub senders: Vec<String>,
}

impl Default for Observations {
    fn default() -> Self {
        Self { row_percent: 100.0, lateness_seconds: 10, drop_columns: Vec::new(), senders: Vec::new() }
    }
}

impl Policy {
    /// The share of observations that servers report as rows.
    #[must_use]
    pub fn row_share(&self) -> Weight {
        Weight::from_percent(self.observations.row_percent).unwrap_or(Weight::FULL)
    }

    /// The share of observations that the shadow replays.
    #[must_use]
    pub fn shadow_share(&self) -> Weight {
        if self.shadow.enabled {
            Weight::from_percent(self.shadow.sample_percent).unwrap_or(Weight::ZERO)
        } else {
            Weight::ZERO
        }
    }

    /// All columns that name segments: `segments` and `protected`, each once.
    #[must_use]
    pub fn segment_columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for column in self.segments.iter().chain(&self.protected) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        columns
    }
}

//! The rules of one model: what is compared, by which margins, who decides, how traffic shifts.
//!
//! A policy is JSON (or YAML at the command line), versioned and hashed. Every field has a default, unknown fields are
//! refused, and [`Policy::check`] reports every defect at once.

mod busy;
mod canary;
mod check;
mod explanations;
mod hooks;
mod inventory;
mod length;
mod margin;
mod metrics;
mod notify;
mod people;
mod retention;
mod target;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compliance::ProfileName;
use crate::route::Weight;
use crate::verdict::{Direction, MetricClass};

pub use busy::{BusyMode, LONGEST_WAIT_SECONDS, WhenBusy};
pub use canary::{
    ACCURACY, Absent, Canary, CanaryMetric, ERROR_RATE, LATENCY_P99, NotYetKnown, OUTPUT_DISTRIBUTION,
    SLICE_SECONDS, Unit,
};
pub(crate) use check::is_address;
pub use check::{Defect, MAX_CANARY_SECONDS};
pub use explanations::Explanations;
pub use hooks::IntegrationCheck;
pub use inventory::{Inventory, Risk};
pub use margin::Margin;
pub use metrics::{OFFLINE_METRICS, SHADOW_METRICS, applies, fairness_metrics};
pub use notify::{Notify, TOPIC_PREFIX, Webhook, WebhookFormat};
pub use people::{Approver, Delegation, Person, Role, mailbox};
pub use retention::{After, Retention};
pub use target::{HttpTarget, LambdaAlias, OWNER_TAG, SagemakerEndpoint, Target};

/// The rules of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The version of this format: 1.
    pub schema: u32,
    /// The compliance profile that promotions of the model are held to.
    #[serde(skip_serializing_if = "ProfileName::is_default")]
    pub profile: ProfileName,
    /// The model's entry in the inventory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// How long the evidence of promotions is kept, in days; as long as the profile says where it is not given, and never
    /// shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_retention_days: Option<u32>,
    /// What the model decides and what a wrong answer costs, in the owner's words: people read it before they decide. It
    /// judges nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// What the model answers: `binary`, `multiclass` or `regression`; others are refused.
    pub task: Task,
    /// For `binary`: the class whose probability scores are about. Default: the last class of `config.yaml`.
    pub positive_class: Option<String>,
    /// For `binary`: the probability of the positive class at which the application acts. Requests that cross it between the
    /// versions are counted.
    pub decision_threshold: Option<f64>,
    /// For `regression`: how far two answers may be apart and still agree.
    pub tolerance: Margin,
    /// Input columns whose values name segments.
    pub segments: Vec<String>,
    /// Input or benchmark columns that are protected attributes. Each is a segment too.
    pub protected: Vec<String>,
    /// Segments that must be judged, as `column=value`. One that is too small is inconclusive.
    pub named_segments: Vec<String>,
    /// The fewest rows a segment needs to be judged.
    pub segment_min_n: u64,
    /// What is known about labels.
    pub labels: Labels,
    /// Programs that try the packaged version.
    pub checks: Vec<IntegrationCheck>,
    /// Rules of the held-out benchmark.
    pub offline: Offline,
    /// Which columns answers rest on; not looked at where this is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanations: Option<Explanations>,
    /// Rules of the shadow.
    pub shadow: Shadow,
    /// The people of the model and their roles.
    pub people: Vec<Person>,
    /// Who decides, and how.
    pub approval: Approval,
    /// Who is told of what happens.
    pub notify: Notify,
    /// How traffic shifts.
    pub canary: Canary,
    /// Who splits traffic; servers that read the route where this is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What servers report.
    pub observations: Observations,
    /// How long versions that are out of use are kept.
    #[serde(skip_serializing_if = "Retention::is_default")]
    pub retention: Retention,
    /// What becomes of a promotion whose model another one holds.
    #[serde(skip_serializing_if = "WhenBusy::is_default")]
    pub when_busy: WhenBusy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            schema: 1,
            profile: ProfileName::Default,
            inventory: None,
            evidence_retention_days: None,
            context: String::new(),
            task: Task::Binary,
            positive_class: None,
            decision_threshold: None,
            tolerance: Margin::Relative(0.01),
            segments: Vec::new(),
            protected: Vec::new(),
            named_segments: Vec::new(),
            segment_min_n: 200,
            labels: Labels::default(),
            checks: Vec::new(),
            offline: Offline::default(),
            explanations: None,
            shadow: Shadow::default(),
            people: Vec::new(),
            approval: Approval::default(),
            notify: Notify::default(),
            canary: Canary::default(),
            target: None,
            observations: Observations::default(),
            retention: Retention::default(),
            when_busy: WhenBusy::default(),
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
    /// Metrics by name, of [`OFFLINE_METRICS`].
    pub metrics: BTreeMap<String, MetricRule>,
    /// Metrics in which the challenger must be better for an approval without people.
    pub tracked: Vec<String>,
    /// The fewest benchmark rows for any verdict but inconclusive.
    pub min_n: u64,
}

impl Default for Offline {
    fn default() -> Self {
        Self { metrics: metrics::offline(), tracked: Vec::new(), min_n: 200 }
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
    /// Metrics by name, of [`SHADOW_METRICS`].
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
        Self {
            enabled: true,
            sample_percent: 10.0,
            window_seconds: 86_400,
            max_seconds: 7 * 86_400,
            min_pairs: 1_000,
            min_per_class: 50,
            metrics: metrics::shadow(),
            min_fidelity: 0.99,
            abort_error_rate: 0.2,
            abort_min_pairs: 50,
            partitions: 64,
        }
    }
}

/// What is known about labels, and when they count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Labels {
    /// Label metrics use requests that are older than this, in seconds: labels of younger ones may still come.
    pub maturity_seconds: u32,
    /// Whether labels come only for some answers (a loan that was granted). Label metrics are then shown, never judged.
    pub selected: bool,
    /// The largest difference of label coverage between answers, arms or segments at which label metrics are judged, in points
    /// of a share.
    pub max_coverage_gap: f64,
}

impl Default for Labels {
    fn default() -> Self {
        Self { maturity_seconds: 0, selected: false, max_coverage_gap: 0.1 }
    }
}

/// Who decides, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Whether people must decide.
    pub mode: ApprovalMode,
    /// Who may decide: short for people with the role `approver`.
    pub approvers: Vec<Approver>,
    /// Approvers' rights that others hold for a time.
    pub delegations: Vec<Delegation>,
    /// How many different people must approve.
    pub quorum: u32,
    /// Whether submitter and approver must differ. Then a link alone cannot decide: a login is needed.
    pub separation_of_duties: bool,
    /// Seconds until an undecided gate expires.
    pub expires_seconds: u32,
    /// For `auto_unless_blocked`: how long people have to block an approval that would come by itself, in seconds.
    pub window_seconds: u32,
    /// When people are reminded: seconds before the end of the window, or else before the gate expires. Those longer than the
    /// whole time are passed over.
    pub reminders_seconds: Vec<u32>,
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            mode: ApprovalMode::Required,
            approvers: Vec::new(),
            delegations: Vec::new(),
            quorum: 1,
            separation_of_duties: true,
            expires_seconds: 3 * 86_400,
            window_seconds: 2 * 86_400,
            reminders_seconds: vec![86_400, 7_200],
        }
    }
}

/// Whether people must decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// Always.
    Required,
    /// Unless every tracked metric is surely better, everybody was told, and nobody blocked it in time.
    AutoUnlessBlocked,
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

    /// The canary's rules as one judgement applies them. Where something else splits the traffic each look judges twice, over everything
    /// that was reported and over what callers met, so each judgement has half of alpha.
    #[must_use]
    pub fn judged_canary(&self) -> Cow<'_, Canary> {
        match &self.target {
            None => Cow::Borrowed(&self.canary),
            Some(_) => Cow::Owned(Canary { alpha: self.canary.alpha / 2.0, ..self.canary.clone() }),
        }
    }

    /// The share of observations that are still replayed during the canary.
    #[must_use]
    pub fn canary_shadow(&self) -> Weight {
        if self.shadow.enabled {
            Weight::from_percent(self.canary.shadow_percent).unwrap_or(Weight::ZERO)
        } else {
            Weight::ZERO
        }
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

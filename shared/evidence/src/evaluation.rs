//! The evaluation document: smoke test and benchmark of a challenger beside the champion.

use std::collections::BTreeMap;

use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionRef};
use seatrial_domain::verdict::Verdict;
use seatrial_stats::confusion::ClassScores;
use seatrial_stats::fairness::GroupRates;
use serde::{Deserialize, Serialize};

use crate::charts::ChartData;
use crate::drift::Profile;
use crate::explanations::ExplanationFacts;
use crate::report::{MetricRow, OfflineFacts};

/// The evaluation of a challenger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// 1.
    pub schema: u32,
    /// The model.
    pub model: ModelName,
    /// The promotion.
    pub promotion: PromotionId,
    /// What was evaluated.
    pub challenger: VersionRef,
    /// What it was compared with.
    pub champion: Option<VersionRef>,
    /// The SHA-256 of the policy whose margins were used.
    pub policy: Digest,
    /// Whether the model had no champion.
    pub first: bool,
    /// The worst of the guardrail rows.
    pub verdict: Verdict,
    /// The verdict in one sentence.
    pub why: String,
    /// The benchmark; none when the model has none.
    pub benchmark: Option<OfflineFacts>,
    /// The smoke test's row, then the metrics.
    pub rows: Vec<MetricRow>,
    /// The challenger on the benchmark.
    pub challenger_summary: Option<VersionSummary>,
    /// The champion on the benchmark.
    pub champion_summary: Option<VersionSummary>,
    /// What pictures of the benchmark are drawn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charts: Option<ChartData>,
    /// The distributions of the inputs that live traffic is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Profile>,
    /// Which columns answers rest on; none where the policy does not ask, or it could not be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanations: Option<ExplanationFacts>,
    /// What else a person who decides should know.
    pub notes: Vec<String>,
}

/// One version on the benchmark.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VersionSummary {
    /// Rows answered.
    pub answered: u64,
    /// Rows that failed, by kind; they count as wrong.
    pub errors: BTreeMap<String, u64>,
    /// Share of right answers.
    pub accuracy: Option<f64>,
    /// Unweighted mean of the classes' F1.
    pub macro_f1: Option<f64>,
    /// Precision, recall and F1 by class.
    pub classes: Vec<ClassScores>,
    /// `[truth, answer, rows]`.
    pub confusion: Vec<(String, String, u64)>,
    /// Rates by group of each protected column.
    pub groups: BTreeMap<String, Vec<GroupRates>>,
    /// Latency of single calls in microseconds: p50, p95, p99.
    pub latency_us: Option<[f64; 3]>,
    /// How far predicted numbers are from the truth; none for classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<ValueErrors>,
}

/// Errors of predicted numbers over the rows that were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ValueErrors {
    /// Root mean squared error, in the target's unit.
    pub rmse: Option<f64>,
    /// Mean absolute error, in the target's unit.
    pub mae: Option<f64>,
    /// Coefficient of determination; none for a constant target.
    pub r2: Option<f64>,
}

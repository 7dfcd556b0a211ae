//! What the report's charts are drawn from: a few points per series, never the evidence itself.
//!
//! Charts add nothing to a verdict, they show what the rows say. Differences with their intervals and segments are drawn
//! from the report's rows; what is here has no place in a row. Every number is finite, and a series holds at most
//! [`MAX_POINTS`] points, so that a report stays small enough to read.

use jiff::Timestamp;
use schemars::JsonSchema;
use seatrial_domain::verdict::{Direction, Verdict};
use serde::{Deserialize, Serialize};

use crate::report::{MetricGroup, MetricUnit};

/// The most points, bins or bars of one series.
pub const MAX_POINTS: usize = 64;

/// What the charts of a comparison report are drawn from. What there is no data for stays empty and is not drawn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChartData {
    /// Scores or values that both versions gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<ScoreDistribution>,
    /// How long both versions took.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<LatencyCurves>,
    /// Champion's answer by challenger's answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AnswerMatrix>,
    /// How far inputs or answers have moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftBars>,
    /// Whether scores mean what they say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
    /// Requests that change sides of a decision threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crossings: Vec<ThresholdCrossings>,
    /// Where labels have come, and where not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<LabelCoverage>,
    /// Which columns answers rest on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub importances: Vec<Importances>,
}

impl ChartData {
    /// Whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How much each column weighs in the answers of both versions (Shapley values).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Importances {
    /// What is explained, for example `class 1`.
    pub of: String,
    /// Benchmark rows that were explained.
    pub rows: u64,
    /// Rows of the background.
    pub background: u64,
    /// The columns, the one that weighs most with the challenger first.
    pub bars: Vec<ImportanceBar>,
    /// Columns of less weight that are left out.
    #[serde(default)]
    pub left_out: u64,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportanceBar {
    /// Its name.
    pub column: String,
    /// With the champion; none where the champion does not have it or is not explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<ImportancePoint>,
    /// With the challenger; none where the challenger does not have it or is not explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<ImportancePoint>,
}

/// A column's weight with one version.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportancePoint {
    /// Its mean absolute value as a share of the sum over all columns, from 0 to 1.
    pub share: f64,
    /// The 95 % interval of that share over the rows, the sum taken as it is.
    pub interval: [f64; 2],
    /// The mean absolute value in the version's own scale.
    pub mean_abs: f64,
    /// The values' 5 %, 25 %, 50 %, 75 % and 95 % quantiles over the rows, as shares of the same sum; none where several classes are explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<[f64; 5]>,
}

/// How often scores of each size were given, in the same bins for both versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoreDistribution {
    /// Which evidence it rests on.
    pub group: MetricGroup,
    /// What is counted, for example `score of class 1`.
    pub of: String,
    /// The bins' edges, ascending: one more than there are bins. What lies beyond an end is counted in the end's bin.
    pub edges: Vec<f64>,
    /// The champion's counts, one a bin; none without a champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<Vec<u64>>,
    /// The challenger's counts, one a bin.
    pub challenger: Vec<u64>,
    /// The decision threshold of the policy, in the scores' unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// Latency quantiles of both versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyCurves {
    /// Which evidence it rests on.
    pub group: MetricGroup,
    /// The champion; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<LatencyCurve>,
    /// The challenger.
    pub challenger: LatencyCurve,
    /// The largest relative error of a value, for example 0.01; none where values are exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
}

/// Latency quantiles of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyCurve {
    /// Requests that were timed.
    pub n: u64,
    /// Quantiles, ascending, from the median on; none that fewer than one request lies beyond.
    pub points: Vec<QuantilePoint>,
}

/// One quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuantilePoint {
    /// Its share, for example 0.99.
    pub q: f64,
    /// Its value in microseconds.
    pub us: f64,
}

/// How often each answer of the champion met each answer of the challenger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerMatrix {
    /// Which evidence it rests on.
    pub group: MetricGroup,
    /// The answers, in the order of rows and columns: the most frequent, and `(other)` for the rest.
    pub answers: Vec<String>,
    /// Counts: a row for each of the champion's answers, in it a column for each of the challenger's, and one last column for
    /// requests that the challenger failed.
    pub counts: Vec<Vec<u64>>,
}

/// How far each feature has moved, as an effect size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriftBars {
    /// What moved, for example `live requests`.
    pub current: String,
    /// From what, for example `the benchmark`.
    pub reference: String,
    /// The effect size's name, for example `PSI, bias-corrected`.
    pub measure: String,
    /// One bar a feature, the largest effect first.
    pub bars: Vec<DriftBar>,
    /// Features with smaller effects that are left out.
    #[serde(default)]
    pub left_out: u64,
}

/// One feature's drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriftBar {
    /// The feature.
    pub feature: String,
    /// The effect size; a bias-corrected one may be a little below zero.
    pub effect: f64,
    /// Its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// How large it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Values of the moved side.
    pub n: u64,
    /// What is said of it.
    #[schemars(with = "crate::report::form::Verdict")]
    pub verdict: Verdict,
}

/// Scores against what then was true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// Which evidence it rests on.
    pub group: MetricGroup,
    /// Whose score, for example `class 1`.
    pub of: String,
    /// The champion; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<CalibrationCurve>,
    /// The challenger.
    pub challenger: CalibrationCurve,
}

/// One version's calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationCurve {
    /// Its bins that are not empty, ascending.
    pub bins: Vec<CalibrationBin>,
    /// The slope of the truth on the score's logit: 1 where scores are as sure as they may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slope: Option<f64>,
    /// The intercept of the same: 0 where scores are neither too high nor too low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intercept: Option<f64>,
}

/// One bin of scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationBin {
    /// The mean score, from 0 to 1.
    pub score: f64,
    /// The share that was true, from 0 to 1.
    pub share: f64,
    /// The share's interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// Rows in the bin.
    pub n: u64,
}

/// Requests that lie on the other side of a decision threshold with the challenger than with the champion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdCrossings {
    /// Which evidence it rests on.
    pub group: MetricGroup,
    /// What is compared with the threshold, for example `score of class 1`.
    pub of: String,
    /// The threshold.
    pub threshold: f64,
    /// Requests with both scores.
    pub n: u64,
    /// Those below it with the champion, and not below it with the challenger.
    pub up: u64,
    /// Those not below it with the champion, and below it with the challenger.
    pub down: u64,
}

/// For how many requests the truth is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelCoverage {
    /// What the bars part the requests by, for example `arm`, `champion's answer` or `segment region`.
    pub by: String,
    /// One bar a part.
    pub bars: Vec<CoverageBar>,
}

/// The label coverage of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageBar {
    /// The part.
    pub name: String,
    /// Requests old enough for their label to be there.
    pub mature: u64,
    /// Those of them that have it.
    pub labelled: u64,
}

/// A canary over time, as each look found it. It is no part of the comparison report, which is older.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryChart {
    /// When the first step began; the times below are seconds since then.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// The steps, in order.
    pub steps: Vec<CanaryBand>,
    /// When the last look was, in seconds.
    pub until: f64,
    /// Evidence of harm, one sequence a guardrail (or signal).
    pub evidence: Vec<EvidenceSequence>,
    /// Differences of canary and champion within the steps, with their always-valid bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<DifferenceSequence>,
}

/// A step of the canary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryBand {
    /// When it began, in seconds.
    pub since: f64,
    /// The challenger's share of the traffic in per cent.
    pub weight: f64,
}

/// One guardrail's evidence of harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceSequence {
    /// The guardrail, for example `errors`.
    pub name: String,
    /// Natural logarithm of the e-value at which it rejects: ln(1/alpha) of this guardrail.
    pub threshold: f64,
    /// The looks, in order of time.
    pub looks: Vec<EvidenceLook>,
}

/// The evidence at one look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceLook {
    /// When, in seconds.
    pub at: f64,
    /// Natural logarithm of the e-value.
    pub log_e: f64,
}

/// One metric's difference over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceSequence {
    /// The metric, for example `error_rate`.
    pub name: String,
    /// Its unit.
    #[serde(default)]
    pub unit: MetricUnit,
    /// Which way is better.
    #[schemars(with = "crate::report::form::Direction")]
    pub direction: Direction,
    /// How much worse the canary may be, in the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The looks, in order of time.
    pub looks: Vec<DifferenceLook>,
}

/// The difference at one look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceLook {
    /// When, in seconds.
    pub at: f64,
    /// Canary minus champion.
    pub estimate: f64,
    /// The lower bound that holds at every look; none where the bound is one-sided, or not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// The upper bound that holds at every look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
}

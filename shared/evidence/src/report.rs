//! The comparison report: one JSON document that the review page, the command line and the audit are views of.
//!
//! Its JSON Schema is published as `docs/schemas/comparison-report.schema.json`. Fields that a reader does not know are
//! passed over, so a later release may add some under the same schema number.

use jiff::Timestamp;
use schemars::JsonSchema;
use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionRef};
use seatrial_domain::policy::Margin;
use seatrial_domain::promotion::{Automatic, Bypass, EvidenceRef};
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use serde::{Deserialize, Serialize};

/// The schema number of the report.
pub const SCHEMA: u32 = 1;

/// What a challenger was found to be beside the champion, and on which evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Seatrial comparison report")]
pub struct ComparisonReport {
    /// 1.
    pub schema: u32,
    /// The model.
    #[schemars(with = "String")]
    pub model: ModelName,
    /// The promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// The epoch the promotion holds.
    pub epoch: u64,
    /// The candidate.
    #[schemars(with = "form::Version")]
    pub challenger: VersionRef,
    /// What it is compared with; none for a model's first version.
    #[schemars(with = "Option<form::Version>")]
    pub champion: Option<VersionRef>,
    /// When the report was made, RFC 3339.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// Whether the evidence was still coming in. An interim report is never a pass.
    #[serde(default)]
    pub interim: bool,
    /// The worst verdict of the guardrail rows, and of what the report itself had to note.
    #[schemars(with = "form::Verdict")]
    pub verdict: Verdict,
    /// The verdict in one sentence.
    pub why: String,
    /// The metrics: the whole first, then segments.
    pub rows: Vec<MetricRow>,
    /// The held-out benchmark; none when the model has no benchmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineFacts>,
    /// The shadow; none when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowFacts>,
    /// The frozen list of inputs: key, version and SHA-256 of every object the shadow's rows rest on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Object>")]
    pub inputs: Option<EvidenceRef>,
    /// Smoke test and benchmark, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Object>")]
    pub evaluation: Option<EvidenceRef>,
    /// Which columns answers rest on; none where the policy does not ask, or it could not be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanations: Option<crate::explanations::ExplanationFacts>,
    /// The SHA-256 of the policy whose margins were used.
    #[schemars(with = "String")]
    pub policy: Digest,
    /// What the report's pictures are drawn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charts: Option<crate::charts::ChartData>,
    /// What else a person who decides should know, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Stages that an operator had skipped in an emergency when the report was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<form::Bypass>")]
    pub bypasses: Vec<Bypass>,
    /// Whether the evidence allows an approval that comes by itself unless blocked; none where the policy asks for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Automatic>")]
    pub automatic: Option<Automatic>,
}

/// One metric, judged by one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricRow {
    /// Which evidence it rests on.
    pub group: MetricGroup,
    /// The metric, for example `accuracy`.
    pub name: String,
    /// The segment as `column=value`; none for the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// The unit of the values.
    #[serde(default)]
    pub unit: MetricUnit,
    /// The champion's value; none without a champion, or without data.
    pub champion: Option<f64>,
    /// The challenger's value; none without data.
    pub challenger: Option<f64>,
    /// Challenger minus champion.
    pub delta: Option<f64>,
    /// The interval of `delta` (of the challenger's own value where there is no champion): lower and upper end.
    pub interval: Option<[f64; 2]>,
    /// The confidence of `interval`, for example 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// How many rows or pairs the metric rests on.
    pub n: u64,
    /// How many it needs before it is judged, where it has too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_needed: Option<u64>,
    /// How much worse the challenger may be: a number in the metric's unit, or a share of the champion's value such as
    /// `"50%rel"`. None for a row that has no margin.
    #[schemars(with = "Option<form::Margin>")]
    pub margin: Option<Margin>,
    /// The absolute limit that must be met, where the policy sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Which way is better.
    #[schemars(with = "form::Direction")]
    pub direction: Direction,
    /// What the row may cause.
    #[schemars(with = "form::MetricClass")]
    pub class: MetricClass,
    /// The verdict.
    #[schemars(with = "form::Verdict")]
    pub verdict: Verdict,
    /// Statistic, n, estimate, interval and margin in one sentence.
    pub why: String,
}

/// Which evidence a metric rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricGroup {
    /// The held-out benchmark.
    Offline,
    /// Programs of the model's owner that tried the packaged version.
    Check,
    /// Pairs of answers to live requests.
    Shadow,
    /// What the canary will be able to detect.
    Plan,
}

/// The unit of a metric's values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricUnit {
    /// A plain number, such as log loss.
    #[default]
    Number,
    /// A share from 0 to 1, such as accuracy.
    Share,
    /// Microseconds.
    Microseconds,
}

/// What is known about the benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OfflineFacts {
    /// The SHA-256 of the benchmark's file.
    #[schemars(with = "String")]
    pub benchmark: Digest,
    /// When it became the model's benchmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub set_at: Option<Timestamp>,
    /// Its rows.
    pub rows: u64,
    /// How many candidates it has judged, this one included: the more, the less a small lead on it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_candidates: Option<u64>,
    /// How far live traffic has moved from it, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_shift: Option<String>,
}

/// What is known about the shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShadowFacts {
    /// When sampling began.
    #[schemars(with = "String")]
    pub opened_at: Timestamp,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
    /// Whether a person ended it early.
    #[serde(default)]
    pub stopped_early: bool,
    /// Pairs, each counted once.
    pub pairs: u64,
    /// Pairs that came more than once and were counted once.
    #[serde(default)]
    pub duplicates: u64,
    /// Whether the replayed champion answers what the champion really answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// The share of pairs in which both gave the same answer.
    pub agreement: Option<f64>,
    /// Why agreement is 100 %, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_of_full_agreement: Option<FullAgreement>,
    /// How answers differ, the most frequent first.
    #[serde(default)]
    pub disagreement: Vec<Disagreement>,
}

/// How often a replay of the champion gave the answer that was really served.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fidelity {
    /// Replays that could be checked.
    pub n: u64,
    /// The share of them that agreed, from 0 to 1.
    pub share: f64,
}

/// Why two versions agreed on everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FullAgreement {
    /// They are the same bytes.
    SameDigest,
    /// The traffic asked for one answer only.
    OneSidedTraffic,
    /// They agree on traffic that asks for several answers.
    TrulyEqual,
}

/// Pairs in which the versions gave different answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disagreement {
    /// The champion's answer.
    pub champion: String,
    /// The challenger's answer; none where it failed.
    pub challenger: Option<String>,
    /// How many pairs.
    pub n: u64,
}

/// The JSON forms of the domain's types. The domain itself knows no schemas; the report's tests hold both together.
pub(crate) mod form {
    #![allow(dead_code, reason = "only the schema of these types is used")]
    use schemars::JsonSchema;

    /// A version by both its names.
    #[derive(JsonSchema)]
    pub(crate) struct Version {
        /// `v<n>`.
        #[schemars(regex(pattern = r"^v[1-9][0-9]*$"))]
        version: String,
        /// `sha256:<64 hexadecimal digits>` of its OCI image manifest.
        #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
        digest: String,
    }

    /// An immutable object of the evidence bucket.
    #[derive(JsonSchema)]
    pub(crate) struct Object {
        /// Its key.
        key: String,
        /// The SHA-256 of its bytes.
        #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
        digest: String,
    }

    /// A stage that was skipped in an emergency.
    #[derive(JsonSchema)]
    pub(super) struct Bypass {
        /// What was skipped.
        stage: Stage,
        /// Who skipped it.
        by: Actor,
        /// When, RFC 3339.
        at: String,
        /// Why, in their words.
        reason: String,
    }

    /// A stage of a promotion.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "snake_case")]
    pub(super) enum Stage {
        Shadow,
        Approval,
        Canary,
    }

    /// Who did something, and how we know.
    #[derive(JsonSchema)]
    pub(super) struct Actor {
        /// The principal.
        principal: String,
        /// How it was authenticated: iam, oidc, link, system or local.
        auth: String,
    }

    /// Whether the evidence allows an approval that comes by itself.
    #[derive(JsonSchema)]
    pub(super) struct Automatic {
        /// Whether it does.
        eligible: bool,
        /// Why, or everything that stands against it.
        why: Vec<String>,
    }

    /// From good to bad: pass, inconclusive, fail.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "snake_case")]
    pub(crate) enum Verdict {
        Pass,
        Inconclusive,
        Fail,
    }

    /// What a row may cause: only guardrails combine into the verdict.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "snake_case")]
    pub(super) enum MetricClass {
        Guardrail,
        Signal,
        Info,
    }

    /// Which way is better.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "snake_case")]
    pub(crate) enum Direction {
        HigherIsBetter,
        LowerIsBetter,
    }

    /// A number in the metric's unit, or a share of the champion's value such as "50%rel".
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    pub(super) enum Margin {
        Number(f64),
        Text(String),
    }
}

//! One run of the pipeline for one challenger.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::adoption::Adoption;
use crate::compliance::ProfileName;
use crate::head::{BenchmarkRef, PolicyRef};
use crate::ids::{Actor, Digest, GateId, ModelName, PromotionId, VersionRef};
use crate::verdict::Verdict;

/// How a promotion stands. Whether the model is locked is this and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromotionStatus {
    /// It holds the model.
    Running,
    /// The challenger became champion.
    Crowned,
    /// It ended before any caller saw the challenger.
    Rejected,
    /// It ended after callers saw the challenger, or an operator ended it.
    Aborted,
    /// There was none: the version served already and was adopted as champion.
    Adopted,
}

impl PromotionStatus {
    /// The word in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Crowned => "crowned",
            Self::Rejected => "rejected",
            Self::Aborted => "aborted",
            Self::Adopted => "adopted",
        }
    }
}

/// What the registry keeps about a promotion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromotionRecord {
    /// Its name.
    pub id: PromotionId,
    /// The model.
    pub model: ModelName,
    /// What is promoted.
    pub challenger: VersionRef,
    /// The champion it is compared with; none for the first version.
    pub champion: Option<VersionRef>,
    /// How it stands.
    pub status: PromotionStatus,
    /// The epoch it holds; every write it makes is conditional on it.
    pub epoch: u64,
    /// The policy whose thresholds are pinned for it.
    pub policy: PolicyRef,
    /// The compliance profile of that policy: it holds for the whole promotion, whatever policy comes into force meanwhile.
    #[serde(default, skip_serializing_if = "ProfileName::is_default")]
    pub profile: ProfileName,
    /// The benchmark that is pinned for it.
    pub benchmark: Option<BenchmarkRef>,
    /// Who asked for it.
    pub requested_by: Actor,
    /// The Step Functions execution that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it ended, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The evidence so far, by kind.
    pub evidence: BTreeMap<EvidenceKind, EvidenceRef>,
    /// The verdict of the comparison report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The approval gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateId>,
    /// When the shadow opened and closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowTimes>,
    /// The canary steps taken so far.
    #[serde(default)]
    pub steps: Vec<CanaryStep>,
    /// Whether the evidence manifest of the ended promotion is written.
    #[serde(default)]
    pub attested: bool,
    /// Whether the report's evidence would allow an approval without people, where the policy grants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<Automatic>,
    /// Stages that an operator skipped in an emergency.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bypasses: Vec<Bypass>,
    /// What was said by whoever adopted the version; none for every promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
}

impl PromotionRecord {
    /// The bypass of `stage`, if an operator skipped it.
    #[must_use]
    pub fn bypass(&self, stage: Stage) -> Option<&Bypass> {
        self.bypasses.iter().find(|b| b.stage == stage)
    }
}

/// Whether the evidence allows an approval that comes by itself unless somebody blocks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Automatic {
    /// Whether it does.
    pub eligible: bool,
    /// Why, or everything that stands against it: a sentence each.
    pub why: Vec<String>,
}

/// A stage that an emergency can skip. Evaluation and a failing verdict cannot be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The shadow.
    Shadow,
    /// The approval by people.
    Approval,
    /// The steps of the canary.
    Canary,
}

impl Stage {
    /// The word in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Approval => "approval",
            Self::Canary => "canary",
        }
    }
}

/// A stage that was skipped, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// What was skipped.
    pub stage: Stage,
    /// Who skipped it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why, in their words. Never empty.
    pub reason: String,
}

/// The times of a promotion's shadow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowTimes {
    /// When sampling began.
    pub opened_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// Whether a person ended it early.
    #[serde(default)]
    pub stopped_early: bool,
}

/// One step of the canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryStep {
    /// The challenger's share in this step.
    pub weight: crate::route::Weight,
    /// When the step began.
    pub at: Timestamp,
}

/// The kinds of evidence a promotion collects. Each names one object that decisions rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// Smoke test and benchmark of champion and challenger.
    Evaluation,
    /// The frozen list of inputs of the comparison.
    Inputs,
    /// The comparison report.
    Report,
    /// The decision at the gate.
    Decision,
    /// The last health judgement of the canary.
    Canary,
    /// The manifest over all evidence.
    Manifest,
    /// The audit document.
    Document,
}

impl EvidenceKind {
    /// Whether it is made of all other evidence, and so is no part of it.
    #[must_use]
    pub const fn is_made_of_the_rest(self) -> bool {
        matches!(self, Self::Manifest | Self::Document)
    }

    /// Whether the first one that is recorded stays. It is measured or listed at a moment, and another one made at another moment is not
    /// the same; and what comes later is made of it.
    #[must_use]
    pub const fn stays(self) -> bool {
        matches!(self, Self::Evaluation | Self::Inputs)
    }
}

/// The folder of a promotion's evidence in the evidence bucket.
#[must_use]
pub fn evidence_prefix(model: &ModelName, promotion: &PromotionId) -> String {
    format!("evidence/model={model}/promotion={promotion}/")
}

/// An immutable object in the evidence bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceRef {
    /// Its key.
    pub key: String,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
}

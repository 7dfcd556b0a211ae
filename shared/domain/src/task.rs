//! What the state machines send to the functions and get back.
//!
//! Payloads are small (names, digests, keys) and carry a schema number, so that an upgrade never breaks a running
//! promotion. Evidence travels through S3.

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::ids::{Actor, ModelName, PromotionId, VersionName};
use crate::route::Weight;
use crate::verdict::Verdict;

/// The schema number of every payload here.
pub const SCHEMA: u32 = 1;

/// Where a submission lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRef {
    /// The submissions bucket.
    pub bucket: String,
    /// The folder, with a trailing `/`: `submissions/<model>/<id>/`.
    pub prefix: String,
}

/// The input of `promotion.asl.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionInput {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The model.
    pub model: ModelName,
    /// The promotion's name, made by whoever starts it.
    pub promotion: PromotionId,
    /// What to package: a folder in the submissions bucket, or nothing when `artifact` or `version` names what to promote.
    #[serde(default)]
    pub submission: Option<SubmissionRef>,
    /// What to package: an archive that a training job left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactRef>,
    /// A version that is packaged already.
    #[serde(default)]
    pub version: Option<VersionName>,
    /// Who asked.
    pub requested_by: Actor,
    /// Stages to skip from the start, in an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Emergency>,
    /// Whether it stood in line before. Then it goes on only from its place there, and joins no line anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waited: bool,
}

/// A promotion that skips stages from its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// What is skipped.
    pub skip: Vec<crate::promotion::Stage>,
    /// Why, in their words.
    pub reason: String,
}

/// The input of `package`: [`PromotionInput`] and the execution's ARN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageTask {
    /// What to promote.
    #[serde(flatten)]
    pub input: PromotionInput,
    /// `$states.context.Execution.Id`.
    pub execution: String,
    /// Whether the state machine knows what to do with [`InLine`]. One from before there was a line does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_wait: bool,
}

/// What `package` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Packaged {
    /// The promotion waits for its model.
    InLine(Box<InLine>),
    /// The model is taken.
    Taken(Taken),
}

impl Packaged {
    /// What took the model, where the promotion does not wait.
    #[must_use]
    pub fn taken(self) -> Option<Taken> {
        match self {
            Self::Taken(taken) => Some(taken),
            Self::InLine(_) => None,
        }
    }
}

/// The promotion waits: its execution asks again later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InLine {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Seconds until it should ask again.
    pub wait_seconds: u32,
    /// With what: the same promotion of the version that is packaged by now.
    pub again: PromotionInput,
}

/// What the state machine carries as `$held` from the answer of `package` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The model.
    pub model: ModelName,
    /// The promotion.
    pub promotion: PromotionId,
    /// The epoch it holds.
    pub epoch: u64,
    /// What it promotes.
    pub version: VersionName,
}

/// What took the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The promotion, or the adoption in its place.
    #[serde(flatten)]
    pub held: Held,
    /// Whether the version was adopted as champion: nothing is left to do but to attest it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

/// The answer of `evaluate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The verdict of smoke test and benchmark; `Fail` ends the promotion.
    pub verdict: Verdict,
    /// Whether the policy asks for a shadow (and the model has a champion whose traffic can be shadowed).
    pub shadow: bool,
    /// Whether this is the model's first version: there is nothing to compare with and no canary, a gate always.
    pub first: bool,
    /// One sentence.
    pub why: String,
}

/// The input of `shift`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftTask {
    /// The promotion.
    #[serde(flatten)]
    pub held: Held,
    /// What to do.
    pub action: ShiftAction,
    /// For `canary_step`: which step of the policy, from 0.
    #[serde(default)]
    pub step: u32,
}

/// What `shift` can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftAction {
    /// Put the challenger on the route at weight 0 and begin sampling.
    OpenShadow,
    /// End the sampling.
    CloseShadow,
    /// Give the challenger the share of a canary step.
    CanaryStep,
}

/// The answer of `shift`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shifted {
    /// The challenger's share now.
    pub weight: Weight,
    /// How many steps the policy has.
    pub steps: u32,
    /// Seconds until `health` should look for the first time.
    pub wait_seconds: u32,
}

/// The input of `compare`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareTask {
    /// The promotion.
    #[serde(flatten)]
    pub held: Held,
    /// What to do.
    pub action: CompareAction,
    /// For `summarise`: which partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u16>,
}

/// What `compare` can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareAction {
    /// Is the shadow's evidence enough? Changes nothing.
    CheckShadow,
    /// Wait for the watermark and freeze the list of inputs.
    Freeze,
    /// Count one partition of the frozen inputs, for a report over very many pairs.
    Summarise,
    /// Write the report over the frozen inputs.
    Report,
}

/// The answer of `compare` to `check_shadow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowCheck {
    /// `enough`, `more`, `exhausted` (the longest duration is over) or `abort` (the challenger fails too often).
    pub state: ShadowState,
    /// Seconds until the next look.
    pub wait_seconds: u32,
    /// One sentence: n seen, n needed.
    pub why: String,
}

/// Whether a shadow has seen enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowState {
    /// Time is up and all minimums are met.
    Enough,
    /// Not yet.
    More,
    /// The longest duration is over.
    Exhausted,
    /// The challenger fails too often to go on.
    Abort,
}

/// The answer of `compare` to `freeze`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Whether the watermark has passed the end of the shadow and the list is written.
    pub frozen: bool,
    /// Seconds until it is worth asking again.
    pub wait_seconds: u32,
    /// The partitions that are to be counted one by one before the report, where there are very many pairs; else none.
    #[serde(default)]
    pub parts: Vec<u16>,
}

/// The answer of `compare` to `summarise`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summarised {
    /// The partition.
    pub part: u16,
    /// Pairs in it, each once.
    pub pairs: u64,
}

/// The answer of `compare` to `report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The verdict of the report: `fail` ends the promotion; anything else goes to the approval gate.
    pub verdict: Verdict,
    /// One sentence.
    pub why: String,
    /// How long the approval's wait may last before `gate` looks at it again, in seconds.
    #[serde(default = "longest_wait")]
    pub approval_wait_seconds: u32,
}

/// The longest wait for an approval, in seconds: it lies beyond every expiry that a policy may set.
pub const LONGEST_WAIT_SECONDS: u32 = 26_000_000;

const fn longest_wait() -> u32 {
    LONGEST_WAIT_SECONDS
}

/// The input of `gate`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateTask {
    /// The promotion.
    #[serde(flatten)]
    pub held: Held,
    /// What to do.
    pub action: GateAction,
    /// For the `open` actions: the token to answer. Never logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_token: Option<String>,
}

impl std::fmt::Debug for GateTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateTask")
            .field("held", &self.held)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// What `gate` can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateAction {
    /// Open (or re-open with a new token) the wait for the shadow's end.
    OpenShadowWindow,
    /// The shadow's window timed out: what is the answer?
    CloseShadowWindow,
    /// Open (or re-open with a new token) the approval gate.
    OpenApproval,
    /// The approval's wait timed out: what is the answer?
    CloseApproval,
}

/// The answer of a gate: what the task token is answered with, and what the `close` actions return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateAnswer {
    /// How the gate ended.
    pub outcome: GateOutcome,
    /// One sentence, for the execution's history.
    pub why: String,
    /// With `pending`: seconds until it is worth asking again.
    #[serde(default)]
    pub wait_seconds: u32,
}

/// How a gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// In favour.
    Approved,
    /// Against.
    Rejected,
    /// Time ran out (for a shadow window: look at the evidence).
    Expired,
    /// A person ended the shadow early.
    Stopped,
    /// Not over yet: wait again with a new token.
    Pending,
}

/// The input of `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthTask {
    /// The promotion.
    #[serde(flatten)]
    pub held: Held,
    /// The step of the policy, from 0.
    pub step: u32,
}

/// The answer of `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// What the canary is.
    pub state: HealthState,
    /// Seconds until the next look.
    pub wait_seconds: u32,
    /// One sentence.
    pub why: String,
}

/// What a canary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// No guardrail rejected, and each is non-inferior or at its planned n.
    Healthy,
    /// A guardrail rejected.
    Degraded,
    /// Neither.
    NotYetKnown,
    /// Neither, at the longest hold.
    Exhausted,
    /// An operator skipped the canary in an emergency: it is not judged any further.
    Skipped,
}

/// The input of `crown` and `attest`: only the promotion.
pub type HeldTask = Held;

/// The input of `attest` by `sweep`: sign where the history of a model stands, though no promotion ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorTask {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The model.
    pub anchor: ModelName,
}

/// What `attest` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttestTask {
    /// A promotion that ended.
    Promotion(HeldTask),
    /// A history.
    Anchor(AnchorTask),
}

/// What `attest` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttestAnswer {
    /// To a promotion.
    Promotion(Attested),
    /// To a history.
    Anchor(Anchored),
}

/// Where a history was anchored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchored {
    /// The checkpoint's key in the evidence bucket; none where the model has no history.
    pub checkpoint: Option<String>,
}

/// The input of `rollback` from a state machine or an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackTask {
    /// The promotion that must still hold the model; a late call does nothing.
    #[serde(flatten)]
    pub held: Held,
    /// Why, in one sentence.
    pub reason: String,
}

/// The answer of `rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// How the promotion stands: `rejected`, `aborted`, or `crowned` when the crown came first.
    pub status: crate::promotion::PromotionStatus,
    /// Whether this call ended it.
    pub ended_now: bool,
    /// Why it ended.
    pub reason: String,
}

/// The answer of `crown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowned {
    /// The new champion.
    pub champion: VersionName,
    /// The new standby.
    pub standby: Option<VersionName>,
}

/// The answer of `attest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The manifest's key in the evidence bucket.
    pub manifest: String,
    /// How many objects it lists.
    pub objects: u64,
    /// How the promotion ended, for the state machine's last choice.
    pub status: crate::promotion::PromotionStatus,
}

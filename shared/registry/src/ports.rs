//! The ports: one capability each, so that a function's signature says what it may touch.
//!
//! Every read is strongly consistent, except [`Records::gates`], which reads the table's index.

use std::ops::Range;

use async_trait::async_trait;
use jiff::Timestamp;
use seatrial_domain::change::{Change, PolicyRecord};
use seatrial_domain::gate::{Capability, GateRecord, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::SubmissionId;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::submission::Announced;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{Digest, GateId, ModelName, PromotionId, VersionName};

use crate::error::{CommitError, StoreError};

/// Reading what the registry keeps about models.
#[async_trait]
pub trait Records: Send + Sync {
    /// The head of a model; `None` when there is no such model.
    async fn head(&self, model: &ModelName) -> Result<Option<Head>, StoreError>;
    /// One version.
    async fn version(
        &self,
        model: &ModelName,
        version: VersionName,
    ) -> Result<Option<VersionRecord>, StoreError>;
    /// All versions, oldest first.
    async fn versions(&self, model: &ModelName) -> Result<Vec<VersionRecord>, StoreError>;
    /// The version with these bytes.
    async fn version_by_digest(
        &self,
        model: &ModelName,
        digest: &Digest,
    ) -> Result<Option<VersionRecord>, StoreError>;
    /// One promotion.
    async fn promotion(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
    ) -> Result<Option<PromotionRecord>, StoreError>;
    /// All promotions of a model, in the order in which they started.
    async fn promotions(&self, model: &ModelName) -> Result<Vec<PromotionRecord>, StoreError>;
    /// One gate.
    async fn gate(&self, gate: &GateId) -> Result<Option<GateRecord>, StoreError>;
    /// Gates by status, oldest first. Read from an index that follows the table after a moment: for lists that people
    /// look at, never for a decision.
    async fn gates(&self, filter: &GateFilter) -> Result<Vec<GateRecord>, StoreError>;
    /// One policy of a model.
    async fn policy(&self, model: &ModelName, number: u32) -> Result<Option<PolicyRecord>, StoreError>;
    /// At most `limit` entries of a model's history after number `after_seq` (0: from the beginning), in order.
    async fn history(
        &self,
        model: &ModelName,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StoreError>;
    /// The names of all models, in alphabetical order.
    async fn models(&self) -> Result<Vec<ModelName>, StoreError>;
}

/// Which gates to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateFilter {
    /// How they stand.
    pub status: GateStatus,
    /// Whose; `None` for all models.
    pub model: Option<ModelName>,
}

impl GateFilter {
    /// The gates that wait for a decision.
    #[must_use]
    pub const fn pending() -> Self {
        Self { status: GateStatus::Pending, model: None }
    }
}

/// Committing changes. One call is one transaction.
#[async_trait]
pub trait Commits: Send + Sync {
    /// Writes a change wholly, or not at all. Committing the very same change again is `Ok` and writes nothing.
    async fn commit(&self, change: Change) -> Result<(), CommitError>;
}

/// Reading and committing: what the operations in [`crate::ops`] need.
pub trait Registry: Records + Commits {}
impl<R: Records + Commits + ?Sized> Registry for R {}

/// The task token of a waiting execution. It has no text form but [`TaskToken::expose`], so it comes into no log.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskToken(String);

impl TaskToken {
    /// Takes a token from a state machine's input.
    #[must_use]
    pub const fn new(token: String) -> Self {
        Self(token)
    }

    /// The token, for the call that answers it and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TaskToken(..)")
    }
}

/// The tokens of waiting executions. Only `gate` and `answer` have this port.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Keeps the token of a gate in the place of an earlier one. `expires_at` is when the table may forget it.
    async fn put_token(
        &self,
        gate: &GateId,
        token: &TaskToken,
        expires_at: Timestamp,
    ) -> Result<(), StoreError>;
    /// The token of a gate, if an execution waits.
    async fn token(&self, gate: &GateId) -> Result<Option<TaskToken>, StoreError>;
    /// Forgets `token` once it is answered; keeps a newer one that took its place meanwhile.
    async fn delete_token(&self, gate: &GateId, token: &TaskToken) -> Result<(), StoreError>;
}

/// The rights that links carry, by the SHA-256 of their random bits. One is used up by the change that decides.
#[async_trait]
pub trait Capabilities: Send + Sync {
    /// Keeps a new capability. An existing one with this hash stays as it is.
    async fn put_capability(&self, hash: &Digest, capability: &Capability) -> Result<(), StoreError>;
    /// A capability with what became of it.
    async fn capability(&self, hash: &Digest) -> Result<Option<Capability>, StoreError>;
    /// Takes a capability back. `false` when there is none.
    async fn revoke(&self, hash: &Digest) -> Result<bool, StoreError>;
}

/// The submissions that people announced before they uploaded them.
#[async_trait]
pub trait Submissions: Send + Sync {
    /// Keeps an announcement, unless its id was announced before. The answer is the one that is kept.
    async fn announce(&self, announced: &Announced) -> Result<Announced, StoreError>;
    /// The announcement of a submission, for the promotion that its completion asks for: the first one that takes it has it,
    /// and no other after it.
    async fn take_announced(
        &self,
        model: &ModelName,
        id: &SubmissionId,
        promotion: &PromotionId,
    ) -> Result<Option<Announced>, StoreError>;
    /// The announcement of a submission, whoever has taken it.
    async fn announced(&self, model: &ModelName, id: &SubmissionId) -> Result<Option<Announced>, StoreError>;
    /// The promotion that has taken an announcement; none while nobody has, and where there is no announcement.
    async fn taken_by(&self, model: &ModelName, id: &SubmissionId)
    -> Result<Option<PromotionId>, StoreError>;
}

/// One tally as the registry keeps it; the body belongs to the evidence crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TallyItem {
    /// The model.
    pub model: ModelName,
    /// The route's epoch that the tally counts.
    pub epoch: u64,
    /// The second it counts, in Unix time.
    pub second: i64,
    /// The side of the split, for example `challenger`.
    pub arm: String,
    /// Unique: the same tally sent twice has the same one.
    pub id: String,
    /// JSON.
    pub body: String,
    /// When the table may forget it.
    pub expires_at: Timestamp,
}

/// Counts from the data plane.
#[async_trait]
pub trait Tallies: Send + Sync {
    /// Keeps a tally. `false` when this tally was kept already: then nothing was written.
    async fn put_tally(&self, tally: &TallyItem) -> Result<bool, StoreError>;
    /// The tallies of an epoch that servers reported and whose second lies in `seconds`, by second, arm and id.
    async fn tallies(
        &self,
        model: &ModelName,
        epoch: u64,
        seconds: Range<i64>,
    ) -> Result<Vec<TallyItem>, StoreError> {
        self.tallies_of(model, epoch, "", seconds).await
    }
    /// The same of what is counted of a shadow: `arm` is [`SHADOW_ARM`](seatrial_domain::route::SHADOW_ARM) or
    /// [`SHADOW_SUM_ARM`](seatrial_domain::route::SHADOW_SUM_ARM). Any other arm stands for all that servers reported.
    async fn tallies_of(
        &self,
        model: &ModelName,
        epoch: u64,
        arm: &str,
        seconds: Range<i64>,
    ) -> Result<Vec<TallyItem>, StoreError>;
}

/// How far queues are surely drained.
#[async_trait]
pub trait Watermarks: Send + Sync {
    /// Everything sent to `queue` before this time has been taken in; `None` before the first report.
    async fn drained_at(&self, queue: &str) -> Result<Option<Timestamp>, StoreError>;
    /// Reports a watermark; an earlier one than the known changes nothing. Microseconds are kept.
    async fn set_drained_at(&self, queue: &str, at: Timestamp) -> Result<(), StoreError>;
}

/// What is known of a replay before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptState {
    /// Nobody tried before.
    First,
    /// It was tried before.
    Again {
        /// How often before this time.
        earlier: u32,
        /// Whether one of them came to its end. If not, they died: that is evidence.
        finished: bool,
    },
}

/// Markers of replays, written before a version runs, so that a crash leaves a trace.
#[async_trait]
pub trait Attempts: Send + Sync {
    /// Counts an attempt and says what came before it.
    async fn mark_attempt(
        &self,
        promotion: &PromotionId,
        observation_id: &str,
        expires_at: Timestamp,
    ) -> Result<AttemptState, StoreError>;
    /// Whether an attempt of this name came to its end. Counts none.
    async fn attempt_finished(
        &self,
        promotion: &PromotionId,
        observation_id: &str,
    ) -> Result<bool, StoreError>;
    /// Records that an attempt came to its end.
    async fn finish_attempt(&self, promotion: &PromotionId, observation_id: &str) -> Result<(), StoreError>;
}

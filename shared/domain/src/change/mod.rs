//! Everything that can happen to a model, each as one function from facts to a [`Change`].
//!
//! A change is committed in one transaction, conditional on the head's revision ([`crate::head::Head`]). On a conflict
//! the caller reads the facts again and asks the same function again: it may then refuse.

mod adopting;
mod canary;
mod emergency;
mod ending;
mod gates;
mod promoting;
mod retention;
mod settings;
mod waiting;

pub use adopting::adopt;
pub use canary::{bound_now, crown, end_holdback, shift};
pub use emergency::bypass;
pub use ending::{Running, end_promotion, retire, roll_back};
pub use gates::{
    GATE_MARKS, approve_automatically, approve_in_emergency, block_gate, close_gate, decide_gate, links_sent,
    open_gate, order_links, orphan_gate, remind_gate,
};
pub use promoting::{
    Request, attested, close_shadow, open_shadow, record_evidence, record_report, register_version,
    start_promotion,
};
pub use retention::{collect_version, finish_collection, resume_collection};
pub use settings::{Right, may_change_target, set_benchmark, set_policy};
pub use waiting::{leave_line, wait_for_model};

use jiff::Timestamp;
use serde_json::Value;

use crate::gate::{Bound, GateRecord};
use crate::head::Head;
use crate::history::{ChainTip, HistoryEntry};
use crate::ids::{Actor, Digest, GateId, PromotionId, VersionName};
use crate::policy::Policy;
use crate::promotion::PromotionRecord;
use crate::refusal::Refusal;
use crate::version::VersionRecord;

/// A policy as the registry keeps it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PolicyRecord {
    /// Its number and digest.
    pub reference: crate::head::PolicyRef,
    /// The rules.
    pub policy: Policy,
    /// Who set it.
    pub set_by: Actor,
    /// When.
    pub set_at: Timestamp,
}

/// What the registry must find at a gate for a change to be committed: the approval, enforced where the write happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionCheck {
    /// The gate, which must be `approved`.
    pub gate: GateId,
    /// The promotion it must belong to.
    pub promotion: PromotionId,
    /// The epoch it must belong to.
    pub epoch: u64,
    /// The digests it must bind.
    pub bound: Bound,
}

/// The claim of a digest: the same bytes are never two versions that can be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The digest.
    pub digest: Digest,
    /// The version that is to have it.
    pub version: VersionName,
    /// The collected version that has it until now. Condition: it is collected; where there is none, that nobody has it.
    pub of: Option<VersionName>,
}

/// A set of records that is written as one, or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The head to write. Condition: the stored revision is `head.revision - 1` (0 means: there is none).
    pub head: Head,
    /// The history entry to append. Condition: its place is free.
    pub entry: HistoryEntry,
    /// Versions to write.
    pub versions: Vec<VersionRecord>,
    /// A version's digest to claim.
    pub claim: Option<Claim>,
    /// A promotion to write.
    pub promotion: Option<PromotionRecord>,
    /// A gate to write.
    pub gate: Option<GateRecord>,
    /// A policy to add. Condition: its number is free.
    pub policy: Option<PolicyRecord>,
    /// An approval that must stand.
    pub approval: Option<DecisionCheck>,
    /// The link that decides, by the SHA-256 of its capability. Condition: unused, not revoked.
    pub use_capability: Option<Digest>,
}

/// What every change needs to know: the head it starts from, who, and when.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The head as read before everything else.
    pub head: &'a Head,
    /// Who does it.
    pub actor: &'a Actor,
    /// When, by the writer's clock.
    pub now: Timestamp,
}

/// Assembles a change: one more revision, one more history entry.
struct Draft {
    head: Head,
    actor: Actor,
    now: Timestamp,
    event: &'static str,
    promotion_id: Option<PromotionId>,
    version: Option<VersionName>,
    details: Value,
    change: Parts,
}

#[derive(Default)]
struct Parts {
    versions: Vec<VersionRecord>,
    claim: Option<Claim>,
    promotion: Option<PromotionRecord>,
    gate: Option<GateRecord>,
    policy: Option<PolicyRecord>,
    approval: Option<DecisionCheck>,
    use_capability: Option<Digest>,
}

impl Draft {
    fn new(context: &Context<'_>, event: &'static str, details: Value) -> Self {
        Self {
            head: context.head.clone(),
            actor: context.actor.clone(),
            now: context.now,
            event,
            promotion_id: None,
            version: None,
            details,
            change: Parts::default(),
        }
    }

    fn about(mut self, promotion: Option<&PromotionId>, version: Option<VersionName>) -> Self {
        self.promotion_id = promotion.cloned();
        self.version = version;
        self
    }

    fn finish(self) -> Result<Change, Refusal> {
        let mut head = self.head;
        let mut entry = HistoryEntry {
            seq: head.chain.seq + 1,
            model: head.model.clone(),
            at: self.now,
            actor: self.actor,
            event: self.event.to_owned(),
            promotion: self.promotion_id,
            version: self.version,
            epoch: head.epoch,
            details: self.details,
            previous: head.chain.hash.clone(),
            hash: head.chain.hash.clone(),
        };
        entry.hash = entry
            .expected_hash()
            .map_err(|e| Refusal::Invalid { why: format!("the history entry has no canonical form: {e}") })?;
        head.chain = ChainTip { seq: entry.seq, hash: entry.hash.clone() };
        head.revision += 1;
        head.updated_at = self.now;
        let parts = self.change;
        Ok(Change {
            head,
            entry,
            versions: parts.versions,
            claim: parts.claim,
            promotion: parts.promotion,
            gate: parts.gate,
            policy: parts.policy,
            approval: parts.approval,
            use_capability: parts.use_capability,
        })
    }
}

/// Checks that `record` is the version that the head names in a role, and there when there is one.
fn is_named(
    record: Option<&VersionRecord>,
    named: Option<&crate::ids::VersionRef>,
    role: &str,
) -> Result<(), Refusal> {
    if record.map(VersionRecord::reference).as_ref() == named {
        return Ok(());
    }
    let found = record.map_or_else(|| "none".to_owned(), |r| r.version.to_string());
    let expected = named.map_or_else(|| "none".to_owned(), |n| n.version.to_string());
    Err(Refusal::Invalid { why: format!("the {role} given is {found}, but the model's is {expected}") })
}

#[cfg(test)]
mod tests;

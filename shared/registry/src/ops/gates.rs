//! Opening, deciding and closing gates.

use jiff::Timestamp;
use seatrial_domain::change::{self, bound_now};
use seatrial_domain::gate::{Bound, Decision, GateKind, GateRecord, GateStatus};
use seatrial_domain::policy::Approval;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{Digest, GateId, Refusal};

use super::promoting::missing_record;
use super::{Missing, Next, Ops, Outcome, not_found};
use crate::error::OpError;

/// The gate of `kind` as it opens. `round` counts deliberate re-openings, from 1. An approval binds what the promotion has
/// as evidence right now; a shadow window binds the package.
///
/// # Errors
/// [`Refusal::NotApproved`] when an approval is asked for before there is a report.
pub fn draft_gate(
    kind: GateKind,
    round: u32,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    opened_at: Timestamp,
    expires_at: Timestamp,
) -> Result<GateRecord, Refusal> {
    let package = promotion.challenger.digest.clone();
    let bound = match kind {
        GateKind::Approval => bound_now(promotion)?,
        GateKind::ShadowWindow => Bound {
            package: package.clone(),
            report: package,
            benchmark: promotion.benchmark.as_ref().map(|b| b.digest.clone()),
            policy: promotion.policy.digest.clone(),
        },
    };
    Ok(GateRecord {
        id: GateId::derive(&promotion.id, kind.as_str(), round),
        kind,
        model: promotion.model.clone(),
        promotion: promotion.id.clone(),
        epoch: promotion.epoch,
        challenger: promotion.challenger.clone(),
        champion: promotion.champion.clone(),
        status: GateStatus::Pending,
        bound,
        verdict: promotion.verdict,
        requested_by: promotion.requested_by.principal.clone(),
        submitted_by: version.submitted_by.clone(),
        opened_at,
        expires_at,
        decisions: Vec::new(),
    })
}

impl Ops<'_> {
    /// Opens a gate. One that exists is the outcome as it stands, decided or not.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] when the promotion no longer holds the model.
    pub async fn open_gate(&self, gate: &GateRecord) -> Result<Outcome<GateRecord>, OpError> {
        self.transact(&gate.model, Missing::Refuse, |head| {
            Box::pin(async move {
                if let Some(known) = self.registry.gate(&gate.id).await? {
                    return Ok(Next::Already(known));
                }
                let promotion = self.holding(&head, &gate.promotion, gate.epoch).await?;
                commit_gate(change::open_gate(&self.context(&head), &promotion, gate.clone())?)
            })
        })
        .await
    }

    /// Decides a gate as the actor of these operations, by the policy in force now. `capability` is the SHA-256 of the
    /// link that decides; it is used up in the same transaction.
    ///
    /// # Errors
    /// [`Refusal::GateClosed`], [`Refusal::Forbidden`], [`Refusal::Invalid`] (no comment), [`Refusal::NotApproved`] (what
    /// the gate binds has changed), [`Refusal::Superseded`] (the promotion has ended).
    pub async fn decide_gate(
        &self,
        gate: &GateId,
        approve: bool,
        comment: &str,
        capability: Option<&Digest>,
    ) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        let model = &model;
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.gate(gate).await?;
                let promotion = self.promotion(model, &record.promotion).await?;
                let version = self.version(model, record.challenger.version).await?;
                let approval = self.live_approval(&head).await?;
                let context = self.context(&head);
                let decision = Decision {
                    by: self.actor.clone(),
                    at: context.now,
                    comment: comment.to_owned(),
                    approve,
                    self_approval: false,
                };
                let link = capability.cloned();
                commit_gate(change::decide_gate(
                    &context, &promotion, &version, &record, decision, &approval, link,
                )?)
            })
        })
        .await
    }

    /// Closes a gate whose time ran out or whose promotion ended. The outcome is the gate as it stands: still `pending`
    /// when it is not over.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without such a gate.
    pub async fn close_gate(&self, gate: &GateId) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        self.transact(&model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.gate(gate).await?;
                let context = self.context(&head);
                let holds = head.held_by(&record.promotion, record.epoch).is_ok();
                let over = !holds || context.now >= record.expires_at;
                if record.status != GateStatus::Pending || !over {
                    return Ok(Next::Already(record));
                }
                commit_gate(change::close_gate(&context, &record)?)
            })
        })
        .await
    }

    /// Who may decide now: by the policy in force, not by the one that is pinned.
    async fn live_approval(&self, head: &seatrial_domain::head::Head) -> Result<Approval, OpError> {
        let Some(reference) = &head.policy else {
            return Err(not_found(format!("a policy of model {}", head.model)));
        };
        let found = self.registry.policy(&head.model, reference.number).await?;
        let policy =
            found.ok_or_else(|| not_found(format!("policy {} of model {}", reference.number, head.model)))?;
        Ok(policy.policy.approval)
    }
}

fn commit_gate(change: change::Change) -> Result<Next<GateRecord>, OpError> {
    match change.gate.clone() {
        Some(after) => Next::commit(change, after),
        None => Err(missing_record(&change, "a gate")),
    }
}

//! Opening, deciding and closing gates.

use jiff::Timestamp;
use seatrial_domain::change::{self, bound_now};
use seatrial_domain::gate::{Bound, Decision, GateKind, GateRecord, GateStatus, reminders_due};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{Digest, GateId, ModelName, Refusal};

use super::promoting::missing_record;
use super::{Missing, Next, Ops, Outcome};
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
        window: None,
        reminders: Vec::new(),
        orphaned: None,
        link_orders: Vec::new(),
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
                let (record, promotion, version) = self.gate_facts(model, gate).await?;
                let access = self.live_policy(&head).await?.policy.access();
                let context = self.context(&head);
                let decision = Decision::new(self.actor.clone(), context.now, approve, comment);
                let link = capability.cloned();
                commit_gate(change::decide_gate(
                    &context, &promotion, &version, &record, decision, &access, link,
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

    /// Blocks an approval that would come by itself. A gate that this actor blocked already is the outcome.
    ///
    /// # Errors
    /// [`Refusal::GateClosed`], [`Refusal::Forbidden`], [`Refusal::Invalid`] (no comment, or nothing to block).
    pub async fn block_gate(&self, gate: &GateId, comment: &str) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        self.transact(&model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.gate(gate).await?;
                let blocked = record.window.as_ref().and_then(|w| w.blocked.as_ref());
                if blocked.is_some_and(|b| b.by == self.actor && b.comment == comment.trim()) {
                    return Ok(Next::Already(record));
                }
                let access = self.live_policy(&head).await?.policy.access();
                commit_gate(change::block_gate(&self.context(&head), &record, comment, &access)?)
            })
        })
        .await
    }

    /// Records that people are reminded of a gate, when that is due by the policy in force; the event tells them. The
    /// outcome is fresh when it was due.
    ///
    /// # Errors
    /// [`OpError`] when the table fails; [`Refusal::NotFound`] without such a gate.
    pub async fn remind_gate(&self, gate: &GateId) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        self.transact(&model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.gate(gate).await?;
                let reminders = self.live_policy(&head).await?.policy.approval.reminders_seconds;
                let context = self.context(&head);
                let holds = head.held_by(&record.promotion, record.epoch).is_ok();
                if !holds || reminders_due(&record, &reminders, context.now).is_empty() {
                    return Ok(Next::Already(record));
                }
                commit_gate(change::remind_gate(&context, &record, &reminders)?)
            })
        })
        .await
    }

    /// Approves a gate whose window ended without a block. `told` says that people were reached.
    ///
    /// # Errors
    /// [`Refusal::NotApproved`] with what is missing, [`Refusal::GateClosed`], [`Refusal::Superseded`].
    pub async fn approve_automatically(
        &self,
        gate: &GateId,
        told: bool,
    ) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        let model = &model;
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let (record, promotion, version) = self.gate_facts(model, gate).await?;
                let access = self.live_policy(&head).await?.policy.access();
                let context = self.context(&head);
                commit_gate(change::approve_automatically(
                    &context, &promotion, &version, &record, told, &access,
                )?)
            })
        })
        .await
    }

    /// Approves an open gate whose approval an operator skipped in an emergency before it opened.
    ///
    /// # Errors
    /// [`Refusal::NotApproved`] when nobody did, [`Refusal::GateClosed`], [`Refusal::Superseded`].
    pub async fn approve_in_emergency(&self, gate: &GateId) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        let model = &model;
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let (record, promotion, version) = self.gate_facts(model, gate).await?;
                commit_gate(change::approve_in_emergency(
                    &self.context(&head),
                    &promotion,
                    &version,
                    &record,
                )?)
            })
        })
        .await
    }

    /// Takes back the links of somebody, or of everybody, to a gate; with `renew` new ones are to be sent. The same asked
    /// again before it was done is no second order.
    ///
    /// # Errors
    /// [`Refusal::GateClosed`], [`Refusal::Forbidden`], [`Refusal::Invalid`], [`Refusal::Superseded`].
    pub async fn order_links(
        &self,
        gate: &GateId,
        of: Option<&str>,
        renew: bool,
    ) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        self.transact(&model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.gate(gate).await?;
                let access = self.live_policy(&head).await?.policy.access();
                match change::order_links(&self.context(&head), &record, of, renew, &access)? {
                    Some(change) => commit_gate(change),
                    None => Ok(Next::Already(record)),
                }
            })
        })
        .await
    }

    /// Records that the new links of a gate's first `seen` orders were sent, to these people.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without such a gate.
    pub async fn links_sent(
        &self,
        gate: &GateId,
        seen: usize,
        to: &[String],
    ) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        self.transact(&model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.gate(gate).await?;
                if !record.link_orders.iter().take(seen).any(|o| o.renew && o.done_at.is_none()) {
                    return Ok(Next::Already(record));
                }
                commit_gate(change::links_sent(&self.context(&head), &record, seen, to)?)
            })
        })
        .await
    }

    /// Marks a decided gate that no execution waits for. One that is marked already, or undecided, is the outcome.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without such a gate.
    pub async fn orphan_gate(&self, gate: &GateId, why: &str) -> Result<Outcome<GateRecord>, OpError> {
        let model = self.gate(gate).await?.model;
        self.transact(&model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.gate(gate).await?;
                if record.status == GateStatus::Pending || record.orphaned.is_some() {
                    return Ok(Next::Already(record));
                }
                commit_gate(change::orphan_gate(&self.context(&head), &record, why)?)
            })
        })
        .await
    }

    async fn gate_facts(
        &self,
        model: &ModelName,
        gate: &GateId,
    ) -> Result<(GateRecord, PromotionRecord, VersionRecord), OpError> {
        let record = self.gate(gate).await?;
        let promotion = self.promotion(model, &record.promotion).await?;
        let version = self.version(model, record.challenger.version).await?;
        Ok((record, promotion, version))
    }
}

fn commit_gate(change: change::Change) -> Result<Next<GateRecord>, OpError> {
    match change.gate.clone() {
        Some(after) => Next::commit(change, after),
        None => Err(missing_record(&change, "a gate")),
    }
}

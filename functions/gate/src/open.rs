//! Opening a gate, or opening it again with a new token.

use fn_answer::{Told, tell};
use jiff::{SignedDuration, Timestamp};
use seatrial_domain::gate::{GateKind, GateRecord, GateStatus, answer_of, window_of};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{PromotionRecord, Stage};
use seatrial_domain::task::{GateAnswer, GateOutcome, GateTask};
use seatrial_domain::{GateId, Refusal};
use seatrial_registry::ops::{draft_gate, pinned_policy};
use seatrial_registry::{OpError, TaskToken};
use seatrial_runtime::Failure;

use crate::{At, invite};

/// How long the table keeps a token beyond its gate's expiry, for whoever closes the gate late.
const TOKEN_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How much later than the longest shadow its gate expires: the evidence ends the shadow, the gate only outlives it.
const AFTER_SHADOW: SignedDuration = SignedDuration::from_mins(5);

pub(crate) async fn open(at: &At<'_>, kind: GateKind, task: GateTask) -> Result<GateAnswer, Failure> {
    let held = &task.held;
    let token = task.task_token.map(TaskToken::new);
    let token =
        token.ok_or_else(|| Failure::invalid("the payload has no task_token: nobody could be answered"))?;
    let registry = at.ports.registry;
    let promotion = registry.promotion(&held.model, &held.promotion).await?;
    let promotion = promotion
        .ok_or_else(|| not_found(format!("promotion {} of model {}", held.promotion, held.model)))?;
    if promotion.epoch != held.epoch {
        let (promotion, epoch, found) = (held.promotion.clone(), held.epoch, promotion.epoch);
        return Err(Refusal::Superseded { promotion, epoch, found }.into());
    }
    let challenger = promotion.challenger.version;
    let version = registry.version(&held.model, challenger).await?;
    let version =
        version.ok_or_else(|| not_found(format!("version {challenger} of model {}", held.model)))?;
    let policy = pinned_policy(registry, &promotion).await?.policy;

    let expires_at = expiry(kind, &promotion, &policy, at.now)?;
    let mut draft = draft_gate(kind, 1, &promotion, &version, at.now, expires_at)?;
    if kind == GateKind::Approval {
        draft.window = window_of(&promotion, &policy.approval, at.now);
    }
    let opened = at.ops.open_gate(&draft).await?;
    let gate = opened.value;
    // decide:      reads, decides ──► stream ► answer reads the token
    // this:  puts the token ──► reads the gate
    // Whichever order they fall in, one of both sees token and decision together.
    registry.put_token(&gate.id, &token, later(gate.expires_at, TOKEN_KEPT)).await?;
    if !opened.fresh {
        // Its time may have run out, or its promotion ended, while nobody waited.
        at.ops.close_gate(&gate.id).await?;
    }
    if kind == GateKind::Approval && promotion.bypass(Stage::Approval).is_some() {
        skip_approval(at, &gate).await?;
    }
    if kind == GateKind::Approval {
        // Also where the approval was skipped: nobody is to stop a shadow that is over.
        end_shadow_window(at, &promotion).await;
    }
    match tell(registry, at.ports.callbacks, &gate.id).await? {
        Told::Undecided => {}
        Told::Answered | Told::NobodyWaits => return standing(at, &gate).await,
    }
    if kind == GateKind::Approval {
        invite::all(at, &gate).await;
    }
    standing(at, &gate).await
}

/// Carries out what an operator decided before the gate was there.
async fn skip_approval(at: &At<'_>, gate: &GateRecord) -> Result<(), Failure> {
    match at.ops.approve_in_emergency(&gate.id).await {
        Ok(_) | Err(OpError::Refused(Refusal::GateClosed { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn not_found(what: String) -> Failure {
    Refusal::NotFound { what }.into()
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn expiry(
    kind: GateKind,
    promotion: &PromotionRecord,
    policy: &Policy,
    now: Timestamp,
) -> Result<Timestamp, Failure> {
    match kind {
        GateKind::Approval => {
            Ok(later(now, SignedDuration::from_secs(policy.approval.expires_seconds.into())))
        }
        GateKind::ShadowWindow => {
            let shadow = promotion.shadow.as_ref().ok_or_else(|| {
                Failure::invalid(format!(
                    "promotion {} has no open shadow: its window cannot be waited for",
                    promotion.id
                ))
            })?;
            let longest = SignedDuration::from_secs(policy.shadow.max_seconds.into());
            Ok(later(later(shadow.opened_at, longest), AFTER_SHADOW))
        }
    }
}

/// How the gate stands now, as the answer of this invocation.
async fn standing(at: &At<'_>, gate: &GateRecord) -> Result<GateAnswer, Failure> {
    let now = at.ports.registry.gate(&gate.id).await?;
    Ok(now.as_ref().and_then(answer_of).unwrap_or_else(|| GateAnswer {
        outcome: GateOutcome::Pending,
        why: format!("gate {} is open until {}", gate.id, gate.expires_at),
        wait_seconds: crate::close::next_look(gate, at.now),
    }))
}

/// Closes the window of a shadow that its own rules have ended, so that nobody can still "stop" it and no list shows it as
/// waiting. Its failing harms nothing: the window expires by itself.
async fn end_shadow_window(at: &At<'_>, promotion: &PromotionRecord) {
    let id = GateId::derive(&promotion.id, GateKind::ShadowWindow.as_str(), 1);
    let end = async {
        let registry = at.ports.registry;
        let waits = registry.gate(&id).await?.is_some_and(|g| g.status == GateStatus::Pending);
        if !waits {
            return Ok::<_, Failure>(());
        }
        if let Some(token) = registry.token(&id).await? {
            registry.delete_token(&id, &token).await?;
        }
        at.ops.decide_gate(&id, true, "the shadow ended by its own rules", None).await?;
        Ok(())
    };
    if let Err(failure) = end.await {
        tracing::warn!(gate = %id, label = failure.label, error = failure.chain(), "the ended shadow's window stays open until it expires");
    }
}

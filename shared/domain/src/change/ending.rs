//! Ends: of a promotion, of a champion, of a version. Every one of them is allowed at any time.

use serde_json::json;

use super::{Change, Context, Draft};
use crate::gate::{GateRecord, GateStatus};
use crate::promotion::{PromotionRecord, PromotionStatus};
use crate::refusal::Refusal;
use crate::retention::Crown;
use crate::route::Weight;
use crate::version::{VersionEvent, VersionRecord, VersionStatus};

/// Ends the running promotion: its challenger leaves the route, the lock is free, the epoch moves on, so that nothing the
/// promotion still has in flight can write.
///
/// # Errors
/// [`Refusal::Superseded`] when it does not hold the model (any more).
pub fn end_promotion(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    challenger: &VersionRecord,
    gate: Option<&GateRecord>,
    reason: &str,
) -> Result<Change, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    let served = challenger.status == VersionStatus::Canary;
    let status = if served { PromotionStatus::Aborted } else { PromotionStatus::Rejected };
    let details = json!({ "status": status, "reason": reason, "from": context.head.route.weight, "steps": promotion.steps.len() });
    let event = if served { "canary_rolled_back" } else { "promotion_ended" };
    let mut draft = Draft::new(context, event, details).about(Some(&promotion.id), Some(challenger.version));
    end(&mut draft, promotion, challenger, gate, status, reason)?;
    draft.finish()
}

fn end(
    draft: &mut Draft,
    promotion: &PromotionRecord,
    challenger: &VersionRecord,
    gate: Option<&GateRecord>,
    status: PromotionStatus,
    reason: &str,
) -> Result<(), Refusal> {
    let now = draft.now;
    let head = &mut draft.head;
    head.epoch += 1;
    head.running = None;
    head.route.challenger = None;
    head.route.weight = Weight::ZERO;
    head.route.shadow = Weight::ZERO;
    head.route.epoch = head.epoch;
    head.route.since = now;
    draft.change.versions.push(challenger.apply(VersionEvent::Abort)?);
    let mut after = promotion.clone();
    after.status = status;
    after.ended_at = Some(now);
    after.reason = Some(reason.to_owned());
    draft.change.promotion = Some(after);
    if let Some(gate) = gate.filter(|g| g.status == GateStatus::Pending) {
        draft.change.gate = Some(GateRecord { status: GateStatus::Cancelled, ..gate.clone() });
    }
    Ok(())
}

/// The running promotion that a rollback of the champion ends with it.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// The promotion.
    pub promotion: &'a PromotionRecord,
    /// Its challenger.
    pub challenger: &'a VersionRecord,
    /// Its open gate.
    pub gate: Option<&'a GateRecord>,
}

/// Takes the champion back: the standby serves again, and a running promotion ends. Conditional on the head's revision
/// and on nothing else.
///
/// # Errors
/// [`Refusal::NoStandby`] when there is nothing to go back to.
pub fn roll_back(
    context: &Context<'_>,
    champion: &VersionRecord,
    standby: Option<&VersionRecord>,
    running: Option<Running<'_>>,
    reason: &str,
) -> Result<Change, Refusal> {
    let head = context.head;
    let Some(standby) = standby.filter(|s| head.standby.as_ref().is_some_and(|h| h.version == s.version))
    else {
        return Err(Refusal::NoStandby { model: head.model.clone() });
    };
    super::is_named(Some(champion), head.champion(), "champion")?;
    let details = json!({
        "from": champion.reference(), "to": standby.reference(), "reason": reason,
        "ended": running.map(|r| r.promotion.id.clone()),
    });
    let mut draft = Draft::new(context, "rolled_back", details)
        .about(running.map(|r| &r.promotion.id), Some(standby.version));
    if let Some(r) = running {
        head.held_by(&r.promotion.id, r.promotion.epoch)?;
        end(&mut draft, r.promotion, r.challenger, r.gate, PromotionStatus::Aborted, reason)?;
    } else {
        draft.head.epoch += 1;
    }
    let after = &mut draft.head;
    after.route.champion = Some(standby.reference());
    after.route.challenger = None;
    after.route.weight = Weight::ZERO;
    after.route.standby = None;
    after.route.holdback = Weight::ZERO;
    after.route.shadow = Weight::ZERO;
    after.route.promotion = None;
    after.route.epoch = after.epoch;
    after.route.since = context.now;
    // The version taken back is no rollback target: rolling back twice must not bring it in again.
    after.standby = None;
    draft.change.versions.push(champion.apply(VersionEvent::TakeBack)?);
    draft.change.versions.push(standby.apply(VersionEvent::Reinstate)?);
    draft.finish()
}

/// Takes a version out of use for good. `crown` is the one that made the present standby: until its stability window is over, the
/// standby is kept ready.
///
/// # Errors
/// [`Refusal::IllegalTransition`] for a version that serves or is being promoted; [`Refusal::Stabilising`] for a standby that is
/// kept ready.
pub fn retire(
    context: &Context<'_>,
    version: &VersionRecord,
    crown: Option<&Crown>,
    reason: &str,
) -> Result<Change, Refusal> {
    let head = context.head;
    let is_standby = head.standby.as_ref().is_some_and(|s| s.version == version.version);
    if let (true, Some(crown), Some(champion)) = (is_standby, crown, head.champion())
        && context.now < crown.stable_at
    {
        return Err(Refusal::Stabilising {
            model: head.model.clone(),
            standby: version.version,
            champion: champion.version,
            until: crown.stable_at,
        });
    }
    let details = json!({ "digest": version.digest, "from": version.status, "reason": reason });
    let mut draft = Draft::new(context, "version_retired", details).about(None, Some(version.version));
    let retired = version.apply(VersionEvent::Retire)?;
    draft.change.versions.push(VersionRecord { retired_at: Some(context.now), ..retired });
    if is_standby {
        draft.head.standby = None;
        draft.head.route.standby = None;
        draft.head.route.holdback = Weight::ZERO;
        draft.head.route.since = context.now;
    }
    draft.finish()
}

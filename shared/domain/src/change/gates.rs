//! Opening, deciding and closing gates.

use serde_json::json;

use super::{Change, Context, Draft};
use crate::access::Access;
use crate::gate::{self, Decision, GateKind, GateRecord, GateStatus, Orphaned, Reminder};
use crate::ids::Digest;
use crate::links::{self, LinkOrder};
use crate::promotion::{PromotionRecord, Stage};
use crate::refusal::Refusal;
use crate::version::{VersionEvent, VersionRecord};

/// The events that write a gate and decide nothing: its status and its decisions stay what they are.
pub const GATE_MARKS: [&str; 5] =
    ["gate_reminded", "gate_blocked", "gate_orphaned", "gate_links_revoked", "gate_links_sent"];

/// Opens a gate.
///
/// # Errors
/// [`Refusal::Superseded`] when the promotion no longer holds the model; [`Refusal::Invalid`] for a gate of another
/// promotion, or one that is decided before it opens.
pub fn open_gate(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    gate: GateRecord,
) -> Result<Change, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    if gate.promotion != promotion.id
        || gate.epoch != promotion.epoch
        || gate.challenger != promotion.challenger
    {
        return Err(Refusal::Invalid {
            why: format!("gate {} does not belong to promotion {}", gate.id, promotion.id),
        });
    }
    if gate.status != GateStatus::Pending || !gate.decisions.is_empty() {
        return Err(Refusal::Invalid {
            why: format!("gate {} cannot open {}", gate.id, gate.state_phrase()),
        });
    }
    let details = json!({
        "gate": gate.id, "kind": gate.kind, "expires_at": gate.expires_at, "bound": gate.bound, "window": gate.window,
    });
    let mut draft =
        Draft::new(context, "gate_opened", details).about(Some(&promotion.id), Some(gate.challenger.version));
    if gate.kind == GateKind::Approval {
        let mut after = promotion.clone();
        after.gate = Some(gate.id.clone());
        draft.change.promotion = Some(after);
    }
    draft.change.gate = Some(gate);
    draft.finish()
}

/// Decides a gate by the rules of `access` as they are now. `capability` is the link that is used up by it.
///
/// # Errors
/// As [`gate::decide`]; [`Refusal::Changed`] when what the gate binds is not what the promotion has now.
pub fn decide_gate(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    gate: &GateRecord,
    decision: Decision,
    access: &Access,
    capability: Option<Digest>,
) -> Result<Change, Refusal> {
    let after = gate::decide(gate, decision, &access.held_to(promotion.profile))?;
    let mut draft = decided(context, promotion, version, gate, after)?;
    draft.change.use_capability = capability;
    draft.finish()
}

/// Approves a gate whose window ended without a block. `told` says that people were reached.
///
/// # Errors
/// As [`gate::approve_automatically`] and [`decide_gate`].
pub fn approve_automatically(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    gate: &GateRecord,
    told: bool,
    access: &Access,
) -> Result<Change, Refusal> {
    let access = access.held_to(promotion.profile);
    let after = gate::approve_automatically(gate, context.actor.clone(), context.now, told, &access)?;
    decided(context, promotion, version, gate, after)?.finish()
}

/// Approves a gate whose approval an operator has skipped in an emergency.
///
/// # Errors
/// [`Refusal::NotApproved`] when nobody has; as [`decide_gate`] else.
pub fn approve_in_emergency(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    gate: &GateRecord,
) -> Result<Change, Refusal> {
    let bypass = promotion.bypass(Stage::Approval).filter(|_| gate.kind == GateKind::Approval);
    let Some(bypass) = bypass else {
        return Err(Refusal::NotApproved { why: format!("nobody skipped the approval of {}", promotion.id) });
    };
    let after = gate::approve_in_emergency(gate, bypass, context.now)?;
    let mut draft = decided(context, promotion, version, gate, after)?;
    // The registry checks that the record of the promotion names whoever skipped it.
    draft.change.promotion = Some(promotion.clone());
    draft.finish()
}

/// The change that writes `after` in the place of `gate`, while what it binds is what the promotion has.
fn decided(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    gate: &GateRecord,
    after: GateRecord,
) -> Result<Draft, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    if gate.kind == GateKind::Approval {
        let changed = super::canary::bound_now(promotion)?.differences(&gate.bound);
        Refusal::unless_same(&gate.id, &changed)?;
    }
    let details = json!({
        "gate": gate.id, "kind": gate.kind, "status": after.status, "decision": after.decisions.last(), "bound": gate.bound,
    });
    let mut draft = Draft::new(context, "gate_decided", details)
        .about(Some(&promotion.id), Some(gate.challenger.version));
    if gate.kind == GateKind::Approval && after.status == GateStatus::Approved {
        draft.change.versions.push(version.apply(VersionEvent::Approve)?);
    }
    draft.change.gate = Some(after);
    Ok(draft)
}

/// Blocks an approval that would come by itself: the gate waits for people from then on.
///
/// # Errors
/// As [`gate::block`]; [`Refusal::Superseded`] when the promotion has ended.
pub fn block_gate(
    context: &Context<'_>,
    gate: &GateRecord,
    comment: &str,
    access: &Access,
) -> Result<Change, Refusal> {
    let after = gate::block(gate, context.actor.clone(), context.now, comment, access)?;
    context.head.held_by(&gate.promotion, gate.epoch)?;
    let comment = after.window.as_ref().and_then(|w| w.blocked.as_ref()).map(|b| b.comment.as_str());
    let details = json!({ "gate": gate.id, "comment": comment, "window": gate.window });
    let mut draft = Draft::new(context, "gate_blocked", details)
        .about(Some(&gate.promotion), Some(gate.challenger.version));
    draft.change.gate = Some(after);
    draft.finish()
}

/// Records that people are reminded of a gate: the event is what they are told by.
///
/// # Errors
/// [`Refusal::Invalid`] when no reminder is due; [`Refusal::Superseded`] when the promotion has ended.
pub fn remind_gate(
    context: &Context<'_>,
    gate: &GateRecord,
    reminders_seconds: &[u32],
) -> Result<Change, Refusal> {
    context.head.held_by(&gate.promotion, gate.epoch)?;
    let due = gate::reminders_due(gate, reminders_seconds, context.now);
    if due.is_empty() {
        return Err(Refusal::Invalid { why: format!("no reminder of gate {} is due", gate.id) });
    }
    let ends_at = gate.ends_at();
    let details = json!({
        "gate": gate.id, "kind": gate.kind, "ends_at": ends_at, "automatic": gate.open_window().is_some(),
    });
    let mut draft = Draft::new(context, "gate_reminded", details)
        .about(Some(&gate.promotion), Some(gate.challenger.version));
    let mut after = gate.clone();
    // Several that are due at once (nobody looked for a while) are one message.
    after.reminders.extend(due.into_iter().map(|before_seconds| Reminder {
        ends_at,
        before_seconds,
        at: context.now,
    }));
    draft.change.gate = Some(after);
    draft.finish()
}

/// Takes back links to a gate, and asks for new ones where the order says so. Nothing when the same is asked for already.
///
/// # Errors
/// As [`links::order`]; [`Refusal::Superseded`] when the promotion has ended.
pub fn order_links(
    context: &Context<'_>,
    gate: &GateRecord,
    of: Option<&str>,
    renew: bool,
    access: &Access,
) -> Result<Option<Change>, Refusal> {
    let (by, at) = (context.actor.clone(), context.now);
    let order = LinkOrder { of: of.map(str::to_owned), renew, by, at, done_at: None };
    let Some(after) = links::order(gate, order, access)? else { return Ok(None) };
    context.head.held_by(&gate.promotion, gate.epoch)?;
    let details = json!({ "gate": gate.id, "of": of, "renew": renew });
    let mut draft = Draft::new(context, "gate_links_revoked", details)
        .about(Some(&gate.promotion), Some(gate.challenger.version));
    draft.change.gate = Some(after);
    draft.finish().map(Some)
}

/// Records that the new links of a gate's first `seen` orders were sent, to these people.
///
/// # Errors
/// When the history entry cannot be made.
pub fn links_sent(
    context: &Context<'_>,
    gate: &GateRecord,
    seen: usize,
    to: &[String],
) -> Result<Change, Refusal> {
    let details = json!({ "gate": gate.id, "to": to });
    let mut draft = Draft::new(context, "gate_links_sent", details)
        .about(Some(&gate.promotion), Some(gate.challenger.version));
    draft.change.gate = Some(links::sent(gate, seen, context.now));
    draft.finish()
}

/// Records that no execution waits for a decided gate any more.
///
/// # Errors
/// [`Refusal::Invalid`] while it is undecided, or known as orphaned already.
pub fn orphan_gate(context: &Context<'_>, gate: &GateRecord, why: &str) -> Result<Change, Refusal> {
    if gate.status == GateStatus::Pending || gate.orphaned.is_some() {
        return Err(Refusal::Invalid { why: format!("gate {} is {}", gate.id, gate.state_phrase()) });
    }
    let details = json!({ "gate": gate.id, "kind": gate.kind, "status": gate.status, "why": why });
    let mut draft = Draft::new(context, "gate_orphaned", details)
        .about(Some(&gate.promotion), Some(gate.challenger.version));
    draft.change.gate = Some(GateRecord {
        orphaned: Some(Orphaned { at: context.now, why: why.to_owned() }),
        ..gate.clone()
    });
    draft.finish()
}

/// Closes a gate whose time ran out, or whose promotion ended.
///
/// # Errors
/// [`Refusal::GateClosed`] when it is closed already, [`Refusal::Invalid`] before its time while the promotion runs.
pub fn close_gate(context: &Context<'_>, gate: &GateRecord) -> Result<Change, Refusal> {
    if gate.status != GateStatus::Pending {
        return Err(Refusal::GateClosed { gate: gate.id.clone(), state: gate.state_phrase() });
    }
    let holds = context.head.held_by(&gate.promotion, gate.epoch).is_ok();
    let mut after = gate::expire(gate, context.now);
    if !holds && after.status == GateStatus::Pending {
        after.status = GateStatus::Cancelled;
    }
    if after.status == GateStatus::Pending {
        return Err(Refusal::Invalid { why: format!("gate {} is open until {}", gate.id, gate.expires_at) });
    }
    let details = json!({ "gate": gate.id, "kind": gate.kind, "status": after.status });
    let mut draft = Draft::new(context, "gate_closed", details)
        .about(Some(&gate.promotion), Some(gate.challenger.version));
    draft.change.gate = Some(after);
    draft.finish()
}

//! Opening, deciding and closing gates.

use serde_json::json;

use super::{Change, Context, Draft};
use crate::gate::{self, Decision, GateKind, GateRecord, GateStatus};
use crate::ids::Digest;
use crate::policy::Approval;
use crate::promotion::PromotionRecord;
use crate::refusal::Refusal;
use crate::version::{VersionEvent, VersionRecord};

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
    let details =
        json!({ "gate": gate.id, "kind": gate.kind, "expires_at": gate.expires_at, "bound": gate.bound });
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

/// Decides a gate by the rules of `approval` as they are now. `capability` is the link that is used up by it.
///
/// # Errors
/// As [`gate::decide`]; [`Refusal::NotApproved`] when what the gate binds is not what the promotion has now.
pub fn decide_gate(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    gate: &GateRecord,
    decision: Decision,
    approval: &Approval,
    capability: Option<Digest>,
) -> Result<Change, Refusal> {
    let after = gate::decide(gate, decision, approval)?;
    context.head.held_by(&promotion.id, promotion.epoch)?;
    if gate.kind == GateKind::Approval && super::canary::bound_now(promotion)? != gate.bound {
        return Err(Refusal::NotApproved {
            why: "the package, report, benchmark or policy changed since the gate opened".into(),
        });
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
    draft.change.use_capability = capability;
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

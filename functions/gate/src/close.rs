//! What a wait that timed out is answered.

use jiff::Timestamp;
use seatrial_domain::GateId;
use seatrial_domain::gate::{GateKind, GateRecord, answer_of};
use seatrial_domain::task::{GateAnswer, GateOutcome, Held};
use seatrial_runtime::Failure;

use crate::At;

/// Closes a gate if its time ran out, and says how it stands.
pub(crate) async fn close(at: &At<'_>, kind: GateKind, held: &Held) -> Result<GateAnswer, Failure> {
    let id = GateId::derive(&held.promotion, kind.as_str(), 1);
    if at.ports.registry.gate(&id).await?.is_none() {
        // The wait timed out before any attempt opened the gate.
        return Ok(waiting(kind, format!("gate {id} was not opened yet"), 0));
    }
    let gate = at.ops.close_gate(&id).await?.value;
    let left = seconds_left(&gate, at.now);
    Ok(answer_of(&gate)
        .unwrap_or_else(|| waiting(kind, format!("gate {id} is open until {}", gate.expires_at), left)))
}

/// The answer about a gate that is undecided.
///
/// An approval waits on. A shadow's wait ends whenever it is time to look at the evidence, and looking is what `expired`
/// asks for; whether the shadow is over is for the evidence to say (`compare`), and the gate stays open meanwhile, so that a
/// person can stop the shadow at any time.
fn waiting(kind: GateKind, why: String, wait_seconds: u32) -> GateAnswer {
    match kind {
        GateKind::Approval => GateAnswer { outcome: GateOutcome::Pending, why, wait_seconds },
        GateKind::ShadowWindow => {
            let why = format!("{why}; it is time to look at the evidence");
            GateAnswer { outcome: GateOutcome::Expired, why, wait_seconds: 0 }
        }
    }
}

/// Whole seconds until the gate expires.
pub(crate) fn seconds_left(gate: &GateRecord, now: Timestamp) -> u32 {
    u32::try_from(gate.expires_at.as_second().saturating_sub(now.as_second()).max(0)).unwrap_or(u32::MAX)
}

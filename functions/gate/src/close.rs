//! What a wait that timed out is answered.

use jiff::Timestamp;
use seatrial_domain::gate::{GateKind, GateRecord, answer_of};
use seatrial_domain::notice::Told;
use seatrial_domain::task::{GateAnswer, GateOutcome, Held, LONGEST_WAIT_SECONDS};
use seatrial_domain::{GateId, Refusal};
use seatrial_registry::{OpError, was_told};
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
    if let Some(window) = gate.open_window().filter(|w| at.now >= w.ends_at) {
        return by_itself(at, &gate, window.ends_at).await;
    }
    let left = next_look(&gate, at.now);
    Ok(answer_of(&gate)
        .unwrap_or_else(|| waiting(kind, format!("gate {id} is open until {}", gate.ends_at()), left)))
}

/// Approves a gate whose window is over, if people were told and nobody is against it; else it waits for people.
async fn by_itself(at: &At<'_>, gate: &GateRecord, ended: Timestamp) -> Result<GateAnswer, Failure> {
    // By a mail of this function, or by whatever `notify` delivered.
    let attempts = at.ports.registry;
    let told =
        was_told(attempts, gate, Told::Opened).await? && was_told(attempts, gate, Told::Reminded).await?;
    let why = match at.ops.approve_automatically(&gate.id, told).await {
        Ok(done) => match answer_of(&done.value) {
            Some(answer) => return Ok(answer),
            None => "it is undecided".to_owned(),
        },
        // Somebody decided or blocked in this very moment.
        Err(OpError::Refused(Refusal::GateClosed { .. })) => {
            let now = at.ports.registry.gate(&gate.id).await?;
            if let Some(answer) = now.as_ref().and_then(answer_of) {
                return Ok(answer);
            }
            "it was blocked".to_owned()
        }
        Err(OpError::Refused(Refusal::NotApproved { why })) => why,
        Err(OpError::Refused(refusal @ Refusal::Changed { .. })) => refusal.to_string(),
        Err(error) => return Err(error.into()),
    };
    tracing::warn!(gate = %gate.id, why, "the window of an automatic approval ended, and the gate waits on");
    let why = format!("the window of gate {} ended at {ended}, and it waits on: {why}", gate.id);
    // Whoever is to tell people may still do so: a reminder that is due comes within a minute, deliveries are tried again.
    Ok(waiting(GateKind::Approval, why, look_again_seconds(ended, at.now)))
}

/// How long to wait before a window that ended at `ended` is looked at again. It grows by a tenth each time, so that even a
/// gate of 300 days is looked at fewer than 150 times: an execution keeps at most 25,000 events.
fn look_again_seconds(ended: Timestamp, now: Timestamp) -> u32 {
    let over = now.as_second().saturating_sub(ended.as_second()).max(0);
    u32::try_from(over / 10).unwrap_or(LONGEST_WAIT_SECONDS).clamp(60, LONGEST_WAIT_SECONDS)
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

/// Seconds until it is worth looking at the gate again: the end of its window, or beyond every expiry, which `sweep` notices.
pub(crate) fn next_look(gate: &GateRecord, now: Timestamp) -> u32 {
    match gate.open_window() {
        Some(window) => {
            let left = window.ends_at.as_second().saturating_sub(now.as_second()).max(0) + 1;
            u32::try_from(left).unwrap_or(LONGEST_WAIT_SECONDS).min(LONGEST_WAIT_SECONDS)
        }
        None => LONGEST_WAIT_SECONDS,
    }
}

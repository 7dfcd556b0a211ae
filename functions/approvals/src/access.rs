//! What a link opens, and whether its holder can decide here. Pure: records and the time in, a judgement out.

use jiff::Timestamp;
use seatrial_domain::GateId;
use seatrial_domain::access::Access;
use seatrial_domain::gate::{Capability, GateRecord, GateStatus};

/// Why a link opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The browser has no link for this gate.
    NoLink,
    /// No such link was ever made: forged, cut off, or of another installation.
    Unknown,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired {
        /// When it ended.
        at: Timestamp,
    },
    /// Its holder is no longer an approver.
    NotApprover {
        /// Who.
        who: String,
    },
}

/// Whether a link still opens what it was made for. A used one does: it shows how the gate was decided.
pub(crate) fn opens(capability: Option<Capability>, now: Timestamp) -> Result<Capability, Denied> {
    let capability = capability.ok_or(Denied::Unknown)?;
    if capability.revoked {
        return Err(Denied::Revoked);
    }
    if now >= capability.expires_at {
        return Err(Denied::Expired { at: capability.expires_at });
    }
    Ok(capability)
}

/// Whether it opens this gate.
pub(crate) fn opens_gate(
    capability: Option<Capability>,
    gate: &GateId,
    now: Timestamp,
) -> Result<Capability, Denied> {
    opens(capability, now).and_then(|c| if c.gate == *gate { Ok(c) } else { Err(Denied::Unknown) })
}

/// Whether the holder is still among the approvers: a revocation takes effect at once.
pub(crate) fn is_approver(capability: &Capability, live: &Access, now: Timestamp) -> Result<(), Denied> {
    if live.voice(&capability.approver, now).is_some() {
        Ok(())
    } else {
        Err(Denied::NotApprover { who: capability.approver.clone() })
    }
}

/// What the holder of a link can do at a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// Decide, here.
    Decide {
        /// Whether it would be their own submission.
        own: bool,
    },
    /// Decide, but with a login.
    Login,
    /// Nothing more: they have decided.
    Decided,
    /// Nothing more: it is closed.
    Closed,
}

/// What the holder of `capability` can do at `gate`. The registry judges again, in the transaction that decides.
pub(crate) fn right(capability: &Capability, gate: &GateRecord, live: &Access, now: Timestamp) -> Right {
    if gate.status != GateStatus::Pending || now >= gate.expires_at {
        return Right::Closed;
    }
    let who = &capability.approver;
    if capability.used_at.is_some() || gate.decisions.iter().any(|d| live.same_person(&d.by.principal, who)) {
        return Right::Decided;
    }
    if live.needs_login() {
        return Right::Login;
    }
    let own = live.same_person(who, &gate.submitted_by) || live.same_person(who, &gate.requested_by);
    Right::Decide { own }
}

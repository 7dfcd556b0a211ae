//! What a link opens, and whether its holder can decide here. Pure: records and the time in, a judgement out.

use jiff::Timestamp;
use seatrial_domain::access::{Access, Action};
use seatrial_domain::gate::{Capability, Decision, GateRecord, GateStatus, decide};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::{GateId, Refusal};

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
    /// Whoever is logged in is not named by the policy.
    NotNamed {
        /// Who.
        who: String,
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

/// Whether the links of its person were taken back since it was made.
pub(crate) fn still_given(capability: &Capability, gate: &GateRecord) -> Result<(), Denied> {
    let generation = gate.link_generation(&capability.approver);
    if capability.generation < generation { Err(Denied::Revoked) } else { Ok(()) }
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

/// What somebody can do at a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// Decide, here.
    Decide {
        /// Whether it would be their own submission.
        own: bool,
        /// Whether they may approve, and not only reject.
        may_approve: bool,
    },
    /// Decide, but with a login.
    Login,
    /// Look: they are no approver.
    Look,
    /// Nothing more: they have decided.
    Decided,
    /// Nothing more: it is closed.
    Closed,
}

/// What the holder of a link can do at `gate`.
pub(crate) fn right_of_link(
    capability: &Capability,
    gate: &GateRecord,
    live: &Access,
    now: Timestamp,
) -> Right {
    let holder = Actor { principal: capability.approver.clone(), auth: Auth::Link };
    match right(&holder, gate, live, now) {
        Right::Decide { .. } | Right::Login if capability.used_at.is_some() => Right::Decided,
        right => right,
    }
}

/// What `who` can do at `gate`: the domain's own rules, asked as if they decided now. The registry asks them again in the
/// transaction that decides.
pub(crate) fn right(who: &Actor, gate: &GateRecord, live: &Access, now: Timestamp) -> Right {
    if gate.status != GateStatus::Pending || now >= gate.expires_at {
        return Right::Closed;
    }
    if live.voice(&who.principal, now).is_none() {
        return Right::Look;
    }
    if gate.decisions.iter().any(|d| live.same_person(&d.by.principal, &who.principal)) {
        return Right::Decided;
    }
    let tried = |approve| decide(gate, Decision::new(who.clone(), now, approve, "as if"), live);
    match (tried(true), tried(false)) {
        (Ok(after), _) => {
            Right::Decide { own: after.decisions.last().is_some_and(|d| d.self_approval), may_approve: true }
        }
        (_, Ok(_)) => Right::Decide { own: true, may_approve: false },
        (_, Err(Refusal::Forbidden { .. })) => Right::Login,
        (_, Err(_)) => Right::Decided,
    }
}

/// Whether `who` can block the approval that would come by itself at `gate`. Blocking leads nothing forward, so that a link
/// is enough where a decision asks for a login.
pub(crate) fn may_block(who: &str, gate: &GateRecord, live: &Access, now: Timestamp) -> bool {
    gate.open_window().is_some() && now < gate.expires_at && live.may(Action::Block, who).is_ok()
}

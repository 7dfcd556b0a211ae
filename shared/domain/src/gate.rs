//! Gates: waits for a decision, and the rules of deciding.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Voice};
pub use crate::bound::Bound;
use crate::ids::{Actor, Auth, GateId, ModelName, PromotionId, VersionRef};
use crate::links::LinkOrder;
use crate::refusal::Refusal;
use crate::task::{GateAnswer, GateOutcome};
use crate::verdict::Verdict;

/// What a gate waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// The end of the shadow window: time, or a person's `shadow stop`.
    ShadowWindow,
    /// A person's approval.
    Approval,
}

impl GateKind {
    /// The word used in ids and keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ShadowWindow => "shadow_window",
            Self::Approval => "approval",
        }
    }
}

/// How a gate stands. Everything but `Pending` is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStatus {
    /// It waits.
    Pending,
    /// Decided in favour (for a shadow window: ended early).
    Approved,
    /// Decided against.
    Rejected,
    /// Its time ran out.
    Expired,
    /// The promotion ended without it.
    Cancelled,
}

impl GateStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Approved, Self::Rejected, Self::Expired, Self::Cancelled];

    /// The word used in records and addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A decision at a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why, in their words. Never empty.
    pub comment: String,
    /// Whether it is in favour.
    pub approve: bool,
    /// Whether approver and submitter are the same person.
    #[serde(default)]
    pub self_approval: bool,
    /// The approver for whom they decided, where it was as a delegate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Whether an operator decided in an emergency, past approvers, quorum and separation of duties.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
    /// Whether it came by itself, at the end of a window in which nobody blocked it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// The digests that were shown and decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

impl Decision {
    /// A person's decision, as it is asked for: the rules add the rest.
    #[must_use]
    pub fn new(by: Actor, at: Timestamp, approve: bool, comment: &str) -> Self {
        Self {
            by,
            at,
            comment: comment.to_owned(),
            approve,
            self_approval: false,
            on_behalf_of: None,
            emergency: false,
            automatic: false,
            bound: None,
        }
    }
}

/// The time that people have to block an approval that would come by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When the approval comes, unless somebody blocks it before.
    pub ends_at: Timestamp,
    /// Who blocked it. The gate then waits for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
}

/// A block of an automatic approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why, in their words. Never empty.
    pub comment: String,
}

/// A reminder that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    /// The end that people were reminded of.
    pub ends_at: Timestamp,
    /// How many seconds before it the policy wants them reminded.
    pub before_seconds: u32,
    /// When it was given.
    pub at: Timestamp,
}

/// A decided gate that no execution waits for any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphaned {
    /// When that was found.
    pub at: Timestamp,
    /// The word of Step Functions for it.
    pub why: String,
}

/// What the registry keeps about a gate. The task token is not here: it is kept apart, readable to `gate` and `answer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRecord {
    /// Its name.
    pub id: GateId,
    /// What it waits for.
    pub kind: GateKind,
    /// The model.
    pub model: ModelName,
    /// The promotion.
    pub promotion: PromotionId,
    /// The epoch the promotion holds.
    pub epoch: u64,
    /// The challenger.
    pub challenger: VersionRef,
    /// The champion at the time.
    pub champion: Option<VersionRef>,
    /// How it stands.
    pub status: GateStatus,
    /// What a decision binds.
    pub bound: Bound,
    /// The verdict of the report that is shown.
    pub verdict: Option<Verdict>,
    /// Who asked for the promotion.
    pub requested_by: String,
    /// Who submitted the version.
    pub submitted_by: String,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it expires: the authority, not the state machine's timeout.
    pub expires_at: Timestamp,
    /// The decisions so far; more than one where the policy asks for a quorum.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// For an approval that comes by itself unless blocked: until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The reminders given so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminders: Vec<Reminder>,
    /// Set when Step Functions no longer knew the waiting task: the decision stands, and nobody is there to carry it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphaned: Option<Orphaned>,
    /// What was asked about its links: to take them back, or to send new ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_orders: Vec<LinkOrder>,
}

impl GateRecord {
    /// The window in which the approval can still be blocked; none where a person has to decide.
    #[must_use]
    pub fn open_window(&self) -> Option<&Window> {
        self.window.as_ref().filter(|w| self.status == GateStatus::Pending && w.blocked.is_none())
    }

    /// When the wait ends if nobody does anything: the window's end, or else the gate's expiry.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.open_window().map_or(self.expires_at, |w| w.ends_at)
    }

    /// A phrase that says how a closed gate ended, for example `approved by ann@example.com at …`.
    #[must_use]
    pub fn state_phrase(&self) -> String {
        let mut phrase = self.decided_phrase();
        if let Some(orphaned) = &self.orphaned {
            phrase.push_str(&format!("; orphaned: no execution waits for it ({})", orphaned.why));
        }
        phrase
    }

    fn decided_phrase(&self) -> String {
        match (self.status, self.decisions.last()) {
            (GateStatus::Pending, _) => "pending".into(),
            (GateStatus::Approved, Some(d)) if d.automatic => {
                format!("approved automatically at {}, because nobody blocked it", d.at)
            }
            (GateStatus::Approved, Some(d)) if d.emergency => {
                format!("approved in an emergency by {} at {}", d.by.principal, d.at)
            }
            (GateStatus::Approved, Some(d)) => format!("approved by {} at {}", d.by.principal, d.at),
            (GateStatus::Rejected, Some(d)) => format!("rejected by {} at {}", d.by.principal, d.at),
            (GateStatus::Approved, None) => "approved".into(),
            (GateStatus::Rejected, None) => "rejected".into(),
            (GateStatus::Expired, _) => format!("expired at {}", self.expires_at),
            (GateStatus::Cancelled, _) => "cancelled, because its promotion ended".into(),
        }
    }
}

/// What the waiting execution is told; nothing while the gate is pending.
#[must_use]
pub fn answer_of(gate: &GateRecord) -> Option<GateAnswer> {
    let outcome = match (gate.status, gate.kind) {
        (GateStatus::Pending, _) => return None,
        (GateStatus::Approved, GateKind::ShadowWindow) => GateOutcome::Stopped,
        (GateStatus::Approved, GateKind::Approval) => GateOutcome::Approved,
        (GateStatus::Expired, _) => GateOutcome::Expired,
        // A promotion that ended without its gate goes nowhere: its execution takes the way of a rejection to its end.
        (GateStatus::Rejected | GateStatus::Cancelled, _) => GateOutcome::Rejected,
    };
    let why = match (gate.status, gate.decisions.last()) {
        (GateStatus::Expired, _) => {
            format!("nobody decided gate {} before it expired at {}", gate.id, gate.expires_at)
        }
        (GateStatus::Approved | GateStatus::Rejected, Some(last)) => {
            let said: String = last.comment.chars().take(300).collect();
            format!("{} at gate {}: {said}", gate.state_phrase(), gate.id)
        }
        _ => format!("gate {} was {}", gate.id, gate.state_phrase()),
    };
    Some(GateAnswer { outcome, why, wait_seconds: 0 })
}

/// The gate after `decision`, by the rules of `access` as they are now (who may decide is evaluated live).
///
/// # Errors
/// [`Refusal::GateClosed`] when the gate is closed or past its expiry, [`Refusal::Forbidden`] when this person may not
/// decide, [`Refusal::Invalid`] when the comment is missing.
pub fn decide(gate: &GateRecord, decision: Decision, access: &Access) -> Result<GateRecord, Refusal> {
    open_at(gate, decision.at)?;
    let comment = checked_comment(&decision.comment)?;
    let by = &decision.by.principal;
    let voice = access.voice(by, decision.at);
    let own = is_own(gate, by, voice.as_ref(), access);
    if gate.kind == GateKind::Approval {
        may_decide(&decision, voice.as_ref(), own, access)?;
    }
    spoken_already(gate, by, voice.as_ref(), access)?;
    let approve = decision.approve;
    let on_behalf_of = voice.filter(|v| v.delegated).map(|v| v.of.email.clone());
    let mut after = gate.clone();
    after.decisions.push(Decision {
        comment,
        self_approval: own && approve,
        on_behalf_of: on_behalf_of.filter(|_| gate.kind == GateKind::Approval),
        bound: Some(gate.bound.clone()),
        ..decision
    });
    let needed = if gate.kind == GateKind::Approval { access.quorum.max(1) as usize } else { 1 };
    if !approve {
        after.status = GateStatus::Rejected;
    } else if approvals(&after, access) >= needed {
        after.status = GateStatus::Approved;
    }
    Ok(after)
}

/// How many different people are in favour. Who may decide is evaluated live, so an approval by someone who is no longer an
/// approver, or for one who is not, does not count any more.
#[must_use]
pub fn approvals(gate: &GateRecord, access: &Access) -> usize {
    let in_favour = gate.decisions.iter().filter(|d| d.approve);
    if gate.kind != GateKind::Approval {
        return in_favour.count();
    }
    let voices = in_favour.filter_map(|d| access.voice(&d.by.principal, d.at));
    voices.map(|v| v.of.email.to_lowercase()).collect::<std::collections::BTreeSet<_>>().len()
}

/// Refuses what is asked of a gate that is closed, or past its time.
pub(crate) fn open_at(gate: &GateRecord, at: Timestamp) -> Result<(), Refusal> {
    let closed = |state| Err(Refusal::GateClosed { gate: gate.id.clone(), state });
    if gate.status != GateStatus::Pending {
        return closed(gate.state_phrase());
    }
    if at >= gate.expires_at {
        return closed(format!("expired at {}", gate.expires_at));
    }
    Ok(())
}

/// The comment without the space around it.
fn checked_comment(comment: &str) -> Result<String, Refusal> {
    let comment = comment.trim();
    if comment.is_empty() {
        let why = "a comment is required: say in a sentence why you decide so";
        return Err(Refusal::Invalid { why: why.into() });
    }
    if comment.chars().count() > 4_000 {
        let why = "the comment is longer than 4000 characters: shorten it";
        return Err(Refusal::Invalid { why: why.into() });
    }
    Ok(comment.to_owned())
}

/// Whether whoever decides, or the one they decide for, submitted the version or asked for its promotion. What was submitted
/// or asked for by nobody in particular may be any submitter's.
fn is_own(gate: &GateRecord, by: &str, voice: Option<&Voice<'_>>, access: &Access) -> bool {
    let names = [Some(by), voice.map(|v| v.of.email.as_str())];
    let anonymous =
        [&gate.submitted_by, &gate.requested_by].into_iter().any(|by| crate::ids::is_anonymous(by));
    names.into_iter().flatten().any(|name| {
        access.may_be_one(name, &gate.submitted_by)
            || access.may_be_one(name, &gate.requested_by)
            || (anonymous && access.person(name).is_some_and(|p| p.has(crate::policy::Role::Submitter)))
    })
}

fn may_decide(
    decision: &Decision,
    voice: Option<&Voice<'_>>,
    own: bool,
    access: &Access,
) -> Result<(), Refusal> {
    let by = &decision.by;
    let refuse = |why: &str| {
        Err(Refusal::Forbidden {
            principal: by.principal.clone(),
            action: if decision.approve { "approve" } else { "reject" }.into(),
            why: why.into(),
        })
    };
    if voice.is_none() {
        return refuse("the policy does not name this principal among the approvers");
    }
    if own && access.separation_of_duties && decision.approve {
        return refuse(
            "separation of duties: the submitter or whoever started the promotion cannot approve it",
        );
    }
    if by.auth == Auth::Link && access.needs_login() {
        return refuse("separation of duties or a quorum needs a login; the link alone cannot decide");
    }
    if by.auth == Auth::System {
        return refuse("a function of the product never decides for a person");
    }
    Ok(())
}

/// One person is one voice: under another name, as a delegate, or through one.
fn spoken_already(
    gate: &GateRecord,
    by: &str,
    voice: Option<&Voice<'_>>,
    access: &Access,
) -> Result<(), Refusal> {
    let closed = |state| Err(Refusal::GateClosed { gate: gate.id.clone(), state });
    for earlier in &gate.decisions {
        if access.same_person(&earlier.by.principal, by) {
            return closed(format!("decided by {by} already; it waits for another approver"));
        }
        let before = access.voice(&earlier.by.principal, earlier.at);
        if let (Some(before), Some(voice)) = (before, voice)
            && before.of.email.eq_ignore_ascii_case(&voice.of.email)
        {
            let state = format!(
                "decided for {} already, by {}; it waits for another approver",
                voice.of.email, earlier.by.principal
            );
            return closed(state);
        }
    }
    Ok(())
}

/// The window of an approval that comes by itself unless blocked, for a gate that opens at `opened_at`: where the policy
/// grants one and the promotion's evidence allows it. A first version and a promotion with a skipped stage get none.
#[must_use]
pub fn window_of(
    promotion: &crate::promotion::PromotionRecord,
    approval: &crate::policy::Approval,
    opened_at: Timestamp,
) -> Option<Window> {
    let granted = approval.mode == crate::policy::ApprovalMode::AutoUnlessBlocked;
    let allowed = promotion.automatic.as_ref().is_some_and(|a| a.eligible);
    let plain = promotion.champion.is_some() && promotion.bypasses.is_empty();
    let length = jiff::SignedDuration::from_secs(approval.window_seconds.into());
    let ends_at = opened_at.checked_add(length).ok()?;
    (granted && allowed && plain).then_some(Window { ends_at, blocked: None })
}

/// The gate after somebody blocked the approval that would have come by itself. It waits for people from then on.
///
/// # Errors
/// [`Refusal::GateClosed`], [`Refusal::Forbidden`], [`Refusal::Invalid`] without a comment or without a window to block.
pub fn block(
    gate: &GateRecord,
    by: Actor,
    at: Timestamp,
    comment: &str,
    access: &Access,
) -> Result<GateRecord, Refusal> {
    open_at(gate, at)?;
    access.may(crate::access::Action::Block, &by.principal)?;
    let comment = checked_comment(comment)?;
    let mut after = gate.clone();
    match &mut after.window {
        None => Err(Refusal::Invalid {
            why: format!("gate {} waits for people; there is no automatic approval to block", gate.id),
        }),
        Some(Window { blocked: Some(before), .. }) => Err(Refusal::GateClosed {
            gate: gate.id.clone(),
            state: format!("blocked by {} at {}; it waits for people", before.by.principal, before.at),
        }),
        Some(window) => {
            window.blocked = Some(Blocked { by, at, comment });
            Ok(after)
        }
    }
}

/// The reminders that are due at `now` and not given yet: seconds before [`GateRecord::ends_at`]. Those longer than the whole
/// wait are passed over.
#[must_use]
pub fn reminders_due(gate: &GateRecord, reminders_seconds: &[u32], now: Timestamp) -> Vec<u32> {
    if gate.status != GateStatus::Pending || gate.kind != GateKind::Approval {
        return Vec::new();
    }
    let ends_at = gate.ends_at();
    let whole = ends_at.as_second() - gate.opened_at.as_second();
    let left = ends_at.as_second() - now.as_second();
    let given =
        |before: u32| gate.reminders.iter().any(|r| r.before_seconds == before && r.ends_at == ends_at);
    let due = |before: &u32| i64::from(*before) < whole && left <= i64::from(*before) && left > 0;
    reminders_seconds.iter().copied().filter(|before| due(before) && !given(*before)).collect()
}

/// The gate after an approval that came by itself. `told` says that people were reached when the gate opened and again
/// before the end.
///
/// # Errors
/// [`Refusal::NotApproved`] with what is missing; [`Refusal::GateClosed`].
pub fn approve_automatically(
    gate: &GateRecord,
    by: Actor,
    at: Timestamp,
    told: bool,
    access: &Access,
) -> Result<GateRecord, Refusal> {
    open_at(gate, at)?;
    let missing = |why: String| Err(Refusal::NotApproved { why });
    let Some(window) = gate.window.as_ref().filter(|_| gate.kind == GateKind::Approval) else {
        return missing(format!("gate {} waits for people", gate.id));
    };
    if let Some(blocked) = &window.blocked {
        return missing(format!("{} blocked it at {}", blocked.by.principal, blocked.at));
    }
    if at < window.ends_at {
        return missing(format!("people can block it until {}", window.ends_at));
    }
    if !access.automatic {
        return missing("the policy in force asks for people to decide".into());
    }
    let reminded = gate.reminders.iter().any(|r| r.ends_at == window.ends_at);
    if !reminded || !told {
        return missing("people were not told of it when the gate opened and again before its end".into());
    }
    let comment = format!("nobody blocked it from {} to {}", gate.opened_at, window.ends_at);
    let mut after = gate.clone();
    after.decisions.push(Decision {
        automatic: true,
        bound: Some(gate.bound.clone()),
        ..Decision::new(by, at, true, &comment)
    });
    after.status = GateStatus::Approved;
    Ok(after)
}

/// The gate after an operator skipped the approval in an emergency.
///
/// # Errors
/// [`Refusal::GateClosed`].
pub fn approve_in_emergency(
    gate: &GateRecord,
    bypass: &crate::promotion::Bypass,
    at: Timestamp,
) -> Result<GateRecord, Refusal> {
    open_at(gate, at)?;
    let mut after = gate.clone();
    after.decisions.push(Decision {
        emergency: true,
        bound: Some(gate.bound.clone()),
        ..Decision::new(bypass.by.clone(), at, true, &bypass.reason)
    });
    after.status = GateStatus::Approved;
    Ok(after)
}

/// The gate after its time ran out; unchanged when it was already closed.
#[must_use]
pub fn expire(gate: &GateRecord, now: Timestamp) -> GateRecord {
    let mut after = gate.clone();
    if gate.status == GateStatus::Pending && now >= gate.expires_at {
        after.status = GateStatus::Expired;
    }
    after
}

/// A link's right to decide at one gate as one approver. Stored under the SHA-256 of its 256 random bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// The gate it opens.
    pub gate: GateId,
    /// The model.
    pub model: ModelName,
    /// Whose it is.
    pub approver: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used to decide. A used one shows, and decides no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// Whether it was taken back.
    #[serde(default)]
    pub revoked: bool,
    /// How often this person's links to the gate had been taken back when it was made: it ends when they are again.
    #[serde(default)]
    pub generation: u32,
}

/// A gate for tests of the rules.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod testing {
    use super::*;
    use crate::ids::{Digest, VersionName};

    pub(crate) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    pub(crate) fn gate() -> GateRecord {
        let promotion = PromotionId::parse(&format!("pr_{}", "0".repeat(24))).unwrap();
        let digest = Digest::from_bytes([7; 32]);
        GateRecord {
            id: GateId::derive(&promotion, "approval", 1),
            kind: GateKind::Approval,
            model: ModelName::parse("credit-risk").unwrap(),
            promotion,
            epoch: 3,
            challenger: VersionRef { version: VersionName::new(2), digest: digest.clone() },
            champion: None,
            status: GateStatus::Pending,
            bound: Bound { package: digest.clone(), report: digest.clone(), benchmark: None, policy: digest },
            verdict: Some(Verdict::Pass),
            requested_by: "function/intake".into(),
            submitted_by: "ann@example.com".into(),
            opened_at: at(100),
            expires_at: at(200),
            decisions: vec![],
            window: None,
            reminders: vec![],
            orphaned: None,
            link_orders: vec![],
        }
    }
}

#[cfg(test)]
mod tests;

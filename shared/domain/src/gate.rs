//! Gates: waits for a decision, and the rules of deciding.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{Actor, Auth, Digest, GateId, ModelName, PromotionId, VersionRef};
use crate::policy::Approval;
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

/// What an approval binds: if any of these differs later, the approval covers nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The package.
    pub package: Digest,
    /// The comparison report that was shown, which names its frozen inputs; for a shadow window the package again.
    pub report: Digest,
    /// The benchmark, if the model has one.
    pub benchmark: Option<Digest>,
    /// The policy pinned for the promotion.
    pub policy: Digest,
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
}

impl GateRecord {
    /// A phrase that says how a closed gate ended, for example `approved by ann@example.com at …`.
    #[must_use]
    pub fn state_phrase(&self) -> String {
        let last = self.decisions.last();
        match (self.status, last) {
            (GateStatus::Pending, _) => "pending".into(),
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

/// The gate after `decision`, by the rules of `approval` as they are now (who may decide is evaluated live).
///
/// # Errors
/// [`Refusal::GateClosed`] when the gate is closed or past its expiry, [`Refusal::Forbidden`] when this person may not
/// decide, [`Refusal::Invalid`] when the comment is missing.
pub fn decide(gate: &GateRecord, decision: Decision, approval: &Approval) -> Result<GateRecord, Refusal> {
    if gate.status != GateStatus::Pending {
        return Err(Refusal::GateClosed { gate: gate.id.clone(), state: gate.state_phrase() });
    }
    if decision.at >= gate.expires_at {
        return Err(Refusal::GateClosed {
            gate: gate.id.clone(),
            state: format!("expired at {}", gate.expires_at),
        });
    }
    let comment = decision.comment.trim();
    if comment.is_empty() {
        return Err(Refusal::Invalid {
            why: "a comment is required: say in a sentence why you decide so".into(),
        });
    }
    if comment.chars().count() > 4_000 {
        return Err(Refusal::Invalid {
            why: "the comment is longer than 4000 characters: shorten it".into(),
        });
    }
    let by = &decision.by.principal;
    let own = same_person(by, &gate.submitted_by, approval) || same_person(by, &gate.requested_by, approval);
    if gate.kind == GateKind::Approval {
        may_decide(&decision, own, approval)?;
    }
    if gate.decisions.iter().any(|d| same_person(&d.by.principal, by, approval)) {
        return Err(Refusal::GateClosed {
            gate: gate.id.clone(),
            state: format!("decided by {} already; it waits for another approver", decision.by.principal),
        });
    }
    let mut after = gate.clone();
    let approve = decision.approve;
    after.decisions.push(Decision { comment: comment.to_owned(), self_approval: own && approve, ..decision });
    // Who may decide is evaluated live: an approval by someone who is no longer an approver does not count any more.
    let counts = |d: &&Decision| {
        d.approve && (gate.kind != GateKind::Approval || approver(&d.by.principal, approval).is_some())
    };
    let in_favour = after.decisions.iter().filter(counts).count();
    let needed = if gate.kind == GateKind::Approval { approval.quorum.max(1) as usize } else { 1 };
    if !approve {
        after.status = GateStatus::Rejected;
    } else if in_favour >= needed {
        after.status = GateStatus::Approved;
    }
    Ok(after)
}

/// Whether two principals are one person by the policy. A person with an address, a user and a role is still one voice of
/// a quorum, and cannot approve as one what they submitted as another.
#[must_use]
pub fn same_person(one: &str, other: &str, approval: &Approval) -> bool {
    one == other || approval.approvers.iter().any(|a| a.is(one) && a.is(other))
}

/// The approver whom `principal` names, by any of their names.
fn approver<'a>(principal: &str, approval: &'a Approval) -> Option<&'a crate::policy::Approver> {
    approval.approvers.iter().find(|a| a.is(principal))
}

fn may_decide(decision: &Decision, own: bool, approval: &Approval) -> Result<(), Refusal> {
    let by = &decision.by;
    let refuse = |why: &str| {
        Err(Refusal::Forbidden {
            principal: by.principal.clone(),
            action: if decision.approve { "approve" } else { "reject" }.into(),
            why: why.into(),
        })
    };
    if approver(&by.principal, approval).is_none() {
        return refuse("the policy does not name this principal among the approvers");
    }
    if own && approval.separation_of_duties && decision.approve {
        return refuse(
            "separation of duties: the submitter or whoever started the promotion cannot approve it",
        );
    }
    if by.auth == Auth::Link && (approval.separation_of_duties || approval.quorum > 1) {
        return refuse("separation of duties or a quorum needs a login; the link alone cannot decide");
    }
    Ok(())
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
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ids::VersionName;
    use crate::policy::Approver;

    const ANN: &str = "ann@example.com";
    const ANN_AS_USER: &str = "arn:aws:iam::1:user/ann";
    const BOB: &str = "bob@example.com";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn gate() -> GateRecord {
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
            submitted_by: ANN.into(),
            opened_at: at(100),
            expires_at: at(200),
            decisions: vec![],
        }
    }

    fn rules(quorum: u32, separation_of_duties: bool) -> Approval {
        let ann = Approver { email: ANN.into(), principals: vec![ANN_AS_USER.into()] };
        let bob = Approver { email: BOB.into(), principals: vec![] };
        Approval { approvers: vec![ann, bob], quorum, separation_of_duties, ..Approval::default() }
    }

    fn by(principal: &str, auth: Auth, approve: bool) -> Decision {
        let by = Actor { principal: principal.into(), auth };
        Decision { by, at: at(150), comment: " looks right ".into(), approve, self_approval: false }
    }

    #[test]
    fn an_approval_in_time_by_an_approver_counts_and_its_comment_is_kept() {
        let after = decide(&gate(), by(BOB, Auth::Link, true), &rules(1, false)).unwrap();
        assert_eq!(after.status, GateStatus::Approved);
        assert_eq!(after.decisions[0].comment, "looks right");
        assert!(!after.decisions[0].self_approval);
    }

    #[test]
    fn nobody_decides_late_or_without_a_comment_or_from_outside_the_policy() {
        let late = Decision { at: at(200), ..by(BOB, Auth::Iam, true) };
        assert!(matches!(decide(&gate(), late, &rules(1, false)), Err(Refusal::GateClosed { .. })));
        let silent = Decision { comment: " \n\t ".into(), ..by(BOB, Auth::Iam, true) };
        assert!(matches!(decide(&gate(), silent, &rules(1, false)), Err(Refusal::Invalid { .. })));
        let stranger = by("eve@example.com", Auth::Iam, true);
        assert!(matches!(decide(&gate(), stranger, &rules(1, false)), Err(Refusal::Forbidden { .. })));
    }

    #[test]
    fn separation_of_duties_sees_the_person_behind_every_principal_and_lets_no_link_decide() {
        for principal in [ANN, ANN_AS_USER] {
            let refused = decide(&gate(), by(principal, Auth::Iam, true), &rules(1, true));
            assert!(matches!(refused, Err(Refusal::Forbidden { .. })), "{principal}");
            let after = decide(&gate(), by(principal, Auth::Iam, true), &rules(1, false)).unwrap();
            assert!(after.decisions[0].self_approval, "{principal}");
        }
        assert!(decide(&gate(), by(BOB, Auth::Link, true), &rules(1, true)).is_err());
        assert!(decide(&gate(), by(BOB, Auth::Iam, true), &rules(1, true)).is_ok());
    }

    #[test]
    fn one_person_is_one_voice_of_a_quorum_whatever_they_log_in_as() {
        let mut first = gate();
        first.submitted_by = "carol@example.com".into();
        let half = decide(&first, by(ANN, Auth::Iam, true), &rules(2, false)).unwrap();
        assert_eq!(half.status, GateStatus::Pending);
        assert!(decide(&half, by(ANN_AS_USER, Auth::Iam, true), &rules(2, false)).is_err());
        assert_eq!(
            decide(&half, by(BOB, Auth::Iam, true), &rules(2, false)).unwrap().status,
            GateStatus::Approved
        );
    }

    #[test]
    fn the_answer_of_a_gate_is_none_while_it_waits_and_never_approval_by_anything_but_a_decision() {
        assert_eq!(answer_of(&gate()), None);
        for (status, kind, outcome) in [
            (GateStatus::Approved, GateKind::Approval, GateOutcome::Approved),
            (GateStatus::Approved, GateKind::ShadowWindow, GateOutcome::Stopped),
            (GateStatus::Expired, GateKind::Approval, GateOutcome::Expired),
            (GateStatus::Cancelled, GateKind::Approval, GateOutcome::Rejected),
            (GateStatus::Cancelled, GateKind::ShadowWindow, GateOutcome::Rejected),
            (GateStatus::Rejected, GateKind::Approval, GateOutcome::Rejected),
        ] {
            let ended = GateRecord { status, kind, ..gate() };
            assert_eq!(answer_of(&ended).unwrap().outcome, outcome, "{status:?} {kind:?}");
        }
    }
}

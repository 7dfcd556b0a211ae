//! The rules of deciding, case by case.
#![allow(clippy::unwrap_used)]

use super::testing::{at, gate};
use super::*;
use crate::policy::{Approval, Approver, Delegation, Person, Policy, Role};

const ANN: &str = "ann@example.com";
const ANN_AS_USER: &str = "arn:aws:iam::1:user/ann";
const BOB: &str = "bob@example.com";

fn policy(quorum: u32, separation_of_duties: bool) -> Policy {
    let ann = Approver { email: ANN.into(), principals: vec![ANN_AS_USER.into()] };
    let bob = Approver { email: BOB.into(), principals: vec![] };
    let approval =
        Approval { approvers: vec![ann, bob], quorum, separation_of_duties, ..Approval::default() };
    Policy { approval, ..Policy::default() }
}

fn rules(quorum: u32, separation_of_duties: bool) -> Access {
    policy(quorum, separation_of_duties).access()
}

fn person(email: &str, role: Option<Role>) -> Person {
    Person { email: email.into(), principals: vec![], roles: role.into_iter().collect(), emergency: false }
}

fn by(principal: &str, auth: Auth, approve: bool) -> Decision {
    let by = Actor { principal: principal.into(), auth };
    Decision::new(by, at(150), approve, " looks right ")
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
fn a_delegate_is_the_voice_of_the_lender_and_not_a_second_one() {
    const CAT: &str = "cat@example.com";
    let mut rules_of = policy(2, true);
    rules_of.people = vec![person(CAT, None)];
    rules_of.approval.delegations =
        vec![Delegation { from: ANN.into(), to: CAT.into(), since: None, until: at(160) }];
    let access = rules_of.access();
    let mut gate = gate();
    gate.submitted_by = "dan@example.com".into();
    let half = decide(&gate, by(CAT, Auth::Oidc, true), &access).unwrap();
    assert_eq!(half.decisions[0].on_behalf_of.as_deref(), Some(ANN));
    assert!(decide(&half, by(ANN, Auth::Oidc, true), &access).is_err(), "ann has spoken through cat");
    assert_eq!(decide(&half, by(BOB, Auth::Oidc, true), &access).unwrap().status, GateStatus::Approved);
    // What the lender submitted, the delegate cannot approve either.
    gate.submitted_by = ANN.into();
    assert!(matches!(decide(&gate, by(CAT, Auth::Oidc, true), &access), Err(Refusal::Forbidden { .. })));
    // It has ended, or was taken back: a decision under it counts no more.
    let late = Decision { at: at(170), ..by(CAT, Auth::Oidc, true) };
    assert!(decide(&gate, late, &access).is_err());
    rules_of.approval.delegations.clear();
    assert_eq!(approvals(&half, &rules_of.access()), 0);
}

#[test]
fn what_nobody_in_particular_submitted_no_submitter_approves() {
    let mut rules_of = policy(1, true);
    rules_of.people = vec![person(BOB, Some(Role::Submitter))];
    let mut gate = gate();
    gate.submitted_by = "account/123456789012".into();
    gate.requested_by = gate.submitted_by.clone();
    assert!(decide(&gate, by(BOB, Auth::Oidc, true), &rules_of.access()).is_err());
    assert!(decide(&gate, by(ANN, Auth::Oidc, true), &rules_of.access()).is_ok());
    assert!(decide(&gate, by(BOB, Auth::Oidc, false), &rules_of.access()).is_ok(), "rejecting is free");
    gate.submitted_by = "carol@example.com".into();
    assert!(decide(&gate, by(BOB, Auth::Oidc, true), &rules_of.access()).is_err(), "asked for by nobody");
    gate.requested_by = gate.submitted_by.clone();
    assert!(decide(&gate, by(BOB, Auth::Oidc, true), &rules_of.access()).is_ok(), "another person's");
}

#[test]
fn a_function_never_decides_for_a_person() {
    let mut rules_of = policy(1, false);
    rules_of.approval.approvers[0].principals.push("function/gate".into());
    let by_function = Decision { by: Actor::function("gate"), ..by(ANN, Auth::Iam, true) };
    assert!(matches!(decide(&gate(), by_function, &rules_of.access()), Err(Refusal::Forbidden { .. })));
}

fn automatic() -> (GateRecord, Access) {
    let mut rules_of = policy(1, true);
    rules_of.approval.mode = crate::policy::ApprovalMode::AutoUnlessBlocked;
    let mut gate = gate();
    gate.window = Some(Window { ends_at: at(180), blocked: None });
    gate.reminders = vec![Reminder { ends_at: at(180), before_seconds: 20, at: at(161) }];
    (gate, rules_of.access())
}

#[test]
fn an_automatic_approval_needs_the_whole_window_people_who_heard_and_nobody_against() {
    let (gate, access) = automatic();
    let ask = |gate: &GateRecord, second: i64, told: bool, access: &Access| {
        approve_automatically(gate, Actor::function("gate"), at(second), told, access)
    };
    let after = ask(&gate, 180, true, &access).unwrap();
    assert_eq!(after.status, GateStatus::Approved);
    assert!(after.decisions[0].automatic && after.state_phrase().contains("nobody blocked it"));
    let refused = |answer: Result<GateRecord, Refusal>| {
        assert!(
            matches!(answer, Err(Refusal::NotApproved { .. } | Refusal::GateClosed { .. })),
            "{answer:?}"
        );
    };
    refused(ask(&gate, 179, true, &access));
    refused(ask(&gate, 180, false, &access));
    refused(ask(&gate, 200, true, &access));
    refused(ask(&GateRecord { reminders: vec![], ..gate.clone() }, 180, true, &access));
    refused(ask(&GateRecord { window: None, ..gate.clone() }, 180, true, &access));
    refused(ask(&gate, 180, true, &rules(1, true)));
    let blocked = block(&gate, Actor { principal: BOB.into(), auth: Auth::Link }, at(170), "wait", &access);
    let blocked = blocked.unwrap();
    refused(ask(&blocked, 180, true, &access));
    assert_eq!((blocked.status, blocked.ends_at()), (GateStatus::Pending, at(200)));
    assert_eq!(decide(&blocked, by(BOB, Auth::Iam, true), &access).unwrap().status, GateStatus::Approved);
}

#[test]
fn blocking_needs_a_named_person_a_comment_and_a_window_and_is_final() {
    let (gate, access) = automatic();
    let bob = || Actor { principal: BOB.into(), auth: Auth::Oidc };
    assert!(block(&gate, bob(), at(170), " ", &access).is_err());
    let eve = Actor { principal: "eve@example.com".into(), auth: Auth::Oidc };
    assert!(matches!(block(&gate, eve, at(170), "x", &access), Err(Refusal::Forbidden { .. })));
    assert!(block(&GateRecord { window: None, ..gate.clone() }, bob(), at(170), "x", &access).is_err());
    let once = block(&gate, bob(), at(170), "x", &access).unwrap();
    assert!(matches!(block(&once, bob(), at(171), "y", &access), Err(Refusal::GateClosed { .. })));
}

#[test]
fn reminders_come_once_each_before_whatever_ends_first() {
    let (mut gate, _) = automatic();
    gate.reminders.clear();
    assert_eq!(reminders_due(&gate, &[20, 500], at(159)), Vec::<u32>::new());
    assert_eq!(reminders_due(&gate, &[20, 500], at(161)), [20], "longer than the whole wait is passed over");
    gate.reminders.push(Reminder { ends_at: at(180), before_seconds: 20, at: at(161) });
    assert_eq!(reminders_due(&gate, &[20], at(165)), Vec::<u32>::new());
    gate.window = None;
    assert_eq!(reminders_due(&gate, &[20], at(185)), [20], "another end is another reminder");
    assert_eq!(reminders_due(&gate, &[20], at(200)), Vec::<u32>::new(), "too late");
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

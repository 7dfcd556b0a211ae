//! Approvals without an approver: those that come by themselves, and those that an emergency skips.

use jiff::SignedDuration;
use seatrial_domain::Refusal;
use seatrial_domain::change::{self, Context, Request};
use seatrial_domain::compliance::ProfileName;
use seatrial_domain::gate::{Decision, GateKind, GateRecord, GateStatus, Window};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::{ApprovalMode, Person, Policy, Role};
use seatrial_domain::promotion::Stage;
use seatrial_domain::version::VersionStatus;

use super::scenario::{Full, Run, Scenario, ann, person, policy, v};
use crate::error::{CommitError, OpError};
use crate::ops::{By, Clock, draft_gate};

const WINDOW: i64 = 1_000;

/// Approvals may come by themselves, and olga may skip stages.
fn unattended() -> Policy {
    let mut policy = policy();
    policy.offline.tracked = policy.offline.metrics.keys().take(1).cloned().collect();
    policy.approval.mode = ApprovalMode::AutoUnlessBlocked;
    policy.approval.window_seconds = WINDOW as u32;
    policy.approval.reminders_seconds = vec![600];
    policy.people = vec![Person {
        email: "olga@example.com".into(),
        principals: vec!["arn:aws:iam::1:user/olga".into()],
        roles: [Role::Operator].into(),
        emergency: true,
    }];
    policy
}

async fn begun<R: Full>(registry: &R) -> (Scenario<R>, Run) {
    let s = Scenario::with_champion(registry).await;
    s.system().set_policy_by(&s.model, &unattended(), By::Platform).await.unwrap();
    let run = s.start(2).await;
    (s, run)
}

/// An open gate with a window.
async fn waiting<R: Full>(registry: &R) -> (Scenario<R>, Run, GateRecord) {
    let (s, run) = begun(registry).await;
    let promotion = s.report(&run, "report").await;
    let now = s.clock.now();
    let expires = now + SignedDuration::from_hours(1);
    let mut gate = draft_gate(GateKind::Approval, 1, &promotion, &s.version(2).await, now, expires).unwrap();
    gate.window = Some(Window { ends_at: now + SignedDuration::from_secs(WINDOW), blocked: None });
    let gate = s.system().open_gate(&gate).await.unwrap().value;
    (s, run, gate)
}

fn olga() -> Actor {
    person("arn:aws:iam::1:user/olga", Auth::Iam)
}

fn not_approved<T: std::fmt::Debug>(answer: &Result<T, OpError>) {
    assert!(matches!(answer, Err(OpError::Refused(Refusal::NotApproved { .. }))), "{answer:?}");
}

pub async fn an_approval_comes_by_itself_after_its_window_and_its_reminder<R: Full>(registry: &R) {
    let (s, run, gate) = waiting(registry).await;
    let before = s.snapshot().await;
    not_approved(&s.system().approve_automatically(&gate.id, true).await);
    assert!(!s.system().remind_gate(&gate.id).await.unwrap().fresh, "it is not due");
    assert_eq!(s.snapshot().await, before);
    s.clock.forward(SignedDuration::from_secs(500));
    assert!(s.system().remind_gate(&gate.id).await.unwrap().fresh);
    assert!(!s.system().remind_gate(&gate.id).await.unwrap().fresh, "once");
    s.clock.forward(SignedDuration::from_secs(600));
    not_approved(&s.system().approve_automatically(&gate.id, false).await);
    let decided = s.system().approve_automatically(&gate.id, true).await.unwrap().value;
    assert!(decided.status == GateStatus::Approved && decided.decisions[0].automatic);
    assert!(s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap().fresh);
    s.check().await;
}

pub async fn a_blocked_gate_waits_for_people<R: Full>(registry: &R) {
    let (s, _, gate) = waiting(registry).await;
    let stranger = s.ops(person("eve@example.com", Auth::Oidc)).block_gate(&gate.id, "no").await;
    assert!(matches!(stranger, Err(OpError::Refused(Refusal::Forbidden { .. }))), "{stranger:?}");
    assert!(s.ops(olga()).block_gate(&gate.id, "let us look").await.unwrap().fresh);
    assert!(!s.ops(olga()).block_gate(&gate.id, "let us look").await.unwrap().fresh, "done twice is once");
    let again = s.ops(ann()).block_gate(&gate.id, "me too").await;
    assert!(matches!(again, Err(OpError::Refused(Refusal::GateClosed { .. }))), "{again:?}");
    s.clock.forward(SignedDuration::from_secs(WINDOW + 1));
    not_approved(&s.system().approve_automatically(&gate.id, true).await);
    assert_eq!(s.events("gate_blocked").await, 1);
    let decided = s.ops(ann()).decide_gate(&gate.id, true, "looked", None).await.unwrap().value;
    assert_eq!(decided.status, GateStatus::Approved);
    s.check().await;
}

/// Someone with the domain's types and a pen writes what no operation would.
pub async fn an_automatic_or_emergency_decision_of_anothers_making_is_refused<R: Full>(registry: &R) {
    let (s, run, gate) = waiting(registry).await;
    let head = s.head().await;
    let before = s.snapshot().await;
    let function = Actor::function("intruder");
    let (promotion, version) = (s.promotion(&run).await, s.version(2).await);
    for (actor, automatic, emergency) in [
        (&function, true, false),
        (&function, false, true),
        (&function, false, false),
        (&olga(), false, true),
    ] {
        let context = Context { head: &head, actor, now: s.clock.now() };
        // A change of the right shape, whose decision is exchanged.
        let good = Context { actor: &ann(), ..context };
        let decision = Decision::new(ann(), context.now, true, "yes");
        let access = unattended().access();
        let mut change =
            change::decide_gate(&good, &promotion, &version, &gate, decision, &access, None).unwrap();
        let decision = &mut change.gate.as_mut().unwrap().decisions[0];
        decision.by = actor.clone();
        (decision.automatic, decision.emergency) = (automatic, emergency);
        change.entry.actor = actor.clone();
        change.entry.hash = change.entry.expected_hash().unwrap();
        change.head.chain.hash = change.entry.hash.clone();
        let answer = registry.commit(change).await;
        assert!(
            matches!(answer, Err(CommitError::Refused(Refusal::Invalid { .. }))),
            "{actor:?} {automatic} {emergency}: {answer:?}"
        );
    }
    // Nor is an approval skipped in a promotion whose profile wants a person to answer for it.
    let by = olga();
    let context = Context { head: &head, actor: &by, now: s.clock.now() };
    let access = unattended().access();
    let mut change =
        change::bypass(&context, &promotion, &version, None, Stage::Approval, "quick", &access).unwrap();
    change.promotion.as_mut().unwrap().profile = ProfileName::EuAiAct;
    let answer = registry.commit(change).await;
    assert!(matches!(answer, Err(CommitError::Refused(Refusal::Invalid { .. }))), "{answer:?}");
    assert_eq!(s.snapshot().await, before);
    s.check().await;
}

pub async fn only_whom_the_policy_names_skips_a_stage_and_it_stays_marked<R: Full>(registry: &R) {
    let (s, run, gate) = waiting(registry).await;
    let before = s.snapshot().await;
    for nobody in [ann(), person("eve@example.com", Auth::Iam), Actor::function("gate")] {
        let answer = s.ops(nobody).bypass(&s.model, Stage::Approval, "quick").await;
        assert!(matches!(answer, Err(OpError::Refused(Refusal::Forbidden { .. }))), "{answer:?}");
    }
    let silent = s.ops(olga()).bypass(&s.model, Stage::Approval, " ").await;
    assert!(matches!(silent, Err(OpError::Refused(Refusal::Invalid { .. }))), "{silent:?}");
    not_approved(&s.system().approve_in_emergency(&gate.id).await);
    assert_eq!(s.snapshot().await, before);
    assert!(s.ops(olga()).bypass(&s.model, Stage::Approval, "it burns").await.unwrap().fresh);
    assert!(!s.ops(olga()).bypass(&s.model, Stage::Approval, "it burns").await.unwrap().fresh);
    let decided = registry.gate(&gate.id).await.unwrap().unwrap();
    assert!(decided.status == GateStatus::Approved && decided.decisions[0].emergency);
    assert!(s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap().fresh);
    s.ops(olga()).bypass(&s.model, Stage::Canary, "it still burns").await.unwrap();
    s.system().crown(&s.model, &run.id, run.epoch).await.unwrap();
    assert_eq!(s.version(2).await.status, VersionStatus::Champion);
    assert_eq!(s.promotion(&run).await.bypasses.len(), 2);
    assert_eq!(s.events("emergency_bypass").await, 2);
    s.check().await;
}

pub async fn a_promotion_that_skips_from_its_start_needs_the_right_too<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    s.system().set_policy_by(&s.model, &unattended(), By::Platform).await.unwrap();
    let emergency = seatrial_domain::task::Emergency {
        skip: vec![Stage::Approval, Stage::Shadow, Stage::Approval],
        reason: "it burns".into(),
    };
    let id = seatrial_domain::PromotionId::derive(&s.model, "v2", 1);
    let start = async |by: &Actor| {
        let request = Request { emergency: Some(&emergency), ..Request::new(by, None) };
        s.system().start_skipping(&s.model, &id, v(2), &request).await
    };
    let refused = start(&ann()).await;
    assert!(matches!(refused, Err(OpError::Refused(Refusal::Forbidden { .. }))), "{refused:?}");
    assert!(s.head().await.running.is_none());
    let record = start(&olga()).await.unwrap().value;
    assert_eq!(record.bypasses.iter().map(|b| b.stage).collect::<Vec<_>>(), [Stage::Shadow, Stage::Approval]);
    let run = Run { id, epoch: record.epoch };
    let gate = s.open_gate(&run).await;
    let decided = s.system().approve_in_emergency(&gate.id).await.unwrap().value;
    assert!(decided.decisions[0].emergency && decided.decisions[0].by == olga());
    s.check().await;
}

pub async fn an_orphaned_gate_keeps_its_decision<R: Full>(registry: &R) {
    let (s, _, gate) = waiting(registry).await;
    assert!(!s.system().orphan_gate(&gate.id, "TaskTimedOut").await.unwrap().fresh, "it waits");
    let decided = s.ops(ann()).decide_gate(&gate.id, true, "yes", None).await.unwrap().value;
    assert!(s.system().orphan_gate(&gate.id, "TaskTimedOut").await.unwrap().fresh);
    assert!(!s.system().orphan_gate(&gate.id, "TaskTimedOut").await.unwrap().fresh, "once");
    let after = registry.gate(&gate.id).await.unwrap().unwrap();
    assert_eq!((after.status, &after.decisions), (decided.status, &decided.decisions));
    assert!(after.orphaned.is_some());
    s.check().await;
}

pub async fn settings_are_the_owners<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    let mut owned = unattended();
    owned.people[0].roles.insert(Role::Owner);
    let answer = s.ops(ann()).set_policy(&s.model, &owned).await;
    assert!(matches!(answer, Err(OpError::Refused(Refusal::Forbidden { .. }))), "{answer:?}");
    s.system().set_policy(&s.model, &owned).await.unwrap();
    let answer = s.system().set_policy(&s.model, &policy()).await;
    assert!(matches!(answer, Err(OpError::Refused(Refusal::Forbidden { .. }))), "owned now: {answer:?}");
    let benchmark = seatrial_domain::head::BenchmarkRef {
        digest: s.digest(9),
        key: "benchmark".into(),
        size: 1,
        set_at: s.clock.now(),
    };
    let answer = s.ops(ann()).set_benchmark(&s.model, &benchmark).await;
    assert!(matches!(answer, Err(OpError::Refused(Refusal::Forbidden { .. }))), "{answer:?}");
    assert!(s.ops(olga()).set_benchmark(&s.model, &benchmark).await.unwrap().fresh);
    assert!(s.ops(olga()).set_policy(&s.model, &policy()).await.unwrap().fresh);
    assert_eq!(s.events("policy_set").await, 3);
    s.check().await;
}

pub async fn an_attempts_end_is_told_without_counting_one<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let promotion = seatrial_domain::PromotionId::derive(&s.model, "mark", 1);
    assert!(!registry.attempt_finished(&promotion, "told").await.unwrap());
    registry.mark_attempt(&promotion, "told", s.clock.now() + SignedDuration::from_hours(1)).await.unwrap();
    assert!(!registry.attempt_finished(&promotion, "told").await.unwrap(), "begun is not finished");
    registry.finish_attempt(&promotion, "told").await.unwrap();
    assert!(registry.attempt_finished(&promotion, "told").await.unwrap());
}

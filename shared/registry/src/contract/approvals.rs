//! Nothing reaches callers without a decision, whoever asks the registry, and however.

use jiff::SignedDuration;
use seatrial_domain::canonical::sha256;
use seatrial_domain::change::{self, Change, Context, bound_now};
use seatrial_domain::gate::{Capability, GateRecord, GateStatus};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::Approver;
use seatrial_domain::promotion::CanaryStep;
use seatrial_domain::route::Weight;
use seatrial_domain::version::VersionStatus;
use seatrial_domain::{Digest, Refusal};

use super::scenario::{Full, Run, Scenario, ann, links_decide, person, policy, v};
use crate::error::{CommitError, OpError};
use crate::ops::Clock;
use crate::ports::GateFilter;

/// A shift and a crown as someone would make them who has the domain's functions and a gate of their own making.
async fn direct<R: Full>(s: &Scenario<R>, run: &Run, gate: &GateRecord) -> [Change; 2] {
    let head = s.head().await;
    let actor = Actor::function("intruder");
    let context = Context { head: &head, actor: &actor, now: s.clock.now() };
    let promotion = s.promotion(run).await;
    let (mut challenger, champion) = (s.version(2).await, s.version(1).await);
    challenger.status = VersionStatus::Approved;
    let mut through = promotion.clone();
    let step = CanaryStep { weight: Weight::ZERO, at: context.now };
    through.steps = vec![step.clone(), step];
    let mut begun = promotion.clone();
    begun.steps.clear();
    [
        change::shift(&context, &begun, &challenger, Some(gate), &policy(), 0).unwrap(),
        change::crown(&context, &through, &challenger, Some(&champion), None, Some(gate), &policy()).unwrap(),
    ]
}

async fn refuses<R: Full>(s: &Scenario<R>, change: Change) {
    let before = s.snapshot().await;
    let answer = s.registry.commit(change).await;
    assert!(matches!(answer, Err(CommitError::Refused(Refusal::NotApproved { .. }))), "{answer:?}");
    assert_eq!(s.snapshot().await, before, "nothing was written");
}

fn forged(gate: &GateRecord) -> GateRecord {
    GateRecord { status: GateStatus::Approved, ..gate.clone() }
}

pub async fn shift_and_crown_without_a_decision_are_refused<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    let run = s.start(2).await;
    for answer in [
        s.system().shift(&s.model, &run.id, run.epoch, 0).await.map(|_| ()),
        s.system().crown(&s.model, &run.id, run.epoch).await.map(|_| ()),
    ] {
        assert!(matches!(answer, Err(OpError::Refused(Refusal::NotApproved { .. }))), "{answer:?}");
    }
    let gate = s.open_gate(&run).await;
    // A gate that is still pending, by the operations and past them.
    for answer in [
        s.system().shift(&s.model, &run.id, run.epoch, 0).await.map(|_| ()),
        s.system().crown(&s.model, &run.id, run.epoch).await.map(|_| ()),
    ] {
        assert!(matches!(answer, Err(OpError::Refused(Refusal::NotApproved { .. }))), "{answer:?}");
    }
    for change in direct(&s, &run, &forged(&gate)).await {
        refuses(&s, change.clone()).await;
        refuses(&s, Change { approval: None, ..change }).await;
    }
    // A gate that never was.
    let mut never = forged(&gate);
    never.id = seatrial_domain::GateId::derive(&run.id, "approval", 2);
    for change in direct(&s, &run, &never).await {
        refuses(&s, change).await;
    }
    // A gate that was decided against.
    s.ops(ann()).decide_gate(&gate.id, false, "no", None).await.unwrap();
    for change in direct(&s, &run, &forged(&gate)).await {
        refuses(&s, change).await;
    }
    s.check().await;
}

pub async fn an_approval_of_other_digests_is_refused<R: Full>(registry: &R) {
    let (s, run) = Scenario::approved(registry).await;
    let promotion = s.promotion(&run).await;
    let gate = registry.gate(promotion.gate.as_ref().unwrap()).await.unwrap().unwrap();
    // The change claims that other digests were approved than the promotion has.
    for n in 0..4 {
        for mut change in direct(&s, &run, &gate).await {
            let bound = &mut change.approval.as_mut().unwrap().bound;
            let other = sha256(b"other");
            match n {
                0 => bound.package = other,
                1 => bound.report = other,
                2 => bound.policy = other,
                _ => bound.benchmark = Some(other),
            }
            refuses(&s, change).await;
        }
    }
    // The report changes after the approval, and the caller pretends that the approval was for the new one.
    s.report(&run, "another report").await;
    let answer = s.system().shift(&s.model, &run.id, run.epoch, 0).await;
    assert!(matches!(answer, Err(OpError::Refused(Refusal::NotApproved { .. }))), "{answer:?}");
    let mut pretended = gate.clone();
    pretended.bound = bound_now(&s.promotion(&run).await).unwrap();
    for change in direct(&s, &run, &pretended).await {
        refuses(&s, change).await;
    }
    s.report(&run, "report").await;
    assert!(
        s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap().fresh,
        "the approved report again"
    );
    s.check().await;
}

pub async fn an_approval_of_another_epoch_is_refused<R: Full>(registry: &R) {
    let (s, run) = Scenario::approved(registry).await;
    let old = registry.gate(s.promotion(&run).await.gate.as_ref().unwrap()).await.unwrap().unwrap();
    s.system().end_promotion(&s.model, &run.id, run.epoch, "worse").await.unwrap();
    let again = s.start_attempt(2, 2).await;
    s.report(&again, "report").await;
    let mut claimed = old.clone();
    (claimed.promotion, claimed.epoch) = (again.id.clone(), again.epoch);
    for change in direct(&s, &again, &claimed).await {
        refuses(&s, change).await;
    }
    let late = s.system().shift(&s.model, &run.id, run.epoch, 0).await;
    assert!(matches!(late, Err(OpError::Refused(Refusal::Superseded { .. }))), "{late:?}");
    let late = s.system().crown(&s.model, &run.id, run.epoch).await;
    assert!(matches!(late, Err(OpError::Refused(Refusal::Superseded { .. }))), "{late:?}");
    s.check().await;
}

pub async fn nobody_becomes_champion_but_the_challenger_and_the_standby<R: Full>(registry: &R) {
    let (s, run) = Scenario::through_canary(registry).await;
    s.register(3).await;
    let gate = registry.gate(s.promotion(&run).await.gate.as_ref().unwrap()).await.unwrap().unwrap();
    let [_, good] = direct(&s, &run, &gate).await;
    let stranger = s.version(3).await;
    let mut change = good.clone();
    change.head.route.champion = Some(stranger.reference());
    refuses(&s, change).await;
    let before = s.snapshot().await;
    let mut wrong = Vec::new();
    let mut change = good.clone();
    change.head.route.champion = None;
    wrong.push(change);
    let mut change = good.clone();
    change.head.epoch -= 1;
    wrong.push(change);
    let mut change = good.clone();
    change.versions.truncate(1);
    wrong.push(change);
    let mut change = good.clone();
    change.head.route.standby = Some(stranger.reference());
    wrong.push(change);
    for change in wrong {
        let answer = registry.commit(change).await;
        assert!(matches!(answer, Err(CommitError::Refused(_))), "{answer:?}");
    }
    assert_eq!(s.snapshot().await, before);
    s.check().await;
}

pub async fn a_closed_gate_is_final<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    let run = s.start(2).await;
    let gate = s.open_gate(&run).await;
    assert_eq!(
        s.system().close_gate(&gate.id).await.unwrap().value.status,
        GateStatus::Pending,
        "not its time yet"
    );
    s.clock.forward(SignedDuration::from_hours(2));
    let late = s.ops(ann()).decide_gate(&gate.id, true, "yes", None).await;
    assert!(matches!(late, Err(OpError::Refused(Refusal::GateClosed { .. }))), "{late:?}");
    let closed = s.system().close_gate(&gate.id).await.unwrap();
    assert_eq!((closed.value.status, closed.fresh), (GateStatus::Expired, true));
    assert!(!s.system().close_gate(&gate.id).await.unwrap().fresh);
    // Past the operations: someone with an old copy of the gate decides it.
    let head = s.head().await;
    let context = Context { head: &head, actor: &ann(), now: gate.opened_at + SignedDuration::from_secs(1) };
    let decision = seatrial_domain::gate::Decision::new(ann(), context.now, true, "yes");
    let (promotion, version) = (s.promotion(&run).await, s.version(2).await);
    let access = policy().access();
    let change = change::decide_gate(&context, &promotion, &version, &gate, decision, &access, None).unwrap();
    let answer = registry.commit(change).await;
    assert!(matches!(answer, Err(CommitError::Refused(Refusal::GateClosed { .. }))), "{answer:?}");
    // And a gate that was decided before it opened cannot be opened at all.
    let mut change = change::open_gate(
        &context,
        &promotion,
        GateRecord { id: seatrial_domain::GateId::derive(&run.id, "approval", 2), ..gate.clone() },
    )
    .unwrap();
    change.gate.as_mut().unwrap().status = GateStatus::Approved;
    let answer = registry.commit(change).await;
    assert!(matches!(answer, Err(CommitError::Refused(Refusal::Invalid { .. }))), "{answer:?}");
    s.check().await;
}

/// A link of `approver` to `gate` that ends in half an hour, of the generation that is theirs by this record.
async fn link<R: Full>(s: &Scenario<R>, gate: &GateRecord, approver: &str) -> Digest {
    let hash = sha256(format!("{} {approver} {}", gate.id, s.clock.now()).as_bytes());
    let capability = Capability {
        gate: gate.id.clone(),
        model: s.model.clone(),
        approver: approver.into(),
        expires_at: s.clock.now() + SignedDuration::from_mins(30),
        used_at: None,
        revoked: false,
        generation: gate.link_generation(approver),
    };
    s.registry.put_capability(&hash, &capability).await.unwrap();
    hash
}

async fn with_links<R: Full>(registry: &R) -> (Scenario<R>, GateRecord) {
    let s = Scenario::with_champion(registry).await;
    s.system().set_policy(&s.model, &links_decide()).await.unwrap();
    let run = s.start(2).await;
    let gate = s.open_gate(&run).await;
    (s, gate)
}

pub async fn a_link_decides_once_as_its_own_person<R: Full>(registry: &R) {
    let (s, gate) = with_links(registry).await;
    let hash = link(&s, &gate, "ann@example.com").await;
    let by_link = |who: &str| s.ops(person(who, Auth::Link));
    let refused = |answer: Result<_, OpError>| {
        matches!(answer.map(|_: crate::ops::Outcome<_>| ()), Err(OpError::Refused(_)))
    };
    let before = s.snapshot().await;
    assert!(
        refused(by_link("bob@example.com").decide_gate(&gate.id, true, "yes", Some(&hash)).await),
        "another's link"
    );
    assert!(refused(by_link("ann@example.com").decide_gate(&gate.id, true, "yes", None).await), "no link");
    let unknown = sha256(b"a guess");
    assert!(refused(by_link("ann@example.com").decide_gate(&gate.id, true, "yes", Some(&unknown)).await));
    let elsewhere = link(&s, &GateRecord { id: other_gate(&gate), ..gate.clone() }, "ann@example.com").await;
    assert!(refused(by_link("ann@example.com").decide_gate(&gate.id, true, "yes", Some(&elsewhere)).await));
    assert_eq!(s.snapshot().await, before);
    assert_eq!(registry.capability(&hash).await.unwrap().unwrap().used_at, None);
    let decided =
        by_link("ann@example.com").decide_gate(&gate.id, true, "yes", Some(&hash)).await.unwrap().value;
    assert_eq!(decided.status, GateStatus::Approved);
    assert!(registry.capability(&hash).await.unwrap().unwrap().used_at.is_some());
    s.check().await;
}

fn other_gate(gate: &GateRecord) -> seatrial_domain::GateId {
    seatrial_domain::GateId::derive(&gate.promotion, "approval", 9)
}

pub async fn a_revoked_or_expired_link_decides_nothing<R: Full>(registry: &R) {
    let (s, gate) = with_links(registry).await;
    let by_link = || s.ops(person("ann@example.com", Auth::Link));
    let before = s.snapshot().await;
    let revoked = link(&s, &gate, "ann@example.com").await;
    assert!(registry.revoke(&revoked).await.unwrap());
    assert!(registry.capability(&revoked).await.unwrap().unwrap().revoked);
    assert!(!registry.revoke(&sha256(b"unknown")).await.unwrap());
    let expired = link(&s, &gate, "ann@example.com").await;
    s.clock.forward(SignedDuration::from_mins(31));
    for hash in [&revoked, &expired] {
        let answer = by_link().decide_gate(&gate.id, true, "yes", Some(hash)).await;
        assert!(matches!(answer, Err(OpError::Refused(Refusal::GateClosed { .. }))), "{answer:?}");
    }
    assert_eq!(s.snapshot().await, before);
    let fresh = link(&s, &gate, "ann@example.com").await;
    assert!(by_link().decide_gate(&gate.id, false, "no", Some(&fresh)).await.unwrap().fresh);
    s.check().await;
}

pub async fn a_link_that_was_taken_back_decides_nothing_and_a_new_one_does<R: Full>(registry: &R) {
    let (s, gate) = with_links(registry).await;
    let decide = async |who: &str, hash: &Digest| {
        s.ops(person(who, Auth::Link)).decide_gate(&gate.id, true, "yes", Some(hash)).await
    };
    let (anns, bobs) = (link(&s, &gate, "ann@example.com").await, link(&s, &gate, "bob@example.com").await);
    let refused = s.ops(person("eve", Auth::Iam)).order_links(&gate.id, Some("eve"), true).await;
    assert!(matches!(refused, Err(OpError::Refused(Refusal::Invalid { .. }))), "{refused:?}");
    let order = async |of: Option<&str>, renew| s.ops(ann()).order_links(&gate.id, of, renew).await.unwrap();
    assert!(order(Some("ann@example.com"), true).await.fresh);
    assert!(!order(Some("ann@example.com"), true).await.fresh, "the same again before it is done");
    let before = s.snapshot().await;
    let answer = decide("ann@example.com", &anns).await;
    assert!(matches!(answer, Err(OpError::Refused(Refusal::GateClosed { .. }))), "{answer:?}");
    assert_eq!(s.snapshot().await, before);
    assert_eq!(registry.capability(&anns).await.unwrap().unwrap().used_at, None);

    let record = registry.gate(&gate.id).await.unwrap().unwrap();
    assert!(record.owes_link("ann@example.com") && !record.owes_link("bob@example.com"));
    let new = link(&s, &record, "ann@example.com").await;
    let to = ["ann@example.com".to_owned()];
    assert!(s.system().links_sent(&gate.id, 1, &to).await.unwrap().fresh);
    assert!(!s.system().links_sent(&gate.id, 1, &to).await.unwrap().fresh, "once");
    assert_eq!((s.events("gate_links_revoked").await, s.events("gate_links_sent").await), (1, 1));
    let record = registry.gate(&gate.id).await.unwrap().unwrap();
    assert_eq!((record.status, record.owes_links()), (GateStatus::Pending, false));
    // Nobody else's links are touched, and the new one decides.
    assert!(decide("bob@example.com", &anns).await.is_err(), "another's");
    assert_eq!(decide("ann@example.com", &new).await.unwrap().value.status, GateStatus::Approved);
    assert!(decide("bob@example.com", &bobs).await.is_err(), "it is closed");
    s.check().await;
}

pub async fn who_may_decide_is_read_at_the_moment<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    let run = s.start(2).await;
    let gate = s.open_gate(&run).await;
    let cat = || s.ops(person("cat@example.com", Auth::Oidc));
    let answer = cat().decide_gate(&gate.id, true, "yes", None).await;
    assert!(matches!(answer, Err(OpError::Refused(Refusal::Forbidden { .. }))), "{answer:?}");
    let mut rules = policy();
    rules.approval.approvers = vec![Approver { email: "cat@example.com".into(), principals: vec![] }];
    s.system().set_policy(&s.model, &rules).await.unwrap();
    let answer = s.ops(ann()).decide_gate(&gate.id, true, "yes", None).await;
    assert!(
        matches!(answer, Err(OpError::Refused(Refusal::Forbidden { .. }))),
        "ann was taken off: {answer:?}"
    );
    let decided = cat().decide_gate(&gate.id, true, "yes", None).await.unwrap().value;
    assert_eq!(decided.status, GateStatus::Approved);
    assert_eq!(s.promotion(&run).await.policy.number, 1, "the thresholds stay pinned");
    assert!(s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap().fresh);
    assert_eq!(s.version(2).await.version, v(2));
    s.check().await;
}

pub async fn gates_are_listed_by_status<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    let run = s.start(2).await;
    let gate = s.open_gate(&run).await;
    let mine = |status| GateFilter { status, model: Some(s.model.clone()) };
    let listed = |found: Vec<GateRecord>| found.into_iter().map(|g| g.id).collect::<Vec<_>>();
    assert_eq!(
        listed(registry.gates(&mine(GateStatus::Pending)).await.unwrap()),
        std::slice::from_ref(&gate.id)
    );
    assert!(listed(registry.gates(&GateFilter::pending()).await.unwrap()).contains(&gate.id));
    s.ops(ann()).decide_gate(&gate.id, true, "yes", None).await.unwrap();
    assert!(registry.gates(&mine(GateStatus::Pending)).await.unwrap().is_empty());
    let approved = registry.gates(&mine(GateStatus::Approved)).await.unwrap();
    assert_eq!(approved.len(), 2, "v1's and v2's");
    assert!(approved.is_sorted_by_key(|g| g.opened_at), "oldest first");
    assert_eq!(approved[1].decisions[0].comment, "yes");
}

//! Reading, committing, and doing everything twice.

use jiff::SignedDuration;
use seatrial_domain::change::{self, Context, Right};
use seatrial_domain::gate::GateStatus;
use seatrial_domain::head::{BenchmarkRef, Head};
use seatrial_domain::history;
use seatrial_domain::ids::Actor;
use seatrial_domain::promotion::{EvidenceKind, PromotionStatus};
use seatrial_domain::route::Weight;
use seatrial_domain::version::VersionStatus;
use seatrial_domain::{ModelName, PromotionId, Refusal, Verdict};

use super::scenario::{Full, Scenario, ann, evidence, package, person, policy, v};
use crate::error::{CommitError, OpError};
use crate::ops::Clock;

fn benchmark(s: &Scenario<impl Full>, name: &str) -> BenchmarkRef {
    let object = evidence(name);
    BenchmarkRef { digest: object.digest, key: object.key, size: 9, set_at: s.clock.now() }
}

pub async fn records_come_back_as_written<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    for n in 3..12 {
        s.register(n).await;
    }
    s.promote(2).await;
    let versions = registry.versions(&s.model).await.unwrap();
    let numbers: Vec<u32> = versions.iter().map(|v| v.version.number()).collect();
    assert_eq!(numbers, (1..12).collect::<Vec<_>>(), "oldest first, v10 after v9");
    assert_eq!(versions[1].package, package());
    let found = registry.version_by_digest(&s.model, &s.digest(2)).await.unwrap();
    assert_eq!(found.as_ref(), Some(&versions[1]));
    assert_eq!(found.unwrap().status, VersionStatus::Champion);
    assert_eq!(registry.version_by_digest(&s.model, &s.digest(99)).await.unwrap(), None);
    assert_eq!(registry.version(&s.model, v(99)).await.unwrap(), None);
    let promotions = registry.promotions(&s.model).await.unwrap();
    let promoted: Vec<_> = promotions.iter().map(|p| p.challenger.version).collect();
    assert_eq!(promoted, [v(1), v(2)], "in the order of their starts");
    assert_eq!(promotions[1].evidence[&EvidenceKind::Report], evidence("report"));
    let stored = registry.policy(&s.model, 1).await.unwrap().unwrap();
    assert_eq!((stored.policy, stored.reference), (policy(), promotions[1].policy.clone()));
    assert_eq!(registry.policy(&s.model, 2).await.unwrap(), None);
    assert!(registry.models().await.unwrap().contains(&s.model));
    let nobody = Scenario::empty(registry).model;
    assert_eq!(registry.head(&nobody).await.unwrap(), None);
    assert!(!registry.models().await.unwrap().contains(&nobody));
    s.check().await;
}

pub async fn histories_come_in_pages_and_verify<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    let whole = s.history().await;
    assert!(whole.len() > 5);
    let mut paged = Vec::new();
    loop {
        let page = registry.history(&s.model, paged.len() as u64, 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    assert!(registry.history(&s.model, 0, 0).await.unwrap().is_empty());
    history::verify(&s.model, &paged, Some(&s.head().await.chain)).unwrap();
}

pub async fn the_same_digest_twice_is_one_version<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let first = s.register(1).await;
    let again = s.register(1).await;
    assert_eq!(first, again);
    assert_eq!(registry.versions(&s.model).await.unwrap().len(), 1);
    assert_eq!(s.head().await.next_version, 2);
    // Past the operation: a change that claims the digest for another name is told whose it is.
    let head = s.head().await;
    let actor = Actor::function("contract");
    let context = Context { head: &head, actor: &actor, now: s.clock.now() };
    let change = change::register_version(&context, s.digest(1), package(), "eve", None).unwrap();
    match registry.commit(change).await {
        Err(CommitError::Claimed { version, .. }) => assert_eq!(version, v(1)),
        other => panic!("{other:?}"),
    }
    assert_eq!(registry.versions(&s.model).await.unwrap().len(), 1);
    s.check().await;
}

pub async fn everything_done_twice_has_the_effect_of_once<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    macro_rules! twice {
        ($ask:expr) => {{
            let first = $ask.await.unwrap();
            let seq = s.head().await.chain.seq;
            let second = $ask.await.unwrap();
            assert!(first.fresh && !second.fresh, "{}", stringify!($ask));
            assert_eq!(first.value, second.value, "{}", stringify!($ask));
            assert_eq!(s.head().await.chain.seq, seq, "{}", stringify!($ask));
            first.value
        }};
    }
    let (ops, model) = (s.system(), &s.model);
    let mut rules = policy();
    rules.segment_min_n = 201;
    twice!(ops.set_policy(model, &rules));
    let set = benchmark(&s, "benchmark");
    twice!(ops.set_benchmark(model, &set));
    let digest = s.digest(1);
    twice!(ops.register_version(model, &digest, &package(), "sue@example.com"));
    s.promote(1).await;
    s.register(2).await;
    let id = PromotionId::derive(model, "v2", 1);
    let asker = Actor::function("intake");
    let epoch = twice!(ops.start_promotion(model, &id, v(2), &asker, None)).epoch;
    let (kind, object) = (EvidenceKind::Evaluation, evidence("evaluation"));
    twice!(ops.record_evidence(model, &id, epoch, kind, &object, Some(Verdict::Pass)));
    twice!(ops.open_shadow(model, &id, epoch));
    assert_eq!(s.head().await.route.shadow, policy().shadow_share());
    twice!(ops.close_shadow(model, &id, epoch, true));
    let run = super::scenario::Run { id: id.clone(), epoch };
    let gate = s.open_gate(&run).await;
    assert!(!ops.open_gate(&gate).await.unwrap().fresh);
    s.ops(ann()).decide_gate(&gate.id, true, "yes", None).await.unwrap();
    let seq = s.head().await.chain.seq;
    let again = s.ops(ann()).decide_gate(&gate.id, true, "yes", None).await;
    assert!(matches!(again, Err(OpError::Refused(Refusal::GateClosed { .. }))), "{again:?}");
    assert_eq!(s.head().await.chain.seq, seq);
    assert!(!ops.close_gate(&gate.id).await.unwrap().fresh, "a decided gate is closed");
    twice!(ops.shift(model, &id, epoch, 0));
    twice!(ops.shift(model, &id, epoch, 1));
    twice!(ops.crown(model, &id, epoch));
    let ended = ops.end_promotion(model, &id, epoch, "late").await.unwrap();
    assert_eq!((ended.value.status, ended.fresh), (PromotionStatus::Crowned, false), "the crown came first");
    twice!(ops.end_holdback(model));
    let manifest = evidence("manifest");
    twice!(ops.attested(model, &id, &manifest, &evidence("audit.pdf")));
    s.register(3).await;
    let third = s.start(3).await;
    twice!(ops.end_promotion(model, &third.id, third.epoch, "worse"));
    twice!(ops.retire(model, v(3), "old"));
    let restarted = ops.start_promotion(model, &third.id, v(3), &asker, None).await;
    assert!(matches!(restarted, Err(OpError::Refused(Refusal::Superseded { .. }))), "{restarted:?}");
    s.check().await;
}

pub async fn a_change_is_committed_once_and_from_the_present_head_only<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    let head = s.head().await;
    let actor = Actor::function("contract");
    let change = |name: &str| {
        let context = Context { head: &head, actor: &actor, now: s.clock.now() };
        change::set_benchmark(&context, benchmark(&s, name), &Right::Platform).unwrap()
    };
    let (first, other) = (change("a"), change("b"));
    registry.commit(first.clone()).await.unwrap();
    // The answer was lost and the caller sends it again: it is there already.
    registry.commit(first.clone()).await.unwrap();
    assert_eq!(s.history().await.len(), 2);
    assert!(matches!(registry.commit(other).await, Err(CommitError::Conflict { .. })));
    // Even after others have written on top of it, the same change is known as committed.
    s.register(1).await;
    registry.commit(first.clone()).await.unwrap();
    assert_eq!(s.history().await.len(), 3);
    assert_eq!(s.head().await.benchmark.unwrap().key, "evidence/a");
    // A change that does not follow from the head is refused, whatever it says.
    let head = s.head().await;
    let context = Context { head: &head, actor: &actor, now: s.clock.now() };
    let good = change::set_benchmark(&context, benchmark(&s, "c"), &Right::Platform).unwrap();
    let mut forged = Vec::new();
    let mut wrong = good.clone();
    wrong.entry.details = serde_json::json!({ "to": "something else" });
    forged.push(wrong);
    let mut wrong = good.clone();
    wrong.entry.seq += 1;
    forged.push(wrong);
    let mut wrong = good.clone();
    wrong.head.chain = first.head.chain.clone();
    forged.push(wrong);
    let mut wrong = good.clone();
    wrong.head.epoch += 1;
    forged.push(wrong);
    for change in forged {
        let answer = registry.commit(change).await;
        assert!(matches!(answer, Err(CommitError::Refused(Refusal::Invalid { .. }))), "{answer:?}");
    }
    assert_eq!(s.history().await.len(), 3);
    s.check().await;
}

pub async fn a_new_model_begins_once<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let now = s.clock.now();
    let head = Head::new(s.model.clone(), now);
    let actor = Actor::function("contract");
    let change = |name: &str| {
        let context = Context { head: &head, actor: &actor, now };
        change::set_benchmark(&context, benchmark(&s, name), &Right::Platform).unwrap()
    };
    registry.commit(change("a")).await.unwrap();
    assert!(matches!(registry.commit(change("b")).await, Err(CommitError::Conflict { .. })));
    let names = registry.models().await.unwrap();
    assert_eq!(names.iter().filter(|name| **name == s.model).count(), 1);
    assert!(names.is_sorted());
}

pub async fn an_unusable_policy_or_an_unknown_model_changes_nothing<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let mut bad = policy();
    bad.canary.steps.clear();
    let answer = s.system().set_policy(&s.model, &bad).await;
    assert!(matches!(answer, Err(OpError::Refused(Refusal::Invalid { .. }))));
    assert_eq!(registry.head(&s.model).await.unwrap(), None);
    let id = PromotionId::derive(&s.model, "v1", 1);
    let asker = Actor::function("intake");
    let unknown = |answer: Option<&Refusal>| matches!(answer, Some(Refusal::NotFound { .. }));
    let answer = s.system().start_promotion(&s.model, &id, v(1), &asker, None).await;
    assert!(unknown(answer.unwrap_err().refusal()));
    let answer = s.system().roll_back(&s.model, "errors", false).await;
    assert!(unknown(answer.unwrap_err().refusal()));
    s.register(1).await;
    let answer = s.system().start_promotion(&s.model, &id, v(1), &asker, None).await;
    assert!(
        matches!(answer, Err(OpError::Refused(Refusal::Invalid { .. }))),
        "there is no policy: {answer:?}"
    );
    let gate = seatrial_domain::GateId::derive(&id, "approval", 1);
    let answer = s.ops(ann()).decide_gate(&gate, true, "yes", None).await;
    assert!(unknown(answer.unwrap_err().refusal()));
    assert_eq!(s.history().await.len(), 1);
    assert!(ModelName::parse(s.model.as_str()).is_ok());
}

pub async fn what_later_evidence_is_made_of_is_recorded_once<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    s.register(2).await;
    let run = s.start(2).await;
    let before = s.events("evidence_recorded").await;
    for kind in [EvidenceKind::Evaluation, EvidenceKind::Inputs] {
        let record = async |name: &str| {
            let object = evidence(name);
            s.system().record_evidence(&s.model, &run.id, run.epoch, kind, &object, None).await.unwrap()
        };
        let (first, again, late) = (record("first").await, record("first").await, record("late").await);
        assert_eq!((first.fresh, again.fresh, late.fresh), (true, false, false), "{kind:?}");
        assert_eq!(
            late.value.evidence[&kind],
            evidence("first"),
            "{kind:?}: who comes late is told which it is"
        );
    }
    assert_eq!(s.events("evidence_recorded").await - before, 2);
    s.check().await;
}

pub async fn a_repeated_rollback_is_not_a_second_one<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    s.promote(2).await;
    s.register(3).await;
    let run = s.start(3).await;
    s.approve(&run).await;
    s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap();
    let operator = || s.ops(person("arn:aws:iam::1:user/op", seatrial_domain::ids::Auth::Iam));
    let first = operator().roll_back(&s.model, "errors", false).await.unwrap();
    assert_eq!(first.value.ended.as_ref(), Some(&run.id));
    assert!(!first.value.champion_changed);
    // The answer was lost and the operator's client asks again: the champion stays.
    let second = operator().roll_back(&s.model, "errors", false).await.unwrap();
    assert_eq!((second.value, second.fresh), (first.value, false));
    assert_eq!(s.head().await.champion().unwrap().version, v(2));
    // Asked for by name, or later, it is a new one.
    let third = operator().roll_back(&s.model, "errors", true).await.unwrap();
    assert!(third.fresh && third.value.champion_changed);
    assert_eq!(s.head().await.champion().unwrap().version, v(1));
    let fourth = operator().roll_back(&s.model, "errors", true).await.unwrap();
    assert_eq!((fourth.value, fourth.fresh), (third.value, false));
    s.clock.forward(SignedDuration::from_secs(61));
    let fifth = operator().roll_back(&s.model, "errors", true).await;
    assert!(matches!(fifth, Err(OpError::Refused(Refusal::NoStandby { .. }))), "{fifth:?}");
    s.check().await;
}

pub async fn whoever_has_no_rights_on_gates_rolls_back_and_leaves_the_gate_to_be_closed<R: Full>(
    registry: &R,
) {
    let s = Scenario::with_champion(registry).await;
    s.register(2).await;
    let run = s.start(2).await;
    let gate = s.open_gate(&run).await;
    let done = s.ops(ann()).leaving_gates().roll_back(&s.model, "errors", false).await.unwrap().value;
    assert_eq!(done.ended.as_ref(), Some(&run.id));
    assert_eq!(s.promotion(&run).await.status, PromotionStatus::Rejected);
    assert_eq!(registry.gate(&gate.id).await.unwrap().unwrap(), gate, "the gate is as it was");
    // Until it is closed, nobody gets anything by it.
    let late = s.ops(ann()).decide_gate(&gate.id, true, "yes", None).await;
    assert!(late.is_err(), "{late:?}");
    let closed = s.system().close_gate(&gate.id).await.unwrap().value;
    assert_eq!(closed.status, GateStatus::Cancelled);
    s.check().await;
}

pub async fn a_rollback_ends_what_runs_and_then_takes_the_champion_back<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    let answer = s.system().roll_back(&s.model, "errors", true).await;
    assert!(matches!(answer, Err(OpError::Refused(Refusal::NoStandby { .. }))), "v1 has nothing behind it");
    s.promote(2).await;
    s.register(3).await;
    let run = s.start(3).await;
    let gate = s.open_gate(&run).await;
    let done = s.system().roll_back(&s.model, "errors", true).await.unwrap().value;
    assert_eq!((done.ended, done.champion_changed), (Some(run.id.clone()), true));
    assert_eq!(done.from.unwrap().version, v(2));
    let head = s.head().await;
    assert_eq!((head.champion().unwrap().version, head.route.weight), (v(1), Weight::ZERO));
    assert!(head.running.is_none() && head.standby.is_none());
    assert_eq!(s.promotion(&run).await.status, PromotionStatus::Aborted);
    let closed = registry.gate(&gate.id).await.unwrap().unwrap();
    assert_eq!(closed.status, GateStatus::Cancelled);
    // The lock is free at once, so that the fix can start.
    s.start_attempt(3, 2).await;
    s.check().await;
}

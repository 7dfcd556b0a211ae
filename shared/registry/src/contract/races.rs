//! Lost races: several callers at once, and a lawful end whoever wins.

use std::time::Duration;

use jiff::SignedDuration;
use seatrial_domain::canonical::sha256;
use seatrial_domain::change::{self, Context, Request};
use seatrial_domain::gate::{Capability, GateStatus};
use seatrial_domain::head::BenchmarkRef;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::BusyMode;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::route::Weight;
use seatrial_domain::version::VersionStatus;
use seatrial_domain::{PromotionId, Refusal};
use tokio::task::JoinSet;

use super::scenario::{Full, Run, Scenario, ann, evidence, links_decide, package, person, policy, v};
use crate::error::OpError;
use crate::ops::{By, Clock};

/// Runs `n` of the same call at once.
async fn at_once<R, T, F>(s: &Scenario<R>, n: u32, call: impl Fn(Scenario<R>, u32) -> F) -> Vec<T>
where
    R: Full,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for i in 0..n {
        calls.spawn(call(s.clone(), i));
    }
    calls.join_all().await
}

pub async fn twenty_crowns_make_one_champion<R: Full>(registry: &R) {
    let (s, run) = Scenario::through_canary(registry).await;
    let answers = at_once(&s, 20, |s, i| {
        let run = run.clone();
        async move { s.ops(Actor::function(&format!("crown-{i}"))).crown(&s.model, &run.id, run.epoch).await }
    })
    .await;
    let fresh = answers.iter().filter(|a| a.as_ref().is_ok_and(|o| o.fresh)).count();
    assert_eq!(fresh, 1, "exactly one wins");
    for answer in &answers {
        let crown = &answer.as_ref().expect("the others find it done").value;
        assert_eq!((crown.champion.version, crown.standby.as_ref().unwrap().version), (v(2), v(1)));
    }
    assert_eq!(s.events("crowned").await, 2, "v1's and v2's");
    assert_eq!(s.head().await.epoch, run.epoch + 1);
    s.check().await;
}

pub async fn a_rollback_against_a_crown_in_flight<R: Full>(registry: &R) {
    for round in 0..6 {
        let (s, run) = Scenario::through_canary(registry).await;
        let crowning = {
            let (s, run) = (s.clone(), run.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(300 * (round % 3))).await;
                s.ops(Actor::function("crown")).crown(&s.model, &run.id, run.epoch).await
            })
        };
        let rolling = {
            let s = s.clone();
            tokio::spawn(async move { s.ops(ann()).roll_back(&s.model, "errors", false).await })
        };
        let (crowned, rolled) = (crowning.await.unwrap(), rolling.await.unwrap().unwrap());
        let status = s.promotion(&run).await.status;
        match &crowned {
            // The crown came first: the rollback took the new champion back.
            Ok(_) => assert!(status == PromotionStatus::Crowned && rolled.value.champion_changed),
            // The rollback came first: the crown found the promotion ended.
            Err(OpError::Refused(Refusal::Superseded { .. })) => {
                assert!(status == PromotionStatus::Aborted && !rolled.value.champion_changed);
            }
            other => panic!("{other:?}"),
        }
        let head = s.head().await;
        assert_eq!((head.champion().unwrap().version, head.route.weight), (v(1), Weight::ZERO));
        assert_eq!(s.version(2).await.status, VersionStatus::RolledBack);
        assert!(head.running.is_none() && head.route.challenger.is_none());
        s.check().await;
    }
}

/// What the canary's state machine does, until it is told that it has been superseded.
async fn canary<R: Full>(s: Scenario<R>, run: Run) -> Refusal {
    let ops = s.ops(Actor::function("shift"));
    for step in 0..2 {
        if let Err(error) = ops.shift(&s.model, &run.id, run.epoch, step).await {
            return error.refusal().expect("a refusal").clone();
        }
    }
    // A canary that goes on: the same step over and over, as a redelivered or retried task would.
    loop {
        if let Err(error) = ops.shift(&s.model, &run.id, run.epoch, 1).await {
            return error.refusal().expect("a refusal").clone();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub async fn a_rollback_against_a_shift_in_flight_and_a_canary_that_goes_on<R: Full>(registry: &R) {
    for round in 0..6 {
        let (s, run) = Scenario::approved(registry).await;
        let going = tokio::spawn(canary(s.clone(), run.clone()));
        tokio::time::sleep(Duration::from_millis(2 * round)).await;
        let rolled = s.ops(ann()).roll_back(&s.model, "errors", false).await.unwrap();
        assert!(rolled.fresh && !rolled.value.champion_changed);
        assert!(matches!(going.await.unwrap(), Refusal::Superseded { .. }));
        // Nothing that is still in flight brings the weight back.
        for step in 0..2 {
            let late = s.system().shift(&s.model, &run.id, run.epoch, step).await;
            assert!(matches!(late, Err(OpError::Refused(Refusal::Superseded { .. }))), "{late:?}");
        }
        let late = s.system().crown(&s.model, &run.id, run.epoch).await;
        assert!(matches!(late, Err(OpError::Refused(Refusal::Superseded { .. }))), "{late:?}");
        let head = s.head().await;
        assert_eq!((head.champion().unwrap().version, head.route.weight), (v(1), Weight::ZERO));
        assert!(head.route.challenger.is_none() && head.running.is_none());
        let entries = s.history().await;
        let end = entries.iter().position(|e| e.epoch > run.epoch).expect("the rollback");
        assert!(entries[end..].iter().all(|e| e.event != "weight_shifted"), "no weight after the rollback");
        s.check().await;
    }
}

pub async fn ten_ends_of_a_promotion_are_one<R: Full>(registry: &R) {
    let (s, run) = Scenario::through_canary(registry).await;
    let answers = at_once(&s, 10, |s, i| {
        let run = run.clone();
        async move {
            let ops = s.ops(Actor::function(&format!("rollback-{i}")));
            ops.end_promotion(&s.model, &run.id, run.epoch, "degraded").await.unwrap()
        }
    })
    .await;
    assert_eq!(answers.iter().filter(|a| a.fresh).count(), 1);
    assert!(answers.iter().all(|a| a.value.status == PromotionStatus::Aborted));
    assert_eq!(s.events("canary_rolled_back").await, 1);
    s.check().await;
}

pub async fn approval_and_rejection_at_once_are_one_decision<R: Full>(registry: &R) {
    for _ in 0..4 {
        let s = Scenario::with_champion(registry).await;
        let run = s.start(2).await;
        let gate = s.open_gate(&run).await;
        let answers = at_once(&s, 2, |s, i| {
            let gate = gate.id.clone();
            async move {
                let who = person(["ann@example.com", "bob@example.com"][i as usize], Auth::Oidc);
                s.ops(who).decide_gate(&gate, i == 0, "seen", None).await.map(|o| o.value.status)
            }
        })
        .await;
        let won: Vec<GateStatus> = answers.iter().filter_map(|a| a.as_ref().ok()).copied().collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        assert!(
            answers.iter().any(|a| matches!(a, Err(OpError::Refused(Refusal::GateClosed { .. })))),
            "{answers:?}"
        );
        let stored = registry.gate(&gate.id).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.decisions.len()), (won[0], 1));
        let expected =
            if won[0] == GateStatus::Approved { VersionStatus::Approved } else { VersionStatus::InReview };
        assert_eq!(s.version(2).await.status, expected);
        s.check().await;
    }
}

pub async fn a_link_opened_in_two_windows_decides_once<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    let mut rules = links_decide();
    // The submitter's second voice would count if a link could be used twice.
    rules.approval.quorum = 1;
    s.system().set_policy(&s.model, &rules).await.unwrap();
    let run = s.start(2).await;
    let gate = s.open_gate(&run).await;
    let hash = sha256(gate.id.as_str().as_bytes());
    let capability = Capability {
        gate: gate.id.clone(),
        model: s.model.clone(),
        approver: "ann@example.com".into(),
        expires_at: s.clock.now() + SignedDuration::from_mins(30),
        used_at: None,
        revoked: false,
        generation: 0,
    };
    registry.put_capability(&hash, &capability).await.unwrap();
    let answers = at_once(&s, 6, |s, i| {
        let (gate, hash) = (gate.id.clone(), hash.clone());
        async move {
            let ops = s.ops(person("ann@example.com", Auth::Link));
            ops.decide_gate(&gate, i % 2 == 0, "seen", Some(&hash)).await.map(|_| ())
        }
    })
    .await;
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1, "{answers:?}");
    assert_eq!(s.events("gate_decided").await, 2, "v1's and this one");
    s.check().await;
}

pub async fn two_promotions_at_once_and_one_holds_the_model<R: Full>(registry: &R) {
    let s = Scenario::with_champion(registry).await;
    s.register(3).await;
    let answers = at_once(&s, 2, |s, i| async move {
        let version = i + 2;
        let id = PromotionId::derive(&s.model, &format!("v{version}"), 1);
        let asker = Actor::function("intake");
        s.system().start_promotion(&s.model, &id, v(version), &asker, None).await.map(|o| o.value.id)
    })
    .await;
    let won: Vec<_> = answers.iter().filter_map(|a| a.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert!(answers.iter().any(|a| matches!(a, Err(OpError::Refused(Refusal::Busy { .. })))), "{answers:?}");
    assert_eq!(&s.head().await.running.unwrap().promotion, won[0]);
    s.check().await;
}

/// A scenario in which v2 is being promoted and who comes second waits; v3 to v12 are registered.
async fn busy<R: Full>(registry: &R) -> (Scenario<R>, Run) {
    let s = Scenario::with_champion(registry).await;
    let mut rules = policy();
    rules.when_busy.mode = BusyMode::Wait;
    s.system().set_policy(&s.model, &rules).await.unwrap();
    for n in 3..=12 {
        s.register(n).await;
    }
    let run = s.start(2).await;
    (s, run)
}

fn waiter<R: Full>(s: &Scenario<R>, version: u32) -> PromotionId {
    PromotionId::derive(&s.model, &format!("v{version}"), 1)
}

async fn join<R: Full>(s: &Scenario<R>, version: u32) -> Result<bool, OpError> {
    let asker = Actor::function("intake");
    let request = Request::new(&asker, None);
    let joined = s.system().wait_for_model(&s.model, &waiter(s, version), v(version), &request).await;
    joined.map(|o| o.fresh)
}

pub async fn ten_that_wait_at_once_stand_in_one_line_and_start_in_its_order<R: Full>(registry: &R) {
    let (s, run) = busy(registry).await;
    // Each of five versions asks twice.
    let answers = at_once(&s, 10, |s, i| async move { join(&s, 3 + i % 5).await.unwrap() }).await;
    assert_eq!(answers.iter().filter(|fresh| **fresh).count(), 5, "{answers:?}");
    let line: Vec<_> = s.head().await.waiting.iter().map(|w| w.promotion.clone()).collect();
    assert_eq!(line.len(), 5);
    assert_eq!(s.events("promotion_waits").await, 5);
    s.system().end_promotion(&s.model, &run.id, run.epoch, "a test").await.unwrap();
    // All of them try at once, again and again: they get the model one after the other, as they stand.
    let mut started = Vec::new();
    while started.len() < 5 {
        let answers = at_once(&s, 5, |s, i| async move {
            let asker = Actor::function("intake");
            s.system().start_promotion(&s.model, &waiter(&s, 3 + i), v(3 + i), &asker, None).await
        })
        .await;
        let won: Vec<_> = answers.into_iter().filter_map(|a| a.ok().filter(|o| o.fresh)).collect();
        assert_eq!(won.len(), 1, "one holds the model");
        let (id, epoch) = (won[0].value.id.clone(), won[0].value.epoch);
        s.system().end_promotion(&s.model, &id, epoch, "a test").await.unwrap();
        started.push(id);
    }
    assert_eq!(started, line);
    assert!(s.head().await.waiting.is_empty());
    s.check().await;
}

pub async fn whoever_was_taken_out_of_the_line_neither_joins_it_again_nor_takes_the_model<R: Full>(
    registry: &R,
) {
    let (s, run) = busy(registry).await;
    join(&s, 3).await.unwrap();
    join(&s, 4).await.unwrap();
    let (asker, id, next) = (Actor::function("intake"), waiter(&s, 3), waiter(&s, 4));
    let waited = Request { waited: true, ..Request::new(&asker, None) };
    s.ops(ann()).leave_line(&s.model, &id, "another comes instead").await.unwrap();
    let superseded = |error: OpError| {
        let right =
            matches!(error.refusal(), Some(Refusal::Superseded { promotion, .. }) if *promotion == id);
        assert!(right, "{error:?}");
    };
    superseded(s.system().wait_for_model(&s.model, &id, v(3), &waited).await.unwrap_err());
    assert!(
        !s.system().wait_for_model(&s.model, &next, v(4), &waited).await.unwrap().fresh,
        "it stands there"
    );
    s.system().end_promotion(&s.model, &run.id, run.epoch, "a test").await.unwrap();
    superseded(s.system().start_skipping(&s.model, &id, v(3), &waited).await.unwrap_err());
    assert!(s.head().await.running.is_none());
    assert!(s.system().start_skipping(&s.model, &next, v(4), &waited).await.unwrap().fresh);
    assert!(!s.system().start_skipping(&s.model, &next, v(4), &waited).await.unwrap().fresh, "twice is once");
    s.check().await;
}

pub async fn a_withdrawal_against_a_start_out_of_the_line<R: Full>(registry: &R) {
    for _ in 0..4 {
        let (s, run) = busy(registry).await;
        join(&s, 3).await.unwrap();
        s.system().end_promotion(&s.model, &run.id, run.epoch, "a test").await.unwrap();
        let id = waiter(&s, 3);
        let leaving = {
            let (s, id) = (s.clone(), id.clone());
            tokio::spawn(async move { s.ops(ann()).leave_line(&s.model, &id, "another comes instead").await })
        };
        let starting = {
            let (s, id) = (s.clone(), id.clone());
            tokio::spawn(async move {
                let asker = Actor::function("intake");
                let waited = Request { waited: true, ..Request::new(&asker, None) };
                s.system().start_skipping(&s.model, &id, v(3), &waited).await
            })
        };
        let (left, started) = (leaving.await.unwrap().unwrap(), starting.await.unwrap());
        let head = s.head().await;
        match &started {
            Ok(outcome) => {
                assert!(outcome.fresh && !left.fresh);
                assert_eq!(head.running.as_ref().unwrap().promotion, id);
            }
            Err(OpError::Refused(Refusal::Superseded { .. })) => {
                assert!(left.fresh && head.running.is_none());
            }
            other => panic!("{other:?}"),
        }
        assert!(head.waiting.is_empty());
        s.check().await;
    }
}

async fn refused<R: Full>(registry: &R, forged: &change::Change) {
    let why = registry.commit(forged.clone()).await.unwrap_err().to_string();
    assert!(
        why.contains("the registry refuses this change") && (why.contains("line") || why.contains("wait")),
        "{why}"
    );
}

pub async fn a_line_of_anothers_making_is_refused<R: Full>(registry: &R) {
    let (s, run) = busy(registry).await;
    join(&s, 3).await.unwrap();
    join(&s, 4).await.unwrap();
    s.system().end_promotion(&s.model, &run.id, run.epoch, "a test").await.unwrap();
    let head = s.head().await;
    let actor = Actor::function("forger");
    let context = Context { head: &head, actor: &actor, now: s.clock.now() };
    let first = waiter(&s, 3);
    let change = change::leave_line(&context, &first, "a test").unwrap();
    // Another leaves than the one that is said to; everybody does; nobody does.
    for line in [vec![head.waiting[0].clone()], vec![], head.waiting.clone()] {
        let mut forged = change.clone();
        forged.head.waiting = line;
        refused(registry, &forged).await;
    }
    // Two change places while a policy is set.
    let record = registry.policy(&s.model, head.policy.as_ref().unwrap().number).await.unwrap().unwrap();
    let mut forged =
        change::set_policy(&context, record.policy.clone(), &change::Right::Owner(None)).unwrap();
    forged.head.waiting.reverse();
    refused(registry, &forged).await;
    // The second takes the model past the first.
    let version = registry.version(&s.model, v(4)).await.unwrap().unwrap();
    let mut other = head.clone();
    other.waiting.clear();
    let past = Context { head: &other, ..context.clone() };
    let asker = Actor::function("intake");
    let mut forged =
        change::start_promotion(&past, &waiter(&s, 4), &version, &record, &[], &Request::new(&asker, None))
            .unwrap();
    forged.head.waiting = vec![head.waiting[0].clone()];
    refused(registry, &forged).await;
    assert_eq!(s.head().await.waiting, head.waiting);
    registry.commit(change).await.unwrap();
    s.check().await;
}

pub async fn uploads_of_the_same_bytes_at_once_are_one_version<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let answers = at_once(&s, 10, |s, i| async move {
        let ops = s.ops(Actor::function(&format!("package-{i}")));
        ops.register_version(&s.model, &s.digest(1 + i % 2), &package(), "sue@example.com").await.unwrap()
    })
    .await;
    assert_eq!(answers.iter().filter(|a| a.fresh).count(), 2, "two different packages");
    let versions = registry.versions(&s.model).await.unwrap();
    assert_eq!(versions.len(), 2);
    for version in versions {
        let found = registry.version_by_digest(&s.model, &version.digest).await.unwrap().unwrap();
        assert_eq!(found.version, version.version);
    }
    s.check().await;
}

pub async fn twenty_writers_make_one_chain<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    let answers = at_once(&s, 20, |s, i| async move {
        let object = evidence(&format!("benchmark {i}"));
        let set_at = s.clock.now();
        let benchmark = BenchmarkRef { digest: object.digest, key: object.key, size: 1, set_at };
        s.ops(Actor::function(&format!("writer-{i}")))
            .set_benchmark_by(&s.model, &benchmark, By::Platform)
            .await
            .unwrap()
            .fresh
    })
    .await;
    assert!(answers.iter().all(|fresh| *fresh), "each wrote its own");
    assert_eq!(s.history().await.len(), 21);
    s.check().await;
}

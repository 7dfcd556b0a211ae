//! Lost races: several callers at once, and a lawful end whoever wins.

use std::time::Duration;

use jiff::SignedDuration;
use seatrial_domain::Refusal;
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::{Capability, GateStatus};
use seatrial_domain::head::BenchmarkRef;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::route::Weight;
use seatrial_domain::version::VersionStatus;
use tokio::task::JoinSet;

use super::scenario::{Full, Run, Scenario, ann, evidence, links_decide, package, person, v};
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
        let id = seatrial_domain::PromotionId::derive(&s.model, &format!("v{version}"), 1);
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

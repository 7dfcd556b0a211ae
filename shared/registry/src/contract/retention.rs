//! Versions that are out of use, on every registry.

use jiff::SignedDuration;
use seatrial_domain::change::{self, Context};
use seatrial_domain::ids::Actor;
use seatrial_domain::policy::{After, Policy};
use seatrial_domain::retention::{Collecting, Fate, Freed, Reason};
use seatrial_domain::version::VersionStatus;
use seatrial_domain::{PromotionId, Refusal};

use super::scenario::{Full, Scenario, evidence, package, policy, v};
use crate::error::{CommitError, OpError};
use crate::ops::{Clock as _, kept};

const FOUND: Freed = Freed { objects: 9, bytes: 1_000 };

fn refused<T: std::fmt::Debug>(answer: Result<T, OpError>) -> Refusal {
    match answer {
        Err(OpError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Retired versions go at once, standbys after `days`.
fn rules(days: After) -> Policy {
    let mut rules = policy();
    rules.retention.collect_retired_after_days = After::Days(0);
    rules.retention.retire_standby_after_days = days;
    rules.canary.stability_seconds = 3_600;
    rules
}

/// v1 is standby, v2 champion, v3 retired.
async fn world<R: Full>(registry: &R, rules: &Policy) -> Scenario<R> {
    let s = Scenario::empty(registry);
    s.system().set_policy(&s.model, rules).await.unwrap();
    for n in 1..=3 {
        s.register(n).await;
    }
    for n in 1..=2 {
        let run = s.promote(n).await;
        let (manifest, document) = (evidence("manifest"), evidence("document"));
        s.system().attested(&s.model, &run.id, &manifest, &document).await.unwrap();
    }
    s.system().retire(&s.model, v(3), "old").await.unwrap();
    s
}

pub async fn a_version_is_collected_when_the_plan_says_so_and_not_before<R: Full>(registry: &R) {
    let mut days = rules(After::Never);
    days.retention.collect_retired_after_days = After::Days(90);
    let s = world(registry, &days).await;
    let before = s.snapshot().await;
    for n in 1..=3 {
        let why = refused(s.system().collect_version(&s.model, v(n), FOUND).await);
        assert!(matches!(why, Refusal::Invalid { .. }), "v{n}: {why}");
    }
    let unknown = refused(s.system().collect_version(&s.model, v(9), FOUND).await);
    assert!(matches!(unknown, Refusal::NotFound { .. }));
    assert_eq!(s.snapshot().await, before, "nothing was written");

    s.clock.forward(SignedDuration::from_hours(24 * 90));
    let done = s.system().collect_version(&s.model, v(3), FOUND).await.unwrap();
    let begun = done.value.clone().unwrap();
    assert!(done.fresh && begun.run == 1);
    let record = s.version(3).await;
    assert!(record.status == VersionStatus::Collected && record.collected_at.is_some());
    let seq = s.head().await.chain.seq;
    let again = s.system().collect_version(&s.model, v(3), FOUND).await.unwrap();
    assert_eq!((again.value, again.fresh), (done.value, false));
    assert_eq!(s.head().await.chain.seq, seq);
    assert!(!s.system().retire(&s.model, v(3), "again").await.unwrap().fresh, "it is retired");
    let head = s.head().await;
    assert_eq!(head.collecting.unwrap().freed, FOUND);

    // Nobody else deletes while this run may, and once another has taken it up this one does not end it.
    let not_yet = s.system().resume_collection(&s.model).await.unwrap();
    assert_eq!((not_yet.value.as_ref(), not_yet.fresh), (Some(&begun), false));
    s.clock.forward(SignedDuration::from_secs(181));
    let taken_up = s.system().resume_collection(&s.model).await.unwrap();
    let second = taken_up.value.unwrap();
    assert_eq!((taken_up.fresh, second.run), (true, 2));
    assert!(!s.system().resume_collection(&s.model).await.unwrap().fresh);
    assert!(!s.system().finish_collection(&s.model, &begun, FOUND).await.unwrap().fresh, "the first is late");
    for again in [false, true] {
        let ended = s.system().finish_collection(&s.model, &second, FOUND).await.unwrap();
        assert_eq!(ended.fresh, !again);
    }
    assert_eq!(s.system().resume_collection(&s.model).await.unwrap().value, None);
    assert_eq!((s.events("version_collected").await, s.events("collection_finished").await), (1, 1));
    assert_eq!(s.events("collection_resumed").await, 1);
    let plan = kept(registry, &s.model).await.unwrap().plan(s.clock.now());
    let fates: Vec<_> = plan.versions.iter().map(|l| (l.fate, l.reason)).collect();
    assert_eq!(
        fates,
        [(Fate::Keep, Reason::Standby), (Fate::Keep, Reason::Champion), (Fate::Collected, Reason::Collected)]
    );
    s.check().await;
}

pub async fn nothing_uses_a_collected_version_and_its_bytes_come_again_as_another<R: Full>(registry: &R) {
    let s = world(registry, &rules(After::Never)).await;
    let begun = s.system().collect_version(&s.model, v(3), FOUND).await.unwrap().value.unwrap();
    let id = PromotionId::derive(&s.model, "v3", 1);
    let asker = Actor::function("intake");
    let told = refused(s.system().start_promotion(&s.model, &id, v(3), &asker, None).await);
    assert_eq!(told.code(), "collected");
    assert!(told.to_string().contains("seatrial package DIR"), "{told}");

    // What could need a blob that is being deleted is not registered, be it the same bytes or others.
    for n in [3, 4] {
        let digest = s.digest(n);
        let now = refused(s.system().register_version(&s.model, &digest, &package(), "sue").await);
        assert!(matches!(now, Refusal::Collecting { version, .. } if version == v(3)), "{now}");
    }
    // A change that does not ask is refused too.
    let (head, actor) = (s.head().await, Actor::function("contract"));
    let free = seatrial_domain::head::Head { collecting: None, ..head.clone() };
    let context = Context { head: &free, actor: &actor, now: s.clock.now() };
    let mut forged = change::register_version(&context, s.digest(4), package(), "eve", None).unwrap();
    forged.head.collecting.clone_from(&head.collecting);
    let answer = registry.commit(forged).await;
    assert!(matches!(answer, Err(CommitError::Refused(Refusal::Collecting { .. }))), "{answer:?}");

    // A collection that is stuck keeps submissions out for minutes.
    s.clock.forward(SignedDuration::from_mins(4));
    let again = s.register(3).await;
    assert_eq!((again.version, &again.digest), (v(4), &s.digest(3)));
    assert_eq!(s.register(3).await, again, "the same bytes twice are one version");
    let found = registry.version_by_digest(&s.model, &s.digest(3)).await.unwrap().unwrap();
    assert_eq!(found.version, v(4));
    assert_eq!(s.version(3).await.status, VersionStatus::Collected, "the record of the first stays as it is");
    let staying = kept(registry, &s.model).await.unwrap().staying(v(3));
    assert!(staying.contains(&s.digest(3)), "its bytes are the new version's now");
    s.system().finish_collection(&s.model, &begun, Freed::default()).await.unwrap();
    s.start(4).await;
    s.check().await;
}

pub async fn a_standby_is_kept_ready_for_its_window_and_retired_by_the_policy_after_its_time<R: Full>(
    registry: &R,
) {
    let s = world(registry, &rules(After::Days(2))).await;
    let before = s.snapshot().await;
    let told = refused(s.system().retire(&s.model, v(1), "old").await);
    assert!(
        matches!(told, Refusal::Stabilising { standby, champion, .. } if (standby, champion) == (v(1), v(2)))
    );
    let early = refused(s.system().retire_by_policy(&s.model, v(1)).await);
    assert!(matches!(early, Refusal::Invalid { .. }), "{early}");
    assert_eq!(s.snapshot().await, before);
    s.clock.forward(SignedDuration::from_hours(48));
    for n in [2, 3] {
        let other = s.system().retire_by_policy(&s.model, v(n)).await;
        assert!(other.is_ok_and(|o| !o.fresh) == (n == 3), "v{n}");
    }
    let retired = s.system().retire_by_policy(&s.model, v(1)).await.unwrap();
    assert!(retired.fresh && !s.system().retire_by_policy(&s.model, v(1)).await.unwrap().fresh);
    let head = s.head().await;
    assert!(head.standby.is_none() && head.route.standby.is_none());
    let entry = s.history().await.pop().unwrap();
    assert!(entry.details["reason"].as_str().unwrap().starts_with("by the policy"), "{}", entry.details);
    let told = refused(s.system().roll_back(&s.model, "errors", true).await);
    assert!(matches!(told, Refusal::NoStandby { .. }), "nothing goes back to what is retired: {told}");
    s.check().await;
}

pub async fn a_collection_of_anothers_making_is_refused<R: Full>(registry: &R) {
    let s = world(registry, &rules(After::Never)).await;
    let (head, actor) = (s.head().await, Actor::function("sweep"));
    let context = Context { head: &head, actor: &actor, now: s.clock.now() };
    let retired = s.version(3).await;
    // An honest change about v3 becomes one about others.
    let honest = {
        let kept = kept(registry, &s.model).await.unwrap();
        assert_eq!(kept.head(), &head);
        let retired_again = change::retire(&context, &s.version(3).await, None, "x");
        assert!(retired_again.is_err());
        let mut change = change::set_benchmark(
            &context,
            seatrial_domain::head::BenchmarkRef {
                digest: s.digest(9),
                key: "k".into(),
                size: 1,
                set_at: context.now,
            },
            &change::Right::Platform,
        )
        .unwrap();
        change.head.benchmark.clone_from(&head.benchmark);
        change
    };
    let with = |event: &str,
                version: Option<u32>,
                named: Option<u32>,
                record: &seatrial_domain::version::VersionRecord| {
        let mut change = honest.clone();
        change.entry.event = event.into();
        change.entry.version = version.map(v);
        change.entry.hash = change.entry.expected_hash().unwrap();
        change.head.chain.hash = change.entry.hash.clone();
        if version.is_some() {
            let mut gone = record.clone();
            (gone.status, gone.collected_at) = (VersionStatus::Collected, Some(context.now));
            change.versions.push(gone);
        }
        change.head.collecting = named.map(|_| Collecting::begin(record.reference(), FOUND, context.now));
        change
    };
    let (standby, champion) = (s.version(1).await, s.version(2).await);
    let forged = [
        ("the champion", with("version_collected", Some(2), Some(2), &champion)),
        ("the standby", with("version_collected", Some(1), Some(1), &standby)),
        ("by another event", with("benchmark_set", Some(3), Some(3), &retired)),
        ("without being named", with("version_collected", Some(3), None, &retired)),
        ("only named", with("version_collected", None, Some(3), &retired)),
    ];
    let before = s.snapshot().await;
    for (what, change) in forged {
        let answer = registry.commit(change).await;
        assert!(matches!(answer, Err(CommitError::Refused(Refusal::Invalid { .. }))), "{what}: {answer:?}");
    }
    // What is not retired is not collected, whatever the change says: the condition is on the record itself.
    s.register(4).await;
    let head = s.head().await;
    let context = Context { head: &head, actor: &actor, now: s.clock.now() };
    let packaged = s.version(4).await;
    let mut as_if = packaged.clone();
    (as_if.status, as_if.retired_at) = (VersionStatus::Retired, Some(context.now));
    let policy = rules(After::Never);
    let facts = seatrial_domain::retention::Facts {
        head: &head,
        versions: &[as_if],
        promotions: &[],
        policy: &policy,
        crown: None,
        retirements: &std::collections::BTreeMap::new(),
    };
    let change = change::collect_version(&context, &facts, v(4), FOUND).unwrap();
    let answer = registry.commit(change).await;
    assert!(matches!(answer, Err(CommitError::Refused(Refusal::Invalid { .. }))), "{answer:?}");
    assert_eq!(s.version(4).await, packaged);
    assert_eq!(s.version(3).await, before.2[2]);
    s.check().await;
}

pub async fn ten_collections_at_once_are_one<R: Full>(registry: &R) {
    let s = world(registry, &rules(After::Never)).await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(
                async move { s.system().collect_version(&s.model, v(3), FOUND).await.unwrap().fresh },
            )
        })
        .collect();
    let mut fresh = 0;
    for task in tasks {
        fresh += u32::from(task.await.unwrap());
    }
    assert_eq!((fresh, s.events("version_collected").await), (1, 1));
    s.check().await;
}

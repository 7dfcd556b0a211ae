//! Who drives a target, and what is kept of it.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use seatrial_domain::adoption::Adoption;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::package::label::LAMBDA_VERSION;
use seatrial_domain::policy::{HttpTarget, LambdaAlias, Policy, Target};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::route::Weight;
use seatrial_domain::target::{Met, TargetRecord, TargetState};
use seatrial_domain::{PromotionId, Refusal};

use super::scenario::{Full, Scenario, package, person, policy, v};
use crate::error::OpError;
use crate::ops::{Clock, Outcome};

fn record<R: Full>(s: &Scenario<R>, revision: u64) -> TargetRecord {
    TargetRecord {
        model: s.model.clone(),
        target: Target::Http(HttpTarget { url: "https://mesh.example.com/".into() }),
        revision,
        epoch: 3,
        route_since: s.clock.now(),
        desired: BTreeMap::new(),
        actual: BTreeMap::from([("v1".to_owned(), 0.75), ("v2".to_owned(), 0.25)]),
        state: TargetState::Behind,
        why: Some("it is Updating".into()),
        out_since: Some(s.clock.now()),
        in_step_since: None,
        met: Met::default().with(Weight::FULL, s.clock.now()),
        took_ms: None,
        put_right: None,
        seen_at: s.clock.now(),
    }
}

pub async fn one_at_a_time_drives_a_target_and_whoever_died_is_followed<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let minute = SignedDuration::from_mins(1);
    let now = s.clock.now();
    let hold = async |driver: &str, at: jiff::Timestamp| {
        registry.hold_target(&s.model, driver, at, at + minute).await.unwrap()
    };
    assert!(hold("one", now).await);
    assert!(!hold("two", now).await && !hold("two", now + minute).await, "it is held");
    assert!(!hold("one", now).await, "a name holds it once");
    assert_eq!(registry.target(&s.model).await.unwrap(), None, "nothing was seen yet");
    assert!(hold("two", now + minute + SignedDuration::from_micros(1)).await, "the first one died");
    assert!(!registry.leave_target(&s.model, "one", Some(&record(&s, 1))).await.unwrap());
    assert_eq!(registry.target(&s.model).await.unwrap(), None, "whoever lost it writes nothing");
    assert!(registry.leave_target(&s.model, "two", None).await.unwrap());
    let mut race = tokio::task::JoinSet::new();
    for driver in 0..10 {
        let (registry, model) = (registry.clone(), s.model.clone());
        race.spawn(async move {
            registry.hold_target(&model, &format!("driver {driver}"), now, now + minute).await.unwrap()
        });
    }
    assert_eq!(race.join_all().await.into_iter().filter(|held| *held).count(), 1);
}

pub async fn what_was_seen_is_kept_by_whoever_drives_and_by_nobody_else<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let other = Scenario::empty(registry);
    let (now, until) = (s.clock.now(), s.clock.now() + SignedDuration::from_mins(1));
    let first = record(&s, 1);
    assert!(!registry.leave_target(&s.model, "one", Some(&first)).await.unwrap(), "nobody holds it");
    assert!(registry.hold_target(&s.model, "one", now, until).await.unwrap());
    assert!(registry.leave_target(&s.model, "one", Some(&first)).await.unwrap());
    assert_eq!(registry.target(&s.model).await.unwrap().as_ref(), Some(&first));
    assert!(!registry.leave_target(&s.model, "one", Some(&record(&s, 2))).await.unwrap(), "it was let go");
    assert!(registry.hold_target(&s.model, "two", now, until).await.unwrap());
    assert_eq!(registry.target(&s.model).await.unwrap().as_ref(), Some(&first), "a hold hides nothing");
    let second = record(&s, 2);
    assert!(registry.leave_target(&s.model, "two", Some(&second)).await.unwrap());
    assert_eq!(registry.target(&s.model).await.unwrap().as_ref(), Some(&second));
    assert_eq!(registry.target(&other.model).await.unwrap(), None, "targets belong to models");
    assert!(registry.hold_target(&s.model, "three", now, until).await.unwrap());
    assert!(registry.leave_target(&s.model, "three", None).await.unwrap());
    assert_eq!(registry.target(&s.model).await.unwrap(), None, "a target that is gone is forgotten");
}

pub async fn whoever_has_no_name_of_its_own_there_begins_nothing<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    let alias = LambdaAlias { function: "f".into(), alias: "live".into(), role: None };
    let rules = Policy { target: Some(Target::LambdaAlias(alias)), ..policy() };
    s.system().set_policy(&s.model, &rules).await.unwrap();
    s.register(1).await;
    for (n, name) in [(2, "7"), (3, "7"), (4, "8")] {
        let mut named = package();
        named.labels.insert(LAMBDA_VERSION.to_owned(), name.to_owned());
        let ops = s.system();
        ops.register_version(&s.model, &s.digest(n), &named, "sue@example.com").await.unwrap();
    }
    let refused = |answer: Result<Outcome<PromotionRecord>, OpError>, said: &str| {
        assert!(
            matches!(&answer, Err(OpError::Refused(Refusal::Invalid { why })) if why.contains(said)),
            "{answer:?}"
        );
    };
    let start = async |version: u32| {
        let id = PromotionId::derive(&s.model, &format!("v{version}"), 1);
        s.system().start_promotion(&s.model, &id, v(version), &Actor::function("intake"), None).await
    };
    let before = s.snapshot().await;
    let adoption = Adoption { comment: "in use since May".into(), serving_since: None };
    let owner = s.ops(person("function/contract", Auth::Iam));
    let id = PromotionId::derive(&s.model, "adopt", 1);
    refused(owner.adopt(&s.model, &id, v(1), &adoption, None).await, "serving.lambda_version");
    refused(start(1).await, "serving.lambda_version");
    assert_eq!(s.snapshot().await, before, "nothing was written");
    s.promote(2).await;
    let before = s.snapshot().await;
    refused(start(3).await, "v2 and v3 are both called");
    assert_eq!(s.snapshot().await, before, "nothing was written");
    start(4).await.unwrap();
    s.check().await;
}

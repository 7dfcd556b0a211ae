//! Tokens, links, tallies, watermarks and attempt markers.

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::Capability;
use seatrial_domain::ids::{Actor, Auth, SubmissionId};
use seatrial_domain::route::{SHADOW_ARM, SHADOW_SUM_ARM};
use seatrial_domain::submission::Announced;
use seatrial_domain::{GateId, PromotionId};

use super::scenario::{Full, Scenario};
use crate::ops::Clock;
use crate::ports::{AttemptState, TallyItem, TaskToken};

fn ids<R: Full>(s: &Scenario<R>) -> (PromotionId, GateId) {
    let promotion = PromotionId::derive(&s.model, "v1", 1);
    let gate = GateId::derive(&promotion, "approval", 1);
    (promotion, gate)
}

pub async fn a_token_is_replaced_and_only_the_answered_one_is_forgotten<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let (_, gate) = ids(&s);
    let later = s.clock.now() + SignedDuration::from_hours(1);
    let (one, two) = (TaskToken::new("secret-one".into()), TaskToken::new("secret-two".into()));
    assert_eq!(registry.token(&gate).await.unwrap(), None);
    registry.put_token(&gate, &one, later).await.unwrap();
    registry.put_token(&gate, &one, later).await.unwrap();
    registry.put_token(&gate, &two, later).await.unwrap();
    registry.delete_token(&gate, &one).await.unwrap();
    assert_eq!(registry.token(&gate).await.unwrap().as_ref().map(TaskToken::expose), Some("secret-two"));
    registry.delete_token(&gate, &two).await.unwrap();
    registry.delete_token(&gate, &two).await.unwrap();
    assert_eq!(registry.token(&gate).await.unwrap(), None);
    assert!(!format!("{two:?}").contains("secret"), "a token prints nothing");
}

pub async fn tallies_count_once_and_come_by_the_second<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let at = Timestamp::from_second(s.clock.now().as_second() + 3_600).unwrap();
    let tally = |epoch, second, arm: &str, id: &str| TallyItem {
        model: s.model.clone(),
        epoch,
        second,
        arm: arm.into(),
        id: id.into(),
        body: format!("{{\"id\":\"{id}\"}}"),
        expires_at: at,
    };
    let all = [
        tally(3, 99, "champion", "z"),
        tally(3, 100, "challenger", "a"),
        tally(3, 100, "champion", "a"),
        tally(3, 100, "champion", "b"),
        tally(3, 101, "champion", "a"),
        tally(3, 1_000, "champion", "a"),
        tally(4, 100, "champion", "a"),
    ];
    for item in all.iter().rev() {
        assert!(registry.put_tally(item).await.unwrap());
    }
    let changed = TallyItem { body: "{}".into(), ..all[2].clone() };
    assert!(!registry.put_tally(&changed).await.unwrap(), "a tally that is kept stays as it is");
    assert_eq!(registry.tallies(&s.model, 3, 99..102).await.unwrap(), all[..5], "by second, arm and id");
    assert_eq!(registry.tallies(&s.model, 3, 100..101).await.unwrap(), all[1..4], "the end is left out");
    assert_eq!(registry.tallies(&s.model, 3, 0..i64::from(u32::MAX)).await.unwrap(), all[..6]);
    let shadow = [tally(3, 100, SHADOW_ARM, "a"), tally(3, 100, SHADOW_SUM_ARM, "a")];
    for item in &shadow {
        assert!(registry.put_tally(item).await.unwrap() && !registry.put_tally(item).await.unwrap());
        assert_eq!(
            registry.tallies_of(&s.model, 3, &item.arm, 0..1_000).await.unwrap(),
            std::slice::from_ref(item)
        );
    }
    assert_eq!(registry.tallies(&s.model, 3, 100..101).await.unwrap(), all[1..4], "a shadow's lie apart");
    assert!(registry.tallies(&s.model, 5, 0..1_000).await.unwrap().is_empty());
    assert!(registry.tallies(&s.model, 3, 100..100).await.unwrap().is_empty());
}

pub async fn a_watermark_never_goes_back<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let queue = s.model.as_str();
    assert_eq!(registry.drained_at(queue).await.unwrap(), None);
    let (early, late) = (s.clock.now(), s.clock.now());
    for at in [early, late, early, late] {
        registry.set_drained_at(queue, at).await.unwrap();
    }
    assert_eq!(registry.drained_at(queue).await.unwrap(), Some(late));
}

pub async fn an_attempt_leaves_its_mark<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let (promotion, _) = ids(&s);
    let later = s.clock.now() + SignedDuration::from_hours(1);
    let mark = async || registry.mark_attempt(&promotion, "obs-1", later).await.unwrap();
    registry.finish_attempt(&promotion, "obs-1").await.unwrap();
    assert_eq!(mark().await, AttemptState::First, "an end without a beginning is nothing");
    assert_eq!(mark().await, AttemptState::Again { earlier: 1, finished: false }, "the first one died");
    registry.finish_attempt(&promotion, "obs-1").await.unwrap();
    assert_eq!(mark().await, AttemptState::Again { earlier: 2, finished: true });
    assert_eq!(registry.mark_attempt(&promotion, "obs-2", later).await.unwrap(), AttemptState::First);
}

pub async fn the_first_announcement_of_a_submission_stays<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let id = |text: &str| SubmissionId::parse(text).unwrap();
    let announced = |name: &str, by: &str, bytes: &[u8]| {
        let by = Actor { principal: by.into(), auth: Auth::Iam };
        Announced::new(s.model.clone(), id(name), sha256(bytes), by, s.clock.now())
    };
    assert_eq!(registry.announced(&s.model, &id("s1")).await.unwrap(), None);
    let first = announced("s1", "sue", b"a");
    assert_eq!(registry.announce(&first).await.unwrap(), first);
    for later in [announced("s1", "sue", b"a"), announced("s1", "sue", b"b"), announced("s1", "eve", b"a")] {
        assert_eq!(registry.announce(&later).await.unwrap(), first, "the answer is what is kept");
    }
    assert_eq!(registry.announced(&s.model, &id("s1")).await.unwrap(), Some(first));
    assert_eq!(registry.announced(&s.model, &id("s2")).await.unwrap(), None);
    let (one, two) = (PromotionId::derive(&s.model, "s1", 1), PromotionId::derive(&s.model, "s1", 2));
    assert_eq!(registry.taken_by(&s.model, &id("s1")).await.unwrap(), None);
    let take = async |name: &str, promotion: &PromotionId| {
        registry.take_announced(&s.model, &id(name), promotion).await.unwrap().map(|a| a.by.principal)
    };
    for _ in 0..2 {
        assert_eq!(take("s1", &one).await.as_deref(), Some("sue"));
        assert_eq!(take("s1", &two).await, None, "the first promotion has it");
    }
    assert_eq!(take("s2", &one).await, None);
    assert_eq!(registry.announced(&s.model, &id("s2")).await.unwrap(), None, "asking makes none");
    let again = announced("s1", "sue", b"a");
    registry.announce(&again).await.unwrap();
    assert_eq!(take("s1", &two).await, None, "announcing it again frees nothing");
    assert_eq!(registry.taken_by(&s.model, &id("s1")).await.unwrap(), Some(one.clone()));
    assert_eq!(registry.taken_by(&s.model, &id("s2")).await.unwrap(), None);
    let mut elsewhere = announced("s1", "eve", b"c");
    elsewhere.model = Scenario::empty(registry).model;
    assert_eq!(registry.announce(&elsewhere).await.unwrap(), elsewhere, "ids belong to models");
    // Ten at once: one is kept, and all are told which.
    let mut race = tokio::task::JoinSet::new();
    for i in 0..10 {
        let (registry, one) = (registry.clone(), announced("s3", &format!("person-{i}"), b"a"));
        race.spawn(async move { registry.announce(&one).await.unwrap() });
    }
    let kept = race.join_all().await;
    assert!(kept.iter().all(|k| *k == kept[0]));
}

pub async fn a_capability_is_never_made_fresh_again<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let (_, gate) = ids(&s);
    let capability = Capability {
        gate,
        model: s.model.clone(),
        approver: "ann@example.com".into(),
        expires_at: s.clock.now() + SignedDuration::from_hours(1),
        used_at: None,
        revoked: false,
        generation: 0,
    };
    let hash = sha256(s.model.as_str().as_bytes());
    assert_eq!(registry.capability(&hash).await.unwrap(), None);
    registry.put_capability(&hash, &capability).await.unwrap();
    assert_eq!(registry.capability(&hash).await.unwrap().as_ref(), Some(&capability));
    assert!(registry.revoke(&hash).await.unwrap());
    assert!(registry.revoke(&hash).await.unwrap());
    registry.put_capability(&hash, &capability).await.unwrap();
    assert!(registry.capability(&hash).await.unwrap().unwrap().revoked);
}

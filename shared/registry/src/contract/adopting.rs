//! The first champion without a promotion, and every way in which it must not come about.

use seatrial_domain::adoption::Adoption;
use seatrial_domain::change::{self, Change, Context};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_domain::version::VersionStatus;
use seatrial_domain::{PromotionId, Refusal};

use super::scenario::{Full, Scenario, evidence, person, v};
use crate::error::{CommitError, OpError};
use crate::ops::{Clock, Outcome};

/// Whoever set the policy of a scenario, which names no owner, when they come as a person.
fn owner() -> Actor {
    person("function/contract", Auth::Iam)
}

fn adoption() -> Adoption {
    Adoption { comment: "in use since May".into(), serving_since: None }
}

fn id<R: Full>(s: &Scenario<R>, cause: &str) -> PromotionId {
    PromotionId::derive(&s.model, cause, 1)
}

async fn adopt<R: Full>(
    s: &Scenario<R>,
    by: Actor,
    version: u32,
    cause: &str,
) -> Result<Outcome<PromotionRecord>, OpError> {
    s.ops(by).adopt(&s.model, &id(s, cause), v(version), &adoption(), None).await
}

pub async fn an_adopted_version_is_champion_and_a_promotion_runs_against_it<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    s.register(1).await;
    let adopted = adopt(&s, owner(), 1, "a").await.unwrap();
    assert!(adopted.fresh);
    assert_eq!(s.head().await.champion().unwrap().version, v(1));
    let kept = s.registry.promotion(&s.model, &id(&s, "a")).await.unwrap().unwrap();
    assert_eq!((kept.status, &kept), (PromotionStatus::Adopted, &adopted.value));
    assert_eq!(s.version(1).await.status, VersionStatus::Champion);
    s.check().await;
    let (manifest, document) = (evidence("manifest"), evidence("document"));
    s.system().attested(&s.model, &kept.id, &manifest, &document).await.unwrap();
    s.register(2).await;
    s.promote(2).await;
    assert_eq!(s.head().await.standby.unwrap().version, v(1));
    s.ops(owner()).roll_back(&s.model, "worse", true).await.unwrap();
    assert_eq!(s.head().await.champion().unwrap().version, v(1));
    s.check().await;
}

pub async fn a_repeated_adoption_is_the_same_one<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    s.register(1).await;
    let first = adopt(&s, owner(), 1, "a").await.unwrap();
    let before = s.snapshot().await;
    for cause in ["a", "b"] {
        let again = adopt(&s, owner(), 1, cause).await.unwrap();
        assert_eq!((again.value, again.fresh), (first.value.clone(), false));
    }
    assert_eq!(s.snapshot().await, before, "nothing was written");
}

pub async fn what_has_a_champion_or_runs_adopts_nothing<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    s.register(1).await;
    s.register(2).await;
    let run = s.start(1).await;
    let before = s.snapshot().await;
    let busy = adopt(&s, owner(), 2, "a").await;
    assert!(matches!(busy, Err(OpError::Refused(Refusal::Busy { .. }))), "{busy:?}");
    assert_eq!(s.snapshot().await, before);
    s.approve(&run).await;
    s.system().crown(&s.model, &run.id, run.epoch).await.unwrap();
    let before = s.snapshot().await;
    for version in [1, 2] {
        let late = adopt(&s, owner(), version, "a").await;
        assert!(matches!(late, Err(OpError::Refused(Refusal::HasChampion { .. }))), "{late:?}");
    }
    assert_eq!(s.snapshot().await, before);
}

pub async fn an_adoption_of_anothers_making_is_refused<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    let judged = s.register(1).await;
    s.register(2).await;
    let run = s.start(1).await;
    s.system().end_promotion(&s.model, &run.id, run.epoch, "worse").await.unwrap();
    let head = s.head().await;
    let policy = s.registry.policy(&s.model, 1).await.unwrap().unwrap();
    let by = owner();
    let context = Context { head: &head, actor: &by, now: s.clock.now() };
    let good =
        change::adopt(&context, &id(&s, "a"), &s.version(2).await, &policy, &adoption(), None).unwrap();
    let of = |alter: &dyn Fn(&mut Change)| {
        let mut change = good.clone();
        alter(&mut change);
        change.entry.hash = change.entry.expected_hash().unwrap();
        change.head.chain.hash = change.entry.hash.clone();
        change
    };
    let record = |change: &mut Change, alter: &dyn Fn(&mut PromotionRecord)| {
        alter(change.promotion.as_mut().unwrap());
    };
    let wrong = [
        ("by a function", of(&|c| c.entry.actor = Actor::function("crown"))),
        ("in another's name", of(&|c| record(c, &|p| p.requested_by = person("ann@example.com", Auth::Iam)))),
        ("without a comment", of(&|c| record(c, &|p| p.adoption = None))),
        ("with an empty comment", of(&|c| record(c, &|p| p.adoption.as_mut().unwrap().comment = " ".into()))),
        ("without a record", of(&|c| c.promotion = None)),
        ("as a crown", of(&|c| record(c, &|p| p.status = PromotionStatus::Crowned))),
        ("under another name", of(&|c| c.entry.event = "crowned".into())),
        ("of what was rejected", {
            let fresh =
                seatrial_domain::version::VersionRecord { status: VersionStatus::Packaged, ..judged.clone() };
            change::adopt(&context, &id(&s, "a"), &fresh, &policy, &adoption(), None).unwrap()
        }),
    ];
    let before = s.snapshot().await;
    for (what, change) in wrong {
        let answer = s.registry.commit(change).await;
        assert!(matches!(answer, Err(CommitError::Refused(_))), "{what}: {answer:?}");
        assert_eq!(s.snapshot().await, before, "{what}: nothing was written");
    }
    s.registry.commit(good).await.unwrap();
    s.check().await;
}

pub async fn ten_adoptions_at_once_are_one<R: Full>(registry: &R) {
    let s = Scenario::new(registry).await;
    for n in 1..=10 {
        s.register(n).await;
    }
    let tries = (1..=10).map(|n| {
        let s = s.clone();
        tokio::spawn(async move { adopt(&s, owner(), n, &format!("v{n}")).await.is_ok() })
    });
    let mut done = 0;
    for one in tries.collect::<Vec<_>>() {
        done += usize::from(one.await.unwrap());
    }
    assert_eq!((done, s.events("adopted").await), (1, 1));
    s.check().await;
}

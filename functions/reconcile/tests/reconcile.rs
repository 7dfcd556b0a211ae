//! A target follows the route, whatever comes between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use jiff::SignedDuration;
use seatrial_domain::ModelName;
use seatrial_domain::policy::{LambdaAlias, Target};
use seatrial_domain::target::{Actual, Desired, HOLD_SECONDS, TargetState};
use seatrial_registry::Targets as _;
use seatrial_registry::contract::ann;
use seatrial_targets::contract::Trouble;
use seatrial_targets::memory::MemoryTarget;
use seatrial_targets::{Hindrance, Targets, TrafficTarget};
use serde_json::json;

use crate::support::{World, batch, shares, with_target};

#[tokio::test]
async fn each_step_the_crown_and_the_end_of_the_holdback_reach_the_target() {
    let w = World::new().await;
    let s = &w.scenario;
    let run = s.start(2).await;
    s.approve(&run).await;
    assert_eq!(w.nudge(1).await, 0);
    assert!(w.target.moves().is_empty(), "before its first step a challenger has nothing");
    for step in 0..2 {
        s.system().shift(&s.model, &run.id, run.epoch, step).await.unwrap();
        w.nudge(1).await;
        assert_eq!(w.target.does(), w.wanted().await);
    }
    assert_eq!(w.target.does(), shares(&[("v1", 0.5), ("v2", 0.5)]));
    s.system().crown(&s.model, &run.id, run.epoch).await.unwrap();
    w.nudge(1).await;
    assert_eq!(w.target.does(), shares(&[("v1", 0.01), ("v2", 0.99)]), "the holdback");
    s.system().end_holdback(&s.model).await.unwrap();
    w.nudge(1).await;
    assert_eq!(w.target.does(), shares(&[("v2", 1.0)]));
    let record = w.record().await.unwrap();
    assert_eq!(record.state, TargetState::InStep);
    assert!(record.took_ms.is_some() && record.put_right.is_none(), "{record:?}");
    s.ops(ann()).roll_back(&s.model, "it is wrong", true).await.unwrap();
    w.nudge(1).await;
    assert_eq!(w.target.does(), shares(&[("v1", 1.0)]), "the standby serves again");
}

#[tokio::test]
async fn messages_that_come_twice_late_or_together_have_the_effect_of_one() {
    let w = World::new().await;
    let s = &w.scenario;
    let run = s.start(2).await;
    s.approve(&run).await;
    s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap();
    s.ops(ann()).roll_back(&s.model, "it is wrong", false).await.unwrap();
    // The message of the step comes after the rollback.
    w.handle_with(&w.target, batch(s.model.as_str(), &[1, 3, 1])).await;
    w.nudge(2).await;
    assert!(w.target.moves().is_empty(), "there is nothing to do: {:?}", w.target.moves());
    assert_eq!(w.record().await.unwrap().state, TargetState::InStep);
}

#[tokio::test]
async fn a_rollback_is_done_in_the_registry_and_the_target_is_driven_until_it_takes_it() {
    let w = World::new().await;
    let s = &w.scenario;
    let run = s.start(2).await;
    s.approve(&run).await;
    for step in 0..2 {
        s.system().shift(&s.model, &run.id, run.epoch, step).await.unwrap();
        w.nudge(1).await;
    }
    w.target.trouble(Some(Trouble::Changing));
    s.ops(ann()).roll_back(&s.model, "it is wrong", false).await.unwrap();
    assert_eq!(w.standing().await.state, TargetState::Behind, "told before anybody drove it");
    for attempt in 1..=6 {
        let again = w.nudge(attempt).await;
        assert_eq!(again, usize::from(attempt < 6), "then the minute goes on with it");
    }
    assert_eq!(*w.line.waits.lock().unwrap(), [2, 4, 8, 15, 30]);
    let said = w.standing().await.sentence(w.now());
    assert!(said.contains("v1 50 %, v2 50 %, to be v1 100 %: it is Updating"), "{said}");
    assert_eq!(w.scenario.head().await.route.weight.bps(), 0, "the registry waits for nobody");
    w.target.trouble(None);
    assert_eq!(w.nudge(1).await, 0);
    assert_eq!(w.target.does(), shares(&[("v1", 1.0)]));
    assert_eq!(w.record().await.unwrap().state, TargetState::InStep);
}

#[tokio::test]
async fn what_does_not_pass_is_not_hammered_and_told_as_refused() {
    let w = World::new().await;
    let s = &w.scenario;
    w.target.set(shares(&[("v9", 1.0)]));
    w.target.trouble(Some(Trouble::Denied));
    assert_eq!(w.nudge(1).await, 0, "the minute looks again");
    let record = w.record().await.unwrap();
    assert_eq!((record.state, record.why.as_deref()), (TargetState::Refused, Some("no right")));
    assert!(record.is_late(record.out_since.unwrap() + SignedDuration::from_secs(120)));
    w.target.trouble(None);
    w.nudge(1).await;
    assert_eq!(w.target.does(), w.wanted().await, "{}", s.model);
}

#[tokio::test]
async fn what_somebody_else_changed_is_told_and_put_right() {
    let w = World::new().await;
    w.nudge(1).await;
    w.target.set(shares(&[("v1", 0.4), ("v2", 0.6)]));
    w.nudge(1).await;
    assert_eq!(w.target.does(), shares(&[("v1", 1.0)]));
    let put_right = w.record().await.unwrap().put_right.unwrap();
    assert!(put_right.found.contains("v2 has 60 % instead of nothing"), "{put_right:?}");
}

#[tokio::test]
async fn a_version_without_a_name_at_the_target_moves_nothing() {
    let w = World::new().await;
    let s = &w.scenario;
    let alias = Target::LambdaAlias(LambdaAlias { function: "f".into(), alias: "live".into(), role: None });
    let refused = s.system().set_policy(&s.model, &with_target(Some(alias))).await.unwrap_err();
    assert!(
        refused.to_string().contains("serving.lambda_version"),
        "what serves has no name there: {refused}"
    );
    assert!(w.target.moves().is_empty());
}

#[tokio::test]
async fn a_target_changes_hands_between_promotions_only_and_is_forgotten_when_it_is_gone() {
    let w = World::new().await;
    let s = &w.scenario;
    w.nudge(1).await;
    let run = s.start(2).await;
    let refused = s.system().set_policy(&s.model, &with_target(None)).await.unwrap_err();
    assert!(refused.to_string().contains(run.id.as_str()), "{refused}");
    s.ops(ann()).roll_back(&s.model, "not now", false).await.unwrap();
    s.system().set_policy(&s.model, &with_target(None)).await.unwrap();
    w.target.set(shares(&[("v7", 1.0)]));
    assert_eq!(w.handle_with(&w.target, json!({ "source": "aws.events" })).await, json!({ "models": 1 }));
    w.nudge(1).await;
    assert_eq!(w.record().await, None);
    assert_eq!(w.target.does(), shares(&[("v7", 1.0)]), "it is nobody's business any more");
    assert_eq!(w.handle_with(&w.target, json!({ "source": "aws.events" })).await, json!({ "models": 0 }));
}

#[tokio::test]
async fn every_minute_each_model_with_a_target_is_looked_at_and_no_other() {
    let w = World::new().await;
    let other = seatrial_registry::contract::Scenario::with_champion(&w.registry).await;
    assert_eq!(w.handle_with(&w.target, json!({ "source": "aws.events" })).await, json!({ "models": 1 }));
    let sent = w.line.sent.lock().unwrap().clone();
    assert_eq!(sent, [json!({ "schema": 1, "model": w.scenario.model }).to_string()]);
    w.handle_with(&w.target, batch(other.model.as_str(), &[1])).await;
    assert!(w.target.moves().is_empty(), "a message about a model without a target does nothing");
    assert_eq!(w.registry.target(&other.model).await.unwrap(), None);
}

#[tokio::test]
async fn while_another_drives_a_message_waits_and_whoever_died_is_followed() {
    let w = World::new().await;
    let model = &w.scenario.model;
    w.target.set(shares(&[("v2", 1.0)]));
    let now = w.now();
    assert!(
        w.registry
            .hold_target(model, "another", now, now + SignedDuration::from_secs(i64::from(HOLD_SECONDS)))
            .await
            .unwrap()
    );
    assert_eq!(w.nudge(1).await, 1);
    assert!(w.target.moves().is_empty());
    w.forward(i64::from(HOLD_SECONDS) + 1);
    assert_eq!(w.nudge(2).await, 0);
    assert_eq!(w.target.does(), w.wanted().await);
}

#[tokio::test]
async fn what_cannot_be_read_comes_again_and_keeps_nothing_else_back() {
    let w = World::new().await;
    w.target.set(shares(&[("v2", 1.0)]));
    let mut event = batch(w.scenario.model.as_str(), &[1, 1]);
    for (n, body) in [(0, "{}"), (0, r#"{"schema":2,"model":"m"}"#)] {
        event["Records"][n]["body"] = json!(body);
        let answer = w.handle_with(&w.target, event.clone()).await;
        assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "m-0" }] }));
    }
    assert_eq!(w.target.does(), w.wanted().await);
}

/// A target during whose move somebody rolls back.
#[derive(Clone)]
struct RolledBackMeanwhile {
    inner: MemoryTarget,
    world: Arc<World>,
    left: Arc<AtomicU32>,
}

#[async_trait]
impl TrafficTarget for RolledBackMeanwhile {
    async fn observe(&self) -> Result<Actual, Hindrance> {
        self.inner.observe().await
    }
    async fn drive(&self, wanted: &Desired, seen: &Actual) -> Result<(), Hindrance> {
        if self.left.swap(0, Ordering::SeqCst) > 0 {
            let s = &self.world.scenario;
            s.ops(ann()).roll_back(&s.model, "it is wrong", false).await.unwrap();
            // Its own message finds the target held.
            assert_eq!(self.world.nudge(1).await, 1);
        }
        self.inner.drive(wanted, seen).await
    }
}

#[async_trait]
impl Targets for RolledBackMeanwhile {
    async fn open(&self, _: &ModelName, _: &Target) -> Result<Box<dyn TrafficTarget>, Hindrance> {
        Ok(Box::new(self.clone()))
    }
}

#[tokio::test]
async fn a_rollback_that_is_written_while_the_target_moves_is_carried_out_at_once() {
    let w = Arc::new(World::new().await);
    let s = &w.scenario;
    let run = s.start(2).await;
    s.approve(&run).await;
    s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap();
    let between = RolledBackMeanwhile {
        inner: w.target.clone(),
        world: Arc::clone(&w),
        left: Arc::new(AtomicU32::new(1)),
    };
    w.handle_with(&between, batch(s.model.as_str(), &[1])).await;
    assert_eq!(w.target.does(), shares(&[("v1", 1.0)]), "the same invocation takes it back");
    assert_eq!(w.target.moves().len(), 2);
    assert_eq!(w.standing().await.state, TargetState::InStep);
}

//! The `health` task over memory: what it reads, what it writes, and after a rollback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use fn_health::{Ports, StepEvidence, handle};
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::{MemoryS3, MemoryStore, ObjectStore};
use seatrial_domain::policy::Policy;
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::task::{HealthAnswer, HealthState, HealthTask, Held};
use seatrial_evidence::keys;
use seatrial_evidence::observation::{RouteStamp, SCHEMA, Tally};
use seatrial_registry::contract::Scenario;
use seatrial_registry::{MemoryRegistry, Tallies, TallyItem};
use seatrial_runtime::queue::Queue;
use seatrial_runtime::{Failure, label};
use seatrial_stats::sketch::LatencySketch;

struct Line(AtomicBool);

#[async_trait]
impl Queue for Line {
    fn name(&self) -> &str {
        "observations"
    }
    async fn send(&self, _: Vec<String>) -> Result<(), Failure> {
        panic!("health sends nothing")
    }
    async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    scenario: Scenario<MemoryRegistry>,
    evidence: MemoryStore,
    queue: Line,
    held: Held,
    begun: Timestamp,
}

impl World {
    /// A canary at 5 %.
    async fn new() -> Self {
        let scenario = Scenario::empty(&MemoryRegistry::default());
        let policy: Policy = serde_json::from_value(serde_json::json!({
            "approval": { "approvers": [{ "email": "ann@example.com" }] }, "observations": { "lateness_seconds": 2 },
            "canary": { "steps": [5, 50], "hold_seconds": 5, "max_hold_seconds": 60, "check_seconds": 1, "min_requests": 30, "metrics": { "error_rate": { "class": "guardrail", "margin": 0.1 } } },
        }))
        .unwrap();
        scenario.system().set_policy(&scenario.model, &policy).await.unwrap();
        scenario.register(1).await;
        scenario.promote(1).await;
        scenario.register(2).await;
        let run = scenario.start(2).await;
        scenario.approve(&run).await;
        scenario.system().shift(&scenario.model, &run.id, run.epoch, 0).await.unwrap();
        let begun = scenario.promotion(&run).await.steps[0].at;
        let held = Held {
            schema: 1,
            model: scenario.model.clone(),
            promotion: run.id,
            epoch: run.epoch,
            version: seatrial_domain::VersionName::new(2),
        };
        Self {
            scenario,
            evidence: MemoryS3::default().bucket("evidence"),
            queue: Line(AtomicBool::new(true)),
            held,
            begun,
        }
    }

    /// 100 requests a second for `seconds`, five of them the canary's, of which `errors` fail.
    async fn traffic(&self, seconds: i64, errors: u64) {
        for n in 0..seconds {
            for (role, requests, errors) in [(Arm::Challenger, 5, errors), (Arm::Champion, 95, 0)] {
                let second = self.begun.as_second() + n;
                let mut latency = LatencySketch::default();
                latency.observe_n(2_000, requests - errors);
                let tally = Tally {
                    schema: SCHEMA,
                    tally_id: format!("{role:?}-{n}"),
                    model: self.held.model.clone(),
                    version: self.held.version,
                    digest: self.scenario.digest(2),
                    role,
                    route: RouteStamp {
                        promotion: Some(self.held.promotion.clone()),
                        epoch: self.held.epoch,
                        weight: Weight::from_percent(5.0).unwrap(),
                    },
                    second,
                    assigned: requests,
                    answered: requests - errors,
                    errors,
                    client_errors: 0,
                    error_units: (0..errors).map(|e| format!("{n}-{e}")).collect(),
                    classes: std::collections::BTreeMap::new(),
                    diverted: 0,
                    units: None,
                    latency: serde_json::to_value(latency).unwrap(),
                };
                let item = TallyItem {
                    model: self.held.model.clone(),
                    epoch: self.held.epoch,
                    second,
                    arm: role.as_str().into(),
                    id: tally.tally_id.clone(),
                    body: serde_json::to_string(&tally).unwrap(),
                    expires_at: Timestamp::MAX,
                };
                self.scenario.registry.put_tally(&item).await.unwrap();
            }
        }
    }

    async fn ask(&self, after: i64) -> Result<HealthAnswer, Failure> {
        let registry = &self.scenario.registry;
        let ports = Ports {
            registry,
            tallies: registry,
            watermarks: registry,
            evidence: &self.evidence,
            observations: &self.queue,
        };
        let now = self.begun + SignedDuration::from_secs(after);
        handle(&ports, move || now, HealthTask { held: self.held.clone(), step: 0 }).await
    }

    async fn written(&self) -> Vec<String> {
        self.evidence.list("").await.unwrap().into_iter().map(|o| o.key).collect()
    }
}

#[tokio::test]
async fn a_healthy_step_is_written_once_and_said_again() {
    let world = World::new().await;
    world.traffic(14, 0).await;
    let early = world.ask(4).await.unwrap();
    assert_eq!(early.state, HealthState::NotYetKnown);
    assert!(world.written().await.is_empty());
    let answer = world.ask(12).await.unwrap();
    assert_eq!(answer.state, HealthState::Healthy, "{}", answer.why);
    let key =
        format!("{}canary-step-0.json", keys::evidence_prefix(&world.held.model, &world.held.promotion));
    assert_eq!(world.written().await, std::slice::from_ref(&key));
    let bytes = world.evidence.get(&key, 1 << 20).await.unwrap().unwrap();
    let written: StepEvidence = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((written.judgement.why.as_str(), written.of.epoch), (answer.why.as_str(), world.held.epoch));
    assert_eq!(written.judgement.steps[0].canary.requests, 50);
    assert_eq!(world.ask(40).await.unwrap().why, answer.why);
    assert_eq!(world.written().await.len(), 1);
}

#[tokio::test]
async fn errors_degrade_at_the_first_look_and_a_queue_that_waits_is_not_yet_known() {
    let world = World::new().await;
    world.traffic(10, 2).await;
    world.queue.0.store(false, Ordering::SeqCst);
    let waiting = world.ask(6).await.unwrap();
    assert_eq!(waiting.state, HealthState::NotYetKnown);
    assert!(waiting.why.contains("nothing is reported yet"), "{}", waiting.why);
    world.queue.0.store(true, Ordering::SeqCst);
    let answer = world.ask(6).await.unwrap();
    assert_eq!(answer.state, HealthState::Degraded, "{}", answer.why);
}

#[tokio::test]
async fn after_a_rollback_nothing_is_judged() {
    let world = World::new().await;
    world.traffic(14, 0).await;
    world.scenario.system().roll_back(&world.held.model, "operator", false).await.unwrap();
    assert_eq!(world.ask(12).await.unwrap_err().label, label::SUPERSEDED);
    assert!(world.written().await.is_empty());
}

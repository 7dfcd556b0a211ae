//! The `health` task over memory: what it reads, what it writes, and after a rollback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use fn_health::counted::TallyCache;
use fn_health::live::LiveCache;
use fn_health::{Ports, StepEvidence, handle};
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::{MemoryS3, MemoryStore, ObjectStore};
use seatrial_domain::policy::{HttpTarget, Policy, Target};
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::target::{Seen, TargetRecord, desired};
use seatrial_domain::task::{HealthAnswer, HealthState, HealthTask, Held};
use seatrial_domain::verdict::MetricClass;
use seatrial_evidence::keys;
use seatrial_evidence::observation::{RouteStamp, SCHEMA, Tally};
use seatrial_evidence::shadow_tally::{SHADOW_ARM, ShadowTally, StoredShadowTally};
use seatrial_registry::contract::Scenario;
use seatrial_registry::{MemoryRegistry, Tallies, TallyItem, Targets};
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
    data: MemoryStore,
    caches: (TallyCache, LiveCache),
    queue: Line,
    held: Held,
    begun: Timestamp,
}

impl World {
    /// A canary at 5 %.
    async fn new() -> Self {
        Self::with(None).await
    }

    /// The same of a model whose traffic a target splits.
    async fn with(target: Option<Target>) -> Self {
        let scenario = Scenario::empty(&MemoryRegistry::default());
        let mut policy: Policy = serde_json::from_value(serde_json::json!({
            "approval": { "approvers": [{ "email": "ann@example.com" }] }, "observations": { "lateness_seconds": 2 },
            "canary": { "steps": [5, 50], "hold_seconds": 5, "max_hold_seconds": 60, "check_seconds": 1, "min_requests": 30, "metrics": {
                "error_rate": { "class": "guardrail", "margin": 0.1, "detect": 0.3 }, "latency_p99": { "class": "guardrail", "margin": "100%rel", "detect": 9 },
            } },
        }))
        .unwrap();
        policy.target = target;
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
            data: MemoryS3::default().bucket("data"),
            caches: Default::default(),
            queue: Line(AtomicBool::new(true)),
            held,
            begun,
        }
    }

    fn tally(&self, role: Arm, n: i64, percent: f64, requests: u64, errors: u64) -> Tally {
        let mut latency = LatencySketch::default();
        latency.observe_n(2_000, requests - errors);
        Tally {
            schema: SCHEMA,
            tally_id: format!("{role:?}-{n}"),
            model: self.held.model.clone(),
            version: self.held.version,
            digest: self.scenario.digest(2),
            role,
            route: RouteStamp {
                promotion: Some(self.held.promotion.clone()),
                epoch: self.held.epoch,
                weight: Weight::from_percent(percent).unwrap(),
            },
            second: self.begun.as_second() + n,
            assigned: requests,
            answered: requests - errors,
            errors,
            client_errors: 0,
            error_units: (0..errors).map(|e| format!("{:08x}{e:08x}", n + 1_000)).collect(),
            classes: BTreeMap::from([("yes".to_owned(), requests - errors)]),
            diverted: 0,
            units: None,
            latency: serde_json::to_value(latency).unwrap(),
        }
    }

    async fn put(&self, tally: &Tally) {
        let body = serde_json::to_string(tally).unwrap();
        self.put_item(tally.second, tally.role.as_str(), &tally.tally_id, body).await;
    }

    async fn put_item(&self, second: i64, arm: &str, id: &str, body: String) {
        let item = TallyItem {
            model: self.held.model.clone(),
            epoch: self.held.epoch,
            second,
            arm: arm.into(),
            id: id.into(),
            body,
            expires_at: Timestamp::MAX,
        };
        self.scenario.registry.put_tally(&item).await.unwrap();
    }

    /// 100 requests a second for `seconds`, five of them the canary's, of which `errors` fail; before them the shadow's time
    /// with the champion alone.
    async fn traffic(&self, seconds: i64, errors: u64) {
        for n in -20..0 {
            self.put(&self.tally(Arm::Champion, n, 0.0, 100, 0)).await;
        }
        for n in 0..seconds {
            self.put(&self.tally(Arm::Challenger, n, 5.0, 5, errors)).await;
            self.put(&self.tally(Arm::Champion, n, 5.0, 95, 0)).await;
        }
    }

    async fn ask(&self, after: i64) -> Result<HealthAnswer, Failure> {
        let registry = &self.scenario.registry;
        let ports = Ports {
            registry,
            tallies: registry,
            watermarks: registry,
            targets: registry,
            evidence: &self.evidence,
            data: &self.data,
            tally_cache: &self.caches.0,
            live_cache: &self.caches.1,
            observations: &self.queue,
        };
        let now = self.begun + SignedDuration::from_secs(after);
        handle(&ports, move || now, HealthTask { held: self.held.clone(), step: 0 }).await
    }

    async fn step(&self) -> StepEvidence {
        let key =
            format!("{}canary-step-0.json", keys::evidence_prefix(&self.held.model, &self.held.promotion));
        serde_json::from_slice(&self.evidence.get(&key, 1 << 24).await.unwrap().unwrap()).unwrap()
    }

    /// The same under another policy.
    async fn again_with(&mut self, policy: &Policy) {
        let scenario = &self.scenario;
        scenario.system().roll_back(&scenario.model, "operator", false).await.unwrap();
        scenario.system().set_policy(&scenario.model, policy).await.unwrap();
        scenario.register(3).await;
        let run = scenario.start(3).await;
        scenario.approve(&run).await;
        scenario.system().shift(&scenario.model, &run.id, run.epoch, 0).await.unwrap();
        self.begun = scenario.promotion(&run).await.steps[0].at;
        (self.held.promotion, self.held.epoch) = (run.id, run.epoch);
        self.held.version = seatrial_domain::VersionName::new(3);
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
    let bytes = world.evidence.get(&key, 1 << 24).await.unwrap().unwrap();
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

#[tokio::test]
async fn the_shadows_answers_are_counted_and_say_whether_the_canary_answers_as_it_did_there() {
    let world = World::new().await;
    world.traffic(14, 0).await;
    let begun = world.begun.as_second();
    for n in -5..12 {
        let counts = ShadowTally {
            pairs: 10,
            challenger_classes: BTreeMap::from([("yes".to_owned(), 10)]),
            ..ShadowTally::default()
        };
        let stored = StoredShadowTally { schema: 1, promotion: world.held.promotion.clone(), counts };
        world
            .put_item(begun + n, SHADOW_ARM, &format!("s{n}"), serde_json::to_string(&stored).unwrap())
            .await;
    }
    let answer = world.ask(14).await.unwrap();
    assert_eq!(answer.state, HealthState::Healthy, "{}", answer.why);
    let judgement = world.step().await.judgement;
    let row = judgement.metric("output_distribution").unwrap();
    assert!(row.why.contains("answers of the challenger at 5 % beside"), "{}", row.why);
    // Slots of ten seconds, aligned to the clock: those that are over count.
    assert!(row.n > 0 && row.n <= 60 + 120, "the shadow before the canary does not count: {}", row.n);
}

#[tokio::test]
async fn a_warm_process_reads_only_what_is_new_and_ends_a_step_on_everything() {
    let mut world = World::new().await;
    let policy: Policy = serde_json::from_value(serde_json::json!({
        "approval": { "approvers": [{ "email": "ann@example.com" }] },
        "canary": { "steps": [5], "hold_seconds": 900, "max_hold_seconds": 5000, "min_requests": 30, "metrics": {
            "error_rate": { "class": "guardrail", "margin": 0.1, "detect": 0.3 }, "latency_p99": { "class": "guardrail", "margin": "100%rel", "detect": 9 },
        } },
    }))
    .unwrap();
    world.again_with(&policy).await;
    world.traffic(1_000, 0).await;
    let early = world.ask(800).await.unwrap();
    assert_eq!(early.state, HealthState::NotYetKnown, "{}", early.why);
    // A crash that is reported long after its second.
    let mut late = world.tally(Arm::Challenger, 20, 5.0, 3, 3);
    late.tally_id = "lost".into();
    world.put(&late).await;
    let kept = world.ask(820).await.unwrap();
    assert_eq!(kept.state, HealthState::NotYetKnown, "{}", kept.why);
    assert!(kept.why.starts_with("held 820 s"), "{}", kept.why);
    let answer = world.ask(930).await.unwrap();
    assert_eq!(answer.state, HealthState::Degraded, "what ends a step is read whole: {}", answer.why);
    assert_eq!(world.step().await.judgement.steps[0].canary.errors, 3);
}

fn hook() -> Target {
    Target::Http(HttpTarget { url: "https://mesh.example.com/".into() })
}

impl World {
    /// What `reconcile` saw of the target, so many seconds after the step: 5 % of the challenger's, or nothing.
    async fn seen(&self, after: i64, in_step: bool) {
        let (registry, model) = (&self.scenario.registry, &self.scenario.model);
        let head = self.scenario.head().await;
        let at = head.route.since + SignedDuration::from_secs(after);
        let wanted = desired(&head, &hook(), &BTreeMap::new()).unwrap().unwrap();
        let weights = if in_step { &[("v1", 0.95), ("v2", 0.05)][..] } else { &[("v1", 1.0)] };
        let shares: BTreeMap<String, f64> = weights.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect();
        let pending = (!in_step).then(|| "a rollout is under way".to_owned());
        let seen = Seen { wanted: Some(&wanted), before: None, after: Some(&shares), pending, refused: None };
        let before = registry.target(model).await.unwrap();
        let record = TargetRecord::after(&head, &hook(), before.as_ref(), &seen, at);
        assert!(registry.hold_target(model, "test", at, at).await.unwrap());
        assert!(registry.leave_target(model, "test", Some(&record)).await.unwrap());
    }
}

#[tokio::test]
async fn a_canary_whose_target_is_behind_is_not_yet_known_whatever_was_measured() {
    let world = World::with(Some(hook())).await;
    world.traffic(40, 0).await;
    let unseen = world.ask(12).await.unwrap();
    assert_eq!(unseen.state, HealthState::NotYetKnown);
    assert!(unseen.why.contains("mesh.example.com is behind"), "{}", unseen.why);
    world.seen(8, false).await;
    let behind = world.ask(12).await.unwrap();
    assert_eq!(behind.state, HealthState::NotYetKnown);
    assert!(behind.why.contains("v1 100 %, to be v1 95 %, v2 5 %: a rollout is under way"), "{}", behind.why);
    world.seen(9, true).await;
    let young = world.ask(12).await.unwrap();
    assert_eq!(young.state, HealthState::NotYetKnown, "the hold counts from when callers met the weight");
    assert!(young.why.contains("s of 5 s"), "{}", young.why);
    assert!(world.written().await.is_empty(), "nothing of it is evidence of a step");
    let settling = world.ask(18).await.unwrap();
    assert_eq!(
        settling.state,
        HealthState::NotYetKnown,
        "what callers met begins when the target has settled"
    );
    let met = world.ask(38).await.unwrap();
    assert_eq!(met.state, HealthState::Healthy, "{}", met.why);
    let judgement = world.step().await.judgement;
    assert_eq!(judgement.steps[0].canary.requests, 5 * (36 - 20), "of 36 seconds the first 20 do not count");
    let guardrails = judgement.metrics.iter().filter(|row| row.class == MetricClass::Guardrail);
    let alpha: f64 = guardrails.filter_map(|row| row.alpha).sum();
    assert!((alpha - 0.025).abs() < 1e-12, "each of two judgements has half of alpha: {alpha}");
}

#[tokio::test]
async fn a_target_that_follows_late_does_not_make_the_split_the_challengers_fault() {
    let world = World::with(Some(hook())).await;
    world.traffic(0, 0).await;
    // Servers report 5 % from the step on; callers meet the challenger half a minute later.
    for n in 0..58 {
        let challenger = if n < 30 { 0 } else { 5 };
        world.put(&world.tally(Arm::Challenger, n, 5.0, challenger, 0)).await;
        world.put(&world.tally(Arm::Champion, n, 5.0, 100 - challenger, 0)).await;
    }
    world.seen(8, false).await;
    let behind = world.ask(25).await.unwrap();
    assert_eq!(behind.state, HealthState::NotYetKnown, "{}", behind.why);
    world.seen(30, true).await;
    let answer = world.ask(58).await.unwrap();
    assert_eq!(answer.state, HealthState::Healthy, "{}", answer.why);
    let judgement = world.step().await.judgement;
    assert!(judgement.notify.is_empty(), "{:?}", judgement.notify);
    let ratio = judgement.metric("sample_ratio").unwrap();
    assert!(ratio.log_e.unwrap() < 0.0, "{}", ratio.why);
}

#[tokio::test]
async fn what_speaks_against_a_challenger_counts_before_its_target_is_in_step_and_no_hold_lasts_for_ever() {
    let world = World::with(Some(hook())).await;
    world.traffic(14, 5).await;
    world.seen(8, false).await;
    assert_eq!(world.ask(12).await.unwrap().state, HealthState::Degraded);
    let world = World::with(Some(hook())).await;
    world.traffic(62, 0).await;
    world.seen(8, false).await;
    let over = world.ask(61).await.unwrap();
    assert_eq!(over.state, HealthState::Exhausted, "{}", over.why);
    assert!(over.why.contains("a rollout is under way"), "{}", over.why);
}

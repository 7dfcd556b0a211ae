//! One slow or unattestable model holds up no other, and is asked about less often.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use fn_sweep::{Attesting, Executions, Ports, Standing, handle};
use jiff::SignedDuration;
use seatrial_artifacts::MemoryS3;
use seatrial_domain::change::Request;
use seatrial_domain::ids::Actor;
use seatrial_domain::policy::BusyMode;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::task::{AttestAnswer, AttestTask};
use seatrial_domain::{ModelName, PromotionId, VersionName};
use seatrial_registry::contract::{Run, Scenario, Ticks, policy};
use seatrial_registry::ops::Clock as _;
use seatrial_registry::{MemoryRegistry, Records};
use seatrial_runtime::{Failure, label};
use serde_json::{Value, json};

use crate::common::{All, Asked};

/// `attest` that fails after so long.
struct Failing {
    clock: Ticks,
    takes: SignedDuration,
    asked: Mutex<Vec<AttestTask>>,
}

impl Failing {
    fn after(s: &Scenario<MemoryRegistry>, seconds: i64) -> Self {
        let takes = SignedDuration::from_secs(seconds);
        Self { clock: s.clock.clone(), takes, asked: Mutex::default() }
    }

    /// How often it was asked about promotions, and about histories.
    fn asked(&self) -> (usize, usize) {
        let asked = self.asked.lock().unwrap();
        let promotions = asked.iter().filter(|task| matches!(task, AttestTask::Promotion(_))).count();
        (promotions, asked.len() - promotions)
    }
}

#[async_trait]
impl Attesting for Failing {
    async fn attest(&self, task: &AttestTask) -> Result<AttestAnswer, Failure> {
        self.asked.lock().unwrap().push(task.clone());
        self.clock.forward(self.takes);
        Err(Failure::unavailable("attesting", "it is in doubt"))
    }
}

/// `attest` that does not answer.
struct Silent;

#[async_trait]
impl Attesting for Silent {
    async fn attest(&self, _: &AttestTask) -> Result<AttestAnswer, Failure> {
        std::future::pending().await
    }
}

/// Executions that all go on, and Step Functions that takes so long to say so of each.
struct Slow {
    clock: Ticks,
    takes: SignedDuration,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Executions for Slow {
    async fn standing(&self, arn: &str) -> Result<Standing, Failure> {
        self.asked.lock().unwrap().push(arn.to_owned());
        self.clock.forward(self.takes);
        Ok(Standing::Alive)
    }
}

fn dead() -> All {
    All(Standing::Dead("ABORTED".into()))
}

/// The models of the scenario's registry, swept once.
async fn sweep(
    s: &Scenario<MemoryRegistry>,
    executions: &dyn Executions,
    attesting: &dyn Attesting,
    event: Value,
) -> Result<Value, Failure> {
    let s3 = MemoryS3::default();
    let (evidence, models) = (s3.bucket("evidence"), s3.bucket("models"));
    let (registry, answering) = (&s.registry, Asked::default());
    let ports = Ports {
        registry,
        evidence: &evidence,
        models: &models,
        executions,
        attesting,
        answering: &answering,
    };
    let clock = s.clock.clone();
    handle(&ports, move || clock.now(), event).await
}

/// Another model beside that of `s`: its champion is v1, of a promotion that is not attested, and v2 is registered.
async fn beside(s: &Scenario<MemoryRegistry>, name: &str) -> Scenario<MemoryRegistry> {
    let one = Scenario { model: ModelName::parse(name).unwrap(), ..s.clone() };
    one.system().set_policy(&one.model, &policy()).await.unwrap();
    one.register(1).await;
    one.promote(1).await;
    one.register(2).await;
    one
}

async fn status(s: &Scenario<MemoryRegistry>, run: &Run) -> PromotionStatus {
    s.promotion(run).await.status
}

#[tokio::test]
async fn a_model_that_takes_all_the_time_to_attest_keeps_no_other_from_being_ended() {
    // Whoever of the two is the first in its minute.
    for minute in 0..6 {
        let s = Scenario::empty(&MemoryRegistry::default());
        s.clock.forward(SignedDuration::from_mins(minute));
        beside(&s, "a").await;
        let z = beside(&s, "z").await;
        let run = z.start(2).await;
        let attesting = Failing::after(&s, 400);
        let failed = sweep(&s, &dead(), &attesting, json!({})).await.unwrap_err();
        assert_eq!(failed.label, label::UNAVAILABLE);
        assert_ne!(status(&z, &run).await, PromotionStatus::Running, "minute {minute}");
        assert_eq!(attesting.asked(), (1, 0), "after 400 s nothing more is begun");
        z.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_attestation_that_does_not_answer_is_left_to_itself_after_a_minute() {
    let s = Scenario::empty(&MemoryRegistry::default());
    beside(&s, "a").await;
    let z = beside(&s, "z").await;
    let run = z.start(2).await;
    let began = tokio::time::Instant::now();
    let failed = sweep(&s, &dead(), &Silent, json!({})).await.unwrap_err();
    assert!(failed.chain().contains("goes on by itself"), "{}", failed.chain());
    assert_ne!(status(&z, &run).await, PromotionStatus::Running);
    // One promotion of `a` and two of `z`.
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(180) && waited < Duration::from_secs(190), "{waited:?}");
}

#[tokio::test]
async fn what_cannot_be_attested_is_asked_for_less_often_the_longer_ago_it_ended() {
    let s = Scenario::with_champion(&MemoryRegistry::default()).await;
    let attesting = Failing::after(&s, 0);
    for _ in 0..120 {
        let _ = sweep(&s, &dead(), &attesting, json!({})).await;
        s.clock.forward(SignedDuration::from_mins(1));
    }
    let (promotions, histories) = attesting.asked();
    assert!((60..70).contains(&promotions), "{promotions}");
    assert!((50..60).contains(&histories), "{histories}");
}

#[tokio::test]
async fn the_event_of_an_execution_attests_at_once_what_the_tick_leaves_for_later() {
    let s = Scenario::with_champion(&MemoryRegistry::default()).await;
    let ended = s.registry.promotions(&s.model).await.unwrap().remove(0).id;
    let attesting = Failing::after(&s, 0);
    s.clock.forward(SignedDuration::from_mins(90));
    sweep(&s, &dead(), &attesting, json!({})).await.unwrap();
    assert_eq!(attesting.asked(), (0, 0), "it is not its minute");
    let input = json!({ "model": s.model }).to_string();
    let event = json!({ "detail": { "name": ended, "input": input, "status": "FAILED" } });
    sweep(&s, &dead(), &attesting, event).await.unwrap_err();
    assert_eq!(attesting.asked(), (1, 0));
}

#[tokio::test]
async fn an_execution_that_is_not_known_yet_ends_nothing_and_after_minutes_it_does() {
    let s = Scenario::with_champion(&MemoryRegistry::default()).await;
    let mut rules = policy();
    rules.when_busy.mode = BusyMode::Wait;
    s.system().set_policy(&s.model, &rules).await.unwrap();
    s.register(3).await;
    let run = s.start(2).await;
    let id = PromotionId::derive(&s.model, "v3", 1);
    let (asker, version) = (Actor::function("intake"), VersionName::new(3));
    let request = Request::new(&asker, Some("arn:waits"));
    s.system().wait_for_model(&s.model, &id, version, &request).await.unwrap();
    let (unknown, attesting) = (All(Standing::Unknown), Failing::after(&s, 0));

    s.clock.forward(SignedDuration::from_secs(10));
    sweep(&s, &unknown, &attesting, json!({})).await.unwrap();
    assert_eq!(status(&s, &run).await, PromotionStatus::Running);
    assert_eq!((s.head().await.waiting.len(), attesting.asked()), (1, (0, 0)));

    s.clock.forward(SignedDuration::from_secs(170));
    let _ = sweep(&s, &unknown, &attesting, json!({})).await;
    let record = s.promotion(&run).await;
    assert_ne!(record.status, PromotionStatus::Running);
    assert!(record.reason.as_ref().unwrap().contains("not known to Step Functions"), "{:?}", record.reason);
    assert!(s.head().await.waiting.is_empty());
    s.check().await;
}

#[tokio::test]
async fn models_that_one_call_has_no_time_for_are_begun_with_by_later_ones() {
    let s = Scenario::empty(&MemoryRegistry::default());
    for n in 0..10 {
        let one = beside(&s, &format!("m{n}")).await;
        let id = PromotionId::derive(&one.model, "v2", 1);
        let (asker, arn) = (Actor::function("intake"), format!("arn:{n}"));
        let version = VersionName::new(2);
        one.system().start_promotion(&one.model, &id, version, &asker, Some(&arn)).await.unwrap();
    }
    let takes = SignedDuration::from_secs(250);
    let executions = Slow { clock: s.clock.clone(), takes, asked: Mutex::default() };
    for tick in 1..=24 {
        sweep(&s, &executions, &Silent, json!({})).await.unwrap();
        assert_eq!(executions.asked.lock().unwrap().len(), tick, "one is asked about, and the time is over");
        s.clock.forward(SignedDuration::from_secs(50));
    }
    let asked: BTreeSet<_> = executions.asked.lock().unwrap().iter().cloned().collect();
    assert_eq!(asked.len(), 10, "{asked:?}");
}

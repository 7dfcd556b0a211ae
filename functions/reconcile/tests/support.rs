//! A model with a target in memory, and the function over it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use fn_reconcile::{Ports, handle};
use jiff::{SignedDuration, Timestamp};
use seatrial_domain::policy::{HttpTarget, Policy, Target};
use seatrial_domain::target::{Standing, TargetRecord, desired};
use seatrial_registry::contract::{Scenario, Ticks, policy};
use seatrial_registry::ops::Clock;
use seatrial_registry::{MemoryRegistry, Targets as _};
use seatrial_runtime::Failure;
use seatrial_runtime::postpone::Postpone;
use seatrial_runtime::queue::Queue;
use seatrial_runtime::sqs_event::SqsMessage;
use seatrial_targets::Targets;
use seatrial_targets::memory::MemoryTarget;
use serde_json::{Value, json};

#[derive(Default)]
pub struct Line {
    pub sent: Mutex<Vec<String>>,
    /// By how much messages were put off.
    pub waits: Mutex<Vec<u32>>,
}

#[async_trait::async_trait]
impl Queue for Line {
    fn name(&self) -> &str {
        "targets"
    }
    async fn send(&self, bodies: Vec<String>) -> Result<(), Failure> {
        self.sent.lock().unwrap().extend(bodies);
        Ok(())
    }
    async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(true)
    }
}

#[async_trait::async_trait]
impl Postpone for Line {
    async fn postpone(&self, _: &SqsMessage, seconds: u32) {
        self.waits.lock().unwrap().push(seconds);
    }
}

pub struct World {
    pub registry: MemoryRegistry,
    pub scenario: Scenario<MemoryRegistry>,
    pub target: MemoryTarget,
    pub line: Line,
}

pub fn http() -> Target {
    Target::Http(HttpTarget { url: "https://mesh.example.com/".into() })
}

pub fn with_target(target: Option<Target>) -> Policy {
    Policy { target, ..policy() }
}

pub fn shares(of: &[(&str, f64)]) -> BTreeMap<String, f64> {
    of.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect()
}

/// A batch of messages about `model`, each handed out so often.
pub fn batch(model: &str, attempts: &[u32]) -> Value {
    let message = |(n, attempt): (usize, &u32)| {
        json!({
            "messageId": format!("m-{n}"), "receiptHandle": "r", "body": json!({ "schema": 1, "model": model }).to_string(),
            "attributes": { "ApproximateReceiveCount": attempt.to_string() },
        })
    };
    json!({ "Records": attempts.iter().enumerate().map(message).collect::<Vec<_>>() })
}

impl World {
    /// A model whose champion is v1, with v2 registered, and a target that does what was there before.
    pub async fn new() -> Self {
        let registry = MemoryRegistry::default();
        let scenario = Scenario::with_champion(&registry).await;
        scenario.system().set_policy(&scenario.model, &with_target(Some(http()))).await.unwrap();
        let target = MemoryTarget::default();
        target.set(shares(&[("v1", 1.0)]));
        Self { registry, scenario, target, line: Line::default() }
    }

    pub fn now(&self) -> Timestamp {
        self.scenario.clock.now()
    }

    pub fn forward(&self, seconds: i64) {
        self.scenario.clock.forward(SignedDuration::from_secs(seconds));
    }

    pub async fn handle_with(&self, targets: &dyn Targets, event: Value) -> Value {
        let ports = Ports { registry: &self.registry, targets, queue: &self.line, postpone: &self.line };
        let clock: Ticks = self.scenario.clock.clone();
        handle(&ports, move || clock.now(), event).await.unwrap()
    }

    /// One message about the model; the ids of those that come again.
    pub async fn nudge(&self, attempt: u32) -> usize {
        let answer = self.handle_with(&self.target, batch(self.scenario.model.as_str(), &[attempt])).await;
        answer["batchItemFailures"].as_array().unwrap().len()
    }

    pub async fn record(&self) -> Option<TargetRecord> {
        self.registry.target(&self.scenario.model).await.unwrap()
    }

    pub async fn standing(&self) -> Standing {
        Standing::of(&self.scenario.head().await, Some(&http()), self.record().await.as_ref())
    }

    /// What the route gives at this moment: fractions by name.
    pub async fn wanted(&self) -> BTreeMap<String, f64> {
        let head = self.scenario.head().await;
        let wanted = desired(&head, &http(), &BTreeMap::new()).unwrap().unwrap();
        wanted.weights().into_iter().map(|(name, weight)| (name, weight.fraction())).collect()
    }
}

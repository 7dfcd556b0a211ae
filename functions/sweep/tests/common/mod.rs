//! `sweep` in memory, with `attest` beside it and every execution dead, unless it is said otherwise.
#![allow(dead_code)]

use std::sync::Mutex;

use async_trait::async_trait;
use fn_sweep::{Answering, Attesting, Executions, Ports, Standing, handle};
use seatrial_artifacts::{DeletingStore, MemoryS3, MemoryStore};
use seatrial_attestation::LocalKey;
use seatrial_domain::GateId;
use seatrial_domain::task::{AttestAnswer, AttestTask};
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::{Scenario, Ticks};
use seatrial_registry::ops::Clock as _;
use seatrial_runtime::Failure;
use serde_json::{Value, json};

/// Every execution stands like this.
pub struct All(pub Standing);

#[async_trait]
impl Executions for All {
    async fn standing(&self, _: &str) -> Result<Standing, Failure> {
        Ok(self.0.clone())
    }
}

/// Which gates `answer` was asked about.
#[derive(Default)]
pub struct Asked(Mutex<Vec<GateId>>);

#[async_trait]
impl Answering for Asked {
    async fn answer(&self, gate: &GateId) -> Result<(), Failure> {
        self.0.lock().unwrap().push(gate.clone());
        Ok(())
    }
}

/// `attest` without Lambda between.
struct Here<'a> {
    ports: fn_attest::Ports<'a>,
    clock: Ticks,
}

#[async_trait]
impl Attesting for Here<'_> {
    async fn attest(&self, task: &AttestTask) -> Result<AttestAnswer, Failure> {
        fn_attest::handle(&self.ports, || self.clock.now(), task.clone()).await
    }
}

pub struct Swept<'s> {
    s: &'s Scenario<MemoryRegistry>,
    pub evidence: MemoryStore,
    pub models: MemoryStore,
    key: LocalKey,
    executions: All,
    answering: Asked,
}

impl<'s> Swept<'s> {
    pub fn new(s: &'s Scenario<MemoryRegistry>) -> Self {
        let s3 = MemoryS3::default();
        let (evidence, models) = (s3.bucket("evidence"), s3.bucket("models"));
        let executions = All(Standing::Dead("ABORTED".into()));
        let key = LocalKey::generate().unwrap();
        Self { s, evidence, models, key, executions, answering: Asked::default() }
    }

    /// Every execution goes on.
    pub fn alive(s: &'s Scenario<MemoryRegistry>) -> Self {
        Self { executions: All(Standing::Alive), ..Self::new(s) }
    }

    /// The gates whose execution was to be told.
    pub fn told(&self) -> Vec<GateId> {
        self.answering.0.lock().unwrap().clone()
    }

    pub async fn sweep(&self) -> Result<Value, Failure> {
        self.sweep_with(&self.models, json!({})).await
    }

    /// Looks at the versions of the scenario's model, in whatever minute.
    pub async fn retention(&self) -> Result<Value, Failure> {
        self.sweep_with(&self.models, json!({ "retention": self.s.model })).await
    }

    pub async fn sweep_with(&self, models: &dyn DeletingStore, event: Value) -> Result<Value, Failure> {
        let registry = &self.s.registry;
        let ports = fn_attest::Ports {
            registry,
            evidence: &self.evidence,
            models: &self.models,
            signer: &self.key,
            data_days: None,
        };
        let attesting = Here { ports, clock: self.s.clock.clone() };
        let (evidence, executions, answering) = (&self.evidence, &self.executions, &self.answering);
        let ports = Ports { registry, evidence, models, executions, attesting: &attesting, answering };
        let clock = self.s.clock.clone();
        handle(&ports, move || clock.now(), event).await
    }
}

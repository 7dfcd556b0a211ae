//! `sweep` in memory, with `attest` beside it and every execution dead.
#![allow(dead_code)]

use async_trait::async_trait;
use fn_sweep::{Attesting, Executions, Ports, Standing, handle};
use seatrial_artifacts::{MemoryS3, MemoryStore};
use seatrial_attestation::LocalKey;
use seatrial_domain::task::{AttestAnswer, AttestTask};
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::{Scenario, Ticks};
use seatrial_registry::ops::Clock as _;
use seatrial_runtime::Failure;
use serde_json::{Value, json};

struct AllDead;

#[async_trait]
impl Executions for AllDead {
    async fn standing(&self, _: &str) -> Result<Standing, Failure> {
        Ok(Standing::Dead("ABORTED".into()))
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
    key: LocalKey,
}

impl<'s> Swept<'s> {
    pub fn new(s: &'s Scenario<MemoryRegistry>) -> Self {
        let evidence = MemoryS3::default().bucket("evidence");
        Self { s, evidence, key: LocalKey::generate().unwrap() }
    }

    pub async fn sweep(&self) -> Result<Value, Failure> {
        let registry = &self.s.registry;
        let ports = fn_attest::Ports {
            registry,
            evidence: &self.evidence,
            models: &self.evidence,
            signer: &self.key,
            data_days: None,
        };
        let attesting = Here { ports, clock: self.s.clock.clone() };
        let ports = Ports { registry, evidence: &self.evidence, executions: &AllDead, attesting: &attesting };
        let clock = self.s.clock.clone();
        handle(&ports, move || clock.now(), json!({})).await
    }
}

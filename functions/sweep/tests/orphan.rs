//! A promotion whose execution died: it ends, and a decision that nobody carried out is marked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use async_trait::async_trait;
use fn_sweep::{Attesting, Executions, Ports, Standing, handle};
use seatrial_artifacts::MemoryS3;
use seatrial_attestation::LocalKey;
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::task::{AttestAnswer, AttestTask};
use seatrial_registry::contract::{Run, Scenario, Ticks};
use seatrial_registry::ops::Clock;
use seatrial_registry::{MemoryRegistry, Records};
use seatrial_runtime::Failure;
use serde_json::json;

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

async fn sweep(s: &Scenario<MemoryRegistry>) {
    let evidence = MemoryS3::default().bucket("evidence");
    let (registry, signer) = (&s.registry, LocalKey::generate().unwrap());
    let ports = fn_attest::Ports { registry, evidence: &evidence, signer: &signer };
    let attesting = Here { ports, clock: s.clock.clone() };
    let ports = Ports { registry, evidence: &evidence, executions: &AllDead, attesting: &attesting };
    let clock = s.clock.clone();
    // The manifest of evidence that is not there cannot be written; that comes after what is looked at here.
    let _ = handle(&ports, move || clock.now(), json!({})).await;
}

async fn gate(s: &Scenario<MemoryRegistry>, gate: &GateRecord) -> GateRecord {
    s.registry.gate(&gate.id).await.unwrap().unwrap()
}

async fn ended(s: &Scenario<MemoryRegistry>, run: &Run) {
    assert_ne!(s.promotion(run).await.status, PromotionStatus::Running);
    assert!(s.head().await.running.is_none());
    s.check().await;
}

#[tokio::test]
async fn a_decision_that_its_execution_never_heard_is_orphaned_and_stays() {
    let (s, run) = Scenario::approved(&MemoryRegistry::default()).await;
    let id = s.promotion(&run).await.gate.unwrap();
    let approved = s.registry.gate(&id).await.unwrap().unwrap();
    sweep(&s).await;
    let after = gate(&s, &approved).await;
    assert_eq!((after.status, &after.decisions), (GateStatus::Approved, &approved.decisions));
    assert!(after.orphaned.as_ref().unwrap().why.contains("ABORTED"), "{:?}", after.orphaned);
    assert_eq!(s.events("gate_orphaned").await, 1);
    ended(&s, &run).await;
    sweep(&s).await;
    assert_eq!(s.events("gate_orphaned").await, 1, "once");
}

#[tokio::test]
async fn a_decision_that_moved_traffic_was_heard_and_an_undecided_gate_is_only_cancelled() {
    let (s, run) = Scenario::through_canary(&MemoryRegistry::default()).await;
    sweep(&s).await;
    assert_eq!(s.events("gate_orphaned").await, 0);
    ended(&s, &run).await;

    let s = Scenario::with_champion(&MemoryRegistry::default()).await;
    let run = s.start(2).await;
    let open = s.open_gate(&run).await;
    sweep(&s).await;
    sweep(&s).await;
    let after = gate(&s, &open).await;
    assert_eq!((after.status, after.orphaned), (GateStatus::Cancelled, None));
    ended(&s, &run).await;
}

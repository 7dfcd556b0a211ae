//! A promotion whose execution died: it ends, and a decision that nobody carried out is marked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use seatrial_domain::PromotionId;
use seatrial_domain::change::Request;
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::ids::{Actor, VersionName};
use seatrial_domain::policy::BusyMode;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_registry::contract::{Run, Scenario, policy};
use seatrial_registry::{MemoryRegistry, Records};

use common::Swept;

async fn sweep(s: &Scenario<MemoryRegistry>) {
    // The manifest of evidence that is not there cannot be written; that comes after what is looked at here.
    let _ = Swept::new(s).sweep().await;
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

#[tokio::test]
async fn who_waits_and_is_dead_leaves_the_line_and_holds_nobody_up() {
    let s = Scenario::with_champion(&MemoryRegistry::default()).await;
    let mut rules = policy();
    rules.when_busy.mode = BusyMode::Wait;
    s.system().set_policy(&s.model, &rules).await.unwrap();
    s.register(3).await;
    s.register(4).await;
    s.start(2).await;
    let asker = Actor::function("intake");
    for (version, execution) in [(3, Some("arn:dead")), (4, None)] {
        let id = PromotionId::derive(&s.model, &format!("v{version}"), 1);
        let version = VersionName::new(version);
        let request = Request::new(&asker, execution);
        s.system().wait_for_model(&s.model, &id, version, &request).await.unwrap();
    }
    assert_eq!(s.head().await.waiting.len(), 2);
    sweep(&s).await;
    let line: Vec<_> = s.head().await.waiting.iter().map(|w| w.challenger.version).collect();
    assert_eq!(line, [VersionName::new(4)], "of whom no execution is known, nothing is assumed");
    sweep(&s).await;
    assert_eq!(s.events("promotion_withdrawn").await, 1, "once");
    s.check().await;
}

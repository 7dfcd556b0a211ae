//! An execution that waits for a gate which is decided: it is told again, whatever became of the first answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::GateStatus;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_registry::contract::Scenario;
use seatrial_registry::{MemoryRegistry, Records};

use crate::common::Swept;

#[tokio::test]
async fn whoever_waits_for_a_decided_gate_is_told_until_they_go_on() {
    let (s, run) = Scenario::approved(&MemoryRegistry::default()).await;
    let gate = s.promotion(&run).await.gate.unwrap();
    let swept = Swept::alive(&s);
    for times in 1..=2 {
        swept.sweep().await.unwrap();
        assert_eq!(swept.told(), vec![gate.clone(); times]);
    }
    assert_eq!(s.promotion(&run).await.status, PromotionStatus::Running, "nothing was ended");

    // In its canary it has heard.
    let (s, _) = Scenario::through_canary(&MemoryRegistry::default()).await;
    let swept = Swept::alive(&s);
    swept.sweep().await.unwrap();
    assert_eq!(swept.told(), []);
}

#[tokio::test]
async fn nobody_is_told_of_a_gate_that_is_undecided_and_nobody_who_is_dead() {
    let s = Scenario::with_champion(&MemoryRegistry::default()).await;
    let run = s.start(2).await;
    let gate = s.open_gate(&run).await;
    let swept = Swept::alive(&s);
    swept.sweep().await.unwrap();
    assert_eq!(swept.told(), []);
    assert_eq!(s.registry.gate(&gate.id).await.unwrap().unwrap().status, GateStatus::Pending);

    let (s, _) = Scenario::approved(&MemoryRegistry::default()).await;
    let swept = Swept::new(&s);
    let _ = swept.sweep().await;
    assert_eq!(swept.told(), [], "its promotion was ended instead");
}

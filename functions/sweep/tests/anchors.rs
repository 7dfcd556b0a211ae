//! Histories whose end nobody signed are anchored, once they are quiet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use jiff::SignedDuration;
use seatrial_artifacts::store::ObjectStore as _;
use seatrial_attestation::checkpoint;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::Scenario;

use common::Swept;

#[tokio::test]
async fn the_end_of_a_history_is_signed_once_it_is_quiet() {
    let s = Scenario::new(&MemoryRegistry::default()).await;
    let swept = Swept::new(&s);
    swept.sweep().await.unwrap();
    assert!(swept.evidence.list("checkpoints/").await.unwrap().is_empty(), "more may come in a moment");

    s.clock.forward(SignedDuration::from_mins(11));
    let done = swept.sweep().await.unwrap();
    assert_eq!(done["done"].as_array().unwrap().len(), 1, "{done}");
    let key = checkpoint::key(&s.model, s.head().await.chain.seq);
    assert!(swept.evidence.head(&key).await.unwrap().is_some());

    let again = swept.sweep().await.unwrap();
    assert_eq!(again["done"].as_array().unwrap().len(), 0, "{again}");
    assert_eq!(swept.evidence.list("checkpoints/").await.unwrap().len(), 1);
    s.check().await;
}

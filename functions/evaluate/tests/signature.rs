//! Versions without the deployment's signature are not evaluated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use seatrial_artifacts::ObjectStore;
use seatrial_runtime::label;
use support::World;

#[tokio::test]
async fn neither_a_champion_nor_a_challenger_without_a_signature_is_evaluated() {
    for unsigned in [1, 2] {
        let policy = serde_json::json!({ "task": "regression" });
        let world = World::new(policy, Some("regression/benchmark.parquet")).await;
        world.submit("regression/r1").await;
        world.scenario.promote(1).await;
        world.submit("regression/r2").await;
        world.unsign(unsigned).await;
        let (run, held) = world.start(2).await;
        let failure = world.try_run(&held).await.unwrap_err();
        let said = format!("v{unsigned} of model {} is not signed", world.scenario.model);
        assert!(failure.label == label::INTERNAL && failure.message.contains(&said), "{failure:?}");
        assert!(world.evidence.list("").await.unwrap().is_empty(), "nothing was found out");
        assert!(world.scenario.promotion(&run).await.evidence.is_empty());
    }
}

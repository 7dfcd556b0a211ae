//! Versions without the deployment's signature are not replayed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fn_replay::{Ports, Replayer};
use jiff::Timestamp;
use seatrial_artifacts::package::{publish, signature_key, testing};
use seatrial_artifacts::{Folder, MemoryS3, ObjectStore, Prefix, inspect, upload_submission};
use seatrial_domain::ids::VersionRef;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::Scenario;
use seatrial_runtime::queue::Queue;
use seatrial_runtime::sqs_event::SqsEvent;
use seatrial_runtime::{Failure, label};
use serde_json::json;

/// The queue the batch came from; nothing is sent to it.
struct Shadow;

#[async_trait]
impl Queue for Shadow {
    fn name(&self) -> &str {
        "shadow"
    }
    async fn send(&self, _: Vec<String>) -> Result<(), Failure> {
        panic!("nothing is sent here")
    }
    async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(false)
    }
}

async fn version(scenario: &Scenario<MemoryRegistry>, s3: &MemoryS3, fixture: &str) -> VersionRef {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions").join(fixture);
    let (submissions, models, model) = (s3.bucket("submissions"), s3.bucket("models"), &scenario.model);
    let found = inspect(&Folder::new(&folder), model, &|_| {}).await.unwrap();
    let at = upload_submission(&submissions, &found, &folder, fixture, "t", &|_| {}).await.unwrap();
    let inspected = inspect(&Prefix::new(&submissions, at.prefix), model, &|_| {}).await.unwrap();
    let package = inspected.package().unwrap();
    publish(&inspected, &package, &submissions, &models).await.unwrap();
    testing::sign(&models, model, &package).await;
    let ops = scenario.system();
    let done = ops.register_version(model, &package.digest, &package.summary, "sue@example.com").await;
    done.unwrap().value.reference()
}

#[tokio::test]
async fn neither_a_champion_nor_a_challenger_without_a_signature_is_replayed() {
    for unsigned in [0, 1] {
        let s3 = MemoryS3::default();
        let scenario = Scenario::new(&MemoryRegistry::default()).await;
        let champion = version(&scenario, &s3, "v1").await;
        scenario.promote(1).await;
        let challenger = version(&scenario, &s3, "v2").await;
        let run = scenario.start(2).await;
        scenario.system().open_shadow(&scenario.model, &run.id, run.epoch).await.unwrap();
        let missing = [&champion, &challenger][unsigned];
        s3.remove("models", &signature_key(&scenario.model, &missing.digest));

        let sample = json!([{
            "promotion": run.id, "queued_at": "2026-11-28T00:00:00Z",
            "row": {
                "schema": 1, "observation_id": "o1", "model": scenario.model, "version": "v1",
                "digest": champion.digest, "role": "champion", "route": { "epoch": run.epoch, "weight": 0 },
                "at": "2026-11-28T00:00:00Z", "inputs": { "age": 39 }, "output": { "label": ">50K" },
                "latency_us": 10,
            },
        }]);
        let event: SqsEvent = serde_json::from_value(json!({ "Records": [{
            "messageId": "m", "body": sample.to_string(), "attributes": { "SentTimestamp": "1795910400000" },
        }] }))
        .unwrap();
        let folder = std::env::temp_dir().join(format!("seatrial-replay-{}", scenario.model));
        let (registry, models, data) = (&scenario.registry, s3.bucket("models"), s3.bucket("data"));
        let ports = Ports {
            records: registry,
            tallies: registry,
            attempts: registry,
            watermarks: registry,
            models: &models,
            trust: testing::trust(),
            network: &seatrial_remote::testing::nowhere(),
            data: &data,
            queue: &Shadow,
        };
        let replayer = Replayer::new(ports, PathBuf::from("no library is needed"), folder.clone());
        let failure = replayer.handle(Timestamp::now, event).await.unwrap_err();
        drop(std::fs::remove_dir_all(folder));
        let said = format!("{} of model {} is not signed", missing.version, scenario.model);
        assert!(failure.label == label::INTERNAL && failure.message.contains(&said), "{failure:?}");
        assert!(data.list("").await.unwrap().is_empty(), "no pair may be there");
    }
}

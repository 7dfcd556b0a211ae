//! Models in memory whose second version is in the shadow.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fn_replay::Ports;
use seatrial_artifacts::package::{publish, testing};
use seatrial_artifacts::{Folder, MemoryS3, MemoryStore, Prefix, inspect, upload_submission};
use seatrial_domain::ids::VersionRef;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::{Run, Scenario};
use seatrial_remote::Network;
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use seatrial_runtime::sqs_event::SqsEvent;
use serde_json::{Value, json};

/// The queue the batches come from; nothing is sent to it.
pub struct Shadow;

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

/// What `replay` works with.
pub fn ports<'a>(
    registry: &'a MemoryRegistry,
    models: &'a MemoryStore,
    data: &'a MemoryStore,
    network: &'a Network,
) -> Ports<'a> {
    Ports {
        records: registry,
        tallies: registry,
        attempts: registry,
        watermarks: registry,
        models,
        trust: testing::trust(),
        network,
        data,
        queue: &Shadow,
    }
}

/// A submission of the fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions").join(name)
}

/// Registers the submission in this folder as the next version.
pub async fn version(scenario: &Scenario<MemoryRegistry>, s3: &MemoryS3, folder: &Path) -> VersionRef {
    let (submissions, models, model) = (s3.bucket("submissions"), s3.bucket("models"), &scenario.model);
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let found = inspect(&Folder::new(folder), model, &|_| {}).await.unwrap();
    let at = upload_submission(&submissions, &found, folder, &name, "t", &|_| {}).await.unwrap();
    let inspected = inspect(&Prefix::new(&submissions, at.prefix), model, &|_| {}).await.unwrap();
    let package = inspected.package().unwrap();
    publish(&inspected, &package, &submissions, &models).await.unwrap();
    testing::sign(&models, model, &package).await;
    let ops = scenario.system();
    let done = ops.register_version(model, &package.digest, &package.summary, "sue@example.com").await;
    done.unwrap().value.reference()
}

/// A model whose champion is v1, with v2 in the shadow.
pub struct Shadowed {
    pub scenario: Scenario<MemoryRegistry>,
    pub champion: VersionRef,
    pub challenger: VersionRef,
    pub run: Run,
}

impl Shadowed {
    /// A model of its own, whose challenger is the submission in this folder.
    pub async fn new(registry: &MemoryRegistry, s3: &MemoryS3, challenger: &Path) -> Self {
        let scenario = Scenario::new(registry).await;
        let champion = version(&scenario, s3, &fixture("v1")).await;
        scenario.promote(1).await;
        let challenger = version(&scenario, s3, challenger).await;
        let run = scenario.start(2).await;
        scenario.system().open_shadow(&scenario.model, &run.id, run.epoch).await.unwrap();
        Self { scenario, champion, challenger, run }
    }

    /// A message with rows of these ids.
    pub fn rows(&self, ids: &[&str]) -> Value {
        let row = |id: &&str| {
            json!({
                "promotion": self.run.id, "queued_at": "2026-11-28T00:00:00Z",
                "row": {
                    "schema": 1, "observation_id": id, "model": self.scenario.model, "version": "v1",
                    "digest": self.champion.digest, "role": "champion",
                    "route": { "epoch": self.run.epoch, "weight": 0 },
                    "at": "2026-11-28T00:00:00Z", "inputs": { "age": 39 }, "output": { "label": ">50K" },
                    "latency_us": 10,
                },
            })
        };
        ids.iter().map(row).collect()
    }
}

/// A batch of messages: their ids, how often each was handed out, and what they say.
pub fn batch(messages: &[(&str, u32, Value)]) -> SqsEvent {
    let message = |(id, count, body): &(&str, u32, Value)| {
        let attributes =
            json!({ "SentTimestamp": "1795910400000", "ApproximateReceiveCount": count.to_string() });
        json!({ "messageId": id, "body": body.to_string(), "attributes": attributes })
    };
    let records: Vec<Value> = messages.iter().map(message).collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

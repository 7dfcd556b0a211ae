//! A model with two packaged versions, of which the second is in the shadow, in memory.

use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use seatrial_artifacts::package::testing;
use seatrial_artifacts::{Folder, MemoryS3, MemoryStore, Prefix, inspect, publish, upload_submission};
use seatrial_domain::policy::Policy;
use seatrial_domain::{Digest, ModelName, PromotionId};
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::Scenario;
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use serde_json::json;

/// Who sends the observations: a role, and the session that the queue shows with it.
pub const SENDER: &str = "AROABENCHDATAPLANE";
pub const POSITIVE: &str = ">50K";
pub const SEGMENTS: [&str; 2] = ["sex", "race"];

pub struct World {
    pub scenario: Scenario<MemoryRegistry>,
    pub models: MemoryStore,
    pub data: MemoryStore,
    pub promotion: PromotionId,
    pub epoch: u64,
    /// The digests of v1 and v2.
    pub digests: [Digest; 2],
}

impl World {
    /// v1 is champion and v2 its challenger; the shadow replays `percent` of the rows, and is not open at 0.
    pub async fn new(fixtures: &Path, percent: f64) -> Self {
        let s3 = MemoryS3::default();
        let models = s3.bucket("models");
        let mut scenario = Scenario::empty(&MemoryRegistry::default());
        scenario.model = ModelName::parse("adult-income").unwrap();
        let policy: Policy = serde_json::from_value(json!({
            "task": "binary", "positive_class": POSITIVE, "protected": SEGMENTS,
            "approval": { "approvers": [{ "email": "ann@example.com" }] },
            "shadow": { "sample_percent": percent.max(1.0) }, "observations": { "senders": [SENDER] },
        }))
        .unwrap();
        scenario.system().set_policy(&scenario.model, &policy).await.unwrap();
        let first = version(&scenario, fixtures, "v1", &s3.bucket("submissions"), &models).await;
        scenario.promote(1).await;
        let second = version(&scenario, fixtures, "v2", &s3.bucket("submissions"), &models).await;
        let run = scenario.start(2).await;
        if percent > 0.0 {
            scenario.system().open_shadow(&scenario.model, &run.id, run.epoch).await.unwrap();
        }
        let data = s3.bucket("data");
        Self { scenario, models, data, promotion: run.id, epoch: run.epoch, digests: [first, second] }
    }
}

async fn version(
    scenario: &Scenario<MemoryRegistry>,
    fixtures: &Path,
    name: &str,
    submissions: &MemoryStore,
    models: &MemoryStore,
) -> Digest {
    let (folder, model) = (fixtures.join("submissions").join(name), &scenario.model);
    let inspected = inspect(&Folder::new(&folder), model, &|_| {}).await.unwrap();
    let uploaded = upload_submission(submissions, &inspected, &folder, name, "bench", &|_| {}).await.unwrap();
    let inspected = inspect(&Prefix::new(submissions, uploaded.prefix), model, &|_| {}).await.unwrap();
    let package = inspected.package().unwrap();
    publish(&inspected, &package, submissions, models).await.unwrap();
    testing::sign(models, model, &package).await;
    let ops = scenario.system();
    ops.register_version(model, &package.digest, &package.summary, "sue@example.com").await.unwrap();
    package.digest
}

/// A queue in memory.
pub struct Line {
    name: &'static str,
    bodies: Mutex<Vec<String>>,
}

impl Line {
    pub const fn new(name: &'static str) -> Self {
        Self { name, bodies: Mutex::new(Vec::new()) }
    }

    /// Everything that was sent since it was asked last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.bodies.lock().unwrap())
    }
}

#[async_trait]
impl Queue for Line {
    fn name(&self) -> &str {
        self.name
    }
    async fn send(&self, bodies: Vec<String>) -> Result<(), Failure> {
        self.bodies.lock().unwrap().extend(bodies);
        Ok(())
    }
    async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(false)
    }
}

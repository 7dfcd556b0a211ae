//! A model with a policy, a benchmark and versions of the fixtures, all in memory.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fn_evaluate::checks::HttpChecks;
use fn_evaluate::{Ports, handle};
use seatrial_artifacts::evidence::get_evidence;
use seatrial_artifacts::package::{publish, signature_key, testing};
use seatrial_artifacts::{
    Folder, MemoryS3, MemoryStore, ObjectStore, Prefix, benchmark_key, inspect, upload_submission,
};
use seatrial_domain::canonical;
use seatrial_domain::head::BenchmarkRef;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::EvidenceKind;
use seatrial_domain::task::{Evaluated, Held};
use seatrial_evidence::evaluation::Evaluation;
use seatrial_evidence::report::MetricRow;
use seatrial_outbound::Allowed;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::{Run, Scenario};
use seatrial_runtime::Failure;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub struct World {
    pub scenario: Scenario<MemoryRegistry>,
    models: MemoryStore,
    pub evidence: MemoryStore,
    submissions: MemoryStore,
    s3: MemoryS3,
    folder: PathBuf,
    /// What checks may reach.
    pub hosts: String,
    /// Whether checks may reach this machine.
    pub local: bool,
    /// Where Lambda functions are invoked.
    pub aws: aws_config::SdkConfig,
    /// Where AWS answers for remote versions.
    pub remote: String,
}

impl World {
    /// A model with this policy and, where a file is named, this benchmark; both from `tests/fixtures`.
    pub async fn new(mut policy: serde_json::Value, benchmark: Option<&str>) -> Self {
        let s3 = MemoryS3::default();
        let scenario = Scenario::empty(&MemoryRegistry::default());
        policy["approval"] = serde_json::json!({ "approvers": [{ "email": "ann@example.com" }] });
        let policy: Policy = serde_json::from_value(policy).unwrap();
        scenario.system().set_policy(&scenario.model, &policy).await.unwrap();
        let folder = std::env::temp_dir().join(format!("seatrial-evaluate-{}", scenario.model));
        let world = Self {
            scenario,
            models: s3.bucket("models"),
            evidence: s3.bucket("evidence"),
            submissions: s3.bucket("submissions"),
            s3,
            folder,
            hosts: String::new(),
            local: true,
            aws: aws_config::SdkConfig::builder().build(),
            remote: "http://127.0.0.1:9".to_owned(),
        };
        if let Some(file) = benchmark {
            let bytes = std::fs::read(root().join("tests/fixtures").join(file)).unwrap();
            let digest = canonical::sha256(&bytes);
            let key = benchmark_key(&world.scenario.model, &digest);
            let size = bytes.len() as u64;
            world.models.put(&key, Bytes::from(bytes), "application/octet-stream").await.unwrap();
            let set_at = "2026-11-21T09:00:00Z".parse().unwrap();
            world
                .scenario
                .system()
                .set_benchmark(&world.scenario.model, &BenchmarkRef { digest, key, size, set_at })
                .await
                .unwrap();
        }
        world
    }

    /// Registers the fixture in this folder as the next version.
    pub async fn submit(&self, fixture: &str) {
        self.submit_from(&root().join("tests/fixtures").join(fixture)).await;
    }

    /// Registers the submission in this folder as the next version.
    pub async fn submit_from(&self, dir: &Path) {
        let model = &self.scenario.model;
        let local = inspect(&Folder::new(dir), model, &|_| {}).await.unwrap();
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let at = upload_submission(&self.submissions, &local, dir, &name, "sue", &|_| {}).await.unwrap();
        let inspected = inspect(&Prefix::new(&self.submissions, at.prefix), model, &|_| {}).await.unwrap();
        let package = inspected.package().unwrap();
        publish(&inspected, &package, &self.submissions, &self.models).await.unwrap();
        testing::sign(&self.models, model, &package).await;
        self.scenario
            .system()
            .register_version(model, &package.digest, &package.summary, "sue@example.com")
            .await
            .unwrap();
    }

    /// Takes a version's signature away.
    pub async fn unsign(&self, version: u32) {
        let record = self.scenario.version(version).await;
        self.s3.remove("models", &signature_key(&self.scenario.model, &record.digest));
    }

    /// Starts the promotion of a version.
    pub async fn start(&self, version: u32) -> (Run, Held) {
        let run = self.scenario.start(version).await;
        let held = Held {
            schema: 1,
            model: self.scenario.model.clone(),
            promotion: run.id.clone(),
            epoch: run.epoch,
            version: seatrial_domain::VersionName::new(version),
        };
        (run, held)
    }

    pub async fn evaluate(&self, version: u32) -> (Evaluated, Evaluation, Held) {
        let (run, held) = self.start(version).await;
        let evaluated = self.run(&held).await;
        let record = self.scenario.promotion(&run).await;
        let bytes =
            get_evidence(&self.evidence, &record.evidence[&EvidenceKind::Evaluation], 1 << 26).await.unwrap();
        (evaluated, serde_json::from_slice(&bytes).unwrap(), held)
    }

    pub async fn run(&self, held: &Held) -> Evaluated {
        self.try_run(held).await.unwrap()
    }

    pub async fn try_run(&self, held: &Held) -> Result<Evaluated, Failure> {
        // Hosts of the internet are not allowed; this machine's own are, as on an emulator.
        let checks = HttpChecks::new(Allowed::of("CheckHosts", &self.hosts, self.local), self.aws.clone());
        let ports = Ports {
            checks: &checks,
            serve: Some("https://serve.example.com"),
            registry: &self.scenario.registry,
            models: &self.models,
            trust: testing::trust(),
            evidence: &self.evidence,
            network: &seatrial_remote::testing::local(&self.remote),
            library: root().join("target/onnxruntime/1.24.4/libonnxruntime.so"),
            folder: self.folder.clone(),
        };
        handle(&ports, jiff::Timestamp::now, held.clone()).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// The evaluation of one fixture beside another, printed.
pub async fn beside(world: World, champion: &str, challenger: &str) -> (World, Evaluated, Evaluation, Held) {
    world.submit(champion).await;
    world.scenario.promote(1).await;
    world.submit(challenger).await;
    let (evaluated, document, held) = world.evaluate(2).await;
    for row in &document.rows {
        println!("{:?} {} {:?}: {}", row.verdict, row.name, row.class, row.why);
    }
    (world, evaluated, document, held)
}

pub fn row<'a>(document: &'a Evaluation, name: &str, segment: Option<&str>) -> &'a MetricRow {
    document
        .rows
        .iter()
        .find(|r| r.name == name && r.segment.as_deref() == segment)
        .unwrap_or_else(|| panic!("{name} {segment:?}"))
}

//! Fakes behind the ports, for the tests of this crate.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use seatrial_domain::head::Head;
use seatrial_domain::ids::{Digest, ModelName, VersionName, VersionRef};
use seatrial_domain::package::PackageSummary;
use seatrial_domain::route::{Arm, Route, Weight};
use seatrial_domain::version::{VersionRecord, VersionStatus};
use seatrial_evidence::observation::{Entry, Output, RouteStamp, SCHEMA, Served, Tally};
use seatrial_inference::{
    Batch, Datatype, ModelConfig, OipTensor, PredictError, Prediction, Signature, TensorSpec,
};
use serde_json::{Value, json};

use crate::choice::Assignment;
use crate::locked;
use crate::ports::{Heads, LoadFailure, Loader, Predictor, Queue, ReadError, Sent};

pub(crate) fn model() -> ModelName {
    ModelName::parse("m").unwrap()
}

pub(crate) fn version(n: u32) -> VersionRef {
    VersionRef { version: VersionName::new(n), digest: Digest::from_bytes([n as u8; 32]) }
}

/// v1 is champion, v2 challenger.
pub(crate) fn route(weight: u16) -> Route {
    Route {
        champion: Some(version(1)),
        challenger: Some(version(2)),
        weight: Weight::from_bps(weight).unwrap(),
        rows: Weight::FULL,
        epoch: 4,
        ..Head::new(model(), Timestamp::UNIX_EPOCH).route
    }
}

pub(crate) fn head(weight: u16) -> Head {
    Head { route: route(weight), ..Head::new(model(), Timestamp::UNIX_EPOCH) }
}

pub(crate) fn assignment(role: Arm) -> Assignment {
    let version = version(if role == Arm::Challenger { 2 } else { 1 });
    Assignment {
        model: model(),
        version: version.version,
        digest: version.digest,
        role,
        route: RouteStamp { promotion: None, epoch: 4, weight: Weight::ZERO },
        second: 1_000,
    }
}

pub(crate) fn served(id: &str, bytes: usize) -> Served {
    let of = assignment(Arm::Champion);
    Served {
        schema: SCHEMA,
        observation_id: id.into(),
        client_id: None,
        model: of.model,
        version: of.version,
        digest: of.digest,
        role: of.role,
        route: of.route,
        unit: None,
        at: Timestamp::UNIX_EPOCH,
        inputs: [("text".to_owned(), json!("x".repeat(bytes)))].into_iter().collect(),
        output: Output { value: Some(1.0), ..Output::default() },
        latency_us: 1,
        load_us: None,
        warm: Some(true),
        error: None,
        segments: Default::default(),
        protected: Default::default(),
    }
}

/// A new empty folder.
pub(crate) fn folder() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("seatrial-test-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// A registry of one model.
pub(crate) struct FakeHeads {
    head: Mutex<Head>,
    pub(crate) versions: Mutex<HashMap<VersionName, VersionStatus>>,
    down: AtomicBool,
    hang: AtomicBool,
    slow: Mutex<Duration>,
    pub(crate) reads: AtomicU64,
}

impl FakeHeads {
    pub(crate) fn with(head: Head) -> Arc<Self> {
        Arc::new(Self {
            head: Mutex::new(head),
            versions: Mutex::default(),
            down: AtomicBool::new(false),
            hang: AtomicBool::new(false),
            slow: Mutex::new(Duration::ZERO),
            reads: AtomicU64::new(0),
        })
    }
    pub(crate) fn set(&self, head: Head) {
        *locked(&self.head) = head;
    }
    pub(crate) fn down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }
    pub(crate) fn hang(&self, hang: bool) {
        self.hang.store(hang, Ordering::Relaxed);
    }
    pub(crate) fn slow(&self, by: Duration) {
        *locked(&self.slow) = by;
    }
}

#[async_trait]
impl Heads for FakeHeads {
    async fn head(&self, model: &ModelName) -> Result<Option<Head>, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.hang.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let slow = *locked(&self.slow);
        tokio::time::sleep(slow).await;
        if self.down.load(Ordering::Relaxed) {
            return Err(ReadError("down".into()));
        }
        let head = locked(&self.head).clone();
        Ok((head.model == *model).then_some(head))
    }
    async fn version(
        &self,
        model: &ModelName,
        name: VersionName,
    ) -> Result<Option<VersionRecord>, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let status = locked(&self.versions).get(&name).copied();
        let VersionRef { version, digest } = version(name.number());
        Ok(status.map(|status| VersionRecord {
            model: model.clone(),
            version,
            digest,
            status,
            package: PackageSummary {
                runtime: "onnx".into(),
                task: "regression".into(),
                title: None,
                size: 0,
                files: Default::default(),
                labels: Default::default(),
                changelog: String::new(),
                config: Default::default(),
                remote: None,
            },
            submitted_by: "t".into(),
            submitted_auth: None,
            retired_at: None,
            collected_at: None,
            artifact: None,
            created_at: Timestamp::UNIX_EPOCH,
            promotion: None,
        }))
    }
}

/// Versions that answer `x + version / 10`, unless told to do worse.
pub(crate) struct FakeLoader {
    slow: Duration,
    failing: Mutex<HashMap<u8, LoadFailure>>,
    panicking: Mutex<HashSet<u8>>,
    loads: Mutex<HashMap<u8, u32>>,
    pub(crate) forgotten: Mutex<Vec<Digest>>,
}

impl FakeLoader {
    pub(crate) fn slow(slow: Duration) -> Arc<Self> {
        Arc::new(Self {
            slow,
            failing: Mutex::default(),
            panicking: Mutex::default(),
            loads: Mutex::default(),
            forgotten: Mutex::default(),
        })
    }
    pub(crate) fn fail(&self, version: u8, how: LoadFailure) {
        locked(&self.failing).insert(version, how);
    }
    pub(crate) fn panic(&self, version: u8) {
        locked(&self.panicking).insert(version);
    }
    pub(crate) fn mend(&self, version: u8) {
        locked(&self.failing).remove(&version);
    }
    pub(crate) fn loads(&self, version: u8) -> u32 {
        locked(&self.loads).get(&version).copied().unwrap_or_default()
    }
}

#[async_trait]
impl Loader for FakeLoader {
    async fn load(&self, _: &ModelName, version: &VersionRef) -> Result<Arc<dyn Predictor>, LoadFailure> {
        let number = version.version.number() as u8;
        *locked(&self.loads).entry(number).or_default() += 1;
        if !self.slow.is_zero() {
            tokio::time::sleep(self.slow).await;
        }
        assert!(!locked(&self.panicking).contains(&number), "told to");
        match locked(&self.failing).get(&number) {
            Some(failure) => Err(failure.clone()),
            None => Ok(Arc::new(FakePredictor::new(number))),
        }
    }
    fn forget(&self, version: &Digest) {
        locked(&self.forgotten).push(version.clone());
    }
}

/// Takes a column `x`. v2 fails on 13 as a model, every version on a negative number as the client's error; v2 panics on
/// 666 and never ends on 999.
pub(crate) struct FakePredictor {
    number: u8,
    config: ModelConfig,
    signature: Signature,
}

impl FakePredictor {
    pub(crate) fn new(number: u8) -> Self {
        let config = ModelConfig::from_yaml(
            "schema: 1\ntask: regression\nruntime: onnx\ninputs: [{name: x, datatype: FP64}]\noutputs: {value: y}\n",
        )
        .unwrap();
        let spec = |name: &str, shape| TensorSpec { name: name.into(), datatype: Datatype::Fp64, shape };
        let signature =
            Signature { inputs: vec![spec("x", vec![-1, 1])], outputs: vec![spec("value", vec![-1])] };
        Self { number, config, signature }
    }
}

impl Predictor for FakePredictor {
    fn config(&self) -> &ModelConfig {
        &self.config
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn batch(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
        let batch = Batch::from_oip(tensors)?;
        let unknown = batch.names().find(|name| *name != "x").map(str::to_owned);
        match unknown {
            None => Ok(batch),
            Some(name) => Err(PredictError::Client {
                code: "unknown-column",
                message: format!("unknown column {name}"),
            }),
        }
    }
    fn predict_each(&self, batch: &Batch) -> Vec<Result<Prediction, PredictError>> {
        let predict = |row: usize| match batch.row(row).unwrap()["x"].as_f64().unwrap_or_default() {
            x if x < 0.0 => {
                Err(PredictError::Client { code: "out-of-range", message: "x is negative".into() })
            }
            x if self.number == 2 && x == 13.0 => {
                Err(PredictError::Model { code: "session-failed", message: "node 7: secret detail".into() })
            }
            x if self.number == 2 && x == 666.0 => panic!("told to"),
            x if self.number == 2 && x == 999.0 => {
                std::thread::sleep(Duration::from_secs(2));
                Err(PredictError::Model { code: "session-failed", message: "slow".into() })
            }
            x => Ok(Prediction { label: None, scores: None, value: Some(x + f64::from(self.number) / 10.0) }),
        };
        (0..batch.rows()).map(predict).collect()
    }
}

/// A queue that keeps what it is given.
pub(crate) struct FakeQueue {
    bodies: Mutex<Vec<String>>,
    down: AtomicBool,
}

impl FakeQueue {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { bodies: Mutex::default(), down: AtomicBool::new(false) })
    }
    pub(crate) fn down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }
    pub(crate) fn bodies(&self) -> Vec<String> {
        locked(&self.bodies).clone()
    }
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let values = |body: &String| serde_json::from_str::<Vec<Value>>(body).unwrap();
        let entries: Vec<Entry> = self
            .bodies()
            .iter()
            .flat_map(values)
            .map(|value| serde_json::from_value(value).unwrap())
            .collect();
        assert!(entries.iter().all(|entry| entry.defect().is_none()), "{entries:?}");
        entries
    }
    pub(crate) fn tallies(&self) -> Vec<Tally> {
        let tally = |entry| if let Entry::Tally(tally) = entry { Some(tally) } else { None };
        self.entries().into_iter().filter_map(tally).collect()
    }
    pub(crate) fn rows(&self) -> Vec<Served> {
        let row = |entry| if let Entry::Served(row) = entry { Some(*row) } else { None };
        self.entries().into_iter().filter_map(row).collect()
    }
}

#[async_trait]
impl Queue for FakeQueue {
    async fn send(&self, bodies: &[String]) -> Vec<Sent> {
        if self.down.load(Ordering::Relaxed) {
            return bodies.iter().map(|_| Sent::Again("down".into())).collect();
        }
        assert!(bodies.len() <= 10 && bodies.iter().map(String::len).sum::<usize>() <= 256_000);
        locked(&self.bodies).extend(bodies.iter().cloned());
        bodies.iter().map(|_| Sent::Done).collect()
    }
}

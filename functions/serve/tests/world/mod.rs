//! A data plane with real versions: packages of the fixtures in an object store, the registry in memory, ONNX Runtime.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each user has its own part

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fn_serve::adapters::{FromRegistry, FromStore};
use fn_serve::app::{App, Mode, Parts};
use fn_serve::journal::{Journal, wrecks};
use fn_serve::ports::{Heads, Queue, ReadError, Sent};
use fn_serve::server;
use fn_serve::versions::Versions;
use jiff::Timestamp;
use seatrial_artifacts::package::{publish, signature_key, testing};
use seatrial_artifacts::store::{MemoryS3, MemoryStore, ObjectStore};
use seatrial_artifacts::submission::{Folder, Prefix, inspect, upload_submission};
use seatrial_domain::head::Head;
use seatrial_domain::ids::{Actor, ModelName, VersionName, VersionRef};
use seatrial_domain::route::{Route, Weight};
use seatrial_domain::version::VersionRecord;
use seatrial_evidence::observation::{Entry, Served, Tally};
use seatrial_registry::MemoryRegistry;
use seatrial_registry::ops::{Ops, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn model() -> ModelName {
    ModelName::parse("adult-income").unwrap()
}

/// A registry whose route a test sets; versions come from the registry in memory.
struct Routed {
    registry: FromRegistry<MemoryRegistry>,
    route: Mutex<Option<Route>>,
}

#[async_trait]
impl Heads for Routed {
    async fn head(&self, model: &ModelName) -> Result<Option<Head>, ReadError> {
        let head = self.registry.head(model).await?;
        let route = self.route.lock().unwrap().clone();
        Ok(head.map(|head| Head { route: route.unwrap_or_else(|| head.route.clone()), ..head }))
    }
    async fn version(
        &self,
        model: &ModelName,
        version: VersionName,
    ) -> Result<Option<VersionRecord>, ReadError> {
        self.registry.version(model, version).await
    }
}

#[derive(Default)]
struct Kept(Mutex<Vec<String>>);

#[async_trait]
impl Queue for Kept {
    async fn send(&self, bodies: &[String]) -> Vec<Sent> {
        self.0.lock().unwrap().extend(bodies.iter().cloned());
        bodies.iter().map(|_| Sent::Done).collect()
    }
}

impl Kept {
    fn entries(&self) -> Vec<Entry> {
        let bodies = self.0.lock().unwrap();
        bodies.iter().flat_map(|body| serde_json::from_str::<Vec<Entry>>(body).unwrap()).collect()
    }
}

pub struct World {
    pub app: Arc<App>,
    heads: Arc<Routed>,
    queue: Arc<Kept>,
    versions: Vec<VersionRef>,
    dir: PathBuf,
    s3: MemoryS3,
}

impl Drop for World {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// Registers fixtures as versions v1, v2, … in this order.
pub async fn world(fixtures: &[&str], mode: Mode) -> World {
    let s3 = MemoryS3::default();
    let (submissions, models): (MemoryStore, MemoryStore) = (s3.bucket("submissions"), s3.bucket("models"));
    let registry = MemoryRegistry::default();
    let mut versions = Vec::new();
    for fixture in fixtures {
        let folder = workspace().join("tests/fixtures/submissions").join(fixture);
        let found = inspect(&Folder::new(&folder), &model(), &|_| ()).await.unwrap();
        let at = upload_submission(&submissions, &found, &folder, fixture, "t", &|_| ()).await.unwrap();
        let inspected = inspect(&Prefix::new(&submissions, &at.prefix), &model(), &|_| ()).await.unwrap();
        let package = inspected.package().unwrap();
        publish(&inspected, &package, &submissions, &models).await.unwrap();
        testing::sign(&models, &model(), &package).await;
        let ops = Ops::new(&registry, Actor::function("package"), &SystemClock);
        let done = ops.register_version(&model(), &package.digest, &package.summary, "t").await.unwrap();
        versions.push(done.value.reference());
    }
    let dir = std::env::temp_dir().join(format!("seatrial-serve-test-{}", uuid::Uuid::now_v7()));
    let loader = FromStore {
        store: Arc::new(models),
        trust: testing::trust().clone(),
        folder: dir.join("versions"),
        library: workspace().join("target/onnxruntime/1.24.4/libonnxruntime.so"),
        network: seatrial_remote::testing::local("http://127.0.0.1:9"),
    };
    let heads = Arc::new(Routed { registry: FromRegistry(registry), route: Mutex::new(None) });
    let queue = Arc::new(Kept::default());
    let parallel = std::thread::available_parallelism().unwrap().get();
    let app = App::new(Parts {
        mode,
        heads: Arc::clone(&heads) as Arc<dyn Heads>,
        versions: Versions::new(Arc::new(loader), 8, parallel),
        queue: Arc::clone(&queue) as Arc<dyn Queue>,
        journal: Some(Journal::open(&dir.join("markers")).unwrap()),
        wrecks: wrecks(&dir.join("markers")).unwrap(),
        preload: vec![model()],
    });
    World { app, heads, queue, versions, dir, s3 }
}

impl World {
    /// The first version is champion, the second challenger.
    pub fn split(&self, weight: u16) -> Route {
        let route = Route {
            champion: Some(self.versions[0].clone()),
            challenger: self.versions.get(1).cloned(),
            weight: Weight::from_bps(weight).unwrap(),
            rows: Weight::FULL,
            ..Head::new(model(), Timestamp::UNIX_EPOCH).route
        };
        *self.heads.route.lock().unwrap() = Some(route.clone());
        route
    }

    pub async fn listen(&self) -> (u16, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (end, ended) = tokio::sync::oneshot::channel();
        let app = Arc::clone(&self.app);
        let serving = tokio::spawn(async move {
            let ended = async { drop(ended.await) };
            server::serve(app, &format!("127.0.0.1:{port}"), ended).await.unwrap();
        });
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (port, end, serving)
    }

    /// Replaces the signature of a version, counted from 1; `None` takes it away. Gives the one that was there.
    pub async fn replace_signature(&self, version: usize, by: Option<Bytes>) -> Bytes {
        let key = signature_key(&model(), &self.versions[version - 1].digest);
        let models = self.s3.bucket("models");
        let before = models.get(&key, 1 << 20).await.unwrap().unwrap_or_default();
        match by {
            Some(bundle) => drop(models.put(&key, bundle, "x").await.unwrap()),
            None => self.s3.remove("models", &key),
        }
        before
    }

    pub async fn loaded(&self, count: usize) {
        while self.app.versions.loaded().len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn rows(&self) -> Vec<Served> {
        let row = |entry| if let Entry::Served(row) = entry { Some(*row) } else { None };
        self.queue.entries().into_iter().filter_map(row).collect()
    }

    pub fn tallies(&self) -> Vec<Tally> {
        let tally = |entry| if let Entry::Tally(tally) = entry { Some(tally) } else { None };
        self.queue.entries().into_iter().filter_map(tally).collect()
    }
}

/// One connection that stays open.
pub struct Client(TcpStream);

impl Client {
    pub async fn new(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub async fn call(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n", body.len());
        self.0.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut chunk = vec![0_u8; 16_384];
        loop {
            let count = self.0.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the server closed the connection");
            answer.extend_from_slice(&chunk[..count]);
            let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>();
            if answer.len() >= end + 4 + length.unwrap() {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return (status, String::from_utf8(answer[end + 4..].to_vec()).unwrap());
            }
        }
    }

    pub async fn infer(&mut self, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.call("POST", path, body).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

pub fn traffic(file: &str, count: usize) -> Vec<Value> {
    let text = std::fs::read_to_string(workspace().join("tests/fixtures").join(file)).unwrap();
    text.lines().take(count).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn tensor(name: &str, values: &[Value]) -> Value {
    let kind = if values[0].is_string() { "BYTES" } else { "FP32" };
    json!({ "name": name, "shape": [values.len(), 1], "datatype": kind, "data": values })
}

/// A request of these rows for their first unit.
pub fn request(rows: &[Value]) -> Value {
    let columns = rows[0]["features"].as_object().unwrap().keys();
    let inputs: Vec<Value> = columns
        .map(|name| tensor(name, &rows.iter().map(|row| row["features"][name].clone()).collect::<Vec<_>>()))
        .collect();
    let sexes: Vec<&Value> = rows.iter().map(|row| &row["sex"]).collect();
    json!({ "parameters": { "unit": rows[0]["unit"], "protected": { "sex": sexes } }, "inputs": inputs })
}

pub const INFER: &str = "/v2/models/adult-income/infer";

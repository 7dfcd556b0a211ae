//! An application that asks for predictions at a steady rate, and tells the truth later.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::seatrial::MODEL;

/// What callers saw since the last look.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Answers by version.
    pub answers: BTreeMap<String, u64>,
    /// Requests that failed.
    pub failures: u64,
    /// All requests.
    pub requests: u64,
    /// The latest answer of each version.
    pub latest: BTreeMap<String, Instant>,
}

struct Shared {
    base: String,
    late: AtomicBool,
    stop: AtomicBool,
    seen: Mutex<Seen>,
    labels: Mutex<Vec<Value>>,
    ordinary: Vec<Value>,
    rare: Vec<Value>,
}

/// Traffic that goes on until it is stopped.
pub struct Traffic {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

fn lines(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines()
        .map(|l| serde_json::from_str(l).with_context(|| format!("{} is not JSON lines", file.display())))
        .collect()
}

impl Traffic {
    /// Begins with `rate` requests a second to the data plane at `base`, and labels to the observation queue.
    pub fn start(base: &str, rate: u32, fixtures: &Path, labels: Labels) -> Result<Self> {
        let shared = Arc::new(Shared {
            base: base.to_owned(),
            late: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            seen: Mutex::default(),
            labels: Mutex::default(),
            ordinary: lines(&fixtures.join("live.jsonl"))?,
            rare: lines(&fixtures.join("live_late.jsonl"))?,
        });
        let requests = tokio::spawn(ask_steadily(Arc::clone(&shared), rate));
        let truths = tokio::spawn(report_labels(Arc::clone(&shared), labels));
        Ok(Self { shared, tasks: vec![requests, truths] })
    }

    /// From here on inputs of a kind appear that nobody has seen before.
    pub fn turn_late(&self, late: bool) {
        self.shared.late.store(late, Ordering::SeqCst);
    }

    /// What callers saw since the last call.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When `version` answered last.
    pub fn latest(&self, version: &str) -> Option<Instant> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).latest.get(version).copied()
    }

    /// Ends it.
    pub async fn stop(self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.ok();
        }
    }
}

async fn ask_steadily(shared: Arc<Shared>, rate: u32) {
    let client = reqwest::Client::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut n = 0_usize;
    while !shared.stop.load(Ordering::SeqCst) {
        tick.tick().await;
        let rows = if shared.late.load(Ordering::SeqCst) { &shared.rare } else { &shared.ordinary };
        let row = rows[n % rows.len()].clone();
        n += 1;
        let (shared, client) = (Arc::clone(&shared), client.clone());
        tokio::spawn(async move { ask(&shared, &client, &row).await });
    }
}

/// The request of a row, in the Open Inference Protocol.
fn request(row: &Value) -> Value {
    let inputs: Vec<Value> = row["features"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let datatype = if value.is_string() { "BYTES" } else { "FP32" };
            json!({ "name": name, "shape": [1, 1], "datatype": datatype, "data": [value] })
        })
        .collect();
    json!({
        "parameters": { "unit": row["unit"], "protected": { "sex": row["sex"], "race": row["race"] } },
        "inputs": inputs,
    })
}

async fn ask(shared: &Shared, client: &reqwest::Client, row: &Value) {
    let url = format!("{}/v2/models/{MODEL}/infer", shared.base);
    let answer = client.post(url).json(&request(row)).timeout(Duration::from_secs(10)).send().await;
    let body = match answer {
        Ok(answer) if answer.status().is_success() => answer.json::<Value>().await.ok(),
        _ => None,
    };
    let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.requests += 1;
    let Some(body) = body else {
        seen.failures += 1;
        return;
    };
    let version = body["model_version"].as_str().unwrap_or("?").to_owned();
    *seen.answers.entry(version.clone()).or_default() += 1;
    seen.latest.insert(version, Instant::now());
    drop(seen);
    if let Some(id) = body.pointer("/parameters/observation_id").and_then(Value::as_str) {
        let id = if id.contains('#') { id.to_owned() } else { format!("{id}#0") };
        shared.labels.lock().unwrap_or_else(PoisonError::into_inner).push(json!({
            "schema": 1, "kind": "label", "observation_id": id, "model": MODEL, "label": row["label"], "at": now(),
        }));
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// Where labels go.
pub struct Labels {
    /// SQS.
    pub client: aws_sdk_sqs::Client,
    /// The observation queue.
    pub queue: String,
}

async fn report_labels(shared: Arc<Shared>, to: Labels) {
    loop {
        let ending = shared.stop.load(Ordering::SeqCst);
        let labels = std::mem::take(&mut *shared.labels.lock().unwrap_or_else(PoisonError::into_inner));
        for some in labels.chunks(200) {
            let body = Value::Array(some.to_vec()).to_string();
            // Labels are a courtesy: a lost one is a label that never came.
            to.client.send_message().queue_url(&to.queue).message_body(body).send().await.ok();
        }
        if ending {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

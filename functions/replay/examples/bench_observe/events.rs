//! The events: what a data plane would have sent about the rows of `live.jsonl`, as SQS hands it to a function.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::canonical::sha256;
use seatrial_inference::{Batch, Model, Prediction, Runtime};
use seatrial_registry::Records;
use seatrial_stats::sketch::LatencySketch;
use serde_json::{Map, Value, json};

use crate::world::{POSITIVE, SEGMENTS, SENDER, World};

/// Served rows in one message, about 26 KB.
const ROWS: usize = 40;
/// Messages in the first event, which is not measured, and in each of the others.
const MESSAGES: [usize; 6] = [2, 100, 100, 100, 100, 100];

pub fn now() -> Timestamp {
    sent(1_000_000)
}

fn sent(message: usize) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + message as i64).unwrap()
}

/// The events' files in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    (0..MESSAGES.len()).map(|n| folder.join(format!("event-{n}.json"))).collect()
}

/// What SQS hands to a function.
pub fn envelope(name: &str, bodies: &[String]) -> String {
    let record = |n: usize, body: &String| {
        let id = sha256(format!("{name} {n}").as_bytes());
        json!({
            "messageId": &id.hex()[..32], "receiptHandle": id.hex().repeat(4), "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": sent(n).as_millisecond().to_string(),
                "SenderId": format!("{SENDER}:session"), "ApproximateFirstReceiveTimestamp": sent(n + 5).as_millisecond().to_string(),
            },
            "messageAttributes": {}, "md5OfBody": &sha256(body.as_bytes()).hex()[..32], "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:observations", "awsRegion": "eu-central-1",
        })
    };
    let records: Vec<Value> = bodies.iter().enumerate().map(|(n, body)| record(n, body)).collect();
    json!({ "Records": records }).to_string()
}

/// Writes the events and what the other side needs to know of the registry.
pub async fn make(world: &World, folder: &Path, library: &Path, fixtures: &Path) {
    fs::create_dir_all(folder).unwrap();
    let live = fs::read_to_string(fixtures.join("live.jsonl")).unwrap();
    let live: Vec<Value> = live.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let features = |row: &Value| row["features"].as_object().unwrap().clone();
    let inputs: Vec<Map<String, Value>> = live.iter().map(features).collect();
    let champion =
        Model::from_folder(Runtime::load(library).unwrap(), &fixtures.join("submissions/v1")).unwrap();
    let answers = champion.predict(&Batch::from_rows(&inputs).unwrap()).unwrap();
    let (mut message, mut records) = (0, 0);
    for (n, path) in files(folder).iter().enumerate() {
        let mut bodies = Vec::new();
        for _ in 0..MESSAGES[n] {
            let entries = entries(world, message, &live, &answers);
            records += if n == 0 { 0 } else { entries.len() };
            bodies.push(format!("[{}]", entries.join(",")));
            message += 1;
        }
        fs::write(path, envelope(&format!("event-{n}"), &bodies)).unwrap();
    }
    let head = world.scenario.registry.head(&world.scenario.model).await.unwrap().unwrap();
    let salt = seatrial_domain::route::Route::salt_of(&world.scenario.model, &world.promotion, world.epoch);
    let known = json!({
        "records": records, "model": world.scenario.model, "senders": [SENDER], "epoch": head.epoch,
        "versions": { "v1": world.digests[0], "v2": world.digests[1] },
        "promotion": { "id": world.promotion, "epoch": world.epoch, "champion": "v1", "challenger": "v2", "salt": salt },
        "positive_class": POSITIVE, "classes": champion.config().classes, "segment_columns": SEGMENTS,
    });
    fs::write(folder.join("world.json"), known.to_string()).unwrap();
}

/// The entries of one message: rows, the tally over them, truths about some, a signal, and now and then one that does not
/// count: of another digest, with a number that JSON lacks, or of an unknown kind.
fn entries(world: &World, message: usize, live: &[Value], answers: &[Prediction]) -> Vec<String> {
    let first = message * ROWS;
    let mut entries: Vec<String> = (first..first + ROWS)
        .map(|n| served(world, n, &live[n % live.len()], &answers[n % live.len()]).to_string())
        .collect();
    entries.push(tally(world, first, answers).to_string());
    for n in [first + 3, first + 20] {
        let about = json!({
            "schema": 1, "kind": "label", "observation_id": id(n), "model": world.scenario.model,
            "label": live[n % live.len()]["label"], "at": at(n),
        });
        entries.push(about.to_string());
    }
    let signal = json!({
        "schema": 1, "kind": "signal", "client_id": client(first + 7), "model": world.scenario.model,
        "name": "thumbs_down", "value": 1.0, "at": at(first),
    });
    entries.push(signal.to_string());
    let mut bad = served(world, 10_000_000 + first, &live[0], &answers[0]);
    if message % 25 == 7 {
        bad["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
        entries.insert(5, bad.to_string());
    } else if message % 50 == 11 {
        bad["output"]["scores"] = json!(["nan", 0.5]);
        entries.insert(9, bad.to_string().replace("\"nan\"", "NaN"));
    } else if message % 100 == 13 {
        bad["kind"] = json!("rumour");
        entries.insert(0, bad.to_string());
    }
    entries
}

fn served(world: &World, n: usize, row: &Value, answer: &Prediction) -> Value {
    json!({
        "kind": "served", "schema": 1, "observation_id": id(n), "client_id": client(n), "model": world.scenario.model,
        "version": "v1", "digest": world.digests[0], "role": "champion",
        "route": { "promotion": world.promotion, "epoch": world.epoch, "weight": 250 }, "unit": row["unit"], "at": at(n),
        "inputs": row["features"], "output": { "label": answer.label, "scores": answer.scores },
        "latency_us": latency_us(n), "warm": true, "protected": { "race": row["race"], "sex": row["sex"] },
    })
}

fn tally(world: &World, first: usize, answers: &[Prediction]) -> Value {
    let mut latency = LatencySketch::default();
    (first..first + ROWS).for_each(|n| latency.observe(latency_us(n)));
    let positive = (first..first + ROWS)
        .filter(|n| answers[n % answers.len()].label.as_deref() == Some(POSITIVE))
        .count();
    json!({
        "kind": "tally", "schema": 1, "tally_id": format!("t-{}", id(first)), "model": world.scenario.model,
        "version": "v1", "digest": world.digests[0], "role": "champion",
        "route": { "promotion": world.promotion, "epoch": world.epoch, "weight": 250 }, "second": at(first).as_second(),
        "assigned": ROWS, "answered": ROWS, "errors": 0, "client_errors": 0,
        "classes": { "<=50K": ROWS - positive, ">50K": positive }, "latency": latency,
    })
}

/// As a server makes it: a UUID, and the row's place in the request.
fn id(n: usize) -> String {
    let digest = sha256(format!("observation {n}").as_bytes());
    let hex = digest.hex();
    format!("{}-{}-7{}-8{}-{}#0", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
}

fn client(n: usize) -> String {
    format!("order-{n:010}")
}

fn at(n: usize) -> Timestamp {
    sent(n / ROWS) - SignedDuration::from_millis(1_200 - (n % ROWS) as i64 * 20)
}

const fn latency_us(n: usize) -> u64 {
    700 + (n * 7_919 % 1_301) as u64
}

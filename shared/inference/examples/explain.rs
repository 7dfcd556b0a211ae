//! Time of explaining 200 rows against 100 background rows, for every committed submission:
//! `cargo run --profile fast --package seatrial-inference --example explain`. The same with Python's `shap`: `explain.py` beside this file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Instant;

use seatrial_inference::explain::{Sampling, explain};
use seatrial_inference::{Batch, Model, Runtime};
use serde_json::{Map, Value};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let runtime = Runtime::load(&root.join("target/onnxruntime/1.24.4/libonnxruntime.so"))
        .unwrap_or_else(|e| panic!("{e}: run `cargo xtask onnxruntime`"));
    let text = std::fs::read_to_string(root.join("tests/fixtures/live.jsonl")).unwrap();
    let features =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["features"].as_object().unwrap().clone();
    let all: Vec<Map<String, Value>> = text.lines().take(300).map(features).collect();
    for name in ["v1", "v2", "v3", "v4"] {
        let folder = root.join("tests/fixtures/submissions").join(name);
        let model = Model::from_folder(runtime, &folder).unwrap();
        let columns: Vec<&str> = model.columns().iter().map(|c| c.name.as_str()).collect();
        let all = Batch::from_rows(&all).unwrap().select(&columns).unwrap();
        let (rows, background) = (all.slice(0, 200).unwrap(), all.slice(200, 100).unwrap());
        let sampling = Sampling { seed: 1, orders: 100, most_runs: 500_000 };
        let start = Instant::now();
        let found = explain(runtime, &folder, &model, &rows, &background, sampling).unwrap();
        println!("{name}: {:?} in {:?}", found.method, start.elapsed());
    }
}

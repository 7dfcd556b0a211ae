//! Time of one row and of a thousand, for every committed submission:
//! `cargo run --profile fast --package seatrial-inference --example latency`. The same in Python: `latency.py` beside this file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Instant;

use seatrial_inference::{Batch, Model, Runtime};
use serde_json::{Map, Value};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let start = Instant::now();
    let runtime = Runtime::load(&root.join("target/onnxruntime/1.24.4/libonnxruntime.so"))
        .unwrap_or_else(|e| panic!("{e}: run `cargo xtask onnxruntime`"));
    println!("library loaded in {:?}", start.elapsed());
    let text = std::fs::read_to_string(root.join("tests/fixtures/live.jsonl")).unwrap();
    let features =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["features"].as_object().unwrap().clone();
    let rows: Vec<Map<String, Value>> = text.lines().take(1_000).map(features).collect();
    for name in ["v1", "v2", "v3", "v4"] {
        let start = Instant::now();
        let model = Model::from_folder(runtime, &root.join("tests/fixtures/submissions").join(name)).unwrap();
        let loaded = start.elapsed();
        let mut times: Vec<u128> = rows
            .iter()
            .cycle()
            .take(20_000)
            .map(|row| {
                let start = Instant::now();
                model.predict(&Batch::from_rows(std::slice::from_ref(row)).unwrap()).unwrap();
                start.elapsed().as_nanos()
            })
            .collect();
        times.sort_unstable();
        let batch = Batch::from_rows(&rows).unwrap();
        let start = Instant::now();
        model.predict(&batch).unwrap();
        let (p50, p99) = (times[times.len() / 2] / 1_000, times[times.len() * 99 / 100] / 1_000);
        println!(
            "{name}: load {loaded:?}; one row p50 {p50} µs, p99 {p99} µs; 1,000 rows {:?}",
            start.elapsed()
        );
    }
}

//! Time of one row and of a batch of 100, for `cargo xtask bench`: `bench_inference LIBRARY SUBMISSION ROWS`.
//!
//! ROWS is a file of JSON lines with `features`. The clock runs from a request's JSON object to labels and scores in hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Instant;

use seatrial_inference::{Batch, Model, Prediction, Runtime};
use serde_json::{Map, Value, json};

const ROWS: usize = 1_000;
const BATCH: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, submission, rows] = &arguments[..] else { panic!("expected LIBRARY SUBMISSION ROWS") };
    let runtime = Runtime::load(Path::new(library)).unwrap();
    let model = Model::from_folder(runtime, Path::new(submission)).unwrap();
    let text = std::fs::read_to_string(rows).unwrap();
    let features = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        row["features"].as_object().unwrap().clone()
    };
    let rows: Vec<Map<String, Value>> = text.lines().take(ROWS).map(features).collect();
    let singles: Vec<&[Map<String, Value>]> = rows.chunks(1).collect();
    let batches: Vec<&[Map<String, Value>]> = rows.chunks(BATCH).collect();
    let answer = |rows: &[Map<String, Value>]| model.predict(&Batch::from_rows(rows).unwrap()).unwrap();
    let checksum: f64 = batches.iter().flat_map(|b| answer(b)).map(|p| score(&p)).sum();
    println!(
        "{}",
        json!({
            "checksum": checksum,
            "one_row_us": times(&singles, 4_000, answer),
            "batch_us": times(&batches, 400, answer),
        })
    );
}

/// The probability of the positive class, the second of the two.
fn score(prediction: &Prediction) -> f64 {
    prediction.scores.as_ref().and_then(|s| s.get(1)).copied().expect("a score of each class")
}

/// Median and 99th percentile in microseconds of `n` calls, after a tenth of them to warm up.
fn times<'a>(
    inputs: &[&'a [Map<String, Value>]],
    n: usize,
    answer: impl Fn(&'a [Map<String, Value>]) -> Vec<Prediction>,
) -> Value {
    let mut taken: Vec<f64> = inputs
        .iter()
        .cycle()
        .take(n + n / 10)
        .map(|rows| {
            let start = Instant::now();
            let answered = answer(rows);
            let taken = start.elapsed().as_secs_f64() * 1e6;
            assert_eq!(answered.len(), rows.len());
            taken
        })
        .skip(n / 10)
        .collect();
    taken.sort_unstable_by(f64::total_cmp);
    json!({ "p50": taken[n / 2], "p99": taken[n * 99 / 100] })
}

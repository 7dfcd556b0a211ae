//! Inference in process beside Python's ONNX Runtime, on the same model, the same engine and the same rows, one thread each.

use anyhow::{Result, bail};
use serde_json::Value;

use super::Bed;
use super::figure::{Figure, Sample};
use super::measure::{Run, WarmUp, rounds};
use crate::paths;

const ROUNDS: usize = 7;
const OTHERWISE: &str = "Python onnxruntime";

pub fn measure(bed: &Bed) -> Result<Vec<Figure>> {
    let fixtures = paths::workspace().join("tests/fixtures");
    let mut commands = [bed.ours("examples/bench_inference"), bed.theirs("inference.py")];
    for command in &mut commands {
        command.arg(&bed.library).arg(fixtures.join("submissions/v2")).arg(fixtures.join("live.jsonl"));
    }
    let runs = rounds(ROUNDS, WarmUp::Yes, &mut commands)?;
    let answers: Vec<f64> =
        runs.iter().flatten().map(|run| number(run, "/checksum")).collect::<Result<_>>()?;
    // The sum of 1,000 probabilities: another rounding of the last digit would be no other answer.
    if let Some(other) = answers.iter().find(|sum| (**sum - answers[0]).abs() > 1e-6) {
        bail!("the sides answer differently: the scores sum to {} and to {other}", answers[0]);
    }
    [
        ("inference, one row, median", "/one_row_us/p50"),
        ("inference, one row, 99 %", "/one_row_us/p99"),
        ("inference, 100 rows, median", "/batch_us/p50"),
    ]
    .into_iter()
    .map(|(what, pointer)| {
        let samples = |side: usize| -> Result<Vec<Sample>> {
            runs[side].iter().map(|run| Ok((number(run, pointer)?, run.peak_kib))).collect()
        };
        Ok(Figure::new(what, OTHERWISE, "us", &samples(0)?, &samples(1)?))
    })
    .collect()
}

fn number(run: &Run, pointer: &str) -> Result<f64> {
    match run.json()?.pointer(pointer).and_then(Value::as_f64) {
        Some(number) => Ok(number),
        None => bail!("expected a number at {pointer}, found {:?}", run.stdout),
    }
}

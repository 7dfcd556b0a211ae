//! Taking in observations, and replaying a sample of them on two versions, beside one Lambda function in Python that does the
//! same with pyarrow and onnxruntime. Records a second of one core: by the processor's time of all threads and processes, so
//! that neither threads nor the neighbours on the machine count for a side.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Bed;
use super::figure::{Figure, Sample};
use super::measure::{Run, WarmUp, once, rounds};
use crate::paths;

const ROUNDS: usize = 5;
const DRIVER: &str = "examples/bench_observe";
const SERVED: u64 = 20_080;
/// Rows in one call of a model, where the other side batches.
const BATCH: &str = "1000";

pub fn measure(bed: &Bed) -> Result<Vec<Figure>> {
    let folder = bed.scratch.join("events");
    let mut make = bed.ours(DRIVER);
    once(make.arg("make").arg(&folder).arg(&bed.library).arg(paths::workspace().join("tests/fixtures")))?;
    let world = std::fs::read_to_string(folder.join("world.json")).context("cannot read world.json")?;
    let records = serde_json::from_str::<Value>(&world)?["records"].as_u64().context("no `records`")?;
    let mut figures = Vec::new();
    let batched = ("Python onnxruntime, batched", BATCH);
    let single = ("Python onnxruntime, a row a call", "1");
    for (what, percent, others) in [
        ("observe", "0", &[("Python, orjson + pyarrow", BATCH)][..]),
        ("observe, and replay 10 %", "10", &[batched]),
        ("observe, and replay 100 %", "100", &[batched, single]),
    ] {
        let out = bed.scratch.join("out");
        let mut commands = vec![ours(bed, &folder, percent, &out.join("ours"))];
        for (n, (_, rows)) in others.iter().enumerate() {
            commands.push(theirs(bed, &folder, percent, rows, &out.join(n.to_string())));
        }
        let runs = rounds(ROUNDS, WarmUp::No, &mut commands)?;
        for n in 0..others.len() {
            let mut check = bed.theirs("observe_check.py");
            let found = once(check.arg(out.join("ours")).arg(out.join(n.to_string())))?.json()?;
            counted(&found, percent)?;
        }
        let seatrial = samples(&runs[0])?;
        for ((otherwise, _), other) in others.iter().zip(&runs[1..]) {
            figures.push(Figure::rate(what, *otherwise, records, &seatrial, &samples(other)?));
        }
    }
    Ok(figures)
}

fn ours(bed: &Bed, events: &Path, percent: &str, out: &Path) -> Command {
    let mut command = bed.ours(DRIVER);
    command.arg("run").arg(events).arg(&bed.library).arg(paths::workspace().join("tests/fixtures"));
    command.arg(percent).arg(out);
    command
}

fn theirs(bed: &Bed, events: &Path, percent: &str, rows: &str, out: &Path) -> Command {
    let mut command = bed.theirs("observe.py");
    command.arg(events).arg(paths::workspace().join("tests/fixtures")).args([percent, rows]).arg(out);
    command
}

/// Time on the processor in seconds, and the memory of the process and of its child.
fn samples(runs: &[Run]) -> Result<Vec<Sample>> {
    let sample = |run: &Run| {
        let found = run.json()?;
        let seconds = found["cpu_seconds"].as_f64().context("expected `cpu_seconds`")?;
        Ok((seconds, run.peak_kib + found["child_peak_kib"].as_u64().unwrap_or(0)))
    };
    runs.iter().map(sample).collect()
}

/// Whether what both sides wrote (which is the same, or the check had failed) is what there was to write.
fn counted(found: &Value, percent: &str) -> Result<()> {
    let count = |name: &str| found[name].as_u64().unwrap_or(0);
    let (rows, pairs) = (count("observations"), count("pairs"));
    let expected = match percent {
        "0" => 0..=0,
        "100" => SERVED..=SERVED,
        _ => 1_700..=2_300,
    };
    if rows != SERVED || !expected.contains(&pairs) || count("faithful") != pairs || count("dead") == 0 {
        bail!("of {SERVED} served rows, {percent} % of them in the shadow, the sides wrote {found}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{SERVED, counted};

    #[test]
    fn a_side_that_writes_less_is_no_comparison() {
        let wrote = |pairs: u64, dead: u64| -> Value {
            json!({ "observations": SERVED, "pairs": pairs, "faithful": pairs, "dead": dead })
        };
        assert!(counted(&wrote(0, 35), "0").is_ok());
        assert!(counted(&wrote(2_000, 35), "10").is_ok());
        assert!(counted(&wrote(0, 35), "10").is_err());
        assert!(counted(&wrote(SERVED - 1, 35), "100").is_err());
        assert!(counted(&wrote(SERVED, 0), "100").is_err());
        assert!(counted(&json!({}), "0").is_err());
    }
}

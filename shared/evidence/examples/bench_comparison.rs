//! The comparison of many pairs, as `compare` makes it, for `cargo xtask bench`.
//!
//! `make FOLDER N` writes N distinct pairs (and one duplicate in a hundred) in 64 partitions, and labels for half of them;
//! `run FOLDER` reads, deduplicates, summarises and judges them, and prints one JSON document.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use seatrial_domain::ids::ModelName;
use seatrial_domain::policy::Policy;
use seatrial_evidence::comparison::shadow_rows;
use seatrial_evidence::observation::{Label, Queued, SCHEMA};
use seatrial_evidence::pair::{Pair, Replayed};
use seatrial_evidence::summary::{Labels, Summary, distinct};
use seatrial_evidence::{keys, table};
use seatrial_stats::Merge;
use serde_json::json;

const PARTITIONS: u16 = 64;
const CLASSES: [&str; 2] = ["<=50K", ">50K"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder, n] => make(Path::new(folder), n.parse().expect("a number of pairs")),
        ["run", folder] => run(Path::new(folder)),
        _ => panic!("expected `make FOLDER N` or `run FOLDER`"),
    }
}

/// The n-th of a fixed sequence of evenly spread numbers in [0, 1) (SplitMix64), one sequence a `stream`.
fn draw(n: u64, stream: u64) -> f64 {
    let mut z = n.wrapping_mul(16).wrapping_add(stream).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn class(positive: bool) -> String {
    CLASSES[usize::from(positive)].to_owned()
}

fn truth(n: u64) -> bool {
    draw(n, 0) < 0.24
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + n as i64 * 3_500).unwrap()
}

fn id(n: u64) -> String {
    format!("{:016x}-{n:08x}#0", (draw(n, 1) * 1e18) as u64)
}

/// A version that errs on `wrong` of the requests and fails on `fails` of them; latencies with a long tail.
fn replayed(n: u64, stream: u64, wrong: f64, fails: f64, latency_us: f64) -> Replayed {
    let tail = -(1.0 - draw(n, stream + 2)).ln();
    let latency_us = (latency_us * (0.8 + 0.2 * tail)) as u64;
    if draw(n, stream + 1) < fails {
        return Replayed { latency_us, error: Some("session-failed".into()), ..Replayed::default() };
    }
    let positive = truth(n) != (draw(n, stream) < wrong);
    let sure = 0.5 + draw(n, stream + 3) / 2.0;
    let score = if positive { sure } else { 1.0 - sure };
    Replayed {
        label: Some(class(positive)),
        score: Some(score),
        scores: Some(vec![1.0 - score, score]),
        latency_us,
        error: None,
    }
}

fn pair(n: u64) -> Pair {
    let champion = replayed(n, 2, 0.15, 0.001, 40.0);
    let challenger = replayed(n, 6, 0.14, 0.003, 60.0);
    let by_champion = draw(n, 10) >= 0.05 && champion.error.is_none();
    let answered = if by_champion { &champion } else { &challenger };
    let sex = if draw(n, 11) < 0.33 { "Female" } else { "Male" };
    let race = if draw(n, 12) < 0.15 { "Black" } else { "White" };
    Pair {
        observation_id: id(n),
        client_id: Some(format!("c-{n:010}")),
        unit: format!("u{:06}", n % 100_000),
        at: at(n),
        queued_at: at(n + 2_000),
        served_version: if by_champion { "v1" } else { "v2" }.into(),
        served_label: answered.label.clone(),
        served_score: answered.score,
        served_error: answered.error.is_some(),
        faithful: by_champion.then_some(true),
        segments: BTreeMap::from([("race".into(), race.into()), ("sex".into(), sex.into())]),
        champion,
        challenger,
    }
}

fn make(folder: &Path, n: u64) {
    fs::create_dir_all(folder).unwrap();
    let mut parts: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
    for i in 0..n {
        let part = parts.entry(keys::partition(&id(i), PARTITIONS)).or_default();
        part.push(i);
        if i % 100 == 99 {
            part.push(i);
        }
    }
    for (part, rows) in parts {
        let pairs: Vec<Pair> = rows.into_iter().map(pair).collect();
        fs::write(folder.join(format!("pairs-{part:02}.parquet")), table::write_pairs(&pairs).unwrap())
            .unwrap();
    }
    let model: ModelName = "bench".parse().unwrap();
    let label = |i: u64| Label {
        schema: SCHEMA,
        observation_id: Some(id(i)),
        client_id: None,
        model: model.clone(),
        label: Some(class(truth(i))),
        value: None,
        at: at(i + 10_000),
    };
    let queued = |i: u64| Queued { entry: label(i), queued_at: at(i + 10_001) };
    let labels: Vec<_> = (0..n).filter(|i| draw(*i, 13) < 0.5).map(queued).collect();
    fs::write(folder.join("labels.parquet"), table::write_labels(&labels).unwrap()).unwrap();
}

fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let of = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(of).collect();
    found.sort();
    found
}

fn bytes(path: &Path) -> Bytes {
    Bytes::from(fs::read(path).unwrap())
}

/// What `compare` does with the files of a frozen list, less the store and its check of each SHA-256.
fn run(folder: &Path) {
    let policy: Policy =
        serde_json::from_value(json!({ "schema": 1, "task": "binary", "positive_class": CLASSES[1] }))
            .unwrap();
    let start = Instant::now();
    let pairs: Vec<Vec<Pair>> =
        files(folder, "pairs-").iter().map(|f| table::read_pairs(bytes(f)).unwrap()).collect();
    let labels = files(folder, "labels")
        .iter()
        .flat_map(|f| table::read_labels(bytes(f)).unwrap())
        .collect::<Vec<_>>();
    let read = start.elapsed();
    let mut parts: BTreeMap<u16, Vec<Pair>> = BTreeMap::new();
    for pair in pairs.into_iter().flatten() {
        parts.entry(keys::partition(&pair.observation_id, PARTITIONS)).or_default().push(pair);
    }
    let parts: Vec<(Vec<Pair>, u64)> = parts.into_values().map(distinct).collect();
    let labels = Labels::new(labels, parts.iter().flat_map(|(pairs, _)| pairs));
    let mut all = Summary::default();
    for (pairs, duplicates) in &parts {
        all.merge(&Summary::of(pairs, *duplicates, &labels));
    }
    let rows = shadow_rows(&policy, &all);
    let seconds = start.elapsed().as_secs_f64();
    let quantiles = |sketch: &seatrial_stats::sketch::LatencySketch| {
        [0.5, 0.95, 0.99].map(|q| sketch.quantile_us(q).unwrap_or_default())
    };
    println!(
        "{}",
        json!({
            "seconds": seconds,
            "read_seconds": read.as_secs_f64(),
            "rows": rows.len(),
            "counts": {
                "pairs": all.pairs,
                "duplicates": all.duplicates,
                "compared": all.agreement.n(),
                "agreed": all.agreement.agreed(),
                "champion_errors": all.champion_errors(),
                "challenger_errors": all.challenger_errors(),
                "labelled": all.labelled,
                "champion_right": all.correct.both + all.correct.champion_only,
                "challenger_right": all.correct.both + all.correct.challenger_only,
            },
            "quantiles_us": { "champion": quantiles(&all.champion_latency), "challenger": quantiles(&all.challenger_latency) },
        })
    );
}

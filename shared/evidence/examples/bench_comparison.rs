//! The comparison of many pairs, as `compare` makes it, for `cargo xtask bench`.
//!
//! `make FOLDER N` writes N distinct pairs (and one duplicate in a hundred) in 64 partitions, and a label for each;
//! `run FOLDER` reads, deduplicates, joins, counts and judges them, and prints one JSON document.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use seatrial_domain::policy::Policy;
use seatrial_evidence::columnar::{LabelBook, LabelReader, Pass, Spec, Worker};
use seatrial_evidence::observation::{Label, Queued};
use seatrial_evidence::pair::{ClassesNote, Pair, Replayed};
use seatrial_evidence::summary::Summary;
use seatrial_evidence::summary::cells::Segment;
use seatrial_evidence::{keys, shadow_rows, table};
use seatrial_stats::fairness::{AbsentClass, FairnessMetric};
use seatrial_stats::{Arm, Merge};
use serde_json::{Value, json};

const PARTITIONS: u16 = 64;
const LABEL_FILES: u64 = 32;
const CLASSES: [&str; 2] = ["<=50K", ">50K"];
/// 20 segment values over four columns.
const AGES: [&str; 5] = ["<25", "25-34", "35-49", "50-64", "65+"];
const RACES: [&str; 5] = ["White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other"];
const REGIONS: [&str; 8] =
    ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];
const SEXES: [&str; 2] = ["Female", "Male"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder, n] => make(Path::new(folder), n.parse().expect("a number of pairs")),
        ["run", folder] => run(Path::new(folder)),
        _ => panic!("expected `make FOLDER N` or `run FOLDER`"),
    }
}

/// The n-th of a fixed sequence of evenly spread 64-bit numbers (SplitMix64), one sequence a `stream`.
fn bits(n: u64, stream: u64) -> u64 {
    let mut z = n.wrapping_mul(32).wrapping_add(stream).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// In [0, 1).
fn draw(n: u64, stream: u64) -> f64 {
    (bits(n, stream) >> 11) as f64 / (1_u64 << 53) as f64
}

fn truth(n: u64) -> bool {
    draw(n, 0) < 0.24
}

fn at(n: u64) -> i64 {
    1_700_000_000_000_000 + n as i64 * 3_500
}

fn id(n: u64) -> String {
    format!("{:016x}{n:08x}#0", bits(n, 1))
}

/// What a version answers.
struct Answer {
    positive: bool,
    failed: bool,
    score: f64,
    latency_us: u64,
}

/// A version that errs on `wrong` of the requests and fails on `fails` of them; latencies with a long tail.
fn answer(n: u64, stream: u64, wrong: f64, fails: f64, latency_us: f64) -> Answer {
    let tail = -(1.0 - draw(n, stream + 2)).ln();
    let positive = truth(n) != (draw(n, stream) < wrong);
    let sure = 0.5 + draw(n, stream + 3) / 2.0;
    Answer {
        positive,
        failed: draw(n, stream + 1) < fails,
        score: if positive { sure } else { 1.0 - sure },
        latency_us: (latency_us * (0.8 + 0.2 * tail)) as u64,
    }
}

fn segments(n: u64) -> String {
    let of =
        |values: &[&str], stream: u64| values[(draw(n, stream) * values.len() as f64) as usize].to_owned();
    // As serde_json writes a map: the columns in order.
    format!(
        r#"{{"age":"{}","race":"{}","region":"{}","sex":"{}"}}"#,
        of(&AGES, 12),
        of(&RACES, 13),
        of(&REGIONS, 14),
        of(&SEXES, 15)
    )
}

fn make(folder: &Path, n: u64) {
    fs::create_dir_all(folder).unwrap();
    let mut parts: Vec<Vec<u32>> = vec![Vec::new(); usize::from(PARTITIONS)];
    for i in 0..n {
        let part = &mut parts[usize::from(keys::partition(&id(i), PARTITIONS))];
        part.push(i as u32);
        if i % 100 == 99 {
            part.push(i as u32);
        }
    }
    let note = ClassesNote {
        champion: CLASSES.map(str::to_owned).to_vec(),
        challenger: CLASSES.map(str::to_owned).to_vec(),
        positive: Some(CLASSES[1].to_owned()),
    };
    let next = AtomicUsize::new(0);
    let write = || loop {
        let part = next.fetch_add(1, Ordering::Relaxed);
        let Some(rows) = parts.get(part) else { break };
        let pairs: Vec<Pair> = rows.iter().map(|i| pair(u64::from(*i))).collect();
        let file = table::write_pairs_with(&pairs, Some(&note)).unwrap();
        fs::write(folder.join(format!("pairs-{part:02}.parquet")), file).unwrap();
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(write))));
    let model: seatrial_domain::ids::ModelName = "bench".parse().unwrap();
    for file in 0..LABEL_FILES {
        let rows = file * n / LABEL_FILES..(file + 1) * n / LABEL_FILES;
        let labels: Vec<_> = rows
            .map(|i| {
                let at = Timestamp::from_microsecond(at(i + 10_000)).unwrap();
                let entry = Label {
                    schema: 1,
                    observation_id: Some(id(i)),
                    client_id: None,
                    model: model.clone(),
                    label: Some(CLASSES[usize::from(truth(i))].to_owned()),
                    value: None,
                    at,
                };
                Queued { entry, queued_at: at }
            })
            .collect();
        fs::write(folder.join(format!("labels-{file:02}.parquet")), table::write_labels(&labels).unwrap())
            .unwrap();
    }
}

fn pair(n: u64) -> Pair {
    let (champion, challenger) = (answer(n, 2, 0.15, 0.001, 60.0), answer(n, 6, 0.14, 0.003, 66.0));
    let by_champion = draw(n, 10) >= 0.05 && !champion.failed;
    let time = |us: i64| Timestamp::from_microsecond(us).unwrap();
    let replayed = |a: &Answer| {
        let scored = !a.failed;
        Replayed {
            label: scored.then(|| CLASSES[usize::from(a.positive)].to_owned()),
            score: scored.then_some(a.score),
            scores: scored.then(|| vec![1.0 - a.score, a.score]),
            value: None,
            latency_us: a.latency_us,
            error: a.failed.then(|| "session-failed".to_owned()),
        }
    };
    let served = if by_champion { &champion } else { &challenger };
    Pair {
        observation_id: id(n),
        client_id: Some(format!("c-{n:010}")),
        unit: id(n).trim_end_matches("#0").to_owned(),
        at: time(at(n)),
        queued_at: time(at(n) + 7_000),
        served_version: if by_champion { "v1" } else { "v2" }.into(),
        served_label: (!served.failed).then(|| CLASSES[usize::from(served.positive)].to_owned()),
        served_score: (!served.failed).then_some(served.score),
        served_value: None,
        served_error: served.failed,
        faithful: by_champion.then_some(true),
        segments: serde_json::from_str(&segments(n)).unwrap(),
        champion: replayed(&champion),
        challenger: replayed(&challenger),
    }
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
    let policy: Policy = serde_json::from_value(json!({
        "schema": 1, "task": "binary", "decision_threshold": 0.5,
        "segments": ["age", "region"], "protected": ["race", "sex"],
    }))
    .unwrap();
    let spec = Arc::new(Spec::of(&policy, Timestamp::UNIX_EPOCH));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let each = |paths: Vec<PathBuf>| -> Vec<Vec<PathBuf>> {
        (0..threads).map(|t| paths.iter().skip(t).step_by(threads).cloned().collect()).collect()
    };
    let readers = std::thread::scope(|scope| {
        let read = |paths: Vec<PathBuf>| {
            scope.spawn(move || {
                let mut reader = LabelReader::new(PARTITIONS, false, None);
                paths.iter().for_each(|path| reader.file(bytes(path)).unwrap());
                reader
            })
        };
        let running: Vec<_> = each(files(folder, "labels-")).into_iter().map(read).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let book = Arc::new(LabelBook::new(readers));
    let labels = start.elapsed();
    let all = std::thread::scope(|scope| {
        let count = |paths: Vec<PathBuf>| {
            let (spec, book) = (Arc::clone(&spec), Arc::clone(&book));
            scope.spawn(move || {
                let mut worker = Worker::new(spec, book).unwrap();
                for path in paths {
                    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                    let part = name.trim_start_matches("pairs-").parse().unwrap();
                    let file = bytes(&path);
                    let rows = seatrial_evidence::columnar::rows(&file).unwrap();
                    for pass in Pass::over(part, rows) {
                        worker.begin(pass, rows);
                        worker.file(file.clone()).unwrap();
                        worker.end().unwrap();
                    }
                }
                worker.finish()
            })
        };
        let running: Vec<_> = each(files(folder, "pairs-")).into_iter().map(count).collect();
        let mut all = Summary::default();
        running.into_iter().for_each(|thread| all.merge(&thread.join().unwrap()));
        all
    });
    let counted = start.elapsed();
    let rows = shadow_rows::rows(&policy, &all);
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", report(&all, rows.len(), [seconds, labels.as_secs_f64(), counted.as_secs_f64()]));
}

fn report(all: &Summary, rows: usize, [seconds, labels, counted]: [f64; 3]) -> Value {
    let quantiles = |sketch: &seatrial_stats::sketch::LatencySketch| {
        [0.5, 0.95, 0.99].map(|q| sketch.quantile_us(q).unwrap_or_default())
    };
    let agreement = all.agreement();
    let correct = all.cells.correct(&Segment::whole());
    let joint = all.joint();
    let area = all.auc.difference(0.95).unwrap();
    let both = |pair: Option<(f64, f64)>| pair.map(|(x, y)| [x, y]);
    let reliability = all.reliability.total();
    let fairness = |column: &str| {
        let cells = all.fairness(column, CLASSES[1], None, true);
        [FairnessMetric::DemographicParity, FairnessMetric::EqualisedOdds(AbsentClass::Leave)]
            .map(|metric| [Arm::Champion, Arm::Challenger].map(|arm| cells.metric(metric, arm)))
    };
    let mut segments = serde_json::Map::new();
    for column in ["age", "race", "region", "sex"] {
        for (segment, _) in all.cells.of_column(column) {
            let counts = all.cells.correct(segment);
            let right = [counts.both + counts.champion_only, counts.both + counts.challenger_only];
            segments.insert(segment.name(), json!({ "n": counts.n(), "right": right }));
        }
    }
    let matrix: Vec<_> = agreement.matrix().map(|(a, b, n)| json!([a, b, n])).collect();
    json!({
        "seconds": seconds,
        "labels_seconds": labels,
        "counted_seconds": counted,
        "peak_kib": peak(),
        "rows": rows,
        "counts": {
            "pairs": all.pairs,
            "duplicates": all.duplicates,
            "compared": agreement.n(),
            "agreed": agreement.agreed(),
            "faithful": all.faithful,
            "champion_errors": all.champion_errors(),
            "challenger_errors": all.challenger_errors(),
            "labelled": correct.n(),
            "champion_right": correct.both + correct.champion_only,
            "challenger_right": correct.both + correct.challenger_only,
            "crossings_up": all.crossings.total().challenger_only,
            "crossings_down": all.crossings.total().champion_only,
        },
        "segments": segments,
        "matrix": matrix,
        "exact": {
            "macro_f1": [joint.confusion(Arm::Champion).macro_f1(), joint.confusion(Arm::Challenger).macro_f1()],
            "log_loss": both(all.log_loss.total().means()),
            "brier": both(all.brier.total().means()),
            "ece": [reliability.champion.ece(), reliability.challenger.ece()],
            "fairness": { "race": fairness("race"), "sex": fairness("sex") },
        },
        "auc": { "values": [area.champion, area.challenger], "bound": area.bound },
        "scores": [all.scores.champion.iter().sum::<u64>(), all.scores.challenger.iter().sum::<u64>()],
        "quantiles_us": { "champion": quantiles(&all.champion_latency), "challenger": quantiles(&all.challenger_latency) },
    })
}

/// The most memory the process held resident, in KiB, as the kernel says.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

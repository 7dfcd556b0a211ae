//! Simulated rollouts: how often harmless canaries are rolled back, and how soon harmful ones are.
//!
//! `cargo run --release -p seatrial-stats --example rollouts -- [--runs 10000] [--threads 2] [--output json]`
//!
//! Every rollout has a stream of its own, so the figures do not depend on the number of threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod delay;
mod guards;
mod harmless;
mod tables;
mod units;

use std::process::ExitCode;
use tables::Table;

/// What the command line asks for.
struct Options {
    runs: u64,
    threads: u64,
    json: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options { runs: 10_000, threads: 2, json: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("`{text}` is not a number"));
        match word.as_str() {
            "--runs" => options.runs = number(value()?)?,
            "--threads" => options.threads = number(value()?)?.max(1),
            "--output" => options.json = value()? == "json",
            other => {
                return Err(format!("unknown option `{other}`; known: --runs, --threads, --output json"));
            }
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let mut tables: Vec<Table> = harmless::tables(options.runs, options.threads);
    tables.extend(delay::tables((options.runs / 10).max(100), options.threads));
    if options.json {
        println!("{}", serde_json::json!({ "runs": options.runs, "tables": tables }));
    } else {
        tables.iter().for_each(|table| println!("{}", table.markdown()));
    }
    ExitCode::SUCCESS
}

/// Sums `counts` of all rollouts, shared out over threads.
pub fn counted<const N: usize>(runs: u64, threads: u64, of: impl Fn(u64) -> [bool; N] + Sync) -> [u64; N] {
    let of = &of;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let mut counts = [0; N];
                    for run in (worker..runs).step_by(threads as usize) {
                        counts.iter_mut().zip(of(run)).for_each(|(count, hit)| *count += u64::from(hit));
                    }
                    counts
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).fold([0; N], |mut sum, counts| {
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            sum
        })
    })
}

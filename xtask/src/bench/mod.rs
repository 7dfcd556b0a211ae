//! `cargo xtask bench`: what Seatrial does, timed beside what one would otherwise run, in one run.
//!
//! Both sides take turns, so that other load on the machine falls on both. A ratio is taken within each round and its median
//! given. Both sides must come to the same answers, else there is no figure.

mod comparison;
mod figure;
mod hashing;
mod inference;
mod measure;
mod observe;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::venv::Venv;
use crate::zips::{self, Profile};
use crate::{onnxruntime, paths, run, say};
use figure::Figure;

/// What to measure, and how to print it.
#[derive(Args)]
pub struct Bench {
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Measure what is built already.
    #[arg(long)]
    no_build: bool,
    /// Measure this part alone: `inference`, `hashing`, `comparison` or `observations`.
    #[arg(long)]
    part: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table that fits into a Markdown file.
    Table,
    /// One JSON document.
    Json,
}

/// The programs and folders that the parts use.
struct Bed {
    /// Made before and removed after.
    scratch: PathBuf,
    /// `target/fast`.
    programs: PathBuf,
    library: PathBuf,
    venv: Venv,
}

impl Bed {
    /// A program of the workspace.
    fn ours(&self, program: &str) -> Command {
        Command::new(self.programs.join(program))
    }

    /// A script of `tests/bench`.
    fn theirs(&self, script: &str) -> Command {
        let mut command = Command::new(self.venv.python());
        command.arg(paths::workspace().join("tests/bench").join(script));
        command
    }
}

/// One part of the measurement.
type Part = fn(&Bed) -> Result<Vec<Figure>>;

/// Measures everything and prints it.
pub fn run(wanted: &Bench) -> Result<()> {
    if !wanted.no_build {
        zips::build(Profile::Fast)?;
        drivers()?;
    }
    let scratch = paths::target().join("bench");
    clear(&scratch)?;
    let requirements = paths::workspace().join("tests/bench/bench-requirements.txt");
    let bed = Bed {
        programs: paths::target().join("fast"),
        library: onnxruntime::ensure()?,
        venv: Venv::ensure(&paths::target().join("bench-venv"), &requirements)?,
        scratch,
    };
    let start = say::step("Measure");
    let load_before = load();
    let figures = measure_all(&bed, wanted.part.as_deref());
    let load_after = load();
    clear(&bed.scratch)?;
    let figures = figures?;
    say::note(format!("measured in {}", say::took(start.elapsed())));
    match wanted.output {
        Output::Table => {
            say::out(figure::table(&figures));
            say::out(format!("\n{}; load average {load_before} before, {load_after} after", machine()));
        }
        Output::Json => say::out(serde_json::to_string_pretty(&json!({
            "machine": machine(),
            "load_average": { "before": load_before, "after": load_after },
            "figures": figures,
        }))?),
    }
    Ok(())
}

fn measure_all(bed: &Bed, part: Option<&str>) -> Result<Vec<Figure>> {
    let parts: [(&str, Part); 4] = [
        ("inference", inference::measure),
        ("hashing", hashing::measure),
        ("comparison", comparison::measure),
        ("observations", observe::measure),
    ];
    let mut figures = Vec::new();
    let wanted = |(name, _): &(&str, Part)| part.is_none_or(|part| part == *name);
    if !parts.iter().any(wanted) {
        bail!(
            "there is no part {:?}; expected one of {}",
            part.unwrap_or_default(),
            parts.map(|(name, _)| name).join(", ")
        );
    }
    for (name, part) in parts.into_iter().filter(wanted) {
        let start = Instant::now();
        fs::create_dir_all(&bed.scratch).with_context(|| format!("cannot make {}", bed.scratch.display()))?;
        figures.extend(part(bed).with_context(|| format!("{name} could not be measured"))?);
        clear(&bed.scratch)?;
        say::note(format!("{name}: {}", say::took(start.elapsed())));
    }
    Ok(figures)
}

/// Compiles the drivers, one after the other: together the features of their dependencies would unify, and everything
/// below them compile anew.
fn drivers() -> Result<()> {
    for (package, example) in [
        ("seatrial-inference", "bench_inference"),
        ("seatrial-evidence", "bench_comparison"),
        ("fn-replay", "bench_observe"),
    ] {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(paths::workspace()).args(["build", "--locked", "--profile", "fast"]);
        run::loud(cargo.args(["--package", package, "--example", example]))?;
    }
    Ok(())
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// The processor, and whether it computes SHA-256 itself.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim()).unwrap_or("unknown")
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let sha = if of("flags").split(' ').any(|flag| flag == "sha_ni") { "with" } else { "without" };
    format!("{cores} cores of {}, {sha} SHA instructions", of("model name"))
}

/// The load average over a minute.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

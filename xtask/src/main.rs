//! Developer tasks: demo, test, local, build, bench.

mod api;
mod aws;
mod bench;
mod cdk;
mod demo;
mod digest;
#[cfg(test)]
mod documented;
mod dropped;
mod dropped_buckets;
mod emulator;
mod engine;
mod glibc;
mod interrupt;
mod lambdas;
mod left_out;
mod local;
mod model_signing;
mod onnxruntime;
mod outputs;
mod paths;
mod place;
mod processes;
mod python;
mod rights;
mod run;
mod say;
mod stack;
mod template;
mod test;
mod venv;
mod zips;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// Developer tasks of Seatrial.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compile the functions and the command line, and pack the zips.
    Build(Build),
    /// Package the zips for real Lambdas, of both processors, and list them.
    PackageLambdas(lambdas::PackageLambdas),
    /// Run the whole stack on this machine.
    #[command(subcommand)]
    Local(local::Local),
    /// Everything a change must pass: format, lints, all tests, the template, the end-to-end suite on the engine.
    Test(test::Test),
    /// A promotion from submission to champion, told step by step.
    Demo(demo::Demo),
    /// Measure inference, hashing and comparison beside what one would otherwise run.
    Bench(bench::Bench),
    /// Fetch the pinned ONNX Runtime library and print its path.
    Onnxruntime,
}

#[derive(Args)]
struct Build {
    /// Build what ships: small, slow to link.
    #[arg(long)]
    release: bool,
}

fn main() -> ExitCode {
    match run_task(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_task(task: Task) -> Result<()> {
    interrupt::install()?;
    match task {
        Task::Build(build) => {
            let profile = if build.release { zips::Profile::Release } else { zips::Profile::Fast };
            zips::build(profile).map(|_| ())
        }
        Task::PackageLambdas(wanted) => lambdas::run(&wanted),
        Task::Local(command) => local::run(&command),
        Task::Test(wanted) => test::run(&wanted),
        Task::Demo(wanted) => demo::run(&wanted),
        Task::Bench(wanted) => bench::run(&wanted),
        Task::Onnxruntime => {
            println!("{}", onnxruntime::ensure()?.display());
            Ok(())
        }
    }
}

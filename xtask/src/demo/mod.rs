//! `cargo xtask demo`: a promotion from submission to champion, told step by step, on a stack of its own.
//!
//! Nothing here is special code of the product: it drives the `seatrial` command, the mail's link, the data plane and the
//! state machines as people and applications do. Windows and holds are short by policy (`tests/fixtures/policy.yaml`).

mod approver;
mod seatrial;
mod server;
mod story;
mod summary;
mod traffic;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::emulator::Emulator;
use crate::local::{self, Up};
use crate::{paths, say};

/// How to run the demo.
#[derive(Args)]
pub struct Demo {
    /// Leave the stack up afterwards, to look around in.
    #[arg(long)]
    keep: bool,
    /// Deploy the zips that are there instead of building them.
    #[arg(long)]
    no_build: bool,
    /// Only end a stack that an earlier run kept.
    #[arg(long, conflicts_with_all = ["keep", "no_build"])]
    down: bool,
}

/// Runs the demo; the stack is gone afterwards, unless it is kept.
pub fn run(wanted: &Demo) -> Result<()> {
    let folder = paths::target().join("demo");
    let ran = local::down(&folder)?;
    if wanted.down {
        say::note(if ran { "the kept stack has ended" } else { "no kept stack was running" });
        return Ok(());
    }
    let up = Up {
        engine: Some(Emulator::Ministack),
        port: local::free_port()?,
        enforce_iam: false,
        release: false,
        debug: false,
        no_build: wanted.no_build,
        own: true,
        parameters: Vec::new(),
    };
    let (outputs, _) = local::up(&folder, &up)?;
    let started = Instant::now();
    let told = tell(&outputs, &folder);
    if wanted.keep && told.is_ok() {
        say::note(format!("the stack is up: `seatrial --deployment {} models`", paths::shown(&outputs)));
        say::note(format!("the command is {}", paths::shown(&seatrial::binary())));
        say::note("`cargo xtask demo --down` ends it");
    } else {
        local::down(&folder)?;
    }
    told?;
    say::note(format!("the demo took {} after the stack was up", say::took(started.elapsed())));
    Ok(())
}

fn tell(outputs: &std::path::Path, folder: &std::path::Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let summary = runtime.block_on(story::tell(outputs, folder))?;
    let file: PathBuf = folder.join("summary.json");
    summary.write(&file)?;
    summary.print(&file);
    Ok(())
}

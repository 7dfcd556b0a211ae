//! Ctrl-C: the first one lets a task clean up after itself, the second one ends it at once.
//!
//! The engine runs in a session of its own, where a terminal's Ctrl-C does not arrive: whoever started it has to end it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C, SIGTERM and a closed terminal are requests, which `check` reports.
pub fn install() -> Result<()> {
    let (ready, installed) = mpsc::channel();
    let watch = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut int = signal(SignalKind::interrupt())?;
            let mut term = signal(SignalKind::terminate())?;
            let mut hup = signal(SignalKind::hangup())?;
            ready.send(()).ok();
            loop {
                tokio::select! { _ = int.recv() => {}, _ = term.recv() => {}, _ = hup.recv() => {} }
                if REQUESTED.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
                crate::say::note("interrupted: cleaning up (once more ends it at once)");
            }
        })
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || -> std::io::Result<()> { watch() })?;
    installed.recv().context("cannot watch for Ctrl-C")
}

/// Was the task asked to end?
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// An error once the task was asked to end.
pub fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}

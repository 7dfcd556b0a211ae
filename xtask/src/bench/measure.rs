//! One run of one program: its time, its peak memory, and what it said.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{interrupt, run};

/// How often memory and end are looked at; a time is this exact.
const LOOK: Duration = Duration::from_millis(1);
/// No program that is measured here takes near as long, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);
/// How long the rounds of a part go on where the machine is slow or busy.
const BUDGET: Duration = Duration::from_secs(40);
/// Fewer rounds than this have no median worth the name.
const FEWEST: usize = 3;

/// One finished run.
pub struct Run {
    /// From start to end in seconds.
    pub seconds: f64,
    /// The most memory it held resident, in KiB.
    pub peak_kib: u64,
    /// Its standard output.
    pub stdout: String,
}

impl Run {
    /// Its standard output as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("expected JSON, found {:?}", self.stdout))
    }
}

/// Whether a first round, which finds nothing in any cache, is run and dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// It is.
    Yes,
    /// Each round counts.
    No,
}

/// Runs each command in turn, `most` rounds, or at least [`FEWEST`] until [`BUDGET`] is used up; the runs of each command, by
/// round.
pub fn rounds(most: usize, warm_up: WarmUp, commands: &mut [Command]) -> Result<Vec<Vec<Run>>> {
    let start = Instant::now();
    if warm_up == WarmUp::Yes {
        round(commands)?;
    }
    let mut runs: Vec<Vec<Run>> = commands.iter().map(|_| Vec::with_capacity(most)).collect();
    for n in 0..most {
        if n >= FEWEST && start.elapsed() > BUDGET {
            break;
        }
        for (run, runs) in round(commands)?.into_iter().zip(&mut runs) {
            runs.push(run);
        }
    }
    Ok(runs)
}

fn round(commands: &mut [Command]) -> Result<Vec<Run>> {
    let one = |command: &mut Command| interrupt::check().and_then(|()| once(command));
    commands.iter_mut().map(one).collect()
}

/// Runs a program to its end. Its output must fit into a pipe (64 KiB), since it is read afterwards.
pub fn once(command: &mut Command) -> Result<Run> {
    let line = run::shown(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().with_context(|| format!("cannot wait for `{line}`"))? {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().ok();
            child.wait().ok();
            bail!("`{line}` took more than {} s and was ended", LIMIT.as_secs());
        }
        thread::sleep(LOOK);
    };
    let seconds = start.elapsed().as_secs_f64();
    let (stdout, stderr) = said(&mut child)?;
    if !status.success() {
        bail!("`{line}` failed ({status})\n{}", run::tail(&stderr, 25));
    }
    Ok(Run { seconds, peak_kib, stdout })
}

fn said(child: &mut Child) -> Result<(String, String)> {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    if let Some(pipe) = &mut child.stdout {
        pipe.read_to_string(&mut stdout)?;
    }
    if let Some(pipe) = &mut child.stderr {
        pipe.read_to_string(&mut stderr)?;
    }
    Ok((stdout, stderr))
}

/// The high-water mark that the kernel keeps of a process; none once the process has ended.
fn peak(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

//! `cargo xtask bench`: latency of serving, shadow overhead, time of a rollback.

use anyhow::{Result, bail};

/// Refuses until the benchmarks are written.
pub fn run() -> Result<()> {
    bail!("the benchmarks are not written yet")
}

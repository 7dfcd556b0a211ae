//! `cargo xtask demo`: a promotion from submission to champion, told step by step.

use anyhow::{Result, bail};

/// Refuses until the demo is written.
pub fn run() -> Result<()> {
    bail!("the demo is not written yet")
}

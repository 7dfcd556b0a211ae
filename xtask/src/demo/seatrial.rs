//! The `seatrial` command, as people run it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::paths;

/// The model of the demo.
pub const MODEL: &str = "adult-income";

/// The command that was built with the zips.
pub fn binary() -> PathBuf {
    paths::target().join("fast/seatrial")
}

/// The command, talking to one deployment.
#[derive(Clone)]
pub struct Seatrial {
    deployment: PathBuf,
}

impl Seatrial {
    pub fn at(deployment: &Path) -> Self {
        Self { deployment: deployment.to_owned() }
    }

    /// Runs the command and returns what it prints as JSON.
    pub async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(binary())
            .args(["--output", "json", "--deployment"])
            .arg(&self.deployment)
            .args(arguments)
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run {}", paths::shown(&binary())))?;
        if !output.status.success() {
            bail!(
                "`seatrial {}` failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`seatrial {}` did not print JSON", arguments.join(" ")))
    }

    /// The model's view.
    pub async fn status(&self) -> Result<Value> {
        self.json(&["status", MODEL]).await
    }
}

/// The text at a JSON pointer; empty when there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

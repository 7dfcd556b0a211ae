//! The `seatrial` command, as people run it.

use serde_json::Value;
use tokio::process::Command;

use super::Stack;

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it printed as errors.
    pub err: String,
}

impl Ran {
    /// What it printed, as JSON; the test fails when the command did.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "the command failed: {}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("no JSON was printed ({e}): {}", self.out))
    }

    /// Its error, as JSON; the test fails unless it ended with this exit code.
    #[must_use]
    pub fn error(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        let told: Value =
            serde_json::from_str(&self.err).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.err));
        told["error"].clone()
    }
}

impl Stack {
    /// Runs the command with `--output json` on this stack.
    pub async fn cli(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["--output", "json"], arguments].concat()).await
    }

    /// Runs the command as it is written, on this stack.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(&self.cli)
            .arg("--deployment")
            .arg(self.file())
            .args(arguments)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|e| panic!("{} does not start: {e}", self.cli.display()));
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

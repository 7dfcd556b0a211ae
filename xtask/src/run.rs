//! Running other programs, with errors that name the program and show the end of what it said.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::paths;

/// How many trailing lines of a failed program's output an error shows.
const TAIL: usize = 25;

/// A program and its arguments in one line, for messages.
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs a program with its output on the terminal; an error when it does not exit with 0.
pub fn loud(command: &mut Command) -> Result<()> {
    let line = shown(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Builds targets of the workspace. All of it is selected, so that its dependencies are those of the tests and nothing is compiled twice.
pub fn build(features: &str, targets: &[&str]) -> Result<()> {
    let mut build = Command::new("cargo");
    build.current_dir(paths::workspace()).args(["build", "--quiet", "--workspace", "--features", features]);
    loud(build.args(targets))
}

/// Runs a program and returns its standard output; a failure shows the end of both streams.
pub fn quiet(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({})\n{}", output.status, tail(&format!("{stdout}{stderr}"), TAIL));
    }
    Ok(stdout)
}

/// The last `count` lines of a text.
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Is a program of this name on the search path?
pub fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

//! The approvals API against its own OpenAPI document: schemathesis sends what the document allows and what it forbids, and
//! follows its links.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::venv::Venv;
use crate::{paths, run};

/// The same requests each time.
const SEED: &str = "20261128";
/// How many requests an operation gets from each kind of generation.
const EXAMPLES: &str = "50";
/// The example of `fn-approvals` that serves the real router over a registry in memory.
const SERVER: &str = "local_api";

/// A server that ends with this value.
struct Server {
    child: Child,
    base: String,
    token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Fails with what schemathesis found.
pub fn check(features: &str) -> Result<()> {
    let requirements = paths::workspace().join("tests/api/requirements.txt");
    let venv = Venv::ensure(&paths::target().join("local/schemathesis"), &requirements)?;
    run::build(features, &["--example", SERVER])?;
    let server = start()?;
    let document = format!("{}/api/v1/openapi.json", server.base);
    let mut schemathesis = Command::new(venv.program("schemathesis"));
    // What it leaves lying about is left under target/.
    schemathesis.current_dir(paths::target().join("local")).args(["run", &document]);
    schemathesis.args(["--header", &format!("Authorization: Bearer {}", server.token)]);
    schemathesis.args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"]);
    schemathesis.args(["--max-examples", EXAMPLES, "--seed", SEED, "--generation-database", "none"]);
    schemathesis.args(["--continue-on-failure", "--request-timeout", "10", "--no-color"]);
    run::loud(&mut schemathesis).context("the approvals API does not do what its openapi.json says")
}

fn start() -> Result<Server> {
    let program = paths::target().join("debug/examples").join(SERVER);
    let mut child = Command::new(&program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).context("cannot read what the local API prints")?;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let server = |base: &str, token: &str| Server { child, base: base.to_owned(), token: token.to_owned() };
    match words.as_slice() {
        [base, token] => Ok(server(base, token)),
        _ => {
            drop(server("", ""));
            bail!("{} printed {line:?}; expected its address and a token", program.display())
        }
    }
}

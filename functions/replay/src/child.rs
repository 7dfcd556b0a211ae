//! The parent's side of the child process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use seatrial_evidence::pair::Replayed;
use seatrial_runtime::Failure;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::worker::{Answer, Ask, FLAG};

/// The longest a version may take to load, and to answer one row.
const LOAD_LIMIT: Duration = Duration::from_secs(30);
const ROW_LIMIT: Duration = Duration::from_secs(10);

/// Both versions on one row, or how the child ended on it.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every outcome is the large one, and few are held at once"
)]
pub enum Outcome {
    /// Both answered (perhaps with an error).
    Both {
        /// The champion.
        champion: Replayed,
        /// The challenger.
        challenger: Replayed,
    },
    /// The child died or had to be killed: `crash` or `timeout`.
    Died(&'static str),
}

/// A running child with both versions loaded.
#[derive(Debug)]
pub struct Child {
    process: Process,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Why the champion cannot be loaded.
    pub champion_trouble: Option<String>,
}

impl Child {
    /// Starts this program as the child and lets it load both versions; `None` when the child does not survive that.
    ///
    /// # Errors
    /// When no child can be started.
    pub async fn start(
        program: &Path,
        library: PathBuf,
        champion: Option<PathBuf>,
        challenger: Option<PathBuf>,
    ) -> Result<Option<Self>, Failure> {
        let mut process = Command::new(program)
            .arg(FLAG)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The child works with untrusted bytes: it gets no credentials and no way to the function's own runtime.
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_LAMBDA_RUNTIME_API")
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| Failure::unavailable("starting the replay's child process", e))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::internal("starting the replay's child process", "it has no pipes"));
        };
        let mut child =
            Self { process, input, output: BufReader::new(output).lines(), champion_trouble: None };
        match child.ask(&Ask::Load { library, champion, challenger }, LOAD_LIMIT).await {
            Ok(Answer::Loaded { champion, .. }) => {
                child.champion_trouble = champion;
                Ok(Some(child))
            }
            _ => {
                child.kill().await;
                Ok(None)
            }
        }
    }

    /// Runs both versions on one row. After [`Outcome::Died`] the child is gone.
    pub async fn run(&mut self, inputs: Map<String, Value>, challenger_first: bool) -> Outcome {
        match self.ask(&Ask::Run { inputs, challenger_first }, ROW_LIMIT).await {
            Ok(Answer::Ran { champion, challenger }) => Outcome::Both { champion, challenger },
            Ok(Answer::Loaded { .. }) => Outcome::Died("crash"),
            Err(how) => {
                self.kill().await;
                Outcome::Died(how)
            }
        }
    }

    async fn ask(&mut self, ask: &Ask, limit: Duration) -> Result<Answer, &'static str> {
        let mut line = serde_json::to_vec(ask).map_err(|_| "crash")?;
        line.push(b'\n');
        let talk = async {
            self.input.write_all(&line).await.ok()?;
            self.input.flush().await.ok()?;
            let answer = self.output.next_line().await.ok()??;
            serde_json::from_str(&answer).ok()
        };
        timeout(limit, talk).await.map_err(|_| "timeout")?.ok_or("crash")
    }

    async fn kill(&mut self) {
        // It may be dead already; then there is nothing to do.
        drop(self.process.kill().await);
    }
}

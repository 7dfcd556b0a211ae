//! What the demo leaves to look at: every stage with its state, times, digests and verdicts.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::{paths, say};

/// The summary.
#[derive(Serialize)]
pub struct Summary {
    started_at: String,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// What can be looked at: a name and where it is.
    pub look_at: Vec<(String, String)>,
    seconds: f64,
    #[serde(skip)]
    clock: Instant,
}

/// One stage.
#[derive(Serialize)]
pub struct Stage {
    /// Its name.
    pub stage: String,
    /// The version it is about.
    pub version: String,
    /// How it ended.
    pub state: String,
    /// One sentence.
    pub what: String,
    /// When it ended, in seconds since the demo began.
    pub at_seconds: f64,
    /// How long it took.
    pub seconds: f64,
    /// Digests, verdicts, counts.
    pub facts: Value,
}

impl Summary {
    pub fn new() -> Self {
        Self {
            started_at: jiff::Timestamp::now().to_string(),
            stages: Vec::new(),
            look_at: Vec::new(),
            seconds: 0.0,
            clock: Instant::now(),
        }
    }

    /// Tells of a stage, and keeps it.
    pub fn stage(
        &mut self,
        stage: &str,
        version: &str,
        state: &str,
        took: Duration,
        what: String,
        facts: Value,
    ) {
        let at = self.clock.elapsed();
        say::note(format!("[{:>5.1} s] {version:3} {stage}: {what}", at.as_secs_f64()));
        self.seconds = at.as_secs_f64();
        self.stages.push(Stage {
            stage: stage.to_owned(),
            version: version.to_owned(),
            state: state.to_owned(),
            what,
            at_seconds: at.as_secs_f64(),
            seconds: took.as_secs_f64(),
            facts,
        });
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    pub fn print(&self, file: &Path) {
        say::step("What happened");
        let rows = self.stages.iter().map(|s| {
            [
                s.version.clone(),
                s.stage.clone(),
                s.state.clone(),
                format!("{:.1}", s.seconds),
                format!("{:.1}", s.at_seconds),
            ]
        });
        println!("{}", say::table(["version", "stage", "state", "took s", "at s"], rows));
        say::step("Look at");
        for (name, place) in &self.look_at {
            say::note(format!("{name:24} {place}"));
        }
        say::note(format!("{:24} {}", "everything, as JSON", paths::shown(file)));
    }
}

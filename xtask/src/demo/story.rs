//! The story: a first version, a better one, an unfair one, one that breaks later, and an operator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::approver::Approver;
use super::seatrial::{MODEL, Seatrial, text};
use super::server::Server;
use super::summary::Summary;
use super::traffic::{Labels, Seen, Traffic};
use crate::{interrupt, outputs, paths, say};

/// Requests a second.
const RATE: u32 = 120;

/// The longest any one stage may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everybody and everything on stage.
struct Stage<'a> {
    seatrial: Seatrial,
    ann: Approver,
    folder: &'a Path,
    fixtures: PathBuf,
    summary: Summary,
    traffic: Option<Traffic>,
}

/// Tells the story on the stack that `outputs` describes.
pub async fn tell(file: &Path, folder: &Path) -> Result<Summary> {
    let described = outputs::read(file)?;
    let get =
        |name: &str| described.get(name).cloned().with_context(|| format!("the stack has no output {name}"));
    let mut stage = Stage {
        seatrial: Seatrial::at(file),
        ann: Approver::new(&get("Mailbox")?)?,
        folder,
        fixtures: paths::workspace().join("tests/fixtures"),
        summary: Summary::new(),
        traffic: None,
    };
    say::step("The story");
    stage.prepare().await?;
    stage.first_champion().await?;

    let server = Server::start(&described, folder).await?;
    let sdk = crate::stack::sdk(&get("Endpoint")?).await;
    let labels = Labels { client: aws_sdk_sqs::Client::new(&sdk), queue: get("ObservationsQueueUrl")? };
    stage.traffic = Some(Traffic::start(&server.base, RATE, &stage.fixtures, labels)?);
    let told = stage.with_traffic().await;
    if let Some(traffic) = stage.traffic.take() {
        traffic.stop().await;
    }
    server.stop().await?;
    told?;
    stage.show(&described).await?;
    Ok(stage.summary)
}

impl Stage<'_> {
    async fn with_traffic(&mut self) -> Result<()> {
        self.better_version().await?;
        self.unfair_version().await?;
        self.breaking_version().await?;
        self.operator().await
    }

    fn path(&self, name: &str) -> String {
        self.fixtures.join(name).display().to_string()
    }

    async fn prepare(&mut self) -> Result<()> {
        let start = Instant::now();
        let (policy, benchmark) = (self.path("policy.yaml"), self.path("benchmark.parquet"));
        let set = self.seatrial.json(&["policy", "set", MODEL, &policy]).await?;
        let held_out = self.seatrial.json(&["benchmark", "set", MODEL, &benchmark]).await?;
        let what = "the policy and a held-out benchmark of 8,000 rows are set".to_owned();
        let facts = json!({ "policy": set["digest"], "benchmark": held_out["digest"] });
        self.summary.stage("settings", "", "set", start.elapsed(), what, facts);
        Ok(())
    }

    async fn submit(&mut self, version: &str) -> Result<()> {
        let start = Instant::now();
        let folder = self.path(&format!("submissions/{version}"));
        let packaged = self.seatrial.json(&["package", &folder, "--model", MODEL, "--wait"]).await?;
        let named = text(&packaged, "/version").to_owned();
        if named != version {
            bail!("the submission {version} was registered as {named:?}");
        }
        let what = "submitted through S3; its event started the promotion, which packaged it".to_owned();
        let facts = json!({ "digest": packaged["digest"], "submission": packaged["submission"] });
        self.summary.stage("package", version, "packaged", start.elapsed(), what, facts);
        Ok(())
    }

    /// Waits until the model's view fulfils `done`.
    async fn until(&self, what: &str, mut done: impl FnMut(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            interrupt::check()?;
            let view = self.seatrial.status().await?;
            if done(&view) {
                return Ok(view);
            }
            if Instant::now() > deadline {
                bail!("waited {} s for {what}; the model stands so: {view:#}", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    /// Waits until the promotion of `version` ended, and returns its record.
    async fn ended(&self, version: &str) -> Result<Value> {
        let view = self
            .until(&format!("the end of {version}'s promotion"), |v| {
                text(v, "/promotion/challenger/version") == version
                    && text(v, "/promotion/status") != "running"
            })
            .await?;
        Ok(view["promotion"].clone())
    }

    /// Waits for the version's gate and decides it through the link, as Ann.
    async fn approve(&mut self, version: &str, comment: &str) -> Result<()> {
        let start = Instant::now();
        let view = self
            .until(&format!("{version}'s gate"), |v| {
                text(v, "/promotion/challenger/version") == version
                    && (text(v, "/gate/kind") == "approval" || text(v, "/promotion/status") != "running")
            })
            .await?;
        if text(&view, "/gate/kind") != "approval" {
            bail!("{version} never came to its gate: {}", text(&view, "/promotion/reason"));
        }
        let verdict = text(&view, "/promotion/verdict").to_owned();
        let facts = json!({ "verdict": verdict, "evidence": view.pointer("/promotion/evidence") });
        self.summary.stage("compare", version, &verdict, start.elapsed(), compared(&view), facts);
        let start = Instant::now();
        let link = self.ann.link(Duration::from_secs(30)).await?;
        let page = self.folder.join(format!("review-{version}.html"));
        let decided = self.ann.approve(&link, comment, &page).await?;
        let what = format!("Ann opened her mail's link and approved by the form ({})", decided.status);
        let facts = json!({ "gate": view.pointer("/gate/id"), "bound": view.pointer("/gate/bound"), "page": decided.page });
        self.summary.stage("approval", version, "approved", start.elapsed(), what, facts);
        self.summary.look_at.push((format!("review page of {version}"), paths::shown(&page)));
        Ok(())
    }

    async fn first_champion(&mut self) -> Result<()> {
        self.submit("v1").await?;
        self.approve("v1", "The first version: the benchmark figures are those of the training report.")
            .await?;
        let start = Instant::now();
        let record = self.ended("v1").await?;
        self.expect(
            &record,
            "v1",
            "crowned",
            "crown",
            start,
            "serves everyone; nothing was there to compare it with",
        )
    }

    fn expect(
        &mut self,
        record: &Value,
        version: &str,
        status: &str,
        stage: &str,
        start: Instant,
        what: &str,
    ) -> Result<()> {
        let found = text(record, "/status");
        let reason = text(record, "/reason");
        if found != status {
            bail!("{version} should have been {status}, but was {found}: {reason}");
        }
        let facts = json!({ "promotion": record["id"], "reason": reason, "evidence": record["evidence"], "steps": record["steps"] });
        self.summary.stage(stage, version, status, start.elapsed(), what.to_owned(), facts);
        Ok(())
    }

    async fn better_version(&mut self) -> Result<()> {
        self.submit("v2").await?;
        self.approve("v2", "Better on every average, no group worse; agreement as expected.").await?;
        let (start, before) = (Instant::now(), self.seen());
        drop(before);
        let record = self.ended("v2").await?;
        let seen = self.seen();
        let what = format!("canary at {}, then crowned; callers saw {}", steps(&record), told(&seen));
        self.expect(&record, "v2", "crowned", "canary and crown", start, &what)
    }

    async fn unfair_version(&mut self) -> Result<()> {
        self.submit("v3").await?;
        let start = Instant::now();
        let record = self.ended("v3").await?;
        let what = format!("refused before any caller saw it: {}", text(&record, "/reason"));
        self.expect(&record, "v3", "rejected", "evaluate", start, &what)
    }

    async fn breaking_version(&mut self) -> Result<()> {
        self.submit("v4").await?;
        self.approve("v4", "As good as v2 on everything we have seen.").await?;
        let start = Instant::now();
        self.seen();
        if let Some(traffic) = &self.traffic {
            traffic.turn_late(true);
        }
        let record = self.ended("v4").await?;
        let seen = self.seen();
        if let Some(traffic) = &self.traffic {
            traffic.turn_late(false);
        }
        let share = seen.failures as f64 / seen.requests.max(1) as f64;
        let widest = widest_share(&record);
        if share > widest {
            bail!(
                "{:.1} % of the callers saw an error, more than the canary's share of {:.1} %",
                share * 100.0,
                widest * 100.0
            );
        }
        let what = format!(
            "inputs nobody had seen broke it; rolled back at {} with {} of {} requests failed ({:.2} %, canary's share {:.0} %)",
            steps(&record),
            seen.failures,
            seen.requests,
            share * 100.0,
            widest * 100.0
        );
        self.expect(&record, "v4", "aborted", "canary", start, &what)
    }

    async fn operator(&mut self) -> Result<()> {
        let start = Instant::now();
        let done = self.seatrial.json(&["rollback", MODEL, "--reason", "The operator shows how."]).await?;
        let command = start.elapsed();
        let written = Instant::now();
        // The last answer of v2 tells when the rollback had taken effect.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let last = self.traffic.as_ref().and_then(|t| t.latest("v2"));
        let effect = last.map_or(Duration::ZERO, |l| l.saturating_duration_since(written));
        if text(&done, "/champion/version") != "v1" {
            bail!("the rollback left {} as champion", text(&done, "/champion/version"));
        }
        let what = format!(
            "one command took v2 back: {} ms, and {} ms later the last caller was served by v1",
            command.as_millis(),
            effect.as_millis()
        );
        let facts = json!({ "command_ms": command.as_millis() as u64, "effect_ms": effect.as_millis() as u64, "epoch": done["epoch"] });
        self.summary.stage("operator's rollback", "v1", "champion", start.elapsed(), what, facts);
        Ok(())
    }

    fn seen(&self) -> Seen {
        self.traffic.as_ref().map(Traffic::take).unwrap_or_default()
    }

    /// Keeps what people want to look at afterwards in the demo's folder.
    async fn show(&mut self, described: &BTreeMap<String, String>) -> Result<()> {
        let history = self.seatrial.json(&["history", MODEL]).await?;
        if history["verified"] != Value::Bool(true) {
            bail!("the history does not hold");
        }
        self.keep("history.json", "history, chain verified", &history)?;
        let report = self.seatrial.json(&["compare", MODEL]).await?;
        self.keep("report-v4.json", "comparison report of v4", &report)?;
        self.audit().await?;
        let promotion = text(&self.seatrial.status().await?, "/promotion/id").to_owned();
        let bucket = described.get("EvidenceBucket").cloned().unwrap_or_default();
        let place = format!("s3://{bucket}/evidence/model={MODEL}/promotion={promotion}/");
        self.summary.look_at.push(("manifest and evidence".into(), place));
        Ok(())
    }

    /// The audit documents, as an auditor gets them: made again from the evidence, and verified by the public key alone.
    async fn audit(&mut self) -> Result<()> {
        let key = self.folder.join("seatrial.pem").display().to_string();
        let folder = self.folder.display().to_string();
        self.seatrial.json(&["key", "--file", &key]).await?;
        for (from, to) in [("v1", "v2"), ("v2", "v4")] {
            let made = self
                .attested(&["audit", "--model", MODEL, "--from", from, "--to", to, "--dir", &folder])
                .await?;
            let file = PathBuf::from(text(&made, "/file"));
            self.seatrial.json(&["verify", text(&made, "/file"), "--key", &key]).await?;
            self.summary.look_at.push((format!("audit document of {to}, verified"), paths::shown(&file)));
        }
        Ok(())
    }

    /// What the command gives once the promotion is attested, which follows its end by moments.
    async fn attested(&self, command: &[&str]) -> Result<Value> {
        for _ in 0..30 {
            if let Ok(made) = self.seatrial.json(command).await {
                return Ok(made);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.seatrial.json(command).await
    }

    fn keep(&mut self, name: &str, title: &str, value: &Value) -> Result<()> {
        let file = self.folder.join(name);
        std::fs::write(&file, serde_json::to_string_pretty(value)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
        self.summary.look_at.push((title.to_owned(), paths::shown(&file)));
        Ok(())
    }
}

fn compared(view: &Value) -> String {
    match text(view, "/promotion/champion/version") {
        "" => "measured on the benchmark; there is no champion to compare with".to_owned(),
        champion => {
            format!("compared with {champion} on the benchmark and on live requests it answered unseen")
        }
    }
}

/// The canary's steps of a promotion's record, as people read them.
fn steps(record: &Value) -> String {
    let weights: Vec<String> = record["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|s| s["weight"].as_f64())
        .map(|bps| format!("{} %", bps / 100.0))
        .collect();
    if weights.is_empty() { "no share".to_owned() } else { weights.join(", ") }
}

fn widest_share(record: &Value) -> f64 {
    let shares = record["steps"].as_array().into_iter().flatten().filter_map(|s| s["weight"].as_f64());
    shares.fold(0.0, f64::max) / 10_000.0
}

fn told(seen: &Seen) -> String {
    let answers: Vec<String> =
        seen.answers.iter().map(|(version, n)| format!("{n} answers of {version}")).collect();
    format!("{} and {} errors", answers.join(", "), seen.failures)
}

//! A model's policy and benchmark.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use seatrial_artifacts::store::Hasher;
use seatrial_artifacts::{Chunks, FileChunks, ObjectStore, S3Store, benchmark_key, s3_client};
use seatrial_domain::policy::Policy;
use seatrial_domain::{Digest, ModelName};
use serde_json::{Value, json};

use super::Session;
use crate::failure::{Failure, INVALID};
use crate::output::{self, text};

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Set the policy from a YAML or JSON file. Promotions that run keep the thresholds they started with.
    Set {
        /// The model; it is made if it does not exist.
        model: ModelName,
        /// The policy.
        file: PathBuf,
    },
    /// Show the policy in force, every default included.
    Show {
        /// The model.
        model: ModelName,
    },
}

/// What to do with a benchmark.
#[derive(Debug, Subcommand)]
pub enum BenchmarkCommand {
    /// Upload a Parquet file with the model's input columns and `label`, and make it the benchmark.
    Set {
        /// The model.
        model: ModelName,
        /// The file.
        file: PathBuf,
    },
}

/// Runs a policy command.
pub(crate) async fn policy(session: &Session, command: PolicyCommand) -> Result<(), Failure> {
    let control = session.control().await?;
    match command {
        PolicyCommand::Set { model, file } => {
            let policy = read_policy(&file)?;
            let reference: Value = control.put(&format!("/v1/models/{model}/policy"), &policy).await?;
            output::print(session.format, &reference, |r| {
                let set =
                    format!("policy {} of {model} is in force ({})", text(r, "/number"), text(r, "/digest"));
                set + &will_be_asked(r)
            })
        }
        PolicyCommand::Show { model } => {
            let record: Value = control.get(&format!("/v1/models/{model}/policy")).await?;
            output::print(session.format, &record, |r| {
                let policy = r.get("policy").cloned().unwrap_or(Value::Null);
                let yaml = serde_yaml_ng::to_string(&policy).unwrap_or_else(|_| policy.to_string());
                format!(
                    "# policy {} of {model}, set by {} at {}; compliance profile {}\n{yaml}",
                    text(r, "/reference/number"),
                    text(r, "/set_by/principal"),
                    text(r, "/set_at"),
                    r.pointer("/policy/profile").and_then(Value::as_str).unwrap_or("default")
                )
            })
        }
    }
}

/// What the compliance profile will ask for and is not there yet; nothing where nothing is missing.
fn will_be_asked(set: &Value) -> String {
    let missing = set.get("missing").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if missing.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = missing
        .iter()
        .map(|m| {
            let (item, rule) = (text(m, "/item"), text(m, "/rule"));
            format!("  {item} ({rule}): {}; {}", text(m, "/found"), text(m, "/fix"))
        })
        .collect();
    let profile = text(set, "/profile");
    format!(
        "\nWARNING: no promotion starts under the profile {profile} until this is there:\n{}",
        lines.join("\n")
    )
}

/// Reads a policy; all its defects are found before anything is sent.
fn read_policy(file: &Path) -> Result<Policy, Failure> {
    let source = std::fs::read_to_string(file)
        .map_err(|e| Failure::invalid(format!("cannot read {}: {e}", file.display())))?;
    let policy: Policy = serde_yaml_ng::from_str(&source)
        .map_err(|e| Failure::invalid(format!("{} is not a policy: {e}", file.display())))?;
    let defects = policy.check();
    if defects.is_empty() {
        return Ok(policy);
    }
    Err(Failure {
        exit: INVALID,
        code: "invalid_policy".into(),
        message: format!("{} has {} defects", file.display(), defects.len()),
        defects: defects.iter().filter_map(|d| serde_json::to_value(d).ok()).collect(),
    })
}

/// Runs a benchmark command.
pub(crate) async fn benchmark(session: &Session, command: BenchmarkCommand) -> Result<(), Failure> {
    let BenchmarkCommand::Set { model, file } = command;
    let (digest, size) = hash(&file).await?;
    let store =
        S3Store::new(s3_client(&session.deployment.aws().await), session.deployment.need("ModelsBucket")?);
    let key = benchmark_key(&model, &digest);
    let there = store.head(&key).await.map_err(|e| Failure::unavailable(e.to_string()))?;
    if there.is_none_or(|m| m.size != size) {
        let mut chunks = open(&file).await?;
        store
            .put_stream(&key, size, &mut chunks, "application/vnd.apache.parquet")
            .await
            .map_err(|e| Failure::unavailable(format!("the upload did not finish: {e}")))?;
    }
    let set: Value = session
        .control()
        .await?
        .put(&format!("/v1/models/{model}/benchmark"), &json!({ "digest": digest }))
        .await?;
    output::print(session.format, &set, |_| format!("the benchmark of {model} is {digest} ({size} bytes)"))
}

async fn open(file: &Path) -> Result<FileChunks, Failure> {
    FileChunks::open(file).await.map_err(|e| Failure::invalid(e.to_string()))
}

async fn hash(file: &Path) -> Result<(Digest, u64), Failure> {
    let mut chunks = open(file).await?;
    let mut hasher = Hasher::default();
    while let Some(chunk) = chunks.next().await.map_err(|e| Failure::invalid(e.to_string()))? {
        hasher.update(&chunk);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_will_ask_for_is_said_when_the_policy_is_set() {
        let set = json!({ "number": 2, "profile": "eu_ai_act", "missing": [{ "item": "benchmark", "rule": "Article 15",
            "found": "the model has no benchmark", "fix": "set one" }] });
        let said = will_be_asked(&set);
        assert!(said.contains("WARNING") && said.contains("eu_ai_act"), "{said}");
        assert!(said.ends_with("  benchmark (Article 15): the model has no benchmark; set one"), "{said}");
        assert_eq!(will_be_asked(&json!({ "number": 2, "profile": "default" })), "");
    }
}

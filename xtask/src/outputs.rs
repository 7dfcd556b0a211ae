//! `outputs.json`: everything a client of the local stack needs to know, in one flat file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::engine::{ACCOUNT, REGION, Running};
use crate::stack::{STACK, artifact_bucket};

/// The stack's outputs with addresses that work on this machine, and what describes the engine.
pub fn collect(running: &Running, outputs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let endpoint = running.endpoint();
    let mut all: BTreeMap<String, String> =
        outputs.iter().map(|(name, value)| (name.clone(), local_address(value, &endpoint))).collect();
    for (name, value) in [
        ("Region", REGION.to_owned()),
        ("Account", ACCOUNT.to_owned()),
        ("Endpoint", endpoint),
        ("Stack", STACK.to_owned()),
        ("ArtifactBucket", artifact_bucket()),
        ("EnginePid", running.pid.to_string()),
        (
            "Engine",
            format!("ministack, IAM {}", if running.enforce_iam { "enforced" } else { "not enforced" }),
        ),
    ] {
        all.insert(name.to_owned(), value);
    }
    all
}

/// Writes the file beside and renames it, so that nobody reads half of it.
pub fn write(path: &Path, outputs: &BTreeMap<String, String>) -> Result<()> {
    let text = serde_json::to_string_pretty(outputs)? + "\n";
    let partial = path.with_extension("partial");
    fs::write(&partial, text).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads the file back.
pub fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what `local up` writes", path.display()))
}

/// An HTTP API's address needs DNS that is not there: `https://<id>.execute-api.<…>/<path>` becomes one by path.
fn local_address(value: &str, endpoint: &str) -> String {
    let Some((_, rest)) = value.split_once("://") else { return value.to_owned() };
    let (host, path) =
        rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    match host.split_once(".execute-api.") {
        Some((id, _)) => format!("{endpoint}/_aws/execute-api/{id}/$default{path}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::local_address;

    #[test]
    fn addresses_work_without_dns() {
        let local = |value| local_address(value, "http://127.0.0.1:1");
        assert_eq!(
            local("https://ab12.execute-api.us-east-1.amazonaws.com"),
            "http://127.0.0.1:1/_aws/execute-api/ab12/$default"
        );
        assert_eq!(
            local("http://ab.execute-api.127.0.0.1:1/v2/x"),
            "http://127.0.0.1:1/_aws/execute-api/ab/$default/v2/x"
        );
        assert_eq!(
            local("arn:aws:states:us-east-1:0:stateMachine:x"),
            "arn:aws:states:us-east-1:0:stateMachine:x"
        );
        assert_eq!(local("http://127.0.0.1:1/000000000000/queue"), "http://127.0.0.1:1/000000000000/queue");
    }
}

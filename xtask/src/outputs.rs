//! `outputs.json`: everything a client of the local stack needs to know, in one flat file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::engine::{ACCOUNT, REGION};
use crate::place::Place;
use crate::stack::{STACK, artifact_bucket};

/// The stack's outputs with addresses that work on this machine, and what describes the engine.
pub fn collect(place: &Place, outputs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = outputs.clone();
    for (name, value) in [
        ("Region", REGION.to_owned()),
        ("Account", ACCOUNT.to_owned()),
        ("Mailbox", format!("{}{}", place.endpoint, place.emulator.mailbox())),
        ("Endpoint", place.endpoint.clone()),
        ("Stack", STACK.to_owned()),
        ("ArtifactBucket", artifact_bucket()),
        ("Engine", place.emulator.name().to_owned()),
        ("Iam", if place.enforce_iam { "enforced" } else { "not enforced" }.to_owned()),
    ] {
        all.insert(name.to_owned(), value);
    }
    if let Some(pid) = place.pid {
        all.insert("EnginePid".to_owned(), pid.to_string());
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

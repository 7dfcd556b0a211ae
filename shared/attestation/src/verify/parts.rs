//! The signed objects that speak about each other. There can be several of a kind: attesting that was broken off and done again,
//! with the history grown in between, leaves both. All of them are read, so that none can hide behind another.

use std::collections::BTreeMap;

use seatrial_domain::gate::GateRecord;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::promotion::PromotionRecord;
use serde::de::DeserializeOwned;

use super::data::Inputs;
use super::{Files, Finding, Standing};
use crate::manifest::{Manifest, Subject};

/// What a manifest lists and a file holds, read.
pub(super) struct Parts {
    /// The promotion's record.
    pub(super) records: Vec<PromotionRecord>,
    /// The gate of its approval.
    pub(super) gates: Vec<GateRecord>,
    /// The model's history up to the promotion's end.
    pub(super) histories: Vec<Vec<HistoryEntry>>,
    /// The frozen lists of inputs, with their paths.
    pub(super) inputs: Vec<(String, Inputs)>,
    /// The digests of the policies, in hexadecimal.
    pub(super) policies: Vec<String>,
}

impl Parts {
    pub(super) fn read(manifest: &Manifest, files: &Files, findings: &mut Vec<Finding>) -> Self {
        Self {
            records: all(manifest, files, "promotion-", findings).into_values().collect(),
            gates: all(manifest, files, "gate-approval-", findings).into_values().collect(),
            histories: all(manifest, files, "history-", findings).into_values().collect(),
            inputs: all(manifest, files, "inputs-", findings).into_iter().collect(),
            policies: paths(manifest, "policy-").map(|(_, s)| s.digest.sha256.clone()).collect(),
        }
    }
}

/// Everything of a kind, by its path; what is unreadable becomes a finding.
fn all<T: DeserializeOwned>(
    manifest: &Manifest,
    files: &Files,
    kind: &str,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, T> {
    let mut read = BTreeMap::new();
    for (path, _) in paths(manifest, kind) {
        let Some(bytes) = files.evidence.get(path) else { continue };
        match serde_json::from_slice(bytes) {
            Ok(value) => drop(read.insert(path.to_owned(), value)),
            Err(e) => {
                findings.push(Finding::new(path, Standing::Contradicts, format!("it cannot be read: {e}")));
            }
        }
    }
    read
}

/// What the manifest lists of a kind, by its path below the folder.
fn paths<'m>(manifest: &'m Manifest, kind: &'m str) -> impl Iterator<Item = (&'m str, &'m Subject)> {
    let folder = manifest.folder();
    let below = move |s: &'m Subject| s.name.strip_prefix(&folder).map(|path| (path, s));
    manifest.subject.iter().filter_map(below).filter(move |(path, _)| path.starts_with(kind))
}

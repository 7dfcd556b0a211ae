//! The signed objects that speak about each other. There can be several of a kind: attesting that was broken off and done again,
//! with the history grown in between, leaves both. All of them are read, so that none can hide behind another.

use seatrial_domain::gate::GateRecord;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::promotion::PromotionRecord;
use serde::de::DeserializeOwned;

use super::{Files, Finding, Standing};
use crate::manifest::Manifest;

/// What a manifest lists and a file holds, read.
pub(super) struct Parts {
    /// The promotion's record.
    pub(super) records: Vec<PromotionRecord>,
    /// The gate of its approval.
    pub(super) gates: Vec<GateRecord>,
    /// The model's history up to the promotion's end.
    pub(super) histories: Vec<Vec<HistoryEntry>>,
}

impl Parts {
    pub(super) fn read(manifest: &Manifest, files: &Files, findings: &mut Vec<Finding>) -> Self {
        Self {
            records: all(manifest, files, "promotion-", findings),
            gates: all(manifest, files, "gate-approval-", findings),
            histories: all(manifest, files, "history-", findings),
        }
    }
}

/// Everything of a kind; what is unreadable becomes a finding.
fn all<T: DeserializeOwned>(
    manifest: &Manifest,
    files: &Files,
    kind: &str,
    findings: &mut Vec<Finding>,
) -> Vec<T> {
    let folder = manifest.folder();
    let paths = manifest.subject.iter().filter_map(|s| s.name.strip_prefix(&folder));
    let mut read = Vec::new();
    for path in paths.filter(|p| p.starts_with(kind)) {
        let Some(bytes) = files.evidence.get(path) else { continue };
        match serde_json::from_slice(bytes) {
            Ok(value) => read.push(value),
            Err(e) => {
                findings.push(Finding::new(path, Standing::Contradicts, format!("it cannot be read: {e}")));
            }
        }
    }
    read
}

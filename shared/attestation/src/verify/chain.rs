//! Is the history whole, and did it stand where signed checkpoints say?

use seatrial_domain::history::{self, ChainTip, HistoryEntry};
use seatrial_domain::ids::ModelName;

use super::decided::read;
use super::{Files, Finding, Standing};
use crate::checkpoint::Checkpoint;
use crate::dsse::{Envelope, IN_TOTO};
use crate::key::PublicKey;
use crate::manifest::Manifest;

pub(super) fn check(manifest: &Manifest, files: &Files, keys: &[PublicKey], findings: &mut Vec<Finding>) {
    let model = &manifest.predicate.model;
    let Some(entries): Option<Vec<HistoryEntry>> = read(files, manifest, "history-", findings) else {
        return;
    };
    findings.extend(of_history(model, &entries, None, &files.checkpoints, keys));
}

/// What is found about a history: that it is a whole chain (up to `tip`, where that is known), and where checkpoints stand.
#[must_use]
pub fn of_history(
    model: &ModelName,
    entries: &[HistoryEntry],
    tip: Option<&ChainTip>,
    checkpoints: &std::collections::BTreeMap<String, Vec<u8>>,
    keys: &[PublicKey],
) -> Vec<Finding> {
    let mut findings = vec![match history::verify(model, entries, tip) {
        Ok(()) => {
            Finding::new("history", Standing::Holds, format!("{} entries follow each other", entries.len()))
        }
        Err(broken) => Finding::new("history", Standing::Contradicts, broken.to_string()),
    }];
    for (name, bytes) in checkpoints {
        findings.push(match of_checkpoint(model, bytes, keys) {
            Err(why) => Finding::new(name, Standing::NotSigned, why),
            Ok(tip) => against(name, &tip, entries),
        });
    }
    findings
}

fn of_checkpoint(model: &ModelName, bytes: &[u8], keys: &[PublicKey]) -> Result<ChainTip, String> {
    let envelope = Envelope::parse(bytes).map_err(|e| e.to_string())?;
    let (payload, _) = envelope.verify(IN_TOTO, keys).map_err(|e| e.to_string())?;
    let checkpoint: Checkpoint =
        serde_json::from_slice(&payload).map_err(|e| format!("what it signs is no checkpoint: {e}"))?;
    checkpoint.tip(model)
}

fn against(name: &str, tip: &ChainTip, entries: &[HistoryEntry]) -> Finding {
    match entries.iter().find(|e| e.seq == tip.seq) {
        Some(entry) if entry.hash == tip.hash => {
            Finding::new(name, Standing::Holds, format!("the history stood at entry {} as it says", tip.seq))
        }
        Some(entry) => Finding::new(
            name,
            Standing::Contradicts,
            format!(
                "entry {} has {}; signed was {}: the history was rewritten",
                tip.seq, entry.hash, tip.hash
            ),
        ),
        None => Finding::new(
            name,
            Standing::NotChecked,
            format!("it is of entry {}; this part of the history ends before it", tip.seq),
        ),
    }
}

//! Is the history whole, and did it stand where signed checkpoints say?

use std::collections::BTreeMap;

use seatrial_domain::history::{self, ChainTip, HistoryEntry};
use seatrial_domain::ids::ModelName;

use super::{Finding, Standing};
use crate::checkpoint::Checkpoint;
use crate::dsse::{Envelope, IN_TOTO};
use crate::key::PublicKey;

/// That each history is a whole chain, and that the longest stood where checkpoints say. The others begin it.
pub(super) fn check(
    model: &ModelName,
    histories: &[Vec<HistoryEntry>],
    checkpoints: &BTreeMap<String, Vec<u8>>,
    keys: &[PublicKey],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let longest = histories.iter().map(Vec::as_slice).max_by_key(|h| h.len()).unwrap_or_default();
    for entries in histories {
        findings.push(match history::verify(model, entries, None) {
            Err(broken) => Finding::new("history", Standing::Contradicts, broken.to_string()),
            Ok(()) if !longest.starts_with(entries) => Finding::new(
                "history",
                Standing::Contradicts,
                "two histories of the model are signed, and they differ",
            ),
            Ok(()) => Finding::new(
                "history",
                Standing::Holds,
                format!("{} entries follow each other", entries.len()),
            ),
        });
    }
    for (name, bytes) in checkpoints {
        findings.push(match of_checkpoint(model, bytes, keys) {
            Err(why) => Finding::new(name, Standing::NotSigned, why),
            Ok(tip) => against(name, &tip, longest),
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

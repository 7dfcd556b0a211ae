//! The history of a model: an append-only chain of hashes, written in the same transaction as what it records.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical;
use crate::ids::{Actor, Digest, ModelName, PromotionId, VersionName};

/// The end of a model's chain, kept in its head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainTip {
    /// The number of entries so far.
    pub seq: u64,
    /// The hash of the last entry; of the model's name before the first.
    pub hash: Digest,
}

impl ChainTip {
    /// The beginning of the chain of `model`.
    #[must_use]
    pub fn genesis(model: &ModelName) -> Self {
        Self { seq: 0, hash: canonical::sha256(format!("seatrial history of {model}").as_bytes()) }
    }
}

/// One event. Its `hash` is the SHA-256 of the canonical JSON of everything else in it, `previous` included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Counts from 1.
    pub seq: u64,
    /// The model.
    pub model: ModelName,
    /// When, by the registry's writer.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What, for example `crowned`.
    pub event: String,
    /// The promotion it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionId>,
    /// The version it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionName>,
    /// The model's epoch after the event.
    pub epoch: u64,
    /// What else there is to know: digests, weights, from and to, reason.
    pub details: Value,
    /// The hash of the entry before.
    pub previous: Digest,
    /// The hash of this entry.
    pub hash: Digest,
}

/// A chain that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// An entry is missing, doubled or out of order.
    #[error("history entry {found} stands where entry {expected} should")]
    Sequence {
        /// The number that should come.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// An entry does not follow the one before.
    #[error("history entry {seq} does not name the hash of the entry before it")]
    Link {
        /// The entry.
        seq: u64,
    },
    /// An entry was changed after it was written.
    #[error("the content of history entry {seq} does not have the hash it claims")]
    Content {
        /// The entry.
        seq: u64,
    },
    /// The chain ends elsewhere than the head says.
    #[error("the history ends at entry {found}, but the model's head says {expected}")]
    Tip {
        /// What the head says.
        expected: u64,
        /// What was found.
        found: u64,
    },
}

impl HistoryEntry {
    /// The hash this entry should have.
    ///
    /// # Errors
    /// When `details` has no canonical form.
    pub fn expected_hash(&self) -> Result<Digest, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut value {
            fields.remove("hash");
        }
        canonical::digest(&value)
    }
}

/// Checks that `entries` are a whole chain of `model` that ends at `tip`.
///
/// # Errors
/// The first way in which they are not.
pub fn verify(
    model: &ModelName,
    entries: &[HistoryEntry],
    tip: Option<&ChainTip>,
) -> Result<(), BrokenChain> {
    let mut at = ChainTip::genesis(model);
    for entry in entries {
        if entry.seq != at.seq + 1 {
            return Err(BrokenChain::Sequence { expected: at.seq + 1, found: entry.seq });
        }
        if entry.previous != at.hash || entry.model != *model {
            return Err(BrokenChain::Link { seq: entry.seq });
        }
        if entry.expected_hash().ok().as_ref() != Some(&entry.hash) {
            return Err(BrokenChain::Content { seq: entry.seq });
        }
        at = ChainTip { seq: entry.seq, hash: entry.hash.clone() };
    }
    match tip {
        Some(tip) if *tip != at => Err(BrokenChain::Tip { expected: tip.seq, found: at.seq }),
        _ => Ok(()),
    }
}

//! Checkpoints: signed statements of where a model's history stood. Once one lies under a lock, nobody can rewrite what came
//! before it, not even whoever owns the registry.

use jiff::Timestamp;
use seatrial_domain::history::{ChainTip, HistoryEntry};
use seatrial_domain::ids::{Digest, ModelName};
use serde::{Deserialize, Serialize};

use crate::statement::{Named, Sha256, Statement};

/// What a checkpoint says: [`Predicate`].
pub const HISTORY: &str = "https://seatrial.dev/attestation/history/v1";

/// The folder of a model's checkpoints in the evidence bucket.
#[must_use]
pub fn prefix(model: &ModelName) -> String {
    format!("checkpoints/model={model}/")
}

/// The key of the checkpoint at entry `seq`: keys sort as the entries do.
#[must_use]
pub fn key(model: &ModelName, seq: u64) -> String {
    format!("{}{seq:012}.dsse.json", prefix(model))
}

/// Where a history stood: its one subject is `history of <model>`, with the hash of the entry.
pub type Checkpoint = Statement<Named, Predicate>;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicate {
    /// The model.
    pub model: ModelName,
    /// The entry's number.
    pub seq: u64,
    /// When the entry was written.
    pub at: Timestamp,
}

impl Checkpoint {
    /// The checkpoint at `entry`. The same entry gives the same statement, whenever it is made.
    #[must_use]
    pub fn at(entry: &HistoryEntry) -> Self {
        let name = format!("history of {}", entry.model);
        let subject = Named { name, digest: Sha256 { sha256: entry.hash.hex().to_owned() } };
        let predicate = Predicate { model: entry.model.clone(), seq: entry.seq, at: entry.at };
        Self::new(HISTORY, vec![subject], predicate)
    }

    /// Where it says the chain of `model` stood.
    ///
    /// # Errors
    /// What it is instead: a statement about something else.
    pub fn tip(&self, model: &ModelName) -> Result<ChainTip, String> {
        self.is_of(HISTORY).map_err(|e| e.to_string())?;
        if self.predicate.model != *model {
            return Err(format!("it is about model {}; expected {model}", self.predicate.model));
        }
        let hash = match self.subject.as_slice() {
            [one] => Digest::parse(&format!("sha256:{}", one.digest.sha256)).map_err(|e| e.to_string())?,
            others => return Err(format!("it has {} subjects; expected one", others.len())),
        };
        Ok(ChainTip { seq: self.predicate.seq, hash })
    }
}

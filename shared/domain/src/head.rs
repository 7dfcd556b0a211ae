//! The head of a model: the one record whose revision every change of the model is conditional on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::history::ChainTip;
use crate::ids::{Digest, ModelName, PromotionId, VersionName, VersionRef};
use crate::line::Waiting;
use crate::refusal::Refusal;
use crate::retention::Collecting;
use crate::route::{Route, Weight};

/// The state of a model.
///
/// Every transaction that touches any record of the model also writes its head with `revision + 1`, conditional on the
/// revision that was read *before* the other records. So whoever commits knows that nothing it read has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The model.
    pub model: ModelName,
    /// Counts the writes.
    pub revision: u64,
    /// Counts the changes of hands: a promotion taking the model, a crown, an end, a rollback.
    pub epoch: u64,
    /// The number of the next version.
    pub next_version: u32,
    /// The previous champion, kept ready.
    pub standby: Option<VersionRef>,
    /// How traffic is split, the champion included.
    pub route: Route,
    /// The promotion that holds the model.
    pub running: Option<Running>,
    /// Promotions that wait for the model, in the order of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// The policy in force for promotions that start now.
    pub policy: Option<PolicyRef>,
    /// The benchmark in force for promotions that start now.
    pub benchmark: Option<BenchmarkRef>,
    /// The version whose bytes are being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collecting: Option<Collecting>,
    /// The end of the history.
    pub chain: ChainTip,
    /// When the model was created.
    pub created_at: Timestamp,
    /// When this head was written.
    pub updated_at: Timestamp,
}

/// The promotion that holds a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its name.
    pub promotion: PromotionId,
    /// What it promotes.
    pub challenger: VersionRef,
    /// The epoch it holds.
    pub epoch: u64,
}

/// A policy by number and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRef {
    /// Counts from 1.
    pub number: u32,
    /// The SHA-256 of its canonical JSON.
    pub digest: Digest,
}

/// A held-out benchmark by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchmarkRef {
    /// The SHA-256 of the file.
    pub digest: Digest,
    /// Its key in the models bucket.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was set.
    pub set_at: Timestamp,
}

impl Head {
    /// The head of a model that has nothing yet. Its revision is 0: it is not stored.
    #[must_use]
    pub fn new(model: ModelName, now: Timestamp) -> Self {
        let chain = ChainTip::genesis(&model);
        Self {
            revision: 0,
            epoch: 0,
            next_version: 1,
            standby: None,
            route: Route {
                champion: None,
                challenger: None,
                weight: Weight::ZERO,
                standby: None,
                holdback: Weight::ZERO,
                promotion: None,
                epoch: 0,
                salt: chain.hash.hex()[..32].to_owned(),
                rows: Weight::ZERO,
                shadow: Weight::ZERO,
                since: now,
            },
            running: None,
            waiting: Vec::new(),
            policy: None,
            benchmark: None,
            collecting: None,
            chain,
            created_at: now,
            updated_at: now,
            model,
        }
    }

    /// The version that serves by default.
    #[must_use]
    pub fn champion(&self) -> Option<&VersionRef> {
        self.route.champion.as_ref()
    }

    /// Whether `promotion` still holds the model at `epoch`.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] when it does not: whoever asked must not write.
    pub fn held_by(&self, promotion: &PromotionId, epoch: u64) -> Result<&Running, Refusal> {
        match &self.running {
            Some(running)
                if running.promotion == *promotion && running.epoch == epoch && self.epoch == epoch =>
            {
                Ok(running)
            }
            _ => Err(Refusal::Superseded { promotion: promotion.clone(), epoch, found: self.epoch }),
        }
    }

    /// What `version` is for this model right now, if anything.
    #[must_use]
    pub fn role_of(&self, version: VersionName) -> Option<&'static str> {
        let is = |r: Option<&VersionRef>| r.is_some_and(|r| r.version == version);
        if is(self.champion()) {
            Some("champion")
        } else if is(self.running.as_ref().map(|r| &r.challenger)) {
            Some("challenger")
        } else if is(self.standby.as_ref()) {
            Some("standby")
        } else {
            None
        }
    }
}

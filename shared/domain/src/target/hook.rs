//! What a hook that moves traffic is told, and what it answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::desired::{Actual, Desired};
use crate::ids::{Digest, ModelName, PromotionId, VersionName};
use crate::route::{Arm, Weight};

/// The version of this format, and of [`super::Nudge`].
pub const SCHEMA: u32 = 1;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookKind {
    /// Say what you do.
    Observe,
    /// Do this, and say what you do.
    Drive,
}

impl HookKind {
    /// What the header `seatrial-event` says.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::Observe => "target_observe",
            Self::Drive => "target_drive",
        }
    }
}

/// A call of the hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookCall {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it asks for.
    pub kind: HookKind,
    /// The model.
    pub model: ModelName,
    /// What the rest is about; not there when it only looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<HookRoute>,
}

/// What a hook is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookRoute {
    /// The same for the same order, however often it is sent.
    pub idempotency_key: String,
    /// It only grows. Whoever has carried out a higher one must refuse this.
    pub revision: u64,
    /// The epoch, which observations name.
    pub epoch: u64,
    /// The promotion that owns the split.
    pub promotion: Option<PromotionId>,
    /// When the route was written.
    pub since: Timestamp,
    /// The shares. They come to 10,000; a version that is not among them gets nothing.
    pub shares: Vec<HookShare>,
}

/// One version's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookShare {
    /// The version.
    pub version: VersionName,
    /// Its digest.
    pub digest: Digest,
    /// Its side of the split.
    pub role: Arm,
    /// Its share in basis points.
    pub weight: Weight,
}

/// What it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookAnswer {
    /// What it does at this moment: basis points by version. They come to 10,000, or there are none.
    pub shares: BTreeMap<VersionName, Weight>,
    /// Why it is not done yet; it is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// Why it does not do it; somebody has to change something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl HookCall {
    /// A call that only looks.
    #[must_use]
    pub fn observe(model: ModelName) -> Self {
        Self { schema: SCHEMA, kind: HookKind::Observe, model, route: None }
    }

    /// A call that asks for a split.
    #[must_use]
    pub fn drive(wanted: &Desired) -> Self {
        let share = |s: &super::Share| HookShare {
            version: s.version.version,
            digest: s.version.digest.clone(),
            role: s.role,
            weight: s.weight,
        };
        let route = HookRoute {
            idempotency_key: format!("{}#{}", wanted.model, wanted.revision),
            revision: wanted.revision,
            epoch: wanted.epoch,
            promotion: wanted.promotion.clone(),
            since: wanted.since,
            shares: wanted.shares.iter().map(share).collect(),
        };
        Self { schema: SCHEMA, kind: HookKind::Drive, model: wanted.model.clone(), route: Some(route) }
    }
}

impl HookAnswer {
    /// What it says it does.
    ///
    /// # Errors
    /// Where its shares do not come to 100 %.
    pub fn actual(&self) -> Result<Actual, String> {
        let total: u32 = self.shares.values().map(|w| u32::from(w.bps())).sum();
        if !self.shares.is_empty() && total != 10_000 {
            return Err(format!("its shares come to {total} basis points; expected 10000, or none at all"));
        }
        let shares = self.shares.iter().map(|(v, w)| (v.to_string(), w.fraction())).collect();
        Ok(Actual { shares, busy: None, fence: None })
    }
}

//! What people and machines are told, and whom.
//!
//! A notice is made of a history entry and of nothing else: an entry is written in the transaction of what it tells of, once,
//! and never changed. So nothing is told that did not happen, nothing twice under two names, and nothing is forgotten. A
//! notice holds no right to decide: it can go to a channel that many read.

mod delivery;
mod event;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{Actor, GateId, ModelName, PromotionId, VersionName};
use crate::promotion::Stage;
use crate::route::Weight;

pub use delivery::{
    Delivery, MOST_ATTEMPTS, Message, Receipt, SCHEMA, Target, backoff_seconds, deliveries, receipt,
};
pub use event::{SILENT, TOLD, of};

/// What a notice is about. The words are an interface: policies and receivers name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// An approval gate waits for people, or for the end of its window.
    GateOpened,
    /// The end of an undecided gate, or of its window, comes near.
    Reminder,
    /// Somebody blocked an approval that would have come by itself.
    Blocked,
    /// A gate was approved or rejected.
    Decided,
    /// A gate's time ran out undecided.
    Expired,
    /// The challenger got a share of traffic.
    CanaryStep,
    /// A canary or the champion was taken back.
    RolledBack,
    /// The challenger became champion.
    Crowned,
    /// A version that served already became champion without a promotion.
    Adopted,
    /// A promotion ended before any caller saw the challenger.
    Failed,
    /// An operator skipped a stage in an emergency.
    Emergency,
    /// The policy or the benchmark changed.
    SettingsChanged,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::GateOpened,
        Self::Reminder,
        Self::Blocked,
        Self::Decided,
        Self::Expired,
        Self::CanaryStep,
        Self::RolledBack,
        Self::Crowned,
        Self::Adopted,
        Self::Failed,
        Self::Emergency,
        Self::SettingsChanged,
    ];

    /// The word, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GateOpened => "gate_opened",
            Self::Reminder => "reminder",
            Self::Blocked => "blocked",
            Self::Decided => "decided",
            Self::Expired => "expired",
            Self::CanaryStep => "canary_step",
            Self::RolledBack => "rolled_back",
            Self::Crowned => "crowned",
            Self::Adopted => "adopted",
            Self::Failed => "failed",
            Self::Emergency => "emergency",
            Self::SettingsChanged => "settings_changed",
        }
    }
}

/// How a gate was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// In favour.
    Approved,
    /// Against.
    Rejected,
}

/// Which setting changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// The policy.
    Policy,
    /// The benchmark.
    Benchmark,
}

/// What people and machines are told about one thing that happened. Fields beyond the first seven are there where the kind
/// has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Its name: the same event has the same one, always.
    pub id: String,
    /// What happened.
    pub kind: NoticeKind,
    /// The model.
    pub model: ModelName,
    /// The number of the event in the model's history: later events have greater ones, with gaps.
    pub sequence: u64,
    /// When it happened, by the registry's writer.
    pub at: Timestamp,
    /// Who did it.
    pub by: Actor,
    /// Whether it happened past people who should have decided, or belongs to a promotion of which that is so.
    pub emergency: bool,
    /// The promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionId>,
    /// The version it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionName>,
    /// The approval gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateId>,
    /// How the gate was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whether the approval comes, or came, by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// When the gate expires, or its window ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The challenger's share of traffic, in basis points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// The champion before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<VersionName>,
    /// The champion after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<VersionName>,
    /// The stages that were skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Stage>,
    /// Which setting changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<Setting>,
    /// The number of the policy that is in force now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<u32>,
    /// A person's comment or reason, or a function's, as it was given: data, never markup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What people were told about a gate before its approval may come by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// That it opened.
    Opened,
    /// That its end is near.
    Reminded,
}

impl Told {
    /// The name of the mark that says so.
    #[must_use]
    pub fn mark(self, gate: &GateId) -> String {
        let what = match self {
            Self::Opened => "opened",
            Self::Reminded => "reminded",
        };
        format!("told#{gate}#{what}")
    }

    /// What a delivered notice of this kind tells people.
    #[must_use]
    pub const fn by(kind: NoticeKind) -> Option<Self> {
        match kind {
            NoticeKind::GateOpened => Some(Self::Opened),
            NoticeKind::Reminder => Some(Self::Reminded),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_json() {
        for kind in NoticeKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}

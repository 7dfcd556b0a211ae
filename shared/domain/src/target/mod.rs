//! Traffic that others split: what a model's target should do by the route, and how it stands to that.
//!
//! The registry's route is what is wanted; nothing here changes it. [`desired`] says what it comes to at the target,
//! [`difference`] what the target does otherwise, [`TargetRecord::after`] what is kept of a look at it, [`Met`] from when on its
//! callers met a canary's weights, and [`Standing`] how that is told.

mod desired;
mod hook;
mod met;
mod standing;

pub use desired::{
    Actual, Desired, NoDesire, Share, carries, desired, difference, name_at, names_of_their_own,
};
pub use hook::{HookAnswer, HookCall, HookKind, HookRoute, HookShare, SCHEMA};
pub use met::Met;
pub use standing::{PutRight, Seen, Standing, TargetRecord, TargetState};

/// The events of the history that write a route, or name a target: what a target should do may be another after them. The table's
/// stream is filtered by these too.
pub const MOVES: [&str; 11] = [
    "weight_shifted",
    "canary_rolled_back",
    "rolled_back",
    "crowned",
    "adopted",
    "promotion_ended",
    "policy_set",
    "holdback_ended",
    "shadow_opened",
    "shadow_closed",
    "version_retired",
];

/// How long one invocation holds a target, in seconds: longer than the function may run, so that nobody drives a target who does not
/// hold it.
pub const HOLD_SECONDS: u32 = 45;

/// A message to the function that drives targets: look at this model. It says where to look and nothing else, so that messages that come
/// twice, late or in another order do no harm.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nudge {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The model.
    pub model: crate::ids::ModelName,
}

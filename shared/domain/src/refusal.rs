//! Why a change was refused. A variant exists where a caller acts differently.

use jiff::Timestamp;

use crate::compliance::{self, Missing, ProfileName};
use crate::ids::{Digest, GateId, ModelName, PromotionId, SubmissionId, VersionName};
use crate::version::{VersionEvent, VersionStatus};

/// A change that the rules do not allow. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another promotion of this model runs.
    #[error("promotion {by} of {version} is running for this model; wait for it, or end it with a rollback")]
    Busy {
        /// The promotion that holds the model.
        by: PromotionId,
        /// What it promotes.
        version: VersionName,
    },
    /// Others wait for this model, and came first.
    #[error(
        "promotion {first} of {version} waits for this model and came first ({waiting} in line); a promotion of a version that may wait joins the line"
    )]
    InLine {
        /// The promotion whose turn it is.
        first: PromotionId,
        /// What it promotes.
        version: VersionName,
        /// How many wait.
        waiting: usize,
    },
    /// The model has a champion: another becomes it by a promotion, and not by adoption.
    #[error(
        "model {model} has the champion {champion}; only a model without one adopts. `seatrial promote {model} {adopted}` tries {adopted} against it"
    )]
    HasChampion {
        /// The model.
        model: ModelName,
        /// Its champion.
        champion: VersionName,
        /// What was to be adopted.
        adopted: VersionName,
    },
    /// The promotion no longer holds the model: a rollback or another end came first. Nothing must be written.
    #[error("promotion {promotion} at epoch {epoch} was superseded; the model is at epoch {found}")]
    Superseded {
        /// The promotion that wanted to write.
        promotion: PromotionId,
        /// The epoch it holds.
        epoch: u64,
        /// The epoch the model is at.
        found: u64,
    },
    /// The version's status does not allow the event.
    #[error("a version that is {status:?} cannot take the event {event:?}")]
    IllegalTransition {
        /// Its status.
        status: VersionStatus,
        /// The event.
        event: VersionEvent,
    },
    /// There is no approval for what is about to happen.
    #[error("no approval covers this: {why}")]
    NotApproved {
        /// What is missing or differs.
        why: String,
    },
    /// What is decided is no longer what was shown.
    #[error(
        "{what} changed since it was shown at gate {gate}; nothing was recorded: look at it again, and decide then"
    )]
    Changed {
        /// The gate.
        gate: GateId,
        /// What changed, for example `the benchmark and the policy`.
        what: String,
    },
    /// A gate was already decided, expired or closed.
    #[error("gate {gate} is already {state}")]
    GateClosed {
        /// The gate.
        gate: GateId,
        /// A phrase such as `approved by ann@example.com at 2026-11-21T10:00:00Z`.
        state: String,
    },
    /// The person or role may not do this.
    #[error("{principal} may not {action}: {why}")]
    Forbidden {
        /// Who asked.
        principal: String,
        /// What for.
        action: String,
        /// The rule that forbids it.
        why: String,
    },
    /// The submission was announced already, by another person or with other bytes. The first announcement stays.
    #[error("submission {id} was announced by {by} at {at} already{other}; submit under another id")]
    AlreadyAnnounced {
        /// The submission.
        id: SubmissionId,
        /// Who announced it.
        by: String,
        /// When.
        at: Timestamp,
        /// Empty, or a phrase that says in what the two differ.
        other: String,
    },
    /// There is no standby to roll back to.
    #[error(
        "model {model} has no standby version to roll back to; promote an earlier version with `seatrial promote {model} v<n>`, or take the model out of service at its endpoint"
    )]
    NoStandby {
        /// The model.
        model: ModelName,
    },
    /// The version's bytes are given up: nothing can load it.
    #[error(
        "{version} of model {model} was collected{}: its bytes are deleted, its records and evidence stay. To use it again, submit the same files anew (`seatrial package DIR --model {model}`): they get the same digest, {}, under a new version",
        at.map(|at| format!(" at {at}")).unwrap_or_default(), digest.short()
    )]
    Collected {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionName,
        /// The digest of its package.
        digest: Digest,
        /// When.
        at: Option<Timestamp>,
    },
    /// Bytes of the model are being deleted, and no version may be registered meanwhile: it could need one of them. It may
    /// after a moment.
    #[error(
        "the bytes of {version} of model {model} are being deleted, and no version is registered meanwhile; it is possible again after {until} at the latest"
    )]
    Collecting {
        /// The model.
        model: ModelName,
        /// The version that is being collected.
        version: VersionName,
        /// When nothing is deleted any more, whatever becomes of the collection.
        until: Timestamp,
    },
    /// The standby is kept ready until the champion has proved itself.
    #[error(
        "{standby} is the standby of model {model} and kept ready until {until}, the end of the stability window (`canary.stability_seconds` of the policy that {champion} was crowned by): a rollback brings it back. Retire it after that, or `seatrial rollback {model} --champion` makes it champion again"
    )]
    Stabilising {
        /// The model.
        model: ModelName,
        /// The standby.
        standby: VersionName,
        /// The champion.
        champion: VersionName,
        /// The end of the window.
        until: Timestamp,
    },
    /// Something named does not exist.
    #[error("{what} does not exist")]
    NotFound {
        /// A phrase such as `model credit-risk`.
        what: String,
    },
    /// The model's compliance profile asks for what is not there.
    #[error("the profile {profile} asks for what is missing: {}", compliance::told(missing))]
    ProfileUnmet {
        /// The profile.
        profile: ProfileName,
        /// Each item with its rule, what was found and what to do.
        missing: Vec<Missing>,
    },
    /// The request contradicts the present state or itself.
    #[error("{why}")]
    Invalid {
        /// What, where, and what to do.
        why: String,
    },
}

impl Refusal {
    /// [`Refusal::Changed`] when something did.
    ///
    /// # Errors
    /// Just that.
    pub fn unless_same(gate: &GateId, changed: &[&str]) -> Result<(), Self> {
        match changed.split_last() {
            None => Ok(()),
            Some((last, [])) => Err(Self::Changed { gate: gate.clone(), what: (*last).to_owned() }),
            Some((last, others)) => {
                Err(Self::Changed { gate: gate.clone(), what: format!("{} and {last}", others.join(", ")) })
            }
        }
    }

    /// The stable code of problem documents and of exit codes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } | Self::InLine { .. } => "model_busy",
            Self::HasChampion { .. } => "has_champion",
            Self::Superseded { .. } => "superseded",
            Self::IllegalTransition { .. } => "illegal_transition",
            Self::NotApproved { .. } => "not_approved",
            Self::Changed { .. } => "changed",
            Self::GateClosed { .. } => "gate_closed",
            Self::Forbidden { .. } => "forbidden",
            Self::AlreadyAnnounced { .. } => "already_announced",
            Self::NoStandby { .. } => "no_standby",
            Self::Collected { .. } => "collected",
            Self::Collecting { .. } => "collecting",
            Self::Stabilising { .. } => "stability_window",
            Self::NotFound { .. } => "not_found",
            Self::ProfileUnmet { .. } => "profile_unmet",
            Self::Invalid { .. } => "invalid",
        }
    }
}

//! What can go wrong at the registry, by what a caller does about it.

use seatrial_domain::{ModelName, Refusal, VersionName};

/// The cause of a failure, for operators.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The table could not be read or written. Nothing is known about the change's fate beyond what the registry re-read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table did not answer, or answered that it cannot now. Doing it again may help.
    #[error("the registry's table did not {action}")]
    Unavailable {
        /// What was being done, for example `read HEAD of MODEL#credit-risk`.
        action: String,
        /// Why, as the SDK says.
        #[source]
        source: Source,
    },
    /// An item does not have the form this release writes. Doing it again does not help.
    #[error("item {item} of the registry's table cannot be read: expected {expected}")]
    Corrupt {
        /// The item's keys.
        item: String,
        /// What was expected.
        expected: String,
        /// Why, if there is a cause.
        #[source]
        source: Option<Source>,
    },
}

/// Why a change was not committed. In every case nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The head has another revision than the change starts from: read everything again and decide anew.
    #[error("model {model} changed in the meantime")]
    Conflict {
        /// The model.
        model: ModelName,
    },
    /// A condition of the change itself does not hold.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The digest belongs to a version already.
    #[error("this package is version {version} of model {model} already")]
    Claimed {
        /// The model.
        model: ModelName,
        /// The version that has the digest.
        version: VersionName,
    },
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an operation had no effect.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// The rules do not allow it. Trying again does not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Others changed the model at each of many tries. Trying again later helps.
    #[error("model {model} was changed by others at each of {tries} tries; try again")]
    Contended {
        /// The model.
        model: ModelName,
        /// How often it was tried.
        tries: u32,
    },
    /// The table failed. Trying again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpError {
    /// The rule that forbids it, if that is why.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Contended { .. } | Self::Store(_) => None,
        }
    }
}

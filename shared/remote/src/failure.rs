//! How calls fail, and what it means.

use bytes::Bytes;
use http::StatusCode;
use seatrial_inference::{LoadError, PredictError, RemoteCode};
use seatrial_outbound::{Answer, CallError};

/// Why a remote version is not used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nobody answered: it says nothing about the version, and trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// It is not what it was pinned as, or may not be reached. Trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// Its configuration contradicts itself.
    #[error(transparent)]
    Configuration(#[from] LoadError),
}

impl RemoteError {
    /// Whether trying the same again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// What a call that asked for an identity came to.
    pub(crate) fn of(what: &str, error: CallError) -> Self {
        match error {
            CallError::NotAllowed(why) => Self::Refused(format!("{what} is not reached: {why}")),
            CallError::NoAnswer(why) => Self::Unavailable(format!("{what} did not answer: {why}")),
        }
    }

    /// The body of an answer that says what something is.
    pub(crate) fn read(what: &str, answer: Answer) -> Result<Bytes, Self> {
        let passes = answer.is_busy() || answer.status.is_server_error();
        answer.succeeded().map_err(|why| {
            let text = format!("{what} cannot be looked at: {why}");
            if passes { Self::Unavailable(text) } else { Self::Refused(text) }
        })
    }
}

/// How one call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallFailed {
    /// The service says that it did not run it: it may be asked again.
    NotRun(String),
    /// All else, by what it says about the version.
    Ended(RemoteCode, String),
}

impl From<CallError> for CallFailed {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotAllowed(why) => Self::Ended(RemoteCode::Refused, why),
            CallError::NoAnswer(why) => Self::Ended(RemoteCode::Unavailable, why),
        }
    }
}

impl From<CallFailed> for PredictError {
    fn from(failed: CallFailed) -> Self {
        match failed {
            CallFailed::NotRun(why) => Self::remote(RemoteCode::Unavailable, why),
            CallFailed::Ended(code, why) => Self::remote(code, why),
        }
    }
}

/// The body of an answer, or what its status says.
pub(crate) fn body(answer: Answer) -> Result<Bytes, CallFailed> {
    let (status, busy) = (answer.status, answer.is_busy());
    // SageMaker says by 424 that the container was asked, and failed.
    let failed = status.is_server_error() || status == StatusCode::FAILED_DEPENDENCY;
    answer.succeeded().map_err(|why| match () {
        () if busy => CallFailed::NotRun(why),
        () if failed => CallFailed::Ended(RemoteCode::Failed, why),
        () => CallFailed::Ended(RemoteCode::Refused, why),
    })
}

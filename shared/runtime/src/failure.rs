//! How a function fails: a label for the state machine, a sentence for people, a cause for operators.

use std::error::Error as StdError;

use lambda_runtime::Diagnostic;
use seatrial_domain::Refusal;

use crate::label;

/// A function's failure.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One of [`label::ALL`].
    pub label: &'static str,
    /// What happened, where, and what to do. Shown to people; never holds secrets.
    pub message: String,
    /// The cause, for the log only.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure that trying again may cure.
    pub fn unavailable(doing: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            label: label::UNAVAILABLE,
            message: format!("{doing} did not work; it is tried again"),
            source: Some(source.into()),
        }
    }

    /// A request that is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { label: label::INVALID, message: message.into(), source: None }
    }

    /// Something that should not happen.
    pub fn internal(doing: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { label: label::INTERNAL, message: format!("{doing} failed"), source: Some(source.into()) }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.label == label::UNAVAILABLE
    }

    /// The message and its causes, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut source = self.source.as_deref().map(|s| s as &dyn StdError);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let label = match &refusal {
            Refusal::Superseded { .. } => label::SUPERSEDED,
            Refusal::Busy { .. } | Refusal::InLine { .. } => label::MODEL_BUSY,
            // Over in minutes: the state machine asks again.
            Refusal::Collecting { .. } => label::UNAVAILABLE,
            Refusal::NotApproved { .. } | Refusal::Changed { .. } => label::NOT_APPROVED,
            _ => label::INVALID,
        };
        Self { label, message: refusal.to_string(), source: None }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.label.to_owned(), error_message: failure.message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_for_the_log_and_not_for_the_state_machine() {
        let failure =
            Failure::unavailable("reading the head", std::io::Error::other("host 10.0.0.1 refused"));
        assert!(failure.chain().contains("refused"));
        let shown = Diagnostic::from(failure);
        assert_eq!(shown.error_type, label::UNAVAILABLE);
        assert!(!shown.error_message.contains("10.0.0.1"));
    }
}

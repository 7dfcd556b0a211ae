//! What goes wrong with tokens and their issuer.

use crate::fetch::NoAnswer;

/// Why nobody is known by a token.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The token says nothing that can be believed. Sending it again does not help.
    #[error("the token is refused: {0}")]
    Refused(String),
    /// The issuer did not answer, and nothing that is known of it will do.
    #[error("the OIDC issuer {issuer} cannot be used")]
    Unavailable {
        /// The configured issuer.
        issuer: String,
        /// What happened.
        source: NoAnswer,
    },
}

impl IssuerError {
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {found:?}; expected {expected}")]
pub struct SettingsError {
    /// The setting.
    pub name: &'static str,
    /// What it is.
    pub found: String,
    /// What it must be.
    pub expected: &'static str,
}

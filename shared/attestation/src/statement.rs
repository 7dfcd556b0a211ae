//! In-toto statements: the one form of everything that is signed here.
//!
//! Specification: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>

use serde::{Deserialize, Serialize};

/// The type of every statement.
const TYPE: &str = "https://in-toto.io/Statement/v1";

/// That `predicate` holds of the subjects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement<S, P> {
    #[serde(rename = "_type")]
    kind: String,
    /// What it is about.
    pub subject: Vec<S>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    /// What it says.
    pub predicate: P,
}

/// A digest in in-toto's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sha256 {
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// A subject that is known by its name and its digest, and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub digest: Sha256,
}

impl<S, P> Statement<S, P> {
    /// A statement of this type of predicate.
    #[must_use]
    pub fn new(predicate_type: &str, subject: Vec<S>, predicate: P) -> Self {
        Self { kind: TYPE.to_owned(), subject, predicate_type: predicate_type.to_owned(), predicate }
    }

    /// Whether it is a statement of this type of predicate.
    ///
    /// # Errors
    /// The first type that is another one.
    pub fn is_of(&self, predicate_type: &str) -> Result<(), WrongType> {
        for (what, found, expected) in [
            ("statement's type", &self.kind, TYPE),
            ("predicate's type", &self.predicate_type, predicate_type),
        ] {
            if found != expected {
                return Err(WrongType { what, found: found.clone(), expected: expected.to_owned() });
            }
        }
        Ok(())
    }
}

/// A statement about something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its {what} is {found}; expected {expected}")]
pub struct WrongType {
    /// Which type.
    pub what: &'static str,
    /// What it is.
    pub found: String,
    /// What it should be.
    pub expected: String,
}

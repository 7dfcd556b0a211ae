//! Signatures of packages, in the form of OpenSSF Model Signing 1.0: a Sigstore bundle that holds a DSSE envelope with an
//! in-toto statement that lists every file. The Python tool `model_signing verify key` takes what is signed here, and what
//! `model_signing sign key` wrote is taken here, with one kind of key (ECDSA P-256) and one of digest (SHA-256, whole files).
//!
//! Specification: <https://github.com/ossf/model-signing-spec>

mod bundle;
mod files;
pub mod folder;
mod statement;

use std::collections::BTreeMap;

use seatrial_domain::Digest;
use seatrial_domain::canonical::to_bytes;

use bundle::Bundle;
pub use files::{Differences, SignedFiles};

use crate::dsse::{Envelope, EnvelopeError, IN_TOTO};
use crate::key::PublicKey;
use crate::signer::{SignError, Signer};
use crate::statement::WrongType;

/// The files of a package: their paths from its root, with `/`, and the SHA-256 of their bytes.
pub type Files = BTreeMap<String, Digest>;

/// Why a package was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The key did not sign.
    #[error(transparent)]
    Signer(#[from] SignError),
    /// Nothing that a signature could name.
    #[error("these files cannot be signed: {0}")]
    Files(String),
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not a bundle at all.
    #[error("it is not a Sigstore bundle: {0}")]
    Unreadable(String),
    /// Something that others sign with and Seatrial does not.
    #[error(
        "its {what} is {found}; expected {expected}: sign with `model_signing sign key` and an ECDSA P-256 key"
    )]
    Unsupported {
        /// The part of it.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// No given key signed it.
    #[error(transparent)]
    Signature(#[from] EnvelopeError),
    /// It says that it is another key's than the one that signed it.
    #[error("it names the key {named}, and the key that signed it is {signed}")]
    Hint {
        /// The SHA-256 of the named key's PEM text.
        named: String,
        /// The same of the key that signed it.
        signed: String,
    },
    /// Signed, and yet not a statement about files.
    #[error("what it signs is not a statement about a model's files: {0}")]
    Statement(String),
}

/// Signs `files` under `name` (what the package is called; it says nothing about the files).
///
/// # Errors
/// [`SigningError::Files`] when there is none, or a path that is not a plain one below the root; else the signer's.
pub async fn sign(files: &Files, name: &str, signer: &dyn Signer) -> Result<Vec<u8>, SigningError> {
    let unsignable = |e: serde_json::Error| SigningError::Files(e.to_string());
    let statement = statement::of(files, name).map_err(SigningError::Files)?;
    let payload = to_bytes(&statement).map_err(unsignable)?;
    let envelope = Envelope::sign(IN_TOTO, &payload, signer).await?;
    let key = signer.public_key().await?;
    to_bytes(&Bundle::of(&key, envelope)).map_err(unsignable)
}

impl From<WrongType> for BundleError {
    fn from(WrongType { what, found, expected }: WrongType) -> Self {
        Self::Unsupported { what, found, expected }
    }
}

/// The files that one of `keys` signed in `bundle`.
///
/// # Errors
/// [`BundleError`].
pub fn verify(bundle: &[u8], keys: &[PublicKey]) -> Result<SignedFiles, BundleError> {
    let bundle = Bundle::parse(bundle)?;
    let (payload, key) = bundle.envelope.verify(IN_TOTO, keys)?;
    bundle.names(key)?;
    statement::read(&payload, key)
}

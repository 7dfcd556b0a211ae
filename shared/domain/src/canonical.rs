//! Canonical JSON (RFC 8785) and digests over it.
//!
//! Everything that is named by a digest of its content (policies, history entries, reports) is hashed over this form, so
//! that an auditor can recompute it with any RFC 8785 library.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::ids::Digest;

/// The canonical JSON bytes of `value`.
///
/// # Errors
/// When `value` has no JSON form: a map with keys that are not strings, or a float that is not finite.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

/// The SHA-256 of the canonical JSON of `value`.
///
/// # Errors
/// As [`to_bytes`].
pub fn digest<T: Serialize>(value: &T) -> Result<Digest, serde_json::Error> {
    Ok(sha256(&to_bytes(value)?))
}

/// The SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

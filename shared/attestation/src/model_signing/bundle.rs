//! The Sigstore bundle around an envelope.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::BundleError;
use crate::dsse::Envelope;
use crate::key::PublicKey;

/// The one form of bundle that there is for envelopes.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle. What it has besides is neither signed nor used.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bundle {
    media_type: String,
    verification_material: Material,
    #[serde(rename = "dsseEnvelope")]
    pub(super) envelope: Envelope,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<Hint>,
    /// No transparency log is asked, and readers want the list all the same.
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hint {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Bundle {
    pub(super) fn of(key: &PublicKey, envelope: Envelope) -> Self {
        Self {
            media_type: MEDIA_TYPE.to_owned(),
            verification_material: Material {
                public_key: Some(Hint { hint: Some(hint(key)) }),
                tlog_entries: Vec::new(),
            },
            envelope,
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let found: Self =
            serde_json::from_slice(bytes).map_err(|e| BundleError::Unreadable(e.to_string()))?;
        let unsupported =
            |what, found: String, expected: String| Err(BundleError::Unsupported { what, found, expected });
        if found.media_type != MEDIA_TYPE {
            return unsupported("media type", found.media_type, MEDIA_TYPE.to_owned());
        }
        if found.verification_material.public_key.is_none() {
            return unsupported(
                "verification material",
                "no public key (a certificate, or a login at Sigstore)".to_owned(),
                "a public key".to_owned(),
            );
        }
        // The specification of bundles: exactly one. Other verifiers look at the first only.
        let count = found.envelope.signatures.len();
        if count != 1 {
            return unsupported("number of signatures", count.to_string(), "1".to_owned());
        }
        Ok(found)
    }

    /// Whether it names `key`, if it names any. Other verifiers refuse a wrong name too.
    pub(super) fn names(&self, key: &PublicKey) -> Result<(), BundleError> {
        let named = self.verification_material.public_key.as_ref().and_then(|k| k.hint.as_deref());
        let signed = hint(key);
        match named {
            Some(named) if !named.is_empty() && named != signed => {
                Err(BundleError::Hint { named: named.to_owned(), signed })
            }
            _ => Ok(()),
        }
    }
}

/// How bundles name a key: by the SHA-256 of its PEM text.
fn hint(key: &PublicKey) -> String {
    hex::encode(Sha256::digest(key.to_pem()))
}

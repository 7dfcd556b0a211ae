//! DSSE envelopes: a payload with the signatures over it.
//!
//! Specification: <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use crate::key::PublicKey;
use crate::signer::{SignError, Signer};

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A signed payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The payload in base64.
    pub payload: String,
    /// Who signed it.
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The key's [`PublicKey::id`]: a hint, never trusted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub keyid: String,
    /// The signature in base64.
    pub sig: String,
}

/// An envelope that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not an envelope at all.
    #[error("it is not a DSSE envelope: {0}")]
    Unreadable(String),
    /// An envelope of something else.
    #[error("its payload is {found}; expected {expected}")]
    PayloadType {
        /// What it claims to be.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// No given key made any of its signatures.
    #[error("none of its signatures is of a given key: signed by {found}, given {given}")]
    NotSigned {
        /// The key ids it names.
        found: String,
        /// The ids of the keys that were tried.
        given: String,
    },
}

/// The bytes that are signed: the pre-authentication encoding of DSSE.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// `payload`, signed.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn sign(payload_type: &str, payload: &[u8], signer: &dyn Signer) -> Result<Self, SignError> {
        let keyid = signer.public_key().await?.id().to_owned();
        let sig = STANDARD.encode(signer.sign(&pae(payload_type, payload)).await?);
        Ok(Self {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![Signature { keyid, sig }],
        })
    }

    /// The envelope that `bytes` are.
    ///
    /// # Errors
    /// [`EnvelopeError::Unreadable`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(bytes).map_err(|e| EnvelopeError::Unreadable(e.to_string()))
    }

    /// The payload, whoever signed it: for showing, never for trusting.
    ///
    /// # Errors
    /// [`EnvelopeError::Unreadable`].
    pub fn unverified_payload(&self) -> Result<Vec<u8>, EnvelopeError> {
        decode(&self.payload).ok_or_else(|| EnvelopeError::Unreadable("its payload is not base64".into()))
    }

    /// The payload and the key that signed it, if one of `keys` did.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn verify<'k>(
        &self,
        payload_type: &str,
        keys: &'k [PublicKey],
    ) -> Result<(Vec<u8>, &'k PublicKey), EnvelopeError> {
        if self.payload_type != payload_type {
            return Err(EnvelopeError::PayloadType {
                found: self.payload_type.clone(),
                expected: payload_type.to_owned(),
            });
        }
        let payload = self.unverified_payload()?;
        let signed = pae(payload_type, &payload);
        for signature in self.signatures.iter().filter_map(|s| decode(&s.sig)) {
            if let Some(key) = keys.iter().find(|k| k.verifies(&signed, &signature)) {
                return Ok((payload, key));
            }
        }
        let named = |ids: Vec<&str>| if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") };
        Err(EnvelopeError::NotSigned {
            found: named(self.signatures.iter().map(|s| s.keyid.as_str()).collect()),
            given: named(keys.iter().map(PublicKey::id).collect()),
        })
    }
}

/// Base64 of either alphabet, as the specification asks of whoever reads.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::key::LocalKey;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[tokio::test]
    async fn an_envelope_holds_for_its_own_key_type_and_payload_only() {
        let key = LocalKey::generate().unwrap();
        let others = [LocalKey::generate().unwrap().public().clone()];
        let keys = [others[0].clone(), key.public().clone()];
        let envelope = Envelope::sign(IN_TOTO, b"{}", &key).await.unwrap();
        let again = Envelope::parse(&serde_json::to_vec(&envelope).unwrap()).unwrap();
        assert_eq!(again.verify(IN_TOTO, &keys).unwrap(), (b"{}".to_vec(), &keys[1]));
        assert!(matches!(again.verify(IN_TOTO, &others), Err(EnvelopeError::NotSigned { .. })));
        assert!(matches!(again.verify("text/plain", &keys), Err(EnvelopeError::PayloadType { .. })));
        let changed = Envelope { payload: STANDARD.encode("[]"), ..envelope };
        assert!(matches!(changed.verify(IN_TOTO, &keys), Err(EnvelopeError::NotSigned { .. })));
    }
}

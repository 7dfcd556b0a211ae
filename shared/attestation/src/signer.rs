//! The port for signing.

use async_trait::async_trait;

use crate::key::{LocalKey, PublicKey};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key's keeper did not answer; it may at the next attempt.
    #[error("the signing key {key} did not answer while {doing}: {message}")]
    Unavailable {
        /// The key, as the deployment names it.
        key: String,
        /// What was asked of it.
        doing: &'static str,
        /// What came instead.
        message: String,
    },
    /// The key can never sign: it is another kind of key, disabled, or not ours.
    #[error(
        "the signing key {key} cannot be used while {doing}: {message}; expected an ECC_NIST_P256 key for SIGN_VERIFY"
    )]
    Unusable {
        /// The key, as the deployment names it.
        key: String,
        /// What was asked of it.
        doing: &'static str,
        /// Why not.
        message: String,
    },
}

/// Somebody who signs with one ECDSA P-256 key.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The ASN.1 DER signature (ECDSA P-256 over SHA-256) of `message`. Two calls may give two signatures.
    ///
    /// # Errors
    /// [`SignError`].
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;

    /// The public half.
    ///
    /// # Errors
    /// [`SignError`].
    async fn public_key(&self) -> Result<PublicKey, SignError>;
}

#[async_trait]
impl Signer for LocalKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.sign_now(message).map_err(|e| SignError::Unusable {
            key: self.public().id().to_owned(),
            doing: "signing",
            message: e.to_string(),
        })
    }

    async fn public_key(&self) -> Result<PublicKey, SignError> {
        Ok(self.public().clone())
    }
}

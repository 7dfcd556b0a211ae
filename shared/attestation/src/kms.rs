//! Signing with a key in KMS (`ECC_NIST_P256`, `SIGN_VERIFY`): the private half never leaves it.

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::key::PublicKey;
use crate::signer::{SignError, Signer};

/// Errors of KMS that no later attempt cures.
const LASTING: [&str; 6] = [
    "NotFoundException",
    "DisabledException",
    "InvalidKeyUsageException",
    "InvalidArnException",
    "AccessDeniedException",
    "UnsupportedOperationException",
];

/// Signs with one key in KMS. Its public half is fetched once.
#[derive(Debug)]
pub struct KmsSigner {
    client: Client,
    key: String,
    public: OnceCell<PublicKey>,
}

impl KmsSigner {
    /// Signs with `key`: an id, ARN or alias.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, key: impl Into<String>) -> Self {
        Self { client: Client::new(config), key: key.into(), public: OnceCell::new() }
    }

    fn failure<E, R>(&self, doing: &'static str, error: SdkError<E, R>) -> SignError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let lasting = error.as_service_error().and_then(|e| e.code()).is_some_and(|c| LASTING.contains(&c));
        let (key, message) = (self.key.clone(), DisplayErrorContext(error).to_string());
        if lasting {
            SignError::Unusable { key, doing, message }
        } else {
            SignError::Unavailable { key, doing, message }
        }
    }

    fn unusable(&self, doing: &'static str, message: impl Into<String>) -> SignError {
        SignError::Unusable { key: self.key.clone(), doing, message: message.into() }
    }
}

#[async_trait]
impl Signer for KmsSigner {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        const DOING: &str = "signing";
        // KMS takes a message of at most 4,096 bytes; a digest of anything.
        let answer = self
            .client
            .sign()
            .key_id(&self.key)
            .message(Blob::new(Sha256::digest(message).to_vec()))
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await
            .map_err(|e| self.failure(DOING, e))?;
        let signature = answer.signature.ok_or_else(|| self.unusable(DOING, "it gave no signature"))?;
        Ok(signature.into_inner())
    }

    async fn public_key(&self) -> Result<PublicKey, SignError> {
        const DOING: &str = "reading its public half";
        let fetch = async || {
            let answer = self
                .client
                .get_public_key()
                .key_id(&self.key)
                .send()
                .await
                .map_err(|e| self.failure(DOING, e))?;
            let der = answer.public_key.ok_or_else(|| self.unusable(DOING, "it gave no public key"))?;
            PublicKey::from_der(der.as_ref()).map_err(|e| self.unusable(DOING, e.to_string()))
        };
        self.public.get_or_try_init(fetch).await.cloned()
    }
}

//! ECDSA P-256 keys: the one kind of key that Seatrial signs with.

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};
use sha2::{Digest as _, Sha256};

/// The SubjectPublicKeyInfo of an uncompressed P-256 point (RFC 5480): everything before the point itself.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Bytes that are not the key they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block of the kind is there.
    #[error("no {expected} was found in it: {found}; expected PEM text")]
    Pem {
        /// The label that should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// Not an ECDSA key on the curve P-256.
    #[error("it is not an ECDSA key on the curve P-256 (prime256v1)")]
    NotP256,
    /// The key could not be made or used.
    #[error("the key could not be used: {0}")]
    Unusable(String),
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// SubjectPublicKeyInfo, DER.
    der: Vec<u8>,
    id: String,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

impl PublicKey {
    /// The key of a SubjectPublicKeyInfo in DER, as KMS gives it.
    ///
    /// # Errors
    /// [`KeyError::NotP256`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        // One encoding only, so that one key has one id.
        if der.len() != SPKI_PREFIX.len() + 65 || !der.starts_with(&SPKI_PREFIX) {
            return Err(KeyError::NotP256);
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der).map_err(|_| KeyError::NotP256)?;
        Ok(Self { der: der.to_vec(), id: hex::encode(Sha256::digest(der)) })
    }

    /// The key of a PEM text with one block `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyError::Pem`], [`KeyError::NotP256`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_der(&block(text, &["PUBLIC KEY"], "PUBLIC KEY")?)
    }

    /// Its PEM text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("PUBLIC KEY", self.der.clone()), config)
    }

    /// SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its name: the SHA-256 of its DER form, in hexadecimal.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether `signature` (ASN.1 DER) is this key's over the SHA-256 of `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.der)
            .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

/// A key pair in memory: of tests, of a laptop, of a deployment that keeps its key elsewhere than in KMS.
pub struct LocalKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl std::fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalKey({})", self.public.id)
    }
}

impl LocalKey {
    /// A new key.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|e| KeyError::Unusable(e.to_string()))?;
        Self::of(pair)
    }

    /// The key of a PEM text, as `openssl genpkey` (`PRIVATE KEY`) or `openssl ecparam -genkey` (`EC PRIVATE KEY`) writes it.
    ///
    /// # Errors
    /// [`KeyError::Pem`], [`KeyError::NotP256`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = block(text, &["PRIVATE KEY", "EC PRIVATE KEY"], "PRIVATE KEY")?;
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der)
            .map_err(|_| KeyError::NotP256)?;
        Self::of(pair)
    }

    fn of(pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
            .map_err(|e| KeyError::Unusable(e.to_string()))?;
        let public = PublicKey::from_der(der.as_ref())?;
        Ok(Self { pair, public })
    }

    /// The private key as PEM text (`EC PRIVATE KEY`): whoever has it can sign.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let der = AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(&self.pair.private_key())
            .map_err(|e| KeyError::Unusable(e.to_string()))?;
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&pem::Pem::new("EC PRIVATE KEY", der.as_ref()), config))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The ASN.1 DER signature over the SHA-256 of `message`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign_now(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature =
            self.pair.sign(&SystemRandom::new(), message).map_err(|e| KeyError::Unusable(e.to_string()))?;
        Ok(signature.as_ref().to_vec())
    }
}

/// The first block of one of these labels: files of `openssl ecparam` have a block of parameters before it.
fn block(text: &str, labels: &[&str], expected: &'static str) -> Result<Vec<u8>, KeyError> {
    let blocks = pem::parse_many(text).map_err(|e| KeyError::Pem { expected, found: e.to_string() })?;
    let found = blocks.iter().map(|b| b.tag().to_owned()).collect::<Vec<_>>().join(", ");
    blocks.into_iter().find(|b| labels.contains(&b.tag())).map(pem::Pem::into_contents).ok_or(KeyError::Pem {
        expected,
        found: if found.is_empty() { "it has no PEM block".into() } else { format!("it has {found}") },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_what_it_writes_and_verifies_its_own_signatures_alone() {
        let key = LocalKey::generate().unwrap();
        let again = LocalKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        let public = PublicKey::from_pem(&key.public().to_pem()).unwrap();
        assert_eq!((&public, public.id().len()), (key.public(), 64));

        let signature = again.sign_now(b"a message").unwrap();
        assert!(public.verifies(b"a message", &signature));
        assert!(!public.verifies(b"another message", &signature));
        assert!(!public.verifies(b"a message", &signature[..signature.len() - 1]));
        assert!(!LocalKey::generate().unwrap().public().verifies(b"a message", &signature));
    }

    #[test]
    fn what_is_not_a_p256_key_is_refused_with_what_it_is() {
        let private = LocalKey::generate().unwrap().to_pem().unwrap();
        assert!(
            matches!(PublicKey::from_pem(&private), Err(KeyError::Pem { found, .. }) if found == "it has EC PRIVATE KEY")
        );
        assert!(matches!(PublicKey::from_pem("nothing"), Err(KeyError::Pem { .. })));
        assert_eq!(PublicKey::from_der(&[0x30, 0x59]), Err(KeyError::NotP256));
        let mut off_the_curve = LocalKey::generate().unwrap().public().der().to_vec();
        off_the_curve[40] ^= 1;
        assert_eq!(PublicKey::from_der(&off_the_curve), Err(KeyError::NotP256));
    }
}

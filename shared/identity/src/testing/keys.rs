//! Keys that sign tokens, honest and forged.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key pair of an issuer.
#[derive(Debug)]
pub struct SigningKey {
    id: String,
    algorithm: &'static str,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", part(header.to_string()), part(claims.to_string()))
}

impl SigningKey {
    /// A new P-256 key.
    #[must_use]
    pub fn es256(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { id: id.to_owned(), algorithm: "ES256", pair: Pair::Ec(pair) }
    }

    /// A new RSA key that signs as PKCS #1 1.5 asks (`RS256`).
    #[must_use]
    pub fn rs256(id: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        Self { id: id.to_owned(), algorithm: "RS256", pair: Pair::Rsa(Box::new(pair)) }
    }

    /// A new RSA key that signs with PSS (`PS256`).
    #[must_use]
    pub fn ps256(id: &str) -> Self {
        Self { algorithm: "PS256", ..Self::rs256(id) }
    }

    /// The public half, as a key set has it.
    #[must_use]
    pub fn public(&self) -> Value {
        match &self.pair {
            Pair::Ec(pair) => {
                // An uncompressed point: 4, then both coordinates.
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(32);
                json!({ "kty": "EC", "use": "sig", "crv": "P-256", "kid": self.id, "x": part(x), "y": part(y) })
            }
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "use": "sig", "kid": self.id, "n": part(public.n), "e": part(public.e) })
            }
        }
    }

    /// A token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({ "typ": "JWT", "alg": self.algorithm, "kid": self.id }), claims)
    }

    /// A token with this header, whatever it says.
    #[must_use]
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&message(header, claims))
    }

    /// A token with this text before the signature.
    #[must_use]
    pub fn sign_text(&self, message: &str) -> String {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, message.as_bytes()).expect("a signature").as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &dyn aws_lc_rs::signature::RsaEncoding =
                    if self.algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                pair.sign(padding, &random, message.as_bytes(), &mut signature).expect("a signature");
                signature
            }
        };
        format!("{message}.{}", part(signature))
    }
}

/// A token without a signature (`alg: none`), as forgers send it.
#[must_use]
pub fn sign_none(id: &str, claims: &Value) -> String {
    format!("{}.", message(&json!({ "alg": "none", "kid": id }), claims))
}

/// A token that is signed with a secret which everybody knows (`alg: HS256`), as forgers send it.
#[must_use]
pub fn sign_with_secret(id: &str, secret: &[u8], claims: &Value) -> String {
    let message = message(&json!({ "alg": "HS256", "kid": id }), claims);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    format!("{message}.{}", part(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
}

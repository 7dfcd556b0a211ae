//! Names and numbers that identify things. Each parses once, at the edge, and is valid from then on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that does not have the form it must have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found:?} is not valid: expected {expected}")]
pub struct InvalidId {
    /// What was being read, for example `model name`.
    pub what: &'static str,
    /// What was found, cut to a readable length.
    pub found: String,
    /// The form that was expected.
    pub expected: &'static str,
}

impl InvalidId {
    fn new(what: &'static str, found: &str, expected: &'static str) -> Self {
        Self { what, found: found.chars().take(80).collect(), expected }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the name.
            ///
            /// # Errors
            /// When it does not have the form that the type's documentation names.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId::new($what, text, $expected)) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

fn is_lower_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

text_id!(
    /// The name of a model: lower-case letters, digits and `-`, 1 to 63 characters, starting with a letter. It appears
    /// in S3 keys, table keys, URLs and execution names, so it is kept to what all of them take unescaped.
    ModelName, "model name", "lower-case letters, digits and '-', starting with a letter, at most 63 characters",
    |t| t.len() <= 63
        && t.starts_with(|c: char| c.is_ascii_lowercase())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

text_id!(
    /// The name of a promotion: `pr_` and 24 hexadecimal digits, made from what started it, so that the same event
    /// names the same promotion.
    PromotionId, "promotion id", "'pr_' and 24 hexadecimal digits",
    |t| t.strip_prefix("pr_").is_some_and(|h| is_lower_hex(h, 24))
);

text_id!(
    /// The name of a gate: `ga_` and 24 hexadecimal digits, made from promotion and kind.
    GateId, "gate id", "'ga_' and 24 hexadecimal digits",
    |t| t.strip_prefix("ga_").is_some_and(|h| is_lower_hex(h, 24))
);

text_id!(
    /// A SHA-256 in the OCI form `sha256:<64 lower-case hexadecimal digits>`.
    Digest, "digest", "'sha256:' and 64 lower-case hexadecimal digits",
    |t| t.strip_prefix("sha256:").is_some_and(|h| is_lower_hex(h, 64))
);

text_id!(
    /// The name of a submission below its model's folder: letters, digits, `.`, `_` and `-`, 1 to 100 characters, starting
    /// with a letter or a digit. Whoever submits chooses it.
    SubmissionId, "submission id", "1 to 100 letters, digits, '.', '_' and '-', starting with a letter or a digit",
    |t| t.len() <= 100
        && t.starts_with(|c: char| c.is_ascii_alphanumeric())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
);

impl Digest {
    /// The digest with these 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(format!("sha256:{}", hex::encode(bytes)))
    }

    /// The 64 hexadecimal digits, without `sha256:`.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl PromotionId {
    /// The promotion of `model` that `cause` starts, for the `attempt`-th time (from 1).
    ///
    /// `cause` names what is promoted and never who noticed it: the digest of a submission's listing, or of a version. So
    /// a repeated event names the same promotion, and a deliberate second run has the next attempt number.
    #[must_use]
    pub fn derive(model: &ModelName, cause: &str, attempt: u32) -> Self {
        let digest = crate::canonical::sha256(format!("promotion\n{model}\n{cause}\n{attempt}").as_bytes());
        Self(format!("pr_{}", &digest.hex()[..24]))
    }
}

impl GateId {
    /// The gate of `kind` in `promotion`; `round` counts deliberate re-openings.
    #[must_use]
    pub fn derive(promotion: &PromotionId, kind: &str, round: u32) -> Self {
        let digest = crate::canonical::sha256(format!("gate\n{promotion}\n{kind}\n{round}").as_bytes());
        Self(format!("ga_{}", &digest.hex()[..24]))
    }
}

/// A version's name for people, `v<n>` with n from 1. Machines use its [`Digest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionName(u32);

impl VersionName {
    /// The `n`-th version; `n` counts from 1, and 0 is taken for 1.
    #[must_use]
    pub const fn new(n: u32) -> Self {
        Self(if n == 0 { 1 } else { n })
    }

    /// The number in the name.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for VersionName {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.strip_prefix('v')
            .filter(|n| !n.starts_with('0') && n.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|n| n.parse().ok())
            .map(Self)
            .ok_or_else(|| InvalidId::new("version", text, "'v' and a number from 1, for example v3"))
    }
}

impl TryFrom<String> for VersionName {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<VersionName> for String {
    fn from(version: VersionName) -> Self {
        version.to_string()
    }
}

/// A version by both its names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VersionRef {
    /// For people.
    pub version: VersionName,
    /// For machines.
    pub digest: Digest,
}

/// Who did something, and how we know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The principal: an IAM role id or user ARN, an OIDC subject, an approver's address, or `function/<name>`.
    pub principal: String,
    /// How the principal was authenticated.
    pub auth: Auth,
}

impl Actor {
    /// One of the product's own functions.
    #[must_use]
    pub fn function(name: &str) -> Self {
        Self { principal: format!("function/{name}"), auth: Auth::System }
    }
}

/// Whether `principal` names an account and no person: what an S3 event knows of who wrote an object.
#[must_use]
pub fn is_anonymous(principal: &str) -> bool {
    principal.starts_with("account/")
}

impl Actor {
    /// Whether a person, or a program that a person answers for, was recognised: neither one of the product's own functions nor an
    /// account as such.
    #[must_use]
    pub fn is_person(&self) -> bool {
        self.auth != Auth::System && !is_anonymous(&self.principal)
    }
}

/// How a principal was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// AWS IAM, through an API's authorizer or the caller's own rights on the table.
    Iam,
    /// A verified bearer token or browser login of an OIDC issuer.
    Oidc,
    /// A single-use link sent to that person's own address.
    Link,
    /// One of the product's own functions, or an alarm.
    System,
    /// The fixed identity of an emulator that has no IAM. Never in a real account.
    Local,
}

impl Auth {
    /// The word in records and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Oidc => "oidc",
            Self::Link => "link",
            Self::System => "system",
            Self::Local => "local",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_would_break_keys_and_urls() {
        for good in ["a", "credit-risk", "m2"] {
            assert!(ModelName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "2m", "a/b", "a b", "a#b", "ä", &"a".repeat(64)] {
            assert!(ModelName::parse(bad).is_err(), "{bad}");
        }
        for bad in ["v0", "v01", "1", "v", "v-1", "v99999999999"] {
            assert!(bad.parse::<VersionName>().is_err(), "{bad}");
        }
        assert_eq!("v12".parse::<VersionName>().unwrap().number(), 12);
        for bad in ["", "..", "-a", "a/b", "a#b", "a b", &"a".repeat(101)] {
            assert!(SubmissionId::parse(bad).is_err(), "{bad}");
        }
        assert!(SubmissionId::parse("2026-11-21T10.00_b").is_ok());
    }

    #[test]
    fn the_same_cause_names_the_same_promotion_and_an_attempt_another() {
        let model = ModelName::parse("m").unwrap();
        let one = PromotionId::derive(&model, "etag", 1);
        assert_eq!(one, PromotionId::derive(&model, "etag", 1));
        assert_ne!(one, PromotionId::derive(&model, "etag", 2));
        assert!(PromotionId::parse(one.as_str()).is_ok());
        assert!(GateId::parse(GateId::derive(&one, "approval", 1).as_str()).is_ok());
    }
}

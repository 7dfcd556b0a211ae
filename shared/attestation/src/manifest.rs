//! The manifest: an in-toto Statement (v1) whose subjects are all evidence objects of one promotion.

use seatrial_domain::ids::{ModelName, PromotionId, VersionRef};
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use serde::{Deserialize, Serialize};

/// The type of every statement of ours.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// What a manifest is about.
pub const PROMOTION: &str = "https://seatrial.dev/attestation/promotion/v1";

/// The statement. <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `https://in-toto.io/Statement/v1`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The objects, sorted by name.
    pub subject: Vec<Subject>,
    /// What the statement is about.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The promotion in short.
    pub predicate: Predicate,
}

/// One evidence object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its key in the evidence bucket.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub digest: Sha256,
    /// Its S3 version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// A digest in in-toto's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sha256 {
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// The promotion in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predicate {
    /// The model.
    pub model: ModelName,
    /// The promotion.
    pub promotion: PromotionId,
    /// What was promoted.
    pub challenger: VersionRef,
    /// The champion it was compared with.
    pub champion: Option<VersionRef>,
    /// How it ended.
    pub status: PromotionStatus,
    /// Why, in one sentence.
    pub reason: Option<String>,
}

impl Manifest {
    /// The manifest of `promotion` over `subjects`.
    #[must_use]
    pub fn of(promotion: &PromotionRecord, mut subjects: Vec<Subject>) -> Self {
        subjects.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            kind: STATEMENT.into(),
            subject: subjects,
            predicate_type: PROMOTION.into(),
            predicate: Predicate {
                model: promotion.model.clone(),
                promotion: promotion.id.clone(),
                challenger: promotion.challenger.clone(),
                champion: promotion.champion.clone(),
                status: promotion.status,
                reason: promotion.reason.clone(),
            },
        }
    }
}

/// Whether a key is a manifest, or the signed envelope of one: it does not list itself.
#[must_use]
pub fn is_manifest(key: &str) -> bool {
    file_name(key).starts_with("manifest-")
}

/// The last part of a key.
#[must_use]
pub fn file_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

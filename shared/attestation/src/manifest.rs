//! The manifest: a statement whose subjects are all evidence objects of one promotion.

use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionRef};
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus, evidence_prefix};
use serde::{Deserialize, Serialize};

use crate::statement::{Sha256, Statement};

/// What a manifest says: [`Predicate`].
pub const PROMOTION: &str = "https://seatrial.dev/attestation/promotion/v1";

/// All evidence objects of one promotion, sorted by name.
pub type Manifest = Statement<Subject, Predicate>;

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
    /// How many days the data that reports rest on is kept, where the deployment says so: then it lapses by policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_days: Option<u32>,
}

impl Manifest {
    /// The manifest of `promotion` over `subjects`.
    #[must_use]
    pub fn of(promotion: &PromotionRecord, mut subjects: Vec<Subject>, data_days: Option<u32>) -> Self {
        subjects.sort_by(|a, b| a.name.cmp(&b.name));
        let predicate = Predicate {
            model: promotion.model.clone(),
            promotion: promotion.id.clone(),
            challenger: promotion.challenger.clone(),
            champion: promotion.champion.clone(),
            status: promotion.status,
            reason: promotion.reason.clone(),
            data_days,
        };
        Self::new(PROMOTION, subjects, predicate)
    }

    /// The folder of the promotion it is about; its own objects lie below it.
    #[must_use]
    pub fn folder(&self) -> String {
        evidence_prefix(&self.predicate.model, &self.predicate.promotion)
    }
}

/// The folder of the documents made of the evidence, below the promotion's.
pub const DOCUMENTS: &str = "documents/";

/// The name of the manifest with this digest, without an extension: `.json` is the manifest, `.dsse.json` the signed envelope.
#[must_use]
pub fn name(manifest: &Digest) -> String {
    format!("manifest-{}", &manifest.hex()[..16])
}

/// The path, below the promotion's folder, of a document made of the manifest with this digest. Over more evidence it is another
/// document.
#[must_use]
pub fn document_path(manifest: &Digest, file_name: &str) -> String {
    format!("{DOCUMENTS}{}/{file_name}", &manifest.hex()[..16])
}

/// Whether a path below the promotion's folder is a manifest's, or the signed envelope's of one: it does not list itself.
#[must_use]
pub fn is_manifest(path: &str) -> bool {
    path.starts_with("manifest-")
}

/// Whether a path below the promotion's folder is made of the manifest and what it lists, and so cannot be listed by it.
#[must_use]
pub fn is_made_of_it(path: &str) -> bool {
    is_manifest(path) || path.starts_with(DOCUMENTS)
}

//! What a package says of itself, as the registry keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::flat::Flat;
use crate::ids::Digest;

/// The facts of a package that people and functions need without opening it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageSummary {
    /// How the version is run, for example `onnx`.
    pub runtime: String,
    /// The task it solves, for example `binary`.
    pub task: String,
    /// The name people gave it in `config.yaml`, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Total size of all blobs in bytes.
    pub size: u64,
    /// The blobs by their path in the submission.
    pub files: BTreeMap<String, Blob>,
    /// Labels: dependencies, training data hash, model card digest, source.
    pub labels: BTreeMap<String, String>,
    /// The first section of `CHANGELOG.md`, cut to 2,000 characters. Submitter's text: data, never markup.
    pub changelog: String,
    /// What `config.yaml` sets, defaults included, to lay beside another version's. Empty for a version that was packaged
    /// before this was kept. Submitter's text: data, never markup.
    #[serde(default, skip_serializing_if = "Flat::is_empty")]
    pub config: Flat,
}

/// The names of the labels a package carries.
pub mod label {
    /// Before the name of a dependency; the value is its version.
    pub const DEPENDENCY: &str = "seatrial.dependency.";
    /// The SHA-256 of `data_manifest.txt`, which lists what the model was trained on.
    pub const TRAINING_DATA: &str = "seatrial.training-data.digest";
    /// How many files that list has.
    pub const TRAINING_DATA_FILES: &str = "seatrial.training-data.files";
    /// The SHA-256 of `model_card.md`, if there is one.
    pub const MODEL_CARD: &str = "seatrial.model-card.digest";
    /// The SHA-256 of `reference.parquet`, if there is one.
    pub const REFERENCE: &str = "seatrial.reference.digest";
    /// How the version is run.
    pub const RUNTIME: &str = "seatrial.runtime";
    /// The task it solves.
    pub const TASK: &str = "seatrial.task";
    /// The name people gave it.
    pub const TITLE: &str = "seatrial.title";
    /// The published version of the owner's Lambda function that serves it.
    pub const LAMBDA_VERSION: &str = "seatrial.serving.lambda-version";
    /// The production variant of the owner's SageMaker endpoint that serves it.
    pub const VARIANT: &str = "seatrial.serving.variant";
}

/// The sample of the training data, by its path in the submission.
pub const REFERENCE: &str = "reference.parquet";

impl PackageSummary {
    /// Whether it brings a sample of its training data.
    #[must_use]
    pub fn has_reference(&self) -> bool {
        self.files.contains_key(REFERENCE)
    }
}

/// One content-addressed file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its SHA-256, which is also its name under `blobs/sha256/`.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

//! Is this evidence what was signed? Answered from bytes and public keys alone: no account, no clock, no network.

mod chain;
mod data;
mod decided;
mod folders;
mod objects;
mod parts;
mod signed;

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::ModelName;
use serde::Serialize;

use crate::key::PublicKey;
use crate::manifest::Manifest;

pub use data::{Input, inputs};
pub use folders::{Collection, Folder, collect};
pub use signed::read_manifest;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is what was signed.
    Holds,
    /// It is gone, as the signed policy said it would be; its digest stays.
    ExpiredByPolicy,
    /// It could not be checked with what is here; why is said.
    NotChecked,
    /// It contradicts something else that was signed.
    Contradicts,
    /// It was not signed, yet lies among what was.
    Unlisted,
    /// It was signed, and is not here.
    Missing,
    /// It is here, and is not what was signed.
    Changed,
    /// No signature of a given key covers it.
    NotSigned,
}

impl Standing {
    /// Whether it leaves a doubt.
    #[must_use]
    pub const fn is_doubt(self) -> bool {
        !matches!(self, Self::Holds | Self::ExpiredByPolicy | Self::NotChecked)
    }

    /// The words for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::ExpiredByPolicy => "expired by policy",
            Self::NotChecked => "not checked",
            Self::Contradicts => "contradicts",
            Self::Unlisted => "unlisted",
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::NotSigned => "not signed",
        }
    }
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The thing: a file's name, or what is compared.
    pub what: String,
    /// How it stands.
    pub standing: Standing,
    /// Why, in one sentence.
    pub why: String,
}

impl Finding {
    /// What was found about `what`.
    #[must_use]
    pub fn new(what: impl Into<String>, standing: Standing, why: impl Into<String>) -> Self {
        Self { what: what.into(), standing, why: why.into() }
    }
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// What was signed, if a signed manifest is there.
    pub manifest: Option<Manifest>,
    /// The id of the key that signed it.
    pub signed_by: Option<String>,
    /// One finding a thing, in the order they were looked at.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// The gravest doubt, if there is any; of several the first.
    #[must_use]
    pub fn doubt(&self) -> Option<&Finding> {
        // The last of the greatest is what `max_by_key` gives.
        self.findings.iter().rev().filter(|f| f.standing.is_doubt()).max_by_key(|f| f.standing)
    }
}

/// The files of one promotion's evidence, and the checkpoints of its model.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// What lies in the promotion's folder, by its path from there.
    pub evidence: BTreeMap<String, Vec<u8>>,
    /// Signed checkpoints, where they are at hand.
    pub checkpoints: BTreeMap<String, Vec<u8>>,
    /// Whether only some of the evidence is here on purpose, as in a document that leaves large objects out: what is missing is
    /// then not checked, instead of missing.
    pub partial: bool,
    /// What is known of the data that reports rest on.
    pub data: Data,
}

/// What is known of the data that reports rest on. It lies in a bucket of its own.
#[derive(Debug, Clone, Default)]
pub enum Data {
    /// Nobody asks about it.
    #[default]
    NotAsked,
    /// It was not looked at.
    Elsewhere {
        /// When that is: what has lapsed by then is known without looking.
        now: Timestamp,
    },
    /// It was looked at.
    Found {
        /// When.
        now: Timestamp,
        /// The SHA-256 of what is there, in hexadecimal, by its key.
        digests: BTreeMap<String, String>,
    },
}

/// Verifies the evidence of one promotion: the manifest's signature, every object it lists, that nothing lies beside them,
/// that the parts agree with each other, and that the history is whole and ends where checkpoints say.
#[must_use]
pub fn verify(files: &Files, keys: &[PublicKey]) -> Verification {
    let mut findings = Vec::new();
    let signed = signed::manifest(files, keys, &mut findings);
    let Some((manifest, signed_by)) = signed else {
        return Verification { manifest: None, signed_by: None, findings };
    };
    objects::check(&manifest, files, &mut findings);
    let parts = parts::Parts::read(&manifest, files, &mut findings);
    decided::check(&manifest, &parts, files.partial, &mut findings);
    data::check(&manifest, &parts.inputs, &files.data, &mut findings);
    let model = &manifest.predicate.model;
    findings.extend(chain::check(model, &parts.histories, &files.checkpoints, keys));
    Verification { manifest: Some(manifest), signed_by: Some(signed_by), findings }
}

/// Verifies a history and the checkpoints it should agree with.
#[must_use]
pub fn history(
    model: &ModelName,
    entries: Vec<HistoryEntry>,
    checkpoints: &BTreeMap<String, Vec<u8>>,
    keys: &[PublicKey],
) -> Vec<Finding> {
    chain::check(model, &[entries], checkpoints, keys)
}

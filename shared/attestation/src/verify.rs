//! Is this evidence what was signed? Answered from bytes and public keys alone: no account, no clock, no network.

mod chain;
mod decided;
mod objects;
mod parts;

use std::collections::BTreeMap;

use seatrial_domain::canonical;
use serde::Serialize;

use crate::dsse::{Envelope, IN_TOTO};
use crate::key::PublicKey;
use crate::manifest::{Manifest, PROMOTION, is_manifest};

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is what was signed.
    Holds,
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
        !matches!(self, Self::Holds | Self::NotChecked)
    }

    /// The words for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
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
    /// What was found.
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
}

/// Verifies the evidence of one promotion: the manifest's signature, every object it lists, that nothing lies beside them,
/// that the parts agree with each other, and that the history is whole and ends where checkpoints say.
#[must_use]
pub fn verify(files: &Files, keys: &[PublicKey]) -> Verification {
    let mut findings = Vec::new();
    let signed = manifest(files, keys, &mut findings);
    let Some((manifest, signed_by)) = signed else {
        return Verification { manifest: None, signed_by: None, findings };
    };
    objects::check(&manifest, files, &mut findings);
    let parts = parts::Parts::read(&manifest, files, &mut findings);
    decided::check(&manifest, &parts, files.partial, &mut findings);
    let model = &manifest.predicate.model;
    findings.extend(chain::check(model, &parts.histories, &files.checkpoints, keys));
    Verification { manifest: Some(manifest), signed_by: Some(signed_by), findings }
}

/// The one signed manifest, or what stands in its way.
fn manifest(files: &Files, keys: &[PublicKey], findings: &mut Vec<Finding>) -> Option<(Manifest, String)> {
    let envelopes: Vec<_> =
        files.evidence.iter().filter(|(name, _)| is_manifest(name) && name.ends_with(".dsse.json")).collect();
    let [(name, bytes)] = envelopes.as_slice() else {
        let why = if envelopes.is_empty() {
            "no signed manifest (manifest-….dsse.json) is here; nothing else can be trusted without it"
                .to_owned()
        } else {
            let names: Vec<_> = envelopes.iter().map(|(n, _)| n.as_str()).collect();
            format!("there are {}; one promotion has one", names.join(" and "))
        };
        findings.push(Finding::new("manifest", Standing::NotSigned, why));
        return None;
    };
    match read_manifest(bytes, keys) {
        Ok((manifest, payload, key)) => {
            let hex = canonical::sha256(&payload);
            let plain = format!("manifest-{}.json", &hex.hex()[..16]);
            findings.push(Finding::new(
                name.as_str(),
                Standing::Holds,
                format!("signed by key {key}, lists {} objects", manifest.subject.len()),
            ));
            for (other, bytes) in
                files.evidence.iter().filter(|(n, _)| is_manifest(n) && !n.ends_with(".dsse.json"))
            {
                findings.push(if *other == plain && **bytes == *payload {
                    Finding::new(other, Standing::Holds, "it is what the envelope signs")
                } else {
                    Finding::new(other, Standing::Changed, format!("it is not what {name} signs"))
                });
            }
            Some((manifest, key))
        }
        Err(why) => {
            findings.push(Finding::new(name.as_str(), Standing::NotSigned, why));
            None
        }
    }
}

/// The manifest of a signed envelope, its bytes, and the id of the key that signed it.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn read_manifest(bytes: &[u8], keys: &[PublicKey]) -> Result<(Manifest, Vec<u8>, String), String> {
    let envelope = Envelope::parse(bytes).map_err(|e| e.to_string())?;
    let (payload, key) = envelope.verify(IN_TOTO, keys).map_err(|e| e.to_string())?;
    let manifest: Manifest = serde_json::from_slice(&payload)
        .map_err(|e| format!("what it signs is not a promotion's manifest: {e}"))?;
    manifest.is_of(PROMOTION).map_err(|e| e.to_string())?;
    let folder = manifest.folder();
    if let Some(foreign) = manifest.subject.iter().find(|s| !s.name.starts_with(&folder)) {
        return Err(format!("it lists {}, which is not in the promotion's folder {folder}", foreign.name));
    }
    Ok((manifest, payload, key.id().to_owned()))
}

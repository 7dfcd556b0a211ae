//! The signed manifest that everything else hangs on.
//!
//! There can be several: attesting that was broken off and done again, with the history grown in between, leaves an earlier one that
//! lists less. The fullest counts, and each other must be a part of it.

use seatrial_domain::canonical;

use super::{Files, Finding, Standing};
use crate::dsse::{Envelope, IN_TOTO};
use crate::key::PublicKey;
use crate::manifest::{self, Manifest, PROMOTION, is_manifest};

/// What the names of signed manifests end with.
const ENVELOPE: &str = ".dsse.json";

/// A manifest that a given key signed.
struct Signed<'f> {
    path: &'f str,
    manifest: Manifest,
    payload: Vec<u8>,
    key: String,
}

/// The manifest that counts and the key that signed it; or nothing, and why.
pub(super) fn manifest(
    files: &Files,
    keys: &[PublicKey],
    findings: &mut Vec<Finding>,
) -> Option<(Manifest, String)> {
    let mut signed = Vec::new();
    let mut unsigned = Vec::new();
    for (path, bytes) in files.evidence.iter().filter(|(p, _)| is_manifest(p) && p.ends_with(ENVELOPE)) {
        match read_manifest(bytes, keys) {
            Ok((manifest, payload, key)) => signed.push(Signed { path, manifest, payload, key }),
            Err(why) => unsigned.push(Finding::new(path, Standing::NotSigned, why)),
        }
    }
    if signed.is_empty() && unsigned.is_empty() {
        let why = "no signed manifest (manifest-….dsse.json) is here; nothing else can be trusted without it";
        unsigned.push(Finding::new("manifest", Standing::NotSigned, why));
    }
    findings.append(&mut unsigned);
    signed.sort_by_key(|s| s.manifest.subject.len());
    let fullest = signed.last()?;
    for one in signed.iter().rev() {
        findings.push(one.within(fullest));
    }
    for (path, bytes) in files.evidence.iter().filter(|(p, _)| is_manifest(p) && !p.ends_with(ENVELOPE)) {
        let as_signed = signed.iter().any(|s| s.plain() == *path && s.payload == **bytes);
        findings.push(if as_signed {
            Finding::new(path, Standing::Holds, "it is what the envelope signs")
        } else {
            Finding::new(path, Standing::Changed, "no envelope here that holds signs these bytes")
        });
    }
    let counts = signed.pop()?;
    Some((counts.manifest, counts.key))
}

impl Signed<'_> {
    /// The path of the same manifest without its signature.
    fn plain(&self) -> String {
        format!("{}.json", manifest::name(&canonical::sha256(&self.payload)))
    }

    /// How it stands beside the fullest.
    fn within(&self, fullest: &Self) -> Finding {
        let (key, count) = (&self.key, self.manifest.subject.len());
        if self.payload == fullest.payload {
            let why = format!("signed by key {key}, lists {count} objects");
            return Finding::new(self.path, Standing::Holds, why);
        }
        let listed = |s| fullest.manifest.subject.contains(s);
        if self.manifest.predicate == fullest.manifest.predicate && self.manifest.subject.iter().all(listed) {
            let why = format!("an earlier one, signed by key {key}; all it lists is in {}", fullest.path);
            Finding::new(self.path, Standing::Holds, why)
        } else {
            let why = format!("it is signed by key {key} and says otherwise than {}", fullest.path);
            Finding::new(self.path, Standing::Contradicts, why)
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

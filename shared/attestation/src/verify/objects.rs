//! Every object the manifest lists, and nothing beside them.

use seatrial_domain::canonical;

use super::{Files, Finding, Standing};
use crate::manifest::{Manifest, file_name, is_manifest};

/// What lies beside the evidence by design: the document made of it, and its seal.
fn is_document(name: &str) -> bool {
    name.starts_with("promotion_") && (name.ends_with("_audit.pdf") || name.ends_with("_audit.pdf.dsse.json"))
}

pub(super) fn check(manifest: &Manifest, files: &Files, findings: &mut Vec<Finding>) {
    for subject in &manifest.subject {
        let name = file_name(&subject.name);
        findings.push(match files.evidence.get(name) {
            None if files.partial => Finding::new(
                name,
                Standing::NotChecked,
                "it is not in this document; fetch it from the evidence bucket",
            ),
            None => Finding::new(name, Standing::Missing, "the signed manifest lists it"),
            Some(bytes) => {
                let (size, digest) = (bytes.len() as u64, canonical::sha256(bytes));
                if (size, digest.hex()) == (subject.size, subject.digest.sha256.as_str()) {
                    Finding::new(name, Standing::Holds, format!("{size} bytes, {digest}"))
                } else {
                    let why = format!(
                        "it has {size} bytes and {digest}; signed were {} bytes and sha256:{}",
                        subject.size, subject.digest.sha256
                    );
                    Finding::new(name, Standing::Changed, why)
                }
            }
        });
    }
    let listed = |name: &str| manifest.subject.iter().any(|s| file_name(&s.name) == name);
    for name in files.evidence.keys().filter(|n| !listed(n) && !is_manifest(n) && !is_document(n)) {
        findings.push(Finding::new(name, Standing::Unlisted, "the signed manifest does not list it"));
    }
}

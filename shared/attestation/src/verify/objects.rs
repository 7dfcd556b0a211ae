//! Every object the manifest lists, and nothing beside them.

use std::collections::BTreeSet;

use seatrial_domain::canonical;

use super::{Files, Finding, Standing};
use crate::manifest::{Manifest, is_made_of_it};

pub(super) fn check(manifest: &Manifest, files: &Files, findings: &mut Vec<Finding>) {
    let folder = manifest.folder();
    let mut listed = BTreeSet::new();
    for subject in &manifest.subject {
        let path = subject.name.strip_prefix(&folder).unwrap_or(&subject.name);
        listed.insert(path);
        findings.push(match files.evidence.get(path) {
            None if files.partial => Finding::new(
                path,
                Standing::NotChecked,
                "it is not in this document; fetch it from the evidence bucket",
            ),
            None => Finding::new(path, Standing::Missing, "the signed manifest lists it"),
            Some(bytes) => {
                let (size, digest) = (bytes.len() as u64, canonical::sha256(bytes));
                if (size, digest.hex()) == (subject.size, subject.digest.sha256.as_str()) {
                    Finding::new(path, Standing::Holds, format!("{size} bytes, {digest}"))
                } else {
                    let why = format!(
                        "it has {size} bytes and {digest}; signed were {} bytes and sha256:{}",
                        subject.size, subject.digest.sha256
                    );
                    Finding::new(path, Standing::Changed, why)
                }
            }
        });
    }
    for path in files.evidence.keys().filter(|p| !listed.contains(p.as_str()) && !is_made_of_it(p)) {
        findings.push(Finding::new(path, Standing::Unlisted, "the signed manifest does not list it"));
    }
}

//! Signed files, and how others differ from them.

use std::collections::BTreeMap;
use std::fmt;

use seatrial_domain::Digest;

use super::Files;

/// How many paths of each kind a message names.
const NAMED: usize = 10;

/// What a signature says, once it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedFiles {
    /// What the signer called them. It says nothing about the files.
    pub name: String,
    /// The SHA-256 over the digests of all files, as listed.
    pub root: Digest,
    /// Every file.
    pub files: Files,
    /// The [`PublicKey::id`](crate::PublicKey::id) of the key that signed.
    pub key: String,
}

impl SignedFiles {
    /// Whether `files` are the signed ones: all of them, unchanged, and none besides.
    ///
    /// # Errors
    /// [`Differences`].
    pub fn check(&self, files: &Files) -> Result<(), Differences> {
        let mut differ = Differences::default();
        for (path, signed) in &self.files {
            match files.get(path) {
                Some(found) if found == signed => {}
                Some(found) => {
                    differ.changed.insert(path.clone(), (signed.clone(), found.clone()));
                }
                None => differ.missing.push(path.clone()),
            }
        }
        differ.extra = files.keys().filter(|path| !self.files.contains_key(*path)).cloned().collect();
        if differ == Differences::default() { Ok(()) } else { Err(differ) }
    }
}

/// Files that are not the signed ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Other bytes than the signed ones: the signed digest, and the found one.
    pub changed: BTreeMap<String, (Digest, Digest)>,
    /// Signed, and not there.
    pub missing: Vec<String>,
    /// There, and not signed.
    pub extra: Vec<String>,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = self
            .changed
            .iter()
            .map(|(path, (signed, found))| {
                format!("{path} (signed {}…, found {}…)", signed.short(), found.short())
            })
            .collect();
        let kinds = [
            ("changed since they were signed", changed),
            ("signed but missing", self.missing.clone()),
            ("there but not signed", self.extra.clone()),
        ];
        let told: Vec<String> = kinds
            .iter()
            .filter(|(_, paths)| !paths.is_empty())
            .map(|(what, paths)| tell(what, paths))
            .collect();
        f.write_str(&told.join("; "))
    }
}

impl std::error::Error for Differences {}

fn tell(what: &str, paths: &[String]) -> String {
    let named = paths.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => format!("{what}: {named}"),
        more => format!("{what}: {named} and {more} more"),
    }
}

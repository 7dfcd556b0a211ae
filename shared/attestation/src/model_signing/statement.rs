//! The in-toto statement about a model's files.

use std::collections::BTreeMap;

use seatrial_domain::Digest;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{BundleError, Files, SignedFiles};
use crate::key::PublicKey;
use crate::statement;

const PREDICATE: &str = "https://model_signing/signature/v1.0";
const SHA256: &str = "sha256";
const METHOD: &str = "files";

pub(super) type Statement = statement::Statement<Subject, Predicate>;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Predicate {
    resources: Vec<Resource>,
    serialization: Serialization,
}

#[derive(Debug, Serialize, Deserialize)]
struct Resource {
    algorithm: String,
    digest: String,
    name: String,
}

/// How the files became resources. `ignore_paths` is not read: whatever was ignored is not signed.
#[derive(Debug, Serialize, Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
}

/// The statement that `files` are the package `name`.
pub(super) fn of(files: &Files, name: &str) -> Result<Statement, String> {
    if files.is_empty() {
        return Err("there is none; expected at least one".to_owned());
    }
    if let Some((path, why)) = files.keys().find_map(|path| Some((path, bad_path(path)?))) {
        return Err(format!("{path:?} {why}"));
    }
    let mut sorted: Vec<_> = files.iter().collect();
    // By their parts: other implementations compare paths, and not texts.
    sorted.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
    let resources: Vec<Resource> = sorted
        .into_iter()
        .map(|(path, digest)| Resource {
            algorithm: SHA256.to_owned(),
            digest: digest.hex().to_owned(),
            name: path.clone(),
        })
        .collect();
    let root = root(resources.iter().map(|r| r.digest.as_str())).ok_or("a digest is not hexadecimal")?;
    let digest = BTreeMap::from([(SHA256.to_owned(), root.hex().to_owned())]);
    let subject = Subject { name: name.to_owned(), digest };
    let serialization =
        Serialization { method: METHOD.to_owned(), hash_type: SHA256.to_owned(), allow_symlinks: false };
    Ok(Statement::new(PREDICATE, vec![subject], Predicate { resources, serialization }))
}

/// The files that a signed payload names.
pub(super) fn read(payload: &[u8], key: &PublicKey) -> Result<SignedFiles, BundleError> {
    let unreadable = |e: serde_json::Error| BundleError::Statement(e.to_string());
    // Its types first: another kind of statement has another rest.
    let kind: statement::Statement<IgnoredAny, IgnoredAny> =
        serde_json::from_slice(payload).map_err(unreadable)?;
    kind.is_of(PREDICATE)?;
    let found: Statement = serde_json::from_slice(payload).map_err(unreadable)?;
    only("method of serialization", &found.predicate.serialization.method, METHOD)?;
    only("kind of digest", &found.predicate.serialization.hash_type, SHA256)?;
    let [subject] = found.subject.as_slice() else {
        return Err(BundleError::Statement(format!("it has {} subjects; expected one", found.subject.len())));
    };
    let files = files(&found.predicate.resources)?;
    let said = subject.digest.get(SHA256).map_or("nothing", String::as_str);
    let root = root(found.predicate.resources.iter().map(|r| r.digest.as_str()));
    match root {
        Some(root) if root.hex() == said => {
            Ok(SignedFiles { name: subject.name.clone(), root, files, key: key.id().to_owned() })
        }
        _ => Err(BundleError::Statement(format!(
            "its subject's sha256 is {said}; its resources give {}",
            root.as_ref().map_or("none", Digest::hex)
        ))),
    }
}

fn files(resources: &[Resource]) -> Result<Files, BundleError> {
    let mut files = Files::new();
    for Resource { algorithm, digest, name } in resources {
        only("kind of digest", algorithm, SHA256)?;
        if let Some(why) = bad_path(name) {
            return Err(BundleError::Statement(format!("the resource {name:?} {why}")));
        }
        let digest = Digest::parse(&format!("{SHA256}:{digest}"))
            .map_err(|e| BundleError::Statement(format!("the digest of {name:?}: {e}")))?;
        if files.insert(name.clone(), digest).is_some() {
            return Err(BundleError::Statement(format!("the resource {name:?} is there twice")));
        }
    }
    if files.is_empty() {
        return Err(BundleError::Statement("it names no file".to_owned()));
    }
    Ok(files)
}

fn only(what: &'static str, found: &str, expected: &str) -> Result<(), BundleError> {
    if found == expected {
        return Ok(());
    }
    Err(BundleError::Unsupported { what, found: found.to_owned(), expected: expected.to_owned() })
}

/// The SHA-256 over all digests, one after the other as they are listed.
fn root<'r>(digests: impl Iterator<Item = &'r str>) -> Option<Digest> {
    let mut hasher = Sha256::new();
    for digest in digests {
        hasher.update(hex::decode(digest).ok()?);
    }
    Some(Digest::from_bytes(hasher.finalize().into()))
}

/// One file has one path: other spellings of it are none.
fn bad_path(path: &str) -> Option<&'static str> {
    let bad = path.split('/').any(|part| matches!(part, "" | "." | ".."));
    bad.then_some("is not a path from the package's root, such as weights/model.onnx")
}

//! Evidence: immutable objects that decisions rest on, each named by what it is and by its SHA-256.

use bytes::Bytes;
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::Digest;
use seatrial_domain::promotion::EvidenceRef;

use crate::package::ReadError;
use crate::package::get_verified;
use crate::store::{Hasher, ObjectMeta, ObjectStore, StoreError};

/// Writes a JSON document as `<prefix>/<kind>-<first 16 digits of its SHA-256>.json`, once.
///
/// # Errors
/// [`StoreError::Corrupt`] when something else is under that name.
pub async fn put_evidence(
    store: &dyn ObjectStore,
    prefix: &str,
    kind: &str,
    bytes: Bytes,
) -> Result<EvidenceRef, StoreError> {
    put_evidence_as(store, prefix, kind, "json", "application/json", bytes).await
}

/// Writes evidence of another form: the same with this extension and content type.
///
/// # Errors
/// As [`put_evidence`].
pub async fn put_evidence_as(
    store: &dyn ObjectStore,
    prefix: &str,
    kind: &str,
    extension: &str,
    content_type: &str,
    bytes: Bytes,
) -> Result<EvidenceRef, StoreError> {
    let digest = sha256(&bytes);
    let key = format!("{}/{kind}-{}.{extension}", prefix.trim_end_matches('/'), &digest.hex()[..16]);
    let limit = bytes.len() as u64;
    if !store.put_if_absent(&key, bytes, content_type).await? {
        match get_verified(store, &key, &digest, limit).await {
            Ok(_) => {}
            Err(ReadError::Store(e)) => return Err(e),
            // Gone between two calls: under Object Lock it cannot be; elsewhere the next attempt writes it.
            Err(_) => return Err(StoreError::Changed { bucket: store.bucket().to_owned(), key }),
        }
    }
    Ok(EvidenceRef { key, digest })
}

/// The bytes of an evidence object, if they are still the ones it is named for.
///
/// # Errors
/// [`ReadError::Missing`]; [`StoreError::Corrupt`]; [`StoreError::TooLarge`] beyond `limit` bytes.
pub async fn get_evidence(
    store: &dyn ObjectStore,
    evidence: &EvidenceRef,
    limit: u64,
) -> Result<Bytes, ReadError> {
    get_verified(store, &evidence.key, &evidence.digest, limit).await
}

/// An object of a folder of evidence, as it lies there.
#[derive(Debug, Clone)]
pub struct Found {
    /// The object, with the version whose bytes were read.
    pub meta: ObjectMeta,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// Its bytes, where they were asked for.
    pub bytes: Option<Bytes>,
}

/// Reads and hashes every object whose key begins with `prefix`; keeps the bytes of those of at most `whole` bytes.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Changed`] when one vanished while it was read.
pub async fn read_folder(
    store: &dyn ObjectStore,
    prefix: &str,
    whole: u64,
) -> Result<Vec<Found>, StoreError> {
    let mut all = Vec::new();
    for listed in store.list(prefix).await? {
        let changed = || StoreError::Changed { bucket: store.bucket().to_owned(), key: listed.key.clone() };
        if listed.size <= whole {
            // A listing names no versions: the one whose bytes are hashed is the one that is read here.
            let (meta, bytes) = store.get_versioned(&listed.key, whole).await?.ok_or_else(changed)?;
            all.push(Found { meta, digest: sha256(&bytes), bytes: Some(bytes) });
        } else {
            let meta = store.head(&listed.key).await?.ok_or_else(changed)?;
            let mut chunks = store.get_stream(&meta).await?;
            let mut hasher = Hasher::default();
            while let Some(chunk) = chunks.next().await? {
                hasher.update(&chunk);
            }
            all.push(Found { meta, digest: hasher.finish().0, bytes: None });
        }
    }
    Ok(all)
}

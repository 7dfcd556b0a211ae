//! Evidence: immutable objects that decisions rest on, each named by what it is and by its SHA-256.

use bytes::Bytes;
use seatrial_domain::canonical::sha256;
use seatrial_domain::promotion::EvidenceRef;

use crate::package::ReadError;
use crate::package::get_verified;
use crate::store::{ObjectStore, StoreError};

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

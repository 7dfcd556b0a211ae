//! Reads versions back. Nothing is given out whose SHA-256 is not the one it was asked for by, and no version is loaded that
//! the deployment's key did not sign.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::VersionRef;
use seatrial_domain::{Digest, ModelName};
use tokio::fs;

use super::signature::{Subject, Trust};
use super::{Manifest, blob_key};
use crate::store::{Hasher, ObjectStore, StoreError, get_to_file};

/// The largest manifest that is read.
pub(super) const MAX_MANIFEST: u64 = 4 << 20;

/// Why something could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("s3://{bucket}/{key} does not exist")]
    Missing {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// The manifest is none.
    #[error("{digest} is not the manifest of a version: {why}")]
    Invalid {
        /// The manifest.
        digest: Digest,
        /// Why not.
        why: String,
    },
    /// The version has no signature.
    #[error(
        "{version} of model {model} is not signed: {at} does not exist, and nothing is loaded without the deployment's signature. A version from before there were signatures is signed by `seatrial promote {model} {version}`, a champion by the promotion of any other version"
    )]
    NotSigned {
        /// The model.
        model: ModelName,
        /// The version.
        version: String,
        /// Where the signature should be.
        at: String,
    },
    /// The version has a signature, and it is not the deployment's over these files.
    #[error(
        "the signature of {version} of model {model} does not hold: {why}. Find out who changed the models bucket or the registry before anything else; if the deployment's signing key was replaced, remove {at} and run `seatrial promote {model} {version}`"
    )]
    SignatureDoesNotHold {
        /// The model.
        model: ModelName,
        /// The version.
        version: String,
        /// Where the signature is.
        at: String,
        /// What differs.
        why: String,
    },
    /// The store did not give it, or gave other bytes.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadError {
    /// Whether trying the same again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Store(e) if e.is_transient())
    }
}

/// The object at `key`, whole, if its SHA-256 is `digest`.
///
/// # Errors
/// [`ReadError::Missing`]; [`StoreError::Corrupt`] when it holds other bytes.
pub(crate) async fn get_verified(
    store: &dyn ObjectStore,
    key: &str,
    digest: &Digest,
    limit: u64,
) -> Result<Bytes, ReadError> {
    let bytes = store.get(key, limit).await?.ok_or_else(|| missing(store, key))?;
    verify(store, key, digest, &sha256(&bytes))?;
    Ok(bytes)
}

/// The manifest of the version with this digest.
///
/// # Errors
/// As for every read here: missing, corrupt, or the store's failure.
pub async fn load_version(
    store: &dyn ObjectStore,
    model: &ModelName,
    digest: &Digest,
) -> Result<Manifest, ReadError> {
    let bytes = get_verified(store, &blob_key(model, digest), digest, MAX_MANIFEST).await?;
    Manifest::parse(digest, &bytes)
}

/// One file of a version, such as `model_card.md`, whole.
///
/// # Errors
/// [`ReadError::Missing`] when the version has no such file; [`StoreError::TooLarge`].
pub async fn read_file(
    store: &dyn ObjectStore,
    model: &ModelName,
    manifest: &Manifest,
    path: &str,
    limit: u64,
) -> Result<Bytes, ReadError> {
    let blob = manifest
        .files
        .get(path)
        .ok_or_else(|| missing(store, &format!("{model}@{}/{path}", manifest.digest)))?;
    get_verified(store, &blob_key(model, &blob.digest), &blob.digest, limit).await
}

/// Puts all files of a version into `<root>/<hex of digest>/` and gives that folder, if the version's signature holds for
/// its files. It appears whole or not at all; one that is there already is used as it is, once the signature is checked
/// again: `root` must be a folder that nobody else writes to.
///
/// # Errors
/// [`ReadError::NotSigned`] and [`ReadError::SignatureDoesNotHold`]; as for every read here; and [`StoreError::File`].
pub async fn fetch_version(
    store: &dyn ObjectStore,
    model: &ModelName,
    version: &VersionRef,
    root: &Path,
    trust: &Trust,
) -> Result<PathBuf, ReadError> {
    let folder = root.join(version.digest.hex());
    if *trust == Trust::Unchecked && exists(&folder).await {
        return Ok(folder);
    }
    let manifest = load_version(store, model, &version.digest).await?;
    if let Trust::Keys(keys) = trust {
        let called = version.version.to_string();
        let subject = Subject { model, digest: &version.digest, called: &called };
        subject.needed(store, &manifest.digests(), keys).await?;
    }
    if exists(&folder).await {
        return Ok(folder);
    }
    let temporary = temporary(root, &version.digest);
    let fetched = fetch_files(store, model, &manifest, &temporary).await;
    let settled = match fetched {
        Ok(()) => settle(&temporary, &folder).await,
        Err(e) => Err(e),
    };
    if settled.is_err() {
        // What is left of it is in nobody's way, but takes room.
        drop(fs::remove_dir_all(&temporary).await);
    }
    settled.map(|()| folder)
}

/// Reads every file of a version, and keeps nothing.
///
/// # Errors
/// As for every read here.
pub(super) async fn hash_files(
    store: &dyn ObjectStore,
    model: &ModelName,
    manifest: &Manifest,
) -> Result<(), ReadError> {
    for blob in manifest.files.values() {
        let key = blob_key(model, &blob.digest);
        let at = store.head(&key).await?.ok_or_else(|| missing(store, &key))?;
        let (mut chunks, mut hasher) = (store.get_stream(&at).await?, Hasher::default());
        while let Some(chunk) = chunks.next().await? {
            hasher.update(&chunk);
        }
        verify(store, &key, &blob.digest, &hasher.finish().0)?;
    }
    Ok(())
}

async fn fetch_files(
    store: &dyn ObjectStore,
    model: &ModelName,
    manifest: &Manifest,
    folder: &Path,
) -> Result<(), ReadError> {
    for (path, blob) in &manifest.files {
        let target = folder.join(path);
        make_parent(&target).await?;
        fetch_to(store, &blob_key(model, &blob.digest), &blob.digest, &target).await?;
    }
    Ok(())
}

/// Puts the object at `key` into the file `path` if its SHA-256 is `digest`, and gives its size. The file appears whole or
/// not at all; one that is there already is used as it is, so `path` should have the digest in its name.
///
/// # Errors
/// As for every read here, and [`StoreError::File`].
pub async fn fetch_blob(
    store: &dyn ObjectStore,
    key: &str,
    digest: &Digest,
    path: &Path,
) -> Result<u64, ReadError> {
    if !exists(path).await {
        let temporary = temporary(path.parent().unwrap_or(Path::new(".")), digest);
        make_parent(&temporary).await?;
        let fetched = match fetch_to(store, key, digest, &temporary).await {
            Ok(()) => settle(&temporary, path).await,
            Err(e) => Err(e),
        };
        if let Err(e) = fetched {
            drop(fs::remove_file(&temporary).await);
            return Err(e);
        }
    }
    let found = fs::metadata(path).await.map_err(|e| StoreError::file("reading", path, e))?;
    Ok(found.len())
}

async fn fetch_to(store: &dyn ObjectStore, key: &str, digest: &Digest, path: &Path) -> Result<(), ReadError> {
    let at = store.head(key).await?.ok_or_else(|| missing(store, key))?;
    let found = get_to_file(store, &at, path).await?;
    verify(store, key, digest, &found)?;
    Ok(())
}

/// Gives the finished file or folder its name. Whoever comes second finds the same bytes under it, and drops its own.
async fn settle(temporary: &Path, settled: &Path) -> Result<(), ReadError> {
    match fs::rename(temporary, settled).await {
        Ok(()) => Ok(()),
        Err(_) if exists(settled).await => {
            drop(fs::remove_dir_all(temporary).await);
            Ok(())
        }
        Err(e) => Err(StoreError::file("renaming", temporary, e).into()),
    }
}

pub(super) async fn make_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(parent) => {
            fs::create_dir_all(parent).await.map_err(|e| StoreError::file("making the folder of", path, e))
        }
        None => Ok(()),
    }
}

async fn exists(path: &Path) -> bool {
    fs::try_exists(path).await.unwrap_or(false)
}

/// A name beside the real one that no other task or process uses.
fn temporary(root: &Path, digest: &Digest) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    root.join(format!(".{}-{}-{count}", digest.short(), std::process::id()))
}

pub(super) fn verify(
    store: &dyn ObjectStore,
    key: &str,
    expected: &Digest,
    found: &Digest,
) -> Result<(), StoreError> {
    if expected == found {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        bucket: store.bucket().to_owned(),
        key: key.to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

pub(super) fn missing(store: &dyn ObjectStore, key: &str) -> ReadError {
    ReadError::Missing { bucket: store.bucket().to_owned(), key: key.to_owned() }
}

//! A version as a folder of a person's own, with its signature inside: what others check without Seatrial.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use seatrial_attestation::model_signing::folder::SIGNATURE;
use seatrial_domain::ModelName;
use seatrial_domain::ids::VersionRef;
use tokio::fs;

use super::read::{ReadError, load_version, make_parent, missing, verify};
use super::signature::{Subject, Trust};
use super::{Manifest, blob_key};
use crate::store::{ObjectStore, StoreError, save};
use crate::submission::{OnProgress, Stage, Watched};

/// A version that was written to a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether its signature lies in the folder.
    pub signed: bool,
}

/// Writes the files of a version into `folder`, which must not exist or be empty, with its signature as `model.sig`. The
/// folder appears whole or not at all: every digest is checked before, and with [`Trust::Keys`] the signature too. With
/// [`Trust::Unchecked`] a signature that is there is written as it is, and a version without one has none.
///
/// # Errors
/// [`ReadError::NotSigned`] and [`ReadError::SignatureDoesNotHold`] before any file is read; as for every read of a
/// package; and [`StoreError::File`], also when there is something in the folder.
pub async fn export_version(
    store: &dyn ObjectStore,
    model: &ModelName,
    version: &VersionRef,
    folder: &Path,
    trust: &Trust,
    progress: OnProgress<'_>,
) -> Result<Exported, ReadError> {
    vacant(folder).await?;
    let manifest = load_version(store, model, &version.digest).await?;
    let called = version.version.to_string();
    let subject = Subject { model, digest: &version.digest, called: &called };
    let bundle = match trust {
        Trust::Keys(keys) => Some(subject.needed(store, &manifest.digests(), keys).await?),
        Trust::Unchecked => subject.unchecked(store).await?,
    };
    let temporary = beside(folder);
    let written = match write(store, model, &manifest, bundle.as_ref(), &temporary, progress).await {
        // An empty folder in its place is replaced; one that somebody filled meanwhile is not.
        Ok(()) => fs::rename(&temporary, folder)
            .await
            .map_err(|e| ReadError::from(StoreError::file("writing", folder, e))),
        Err(e) => Err(e),
    };
    if written.is_err() {
        drop(fs::remove_dir_all(&temporary).await);
    }
    written.map(|()| Exported { manifest, signed: bundle.is_some() })
}

async fn write(
    store: &dyn ObjectStore,
    model: &ModelName,
    manifest: &Manifest,
    bundle: Option<&Bytes>,
    folder: &Path,
    progress: OnProgress<'_>,
) -> Result<(), ReadError> {
    let total = manifest.files.values().map(|blob| blob.size).sum();
    let mut done = 0;
    for (path, blob) in &manifest.files {
        let target = folder.join(path);
        make_parent(&target).await?;
        let key = blob_key(model, &blob.digest);
        let at = store.head(&key).await?.ok_or_else(|| missing(store, &key))?;
        let chunks = store.get_stream(&at).await?;
        let mut watched = Watched { chunks, stage: Stage::Fetching, file: path, done, total, progress };
        let found = save(&mut watched, &target).await?;
        verify(store, &key, &blob.digest, &found)?;
        done = watched.done;
    }
    let Some(bundle) = bundle else { return Ok(()) };
    let path = folder.join(SIGNATURE);
    Ok(fs::write(&path, bundle).await.map_err(|e| StoreError::file("writing", &path, e))?)
}

/// The folder is not there, or has nothing in it.
async fn vacant(folder: &Path) -> Result<(), StoreError> {
    let mut entries = match fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StoreError::file("reading", folder, e)),
    };
    match entries.next_entry().await.map_err(|e| StoreError::file("reading", folder, e))? {
        None => Ok(()),
        Some(_) => Err(StoreError::file("writing", folder, std::io::ErrorKind::DirectoryNotEmpty.into())),
    }
}

/// A name beside the folder's, on the same disk.
fn beside(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{}", std::process::id()))
}

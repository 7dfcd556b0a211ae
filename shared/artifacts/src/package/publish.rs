//! Puts a package into the models bucket. Everything is named by its digest, so doing it again changes nothing, and what a
//! broken attempt left is used by the next.

use std::time::Duration;

use bytes::Bytes;
use oci_spec::OciSpecError;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, ImageIndex, ImageIndexBuilder, MediaType, SCHEMA_VERSION,
};
use seatrial_domain::canonical::{sha256, to_bytes};
use seatrial_domain::{Digest, ModelName, VersionName};

use super::manifest::descriptor;
use super::{Package, blob_key};
use crate::store::{ObjectStore, StoreError};
use crate::submission::{HashedFile, Inspected};

/// The largest index that is read.
pub(super) const MAX_INDEX: u64 = 16 << 20;
/// How often the index is written again when somebody else was faster.
const ATTEMPTS: u32 = 12;
const JSON: &str = "application/json";

/// Why a package could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store did not do it, or the submission changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index or manifest is not what it must be.
    #[error("the image layout of {model} cannot be written: {why}")]
    Layout {
        /// The model.
        model: ModelName,
        /// Why not.
        why: String,
    },
}

impl PublishError {
    /// Whether trying the same again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Store(e) if e.is_transient())
    }

    pub(super) fn layout(model: &ModelName, why: String) -> Self {
        Self::Layout { model: model.clone(), why }
    }
}

/// Copies the inspected files out of the submissions bucket, inside S3 and pinned to what was hashed, and writes
/// configuration and manifest. The version has no name yet: see [`name_version`].
///
/// # Errors
/// [`StoreError::Changed`] when a file was overwritten after it was hashed.
pub async fn publish(
    inspected: &Inspected,
    package: &Package,
    submissions: &dyn ObjectStore,
    models: &dyn ObjectStore,
) -> Result<(), PublishError> {
    for file in &inspected.files {
        publish_file(&inspected.model, file, submissions, models).await?;
    }
    for (bytes, kind) in
        [(&package.config, MediaType::ImageConfig), (&package.manifest, MediaType::ImageManifest)]
    {
        let key = blob_key(&inspected.model, &sha256(bytes));
        models.put_if_absent(&key, bytes.clone(), kind.as_ref()).await?;
    }
    let layout = Bytes::from_static(br#"{"imageLayoutVersion":"1.0.0"}"#);
    models.put_if_absent(&format!("{}/oci-layout", inspected.model), layout, JSON).await?;
    Ok(())
}

async fn publish_file(
    model: &ModelName,
    file: &HashedFile,
    submissions: &dyn ObjectStore,
    models: &dyn ObjectStore,
) -> Result<(), StoreError> {
    let key = blob_key(model, &file.digest);
    let stored = |found: Option<crate::store::ObjectMeta>| found.is_some_and(|m| m.size == file.size);
    if stored(models.head(&key).await?) {
        return Ok(());
    }
    let changed = || StoreError::Changed { bucket: submissions.bucket().to_owned(), key: file.path.clone() };
    let at = file.at.as_ref().ok_or_else(changed)?;
    let copied = models.copy_from(submissions.bucket(), at, &key).await?;
    // Readers check every byte against the name; this only finds a damaged copy early.
    let other = copied.is_some_and(|digest| digest != file.digest);
    if other || !stored(models.head(&key).await?) {
        return Err(changed());
    }
    Ok(())
}

/// Writes `version` into the model's `index.json` as the name of this manifest. A name is never moved.
///
/// The index is one object that all versions share: it is read, changed, and written on the condition that it is still the
/// one that was read; whoever loses that race reads again.
///
/// # Errors
/// [`PublishError::Layout`] when the name stands for another manifest already, or the index is damaged.
pub async fn name_version(
    models: &dyn ObjectStore,
    model: &ModelName,
    digest: &Digest,
    size: u64,
    version: VersionName,
) -> Result<(), PublishError> {
    update_index(models, model, |before| named(before, digest, size, version)).await
}

/// Writes what `change` makes of a model's index, read anew whenever another writer was faster; nothing where it makes nothing.
pub(super) async fn update_index(
    models: &dyn ObjectStore,
    model: &ModelName,
    change: impl Fn(Option<&Bytes>) -> Result<Option<Bytes>, String> + Send + Sync,
) -> Result<(), PublishError> {
    let key = format!("{model}/index.json");
    for attempt in 0..ATTEMPTS {
        let found = models.get_versioned(&key, MAX_INDEX).await?;
        let before = found.as_ref().map(|(_, bytes)| bytes);
        let Some(after) = change(before).map_err(|e| PublishError::layout(model, e))? else {
            return Ok(());
        };
        let written = match &found {
            None => models.put_if_absent(&key, after, JSON).await?,
            Some((at, _)) => models.put_if_match(&key, after, JSON, &at.etag).await?,
        };
        if written {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20 * u64::from(attempt + 1))).await;
    }
    let source = format!("{ATTEMPTS} attempts to write it met other writers").into();
    Err(StoreError::Failed { doing: "writing", bucket: models.bucket().to_owned(), key, source }.into())
}

/// The index with the name in it, or `None` when it is there already.
fn named(
    before: Option<&Bytes>,
    digest: &Digest,
    size: u64,
    version: VersionName,
) -> Result<Option<Bytes>, String> {
    let mut index = parsed(before)?;
    let name = version.to_string();
    let holder = index.manifests().iter().find(|m| ref_name(m) == Some(&name));
    match holder {
        Some(same) if same.digest().as_ref() == digest.as_str() => return Ok(None),
        Some(other) => {
            return Err(format!("{name} is the name of {} already, not of {digest}", other.digest()));
        }
        None => {}
    }
    let entry = descriptor(MediaType::ImageManifest, digest, size, &[(ANNOTATION_REF_NAME, &name)]);
    let mut all = index.manifests().clone();
    all.push(entry.map_err(|e| e.to_string())?);
    // What has no name, such as a model card, comes last.
    all.sort_by_key(|m| {
        let number = ref_name(m).and_then(|n| n.parse::<VersionName>().ok()).map(VersionName::number);
        (number.is_none(), number)
    });
    index.set_manifests(all);
    written(&index).map(Some)
}

/// The index as it is, or a new one.
pub(super) fn parsed(before: Option<&Bytes>) -> Result<ImageIndex, String> {
    match before {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|e| format!("index.json is damaged: {e}")),
        None => empty().map_err(|e| e.to_string()),
    }
}

pub(super) fn written(index: &ImageIndex) -> Result<Bytes, String> {
    to_bytes(index).map(Bytes::from).map_err(|e| e.to_string())
}

fn empty() -> Result<ImageIndex, OciSpecError> {
    ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(Vec::new())
        .build()
}

pub(super) fn ref_name(manifest: &Descriptor) -> Option<&String> {
    manifest.annotations().as_ref().and_then(|a| a.get(ANNOTATION_REF_NAME))
}

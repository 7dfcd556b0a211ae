//! Takes a collected version out of the models bucket: what it has there and nothing that stays needs.
//!
//! ```text
//! 1. its name in index.json           from here on no OCI tool finds it
//! 2. files, configuration
//! 3. its cards: text, then manifest;  4. their entries in index.json
//! 5. its signature
//! 6. its manifest                     the last: it says what the others are
//! ```
//! A run that is broken off anywhere is taken up by another, which finds what is left by the same look.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use oci_spec::image::{Descriptor, ImageManifest, MediaType};
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::VersionRef;
use seatrial_domain::retention::Freed;
use seatrial_domain::{Digest, ModelName, VersionName};

use super::card::{CARD_TYPE, EMPTY};
use super::publish::{MAX_INDEX, PublishError, parsed, ref_name, update_index, written};
use super::read::{MAX_MANIFEST, ReadError, get_verified, load_version};
use super::{Manifest, blob_key, signature_key};
use crate::store::{DeletingStore, ObjectMeta, ObjectStore, StoreError};

/// How long one deletion may take: whoever waits for the end of all deletions must not meet one that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a version could not be taken out of the bucket.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// What is there could not be read: nothing is deleted on a guess.
    #[error("what stays beside {version} of model {model} cannot be told")]
    Unknown {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionName,
        /// Why not.
        #[source]
        source: ReadError,
    },
    /// The index was not written.
    #[error(transparent)]
    Index(#[from] PublishError),
    /// An object was not deleted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CollectError {
    /// Whether trying the same again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unknown { source, .. } => source.is_transient(),
            Self::Index(e) => e.is_transient(),
            Self::Store(e) => e.is_transient(),
        }
    }
}

/// What the bucket has of a version and of nothing that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    model: ModelName,
    version: VersionRef,
    /// Files, configuration, cards; in the order in which they go.
    blobs: Vec<ObjectMeta>,
    /// The manifests of its cards, and of such as have none any more.
    cards: BTreeSet<Digest>,
    /// Signature and manifest.
    last: Vec<ObjectMeta>,
}

impl Remains {
    /// How many objects these are.
    #[must_use]
    pub fn freed(&self) -> Freed {
        let mut freed = Freed::default();
        self.keys().for_each(|at| freed.add(at.size));
        freed
    }

    /// The objects, in the order in which they go.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectMeta> {
        self.blobs.iter().chain(&self.last)
    }
}

/// How far a removal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// What it deleted.
    pub freed: Freed,
    /// Whether nothing is left.
    pub whole: bool,
}

/// Looks for what the bucket has of `version` and of none of the packages in `staying`.
///
/// # Errors
/// [`CollectError::Unknown`] when the package of one that stays cannot be read.
pub async fn remains(
    store: &dyn ObjectStore,
    model: &ModelName,
    version: &VersionRef,
    staying: &BTreeSet<Digest>,
) -> Result<Remains, CollectError> {
    let mut found = Remains {
        model: model.clone(),
        version: version.clone(),
        blobs: Vec::new(),
        cards: BTreeSet::new(),
        last: Vec::new(),
    };
    // The same bytes came again as another version: only the name goes.
    if staying.contains(&version.digest) {
        return Ok(found);
    }
    look(store, staying, &mut found).await.map_err(|source| CollectError::Unknown {
        model: model.clone(),
        version: version.version,
        source,
    })?;
    Ok(found)
}

async fn look(
    store: &dyn ObjectStore,
    staying: &BTreeSet<Digest>,
    found: &mut Remains,
) -> Result<(), ReadError> {
    let (model, digest) = (found.model.clone(), found.version.digest.clone());
    // All cards of a model share it.
    let mut needed = BTreeSet::from([sha256(EMPTY)]);
    for other in staying {
        needed.insert(other.clone());
        needed.extend(blobs_of(&load_version(store, &model, other).await?));
    }
    let own = match load_version(store, &model, &digest).await {
        Ok(manifest) => blobs_of(&manifest),
        // An earlier run came this far.
        Err(ReadError::Missing { .. }) => Vec::new(),
        Err(e) => return Err(e),
    };
    let cards = cards(store, &model, &digest, found).await?;
    let mut seen = needed;
    for blob in own.into_iter().chain(cards) {
        if seen.insert(blob.clone())
            && let Some(at) = store.head(&blob_key(&model, &blob)).await?
        {
            found.blobs.push(at);
        }
    }
    for key in [signature_key(&model, &digest), blob_key(&model, &digest)] {
        found.last.extend(store.head(&key).await?);
    }
    Ok(())
}

/// The files and the configuration.
fn blobs_of(manifest: &Manifest) -> Vec<Digest> {
    manifest.files.values().chain([&manifest.config]).map(|blob| blob.digest.clone()).collect()
}

/// The blobs of the version's cards, each manifest after what it names.
async fn cards(
    store: &dyn ObjectStore,
    model: &ModelName,
    digest: &Digest,
    found: &mut Remains,
) -> Result<Vec<Digest>, ReadError> {
    let invalid = |why: String| ReadError::Invalid { digest: digest.clone(), why };
    let index = store.get(&format!("{model}/index.json"), MAX_INDEX).await?;
    let index = parsed(index.as_ref()).map_err(invalid)?;
    let mut blobs = Vec::new();
    for entry in index.manifests().iter().filter(|e| is_card(e)) {
        let card = Digest::parse(entry.digest().as_ref()).map_err(|e| invalid(e.to_string()))?;
        let bytes = match get_verified(store, &blob_key(model, &card), &card, MAX_MANIFEST).await {
            Ok(bytes) => bytes,
            // An earlier run came this far.
            Err(ReadError::Missing { .. }) => {
                found.cards.insert(card);
                continue;
            }
            Err(e) => return Err(e),
        };
        let manifest: ImageManifest = serde_json::from_slice(&bytes).map_err(|e| invalid(e.to_string()))?;
        if manifest.subject().as_ref().is_none_or(|s| s.digest().as_ref() != digest.as_str()) {
            continue;
        }
        for layer in manifest.layers() {
            blobs.push(Digest::parse(layer.digest().as_ref()).map_err(|e| invalid(e.to_string()))?);
        }
        blobs.push(card.clone());
        found.cards.insert(card);
    }
    Ok(blobs)
}

fn is_card(entry: &Descriptor) -> bool {
    entry.artifact_type().as_ref().is_some_and(|t| t.as_ref() == CARD_TYPE)
        && *entry.media_type() == MediaType::ImageManifest
}

/// Removes what was found, as long as `go_on` says so: it is asked before each deletion.
///
/// # Errors
/// [`CollectError`] for the first that did not work; what was deleted before stays deleted.
pub async fn remove(
    store: &dyn DeletingStore,
    found: &Remains,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Removed, CollectError> {
    let (model, name) = (&found.model, found.version.version.to_string());
    let mut removed = Removed::default();
    if !go_on() {
        return Ok(removed);
    }
    update_index(store, model, |before| without(before, |e| ref_name(e) == Some(&name))).await?;
    if !delete(store, &found.blobs, go_on, &mut removed).await? {
        return Ok(removed);
    }
    let theirs = |e: &Descriptor| is_card(e) && found.cards.iter().any(|c| c.as_str() == e.digest().as_ref());
    update_index(store, model, |before| without(before, theirs)).await?;
    removed.whole = delete(store, &found.last, go_on, &mut removed).await?;
    Ok(removed)
}

/// Deletes one after the other; whether it came to the end.
async fn delete(
    store: &dyn DeletingStore,
    objects: &[ObjectMeta],
    go_on: &(dyn Fn() -> bool + Sync),
    removed: &mut Removed,
) -> Result<bool, CollectError> {
    for at in objects {
        if !go_on() {
            return Ok(false);
        }
        match tokio::time::timeout(PATIENCE, store.delete(&at.key)).await {
            Ok(done) => done?,
            Err(late) => {
                let (bucket, key) = (store.bucket().to_owned(), at.key.clone());
                return Err(StoreError::Failed { doing: "deleting", bucket, key, source: late.into() }.into());
            }
        }
        removed.freed.add(at.size);
    }
    Ok(true)
}

/// The index without these entries; `None` when it has none of them.
fn without(before: Option<&Bytes>, gone: impl Fn(&Descriptor) -> bool) -> Result<Option<Bytes>, String> {
    let mut index = parsed(before)?;
    let all = index.manifests().len();
    let rest: Vec<Descriptor> = index.manifests().iter().filter(|e| !gone(e)).cloned().collect();
    if rest.len() == all {
        return Ok(None);
    }
    index.set_manifests(rest);
    written(&index).map(Some)
}

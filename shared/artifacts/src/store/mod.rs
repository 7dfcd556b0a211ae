//! The object store port: what Seatrial needs of one bucket, and nothing more.
//!
//! Objects are read *pinned*: [`ObjectStore::head`] or [`ObjectStore::list`] says what is there, and every later read or
//! copy names that state. An object that was overwritten in between gives [`StoreError::Changed`], never other bytes.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use seatrial_domain::Digest;

mod chunks;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(any(test, feature = "contract"))]
mod faulty;
mod memory;
mod multipart;
mod s3;

#[cfg(any(test, feature = "contract"))]
pub use faulty::Faulty;

pub use chunks::{BytesChunks, Chunks, FileChunks, Hasher};
pub use memory::{MemoryS3, MemoryStore};
pub use s3::{Parts, S3Buckets, S3Store, s3_client};

/// One state of an object: what reads and copies are pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, with the quotes S3 gives it.
    pub etag: String,
    /// Its version id, where the bucket has versioning and the call that made this tells it.
    pub version: Option<String>,
}

/// What went wrong at a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is larger than the reader can take.
    #[error("s3://{bucket}/{key} has {size} bytes; at most {limit} are read here")]
    TooLarge {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// What was found.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The object was overwritten or removed after it was looked at.
    #[error("s3://{bucket}/{key} changed while it was read; upload it again under a new name")]
    Changed {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// Bytes under a name that says their digest are other bytes.
    #[error("s3://{bucket}/{key} holds other bytes than its name says: {found} instead of {expected}")]
    Corrupt {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The digest that was expected.
        expected: String,
        /// The digest that was found.
        found: String,
    },
    /// A local file could not be read or written.
    #[error("{doing} {} failed", path.display())]
    File {
        /// What was done, such as `reading`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The store did not do it. Trying again may help.
    #[error("{doing} s3://{bucket}/{key} failed")]
    Failed {
        /// What was done, such as `reading`.
        doing: &'static str,
        /// The bucket.
        bucket: String,
        /// The key or prefix.
        key: String,
        /// Why not.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl StoreError {
    /// Whether trying the same again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::File { .. })
    }

    pub(crate) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), source }
    }
}

/// One bucket.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Its name.
    fn bucket(&self) -> &str;

    /// What is at `key` now.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; so for every method here.
    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError>;

    /// The object at `key` with its state, whole.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] when it has more than `limit` bytes: nothing is read then.
    async fn get_versioned(&self, key: &str, limit: u64) -> Result<Option<(ObjectMeta, Bytes)>, StoreError>;

    /// The bytes of the object at `key`, whole.
    ///
    /// # Errors
    /// As [`ObjectStore::get_versioned`].
    async fn get(&self, key: &str, limit: u64) -> Result<Option<Bytes>, StoreError> {
        Ok(self.get_versioned(key, limit).await?.map(|(_, bytes)| bytes))
    }

    /// At most `len` bytes of this very object from `offset` on; fewer where it ends.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is no longer that object.
    async fn get_range(&self, at: &ObjectMeta, offset: u64, len: u64) -> Result<Bytes, StoreError>;

    /// The bytes of this very object, chunk by chunk, in flat memory.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is no longer that object.
    async fn get_stream(&self, at: &ObjectMeta) -> Result<Box<dyn Chunks>, StoreError>;

    /// Writes the object, whatever was there.
    async fn put(&self, key: &str, body: Bytes, content_type: &str) -> Result<ObjectMeta, StoreError>;

    /// Writes the object if nothing is there. `true` when it was written, `false` when something was there already.
    async fn put_if_absent(&self, key: &str, body: Bytes, content_type: &str) -> Result<bool, StoreError>;

    /// Writes the object if what is there still has this ETag. `false` when it has not: read again and decide anew.
    async fn put_if_match(
        &self,
        key: &str,
        body: Bytes,
        content_type: &str,
        etag: &str,
    ) -> Result<bool, StoreError>;

    /// Writes `size` bytes from `body`, in parts where that is much, in flat memory. Nothing is visible before all is
    /// there, and nothing is left behind when it fails.
    async fn put_stream(
        &self,
        key: &str,
        size: u64,
        body: &mut dyn Chunks,
        content_type: &str,
    ) -> Result<ObjectMeta, StoreError>;

    /// Everything whose key begins with `prefix`, by key.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError>;

    /// Copies this very object out of `source_bucket` to `key`, inside the store. Gives the digest of what was copied
    /// where the store computed it.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is no longer that object.
    async fn copy_from(
        &self,
        source_bucket: &str,
        at: &ObjectMeta,
        key: &str,
    ) -> Result<Option<Digest>, StoreError>;

    /// Until when this version of the object (the current one, where none is named) is locked against deletion, if it is.
    async fn kept_until(&self, key: &str, version: Option<&str>) -> Result<Option<Timestamp>, StoreError>;

    /// Locks this version of the object against deletion until then, to the second. A lock is made longer, never shorter, and keeps
    /// its mode; where there is none yet, it is `GOVERNANCE`.
    async fn keep_until(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<(), StoreError>;
}

/// A bucket that objects may be taken out of: a port of its own, for the one function that may.
#[async_trait]
pub trait DeletingStore: ObjectStore {
    /// Deletes the object at `key`, if one is there. A bucket with versions keeps its bytes as an earlier version, for as long as its
    /// lifecycle says.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when it is not known whether it is deleted.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}

/// Buckets that are known by name only once an event tells of them.
pub trait Buckets: Send + Sync {
    /// The bucket of that name. Whether it is there and may be read shows when it is used.
    fn open(&self, name: &str) -> Arc<dyn ObjectStore>;
}

/// Writes this very object to a local file, and gives the digest of what was written.
///
/// # Errors
/// As [`ObjectStore::get_stream`], and [`StoreError::File`].
pub async fn get_to_file(
    store: &dyn ObjectStore,
    at: &ObjectMeta,
    path: &Path,
) -> Result<Digest, StoreError> {
    save(store.get_stream(at).await?.as_mut(), path).await
}

/// Writes chunks to a local file, and gives the digest of what was written.
pub(crate) async fn save(chunks: &mut dyn Chunks, path: &Path) -> Result<Digest, StoreError> {
    use tokio::io::AsyncWriteExt as _;
    let failed = |e| StoreError::file("writing", path, e);
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    let mut hasher = Hasher::default();
    while let Some(chunk) = chunks.next().await? {
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(hasher.finish().0)
}

//! A submission: the folder people hand in, and everything that is checked before it becomes a version.
//!
//! ```text
//! weights/            at least one file; the ONNX graph that config.yaml names (default weights/model.onnx)
//! config.yaml         what the model takes and gives
//! eval_results.json   what the trainer measured
//! CHANGELOG.md        what is new
//! data_manifest.txt   what it was trained on, as sha256sum prints it
//! model_card.md       optional
//! reference.parquet   optional: a sample of the training data
//! ```
//!
//! The checks are the same for a local folder, for an S3 prefix and for an archive of such a folder ([`Source`]), and they report every defect at once.

mod announcement;
mod archive;
mod channel;
mod defect;
mod documents;
mod folder;
mod graph;
mod inspect;
mod structure;
#[cfg(any(test, feature = "contract"))]
pub mod testing;
mod upload;
mod weights;

pub use announcement::{ANNOUNCEMENT, Announcement, submission_prefix};
pub use archive::{Unpacked, unpack};
pub use defect::Defect;
pub use folder::Folder;
pub use inspect::{HashedFile, InspectError, Inspected, inspect, inspect_announced};
pub use upload::upload_submission;

pub(crate) use structure::bad_path;

use async_trait::async_trait;
use bytes::Bytes;

use crate::store::{Chunks, ObjectMeta, ObjectStore, StoreError};

/// One file of a submission as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path inside the submission, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// The very object it is, where it lies in a store.
    pub at: Option<ObjectMeta>,
}

/// What a source holds, and what of it cannot be a file of a submission.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The files, by path.
    pub files: Vec<Entry>,
    /// Links, devices, names that are no text.
    pub defects: Vec<Defect>,
}

/// Where a submission lies.
#[async_trait]
pub trait Source: Send + Sync {
    /// All of its files.
    ///
    /// # Errors
    /// When it cannot be listed.
    async fn list(&self) -> Result<Listing, StoreError>;

    /// At most `len` bytes of a file from `offset` on.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn range(&self, entry: &Entry, offset: u64, len: u64) -> Result<Bytes, StoreError>;

    /// The whole file, chunk by chunk.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn stream(&self, entry: &Entry) -> Result<Box<dyn Chunks>, StoreError>;
}

/// What is being done, for a person who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is done with the file.
    pub stage: Stage,
    /// The file.
    pub file: String,
    /// Bytes done, over all files.
    pub done: u64,
    /// Bytes there are, over all files.
    pub total: u64,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is read, hashed and checked.
    Checking,
    /// It is uploaded.
    Uploading,
    /// It is fetched from the bucket.
    Fetching,
}

/// Hears of progress.
pub type OnProgress<'a> = &'a (dyn Fn(&Progress) + Send + Sync);

/// The chunks of one file, each told of as it goes by.
pub(crate) struct Watched<'a, C> {
    /// The file's own.
    pub(crate) chunks: C,
    /// What is done with it.
    pub(crate) stage: Stage,
    /// Its path.
    pub(crate) file: &'a str,
    /// Bytes that went by so far, those of the files before included.
    pub(crate) done: u64,
    /// Bytes of all files.
    pub(crate) total: u64,
    /// Who is told.
    pub(crate) progress: OnProgress<'a>,
}

#[async_trait]
impl<C: Chunks> Chunks for Watched<'_, C> {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let chunk = self.chunks.next().await?;
        self.done += chunk.as_ref().map_or(0, |c| c.len() as u64);
        let (stage, file, done, total) = (self.stage, self.file.to_owned(), self.done, self.total);
        (self.progress)(&Progress { stage, file, done, total });
        Ok(chunk)
    }
}

/// A submission in a bucket.
pub struct Prefix<'a> {
    store: &'a dyn ObjectStore,
    prefix: String,
}

impl<'a> Prefix<'a> {
    /// The submission under `prefix`, which ends with `/`.
    pub fn new(store: &'a dyn ObjectStore, prefix: impl Into<String>) -> Self {
        Self { store, prefix: prefix.into() }
    }

    fn at<'e>(&self, entry: &'e Entry) -> Result<&'e ObjectMeta, StoreError> {
        entry.at.as_ref().ok_or_else(|| StoreError::Changed {
            bucket: self.store.bucket().to_owned(),
            key: format!("{}{}", self.prefix, entry.path),
        })
    }
}

#[async_trait]
impl Source for Prefix<'_> {
    async fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for object in self.store.list(&self.prefix).await? {
            let path = object.key[self.prefix.len()..].to_owned();
            // Consoles make empty objects for folders.
            if object.size == 0 && (path.is_empty() || path.ends_with('/')) {
                continue;
            }
            listing.files.push(Entry { path, size: object.size, at: Some(object) });
        }
        Ok(listing)
    }

    async fn range(&self, entry: &Entry, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.store.get_range(self.at(entry)?, offset, len).await
    }

    async fn stream(&self, entry: &Entry) -> Result<Box<dyn Chunks>, StoreError> {
        self.store.get_stream(self.at(entry)?).await
    }
}

//! A submission as one file: the `model.tar.gz` that a training job leaves behind, with the files of a submission's folder at
//! its root.
//!
//! It is read once, from its beginning to its end, in flat memory: its files go one by one into the submissions bucket, under
//! a prefix that starts no promotion, and are inspected there like those of any submission, each pinned to what was written.

mod entries;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use self::entries::{Broken, Step};
use super::channel::ChannelReader;
use super::{Entry, InspectError, Listing, Prefix, Source};
use crate::store::{Chunks, ObjectMeta, ObjectStore, StoreError};

/// How many chunks wait in each direction.
const WAITING: usize = 4;

/// An archive whose files lie in a bucket now.
pub struct Unpacked<'a> {
    files: Prefix<'a>,
    listing: Listing,
}

/// Writes the files of the archive `at` under `prefix` of `to`. What no submission may have is not written and is a defect of
/// the result; doing it again writes the same.
///
/// # Errors
/// [`InspectError::Refused`] for what is no archive, or holds too much; [`InspectError::Store`] when a store does not do its
/// part, [`StoreError::Changed`] when the archive was overwritten meanwhile.
pub async fn unpack<'a>(
    from: &dyn ObjectStore,
    at: &ObjectMeta,
    to: &'a dyn ObjectStore,
    prefix: &str,
) -> Result<Unpacked<'a>, InspectError> {
    let mut chunks = from.get_stream(at).await?;
    let (feed, fed) = mpsc::channel(WAITING);
    let (tell, mut told) = mpsc::channel(WAITING);
    let name = at.key.rsplit('/').next().unwrap_or(&at.key).to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        entries::read(&name, ChannelReader::new(fed), |step| tell.blocking_send(step).is_ok())
    });
    let feeding = async move {
        while let Some(chunk) = chunks.next().await? {
            // A reader that has seen enough takes no more.
            if feed.send(chunk).await.is_err() {
                break;
            }
        }
        Ok::<(), StoreError>(())
    };
    let storing = async move {
        let mut listing = Listing::default();
        // Once this ends the receiver is gone, so the reader stops too.
        store(&mut told, to, prefix, &mut listing).await.map(|()| listing)
    };
    let (fed, stored, read) = tokio::join!(feeding, storing, reading);
    // An archive that broke off because its bytes did is not to blame, nor is a file that was not whole.
    fed?;
    match read {
        Ok(Ok(()) | Err(Broken::Unheard)) => {}
        Ok(Err(Broken::Archive(defect))) => return Err(InspectError::Refused(vec![defect])),
        Err(e) => {
            let (bucket, key) = (from.bucket().to_owned(), at.key.clone());
            return Err(StoreError::Failed { doing: "unpacking", bucket, key, source: e.into() }.into());
        }
    }
    let mut listing = stored?;
    // A package names its files in this order, whatever order an archive has.
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Unpacked { files: Prefix::new(to, prefix), listing })
}

async fn store(
    told: &mut mpsc::Receiver<Step>,
    to: &dyn ObjectStore,
    prefix: &str,
    listing: &mut Listing,
) -> Result<(), StoreError> {
    while let Some(step) = told.recv().await {
        match step {
            Step::Defect(defect) => listing.defects.push(defect),
            Step::File { path, size } => {
                let key = format!("{prefix}{path}");
                let mut body = FileOf { told, left: size, bucket: to.bucket(), key: &key };
                let at = to.put_stream(&key, size, &mut body, "application/octet-stream").await?;
                listing.files.push(Entry { path, size, at: Some(at) });
            }
            // A store that did not want all of a file has said so.
            Step::Chunk(_) => {}
        }
    }
    Ok(())
}

/// The bytes of the file that is being read.
struct FileOf<'a> {
    told: &'a mut mpsc::Receiver<Step>,
    left: u64,
    bucket: &'a str,
    key: &'a str,
}

#[async_trait]
impl Chunks for FileOf<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        match self.told.recv().await {
            Some(Step::Chunk(chunk)) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Ok(Some(chunk))
            }
            // The archive ends in the middle of a file; its reader says why.
            _ => Err(StoreError::Failed {
                doing: "unpacking to",
                bucket: self.bucket.to_owned(),
                key: self.key.to_owned(),
                source: "the archive ends within the file".into(),
            }),
        }
    }
}

#[async_trait]
impl Source for Unpacked<'_> {
    async fn list(&self) -> Result<Listing, StoreError> {
        Ok(self.listing.clone())
    }

    async fn range(&self, entry: &Entry, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.files.range(entry, offset, len).await
    }

    async fn stream(&self, entry: &Entry) -> Result<Box<dyn Chunks>, StoreError> {
        self.files.stream(entry).await
    }
}

//! A submission in a local folder.

use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::structure::MAX_FILES;
use super::{Defect, Entry, Listing, Source};
use crate::store::{Chunks, FileChunks, StoreError};

/// A submission in a local folder. Links are refused: what they point to is not part of what people see in the folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The submission in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a file of it lies.
    #[must_use]
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.root.join(&entry.path)
    }

    fn walk(&self, inside: &str, listing: &mut Listing) -> Result<(), StoreError> {
        let folder = self.root.join(inside);
        let failed = |e| StoreError::file("listing", &folder, e);
        let mut items: Vec<fs::DirEntry> =
            fs::read_dir(&folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
        items.sort_by_key(fs::DirEntry::file_name);
        for item in items {
            // A folder full of other things is refused below for its number; it need not be listed to its end.
            if listing.files.len() > MAX_FILES {
                return Ok(());
            }
            let name = item.file_name();
            let path = format!("{inside}{}", name.to_string_lossy());
            let kind = item.file_type().map_err(failed)?;
            if name.to_str().is_none() {
                listing
                    .defects
                    .push(Defect::new(path, "a name that is no UTF-8", "a name in UTF-8").fix("rename it"));
            } else if kind.is_symlink() {
                listing
                    .defects
                    .push(Defect::new(path, "a symbolic link", "a file").fix("put the file itself there"));
            } else if kind.is_dir() {
                self.walk(&format!("{path}/"), listing)?;
            } else if kind.is_file() {
                let size = item.metadata().map_err(failed)?.len();
                listing.files.push(Entry { path, size, at: None });
            } else {
                listing.defects.push(Defect::new(path, "neither file nor folder", "a file").fix("remove it"));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Source for Folder {
    async fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        self.walk("", &mut listing)?;
        listing.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    async fn range(&self, entry: &Entry, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        let path = self.path(entry);
        read_range(&path, offset, len).await.map_err(|e| StoreError::file("reading", &path, e))
    }

    async fn stream(&self, entry: &Entry) -> Result<Box<dyn Chunks>, StoreError> {
        Ok(Box::new(FileChunks::open(&self.path(entry)).await?))
    }
}

async fn read_range(path: &Path, offset: u64, len: u64) -> Result<Bytes, std::io::Error> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(std::io::SeekFrom::Start(offset)).await?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).await?;
    Ok(bytes.into())
}

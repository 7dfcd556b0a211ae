//! Bytes that come one chunk after another, so that size does not become memory.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use seatrial_domain::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use super::StoreError;

/// How much of a file is read at once.
const READ: usize = 256 * 1024;

/// A source of bytes.
#[async_trait]
pub trait Chunks: Send {
    /// The next bytes, or `None` at the end.
    ///
    /// # Errors
    /// When the source breaks.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError>;
}

#[async_trait]
impl Chunks for Box<dyn Chunks> {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        self.as_mut().next().await
    }
}

/// Bytes in memory.
#[derive(Debug)]
pub struct BytesChunks(Option<Bytes>);

impl BytesChunks {
    /// These bytes, as one chunk.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self(Some(bytes))
    }
}

#[async_trait]
impl Chunks for BytesChunks {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.take().filter(|b| !b.is_empty()))
    }
}

/// A local file.
#[derive(Debug)]
pub struct FileChunks {
    file: tokio::fs::File,
    path: PathBuf,
}

impl FileChunks {
    /// Opens the file.
    ///
    /// # Errors
    /// [`StoreError::File`] when it cannot be opened.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let file = tokio::fs::File::open(path).await.map_err(|e| StoreError::file("opening", path, e))?;
        Ok(Self { file, path: path.to_owned() })
    }
}

#[async_trait]
impl Chunks for FileChunks {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut buffer = BytesMut::with_capacity(READ);
        let read =
            self.file.read_buf(&mut buffer).await.map_err(|e| StoreError::file("reading", &self.path, e))?;
        Ok((read > 0).then(|| buffer.freeze()))
    }
}

/// SHA-256 and length of what passes by.
#[derive(Debug, Default)]
pub struct Hasher {
    sha: Sha256,
    size: u64,
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Digest and length of all bytes.
    #[must_use]
    pub fn finish(self) -> (Digest, u64) {
        (Digest::from_bytes(self.sha.finalize().into()), self.size)
    }
}

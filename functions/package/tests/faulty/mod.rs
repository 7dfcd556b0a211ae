//! A bucket that does not answer once.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use seatrial_artifacts::{Chunks, MemoryStore, ObjectMeta, ObjectStore, StoreError};
use seatrial_domain::Digest;

/// Fails at one access, counted from 0, and does what it should at all others.
pub struct Faulty {
    inner: MemoryStore,
    step: usize,
    count: AtomicUsize,
}

impl Faulty {
    pub fn new(inner: MemoryStore, step: usize) -> Self {
        Self { inner, step, count: AtomicUsize::new(0) }
    }

    /// Whether the failing access was reached.
    pub fn failed(&self) -> bool {
        self.count.load(Ordering::SeqCst) > self.step
    }

    fn next(&self, key: &str) -> Result<&MemoryStore, StoreError> {
        if self.count.fetch_add(1, Ordering::SeqCst) != self.step {
            return Ok(&self.inner);
        }
        Err(StoreError::Failed {
            doing: "reaching",
            bucket: self.inner.bucket().to_owned(),
            key: key.to_owned(),
            source: "no answer".into(),
        })
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    fn bucket(&self) -> &str {
        self.inner.bucket()
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        self.next(key)?.head(key).await
    }

    async fn get_versioned(&self, key: &str, limit: u64) -> Result<Option<(ObjectMeta, Bytes)>, StoreError> {
        self.next(key)?.get_versioned(key, limit).await
    }

    async fn get_range(&self, at: &ObjectMeta, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.next(&at.key)?.get_range(at, offset, len).await
    }

    async fn get_stream(&self, at: &ObjectMeta) -> Result<Box<dyn Chunks>, StoreError> {
        self.next(&at.key)?.get_stream(at).await
    }

    async fn put(&self, key: &str, body: Bytes, kind: &str) -> Result<ObjectMeta, StoreError> {
        self.next(key)?.put(key, body, kind).await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes, kind: &str) -> Result<bool, StoreError> {
        self.next(key)?.put_if_absent(key, body, kind).await
    }

    async fn put_if_match(&self, key: &str, body: Bytes, kind: &str, etag: &str) -> Result<bool, StoreError> {
        self.next(key)?.put_if_match(key, body, kind, etag).await
    }

    async fn put_stream(
        &self,
        key: &str,
        size: u64,
        body: &mut dyn Chunks,
        kind: &str,
    ) -> Result<ObjectMeta, StoreError> {
        self.next(key)?.put_stream(key, size, body, kind).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        self.next(prefix)?.list(prefix).await
    }

    async fn copy_from(
        &self,
        source_bucket: &str,
        at: &ObjectMeta,
        key: &str,
    ) -> Result<Option<Digest>, StoreError> {
        self.next(key)?.copy_from(source_bucket, at, key).await
    }

    async fn kept_until(&self, key: &str, version: Option<&str>) -> Result<Option<Timestamp>, StoreError> {
        self.next(key)?.kept_until(key, version).await
    }

    async fn keep_until(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<(), StoreError> {
        self.next(key)?.keep_until(key, version, until).await
    }
}

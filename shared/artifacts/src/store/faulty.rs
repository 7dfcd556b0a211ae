//! A bucket in memory where something goes wrong once, for tests.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use seatrial_domain::Digest;

use super::{Chunks, DeletingStore, MemoryStore, ObjectMeta, ObjectStore, StoreError};

/// What goes wrong.
enum Fault {
    /// The access at this place, counted from 0, is not done, and there is no answer.
    Request(usize),
    /// It is done, and the answer is lost.
    Answer(usize),
    /// Somebody else does something before each access, whose key is named.
    Meanwhile(Box<dyn Fn(&str) + Send + Sync>),
}

/// A bucket where something goes wrong once.
pub struct Faulty {
    inner: MemoryStore,
    fault: Fault,
    count: AtomicUsize,
}

impl Faulty {
    /// Fails at one access, counted from 0, and does what it should at all others.
    #[must_use]
    pub fn new(inner: MemoryStore, step: usize) -> Self {
        Self { inner, fault: Fault::Request(step), count: AtomicUsize::new(0) }
    }

    /// Does what it should, and loses the answer of one access.
    #[must_use]
    pub fn late(inner: MemoryStore, step: usize) -> Self {
        Self { fault: Fault::Answer(step), ..Self::new(inner, step) }
    }

    /// Lets `other` act before each access.
    #[must_use]
    pub fn meanwhile(inner: MemoryStore, other: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { fault: Fault::Meanwhile(Box::new(other)), ..Self::new(inner, 0) }
    }

    /// Whether the access that fails was reached.
    #[must_use]
    pub fn failed(&self) -> bool {
        let count = self.count.load(Ordering::SeqCst);
        matches!(self.fault, Fault::Request(step) | Fault::Answer(step) if count > step)
    }

    async fn at<T>(
        &self,
        key: &str,
        access: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let place = self.count.fetch_add(1, Ordering::SeqCst);
        let no_answer = || StoreError::Failed {
            doing: "reaching",
            bucket: self.inner.bucket().to_owned(),
            key: key.to_owned(),
            source: "no answer".into(),
        };
        match &self.fault {
            Fault::Request(step) if *step == place => Err(no_answer()),
            Fault::Answer(step) if *step == place => access.await.and_then(|_| Err(no_answer())),
            Fault::Request(_) | Fault::Answer(_) => access.await,
            Fault::Meanwhile(other) => {
                other(key);
                access.await
            }
        }
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    fn bucket(&self) -> &str {
        self.inner.bucket()
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        self.at(key, self.inner.head(key)).await
    }

    async fn get_versioned(&self, key: &str, limit: u64) -> Result<Option<(ObjectMeta, Bytes)>, StoreError> {
        self.at(key, self.inner.get_versioned(key, limit)).await
    }

    async fn get_range(&self, at: &ObjectMeta, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.at(&at.key, self.inner.get_range(at, offset, len)).await
    }

    async fn get_stream(&self, at: &ObjectMeta) -> Result<Box<dyn Chunks>, StoreError> {
        self.at(&at.key, self.inner.get_stream(at)).await
    }

    async fn put(&self, key: &str, body: Bytes, kind: &str) -> Result<ObjectMeta, StoreError> {
        self.at(key, self.inner.put(key, body, kind)).await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes, kind: &str) -> Result<bool, StoreError> {
        self.at(key, self.inner.put_if_absent(key, body, kind)).await
    }

    async fn put_if_match(&self, key: &str, body: Bytes, kind: &str, etag: &str) -> Result<bool, StoreError> {
        self.at(key, self.inner.put_if_match(key, body, kind, etag)).await
    }

    async fn put_stream(
        &self,
        key: &str,
        size: u64,
        body: &mut dyn Chunks,
        kind: &str,
    ) -> Result<ObjectMeta, StoreError> {
        self.at(key, self.inner.put_stream(key, size, body, kind)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        self.at(prefix, self.inner.list(prefix)).await
    }

    async fn copy_from(
        &self,
        source_bucket: &str,
        at: &ObjectMeta,
        key: &str,
    ) -> Result<Option<Digest>, StoreError> {
        self.at(key, self.inner.copy_from(source_bucket, at, key)).await
    }

    async fn kept_until(&self, key: &str, version: Option<&str>) -> Result<Option<Timestamp>, StoreError> {
        self.at(key, self.inner.kept_until(key, version)).await
    }

    async fn keep_until(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<(), StoreError> {
        self.at(key, self.inner.keep_until(key, version, until)).await
    }
}

#[async_trait]
impl DeletingStore for Faulty {
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.at(key, self.inner.delete(key)).await
    }
}

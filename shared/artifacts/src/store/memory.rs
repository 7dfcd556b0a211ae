//! Buckets in memory, for tests: the same answers as S3, lost races included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use seatrial_domain::{Digest, canonical::sha256};

use super::{Buckets, BytesChunks, Chunks, DeletingStore, ObjectMeta, ObjectStore, StoreError};

type Objects = BTreeMap<(String, String), (ObjectMeta, Bytes)>;

/// A world of buckets.
#[derive(Debug, Clone, Default)]
pub struct MemoryS3(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    objects: Objects,
    /// By bucket, key and version.
    locks: BTreeMap<(String, String, Option<String>), Timestamp>,
    writes: u64,
}

impl MemoryS3 {
    /// A bucket of this world; it needs no making.
    #[must_use]
    pub fn bucket(&self, name: &str) -> MemoryStore {
        MemoryStore { world: self.clone(), bucket: name.to_owned() }
    }

    /// How often something was written, over all buckets: for tests that assert that nothing was.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Takes an object away past the port: for tests of what is missing.
    pub fn remove(&self, bucket: &str, key: &str) {
        self.lock().objects.remove(&(bucket.to_owned(), key.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buckets for MemoryS3 {
    fn open(&self, name: &str) -> Arc<dyn ObjectStore> {
        Arc::new(self.bucket(name))
    }
}

/// One bucket in memory.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    world: MemoryS3,
    bucket: String,
}

impl MemoryStore {
    /// Another bucket of the same world.
    #[must_use]
    pub fn neighbour(&self, name: &str) -> Self {
        self.world.bucket(name)
    }

    fn id(&self, key: &str) -> (String, String) {
        (self.bucket.clone(), key.to_owned())
    }

    /// The version that is named, else the current one.
    fn lock_id(
        &self,
        world: &World,
        key: &str,
        version: Option<&str>,
    ) -> Result<(String, String, Option<String>), StoreError> {
        let id = self.id(key);
        let current = world.objects.get(&id).map(|(meta, _)| meta.version.clone());
        let gone = || StoreError::Changed { bucket: self.bucket.clone(), key: key.to_owned() };
        let version = version.map_or_else(|| current.ok_or_else(gone), |v| Ok(Some(v.to_owned())))?;
        Ok((id.0, id.1, version))
    }

    fn write(&self, world: &mut World, key: &str, body: Bytes) -> ObjectMeta {
        world.writes += 1;
        let etag = format!("\"{}\"", &sha256(&body).hex()[..32]);
        let version = Some(format!("version-{}", world.writes));
        let meta = ObjectMeta { key: key.to_owned(), size: body.len() as u64, etag, version };
        world.objects.insert(self.id(key), (meta.clone(), body));
        meta
    }

    fn pinned(&self, world: &World, bucket: &str, at: &ObjectMeta) -> Result<Bytes, StoreError> {
        match world.objects.get(&(bucket.to_owned(), at.key.clone())) {
            Some((meta, body)) if meta.etag == at.etag => Ok(body.clone()),
            _ => Err(StoreError::Changed { bucket: bucket.to_owned(), key: at.key.clone() }),
        }
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    fn bucket(&self) -> &str {
        &self.bucket
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        Ok(self.world.lock().objects.get(&self.id(key)).map(|(meta, _)| meta.clone()))
    }

    async fn get_versioned(&self, key: &str, limit: u64) -> Result<Option<(ObjectMeta, Bytes)>, StoreError> {
        match self.world.lock().objects.get(&self.id(key)) {
            Some((meta, _)) if meta.size > limit => Err(StoreError::TooLarge {
                bucket: self.bucket.clone(),
                key: key.to_owned(),
                size: meta.size,
                limit,
            }),
            found => Ok(found.cloned()),
        }
    }

    async fn get_range(&self, at: &ObjectMeta, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        let body = self.pinned(&self.world.lock(), &self.bucket, at)?;
        let start = offset.min(at.size) as usize;
        let end = offset.saturating_add(len).min(at.size) as usize;
        Ok(body.slice(start..end))
    }

    async fn get_stream(&self, at: &ObjectMeta) -> Result<Box<dyn Chunks>, StoreError> {
        let body = self.pinned(&self.world.lock(), &self.bucket, at)?;
        Ok(Box::new(BytesChunks::new(body)))
    }

    async fn put(&self, key: &str, body: Bytes, _content_type: &str) -> Result<ObjectMeta, StoreError> {
        Ok(self.write(&mut self.world.lock(), key, body))
    }

    async fn put_if_absent(&self, key: &str, body: Bytes, _content_type: &str) -> Result<bool, StoreError> {
        let mut world = self.world.lock();
        let free = !world.objects.contains_key(&self.id(key));
        if free {
            self.write(&mut world, key, body);
        }
        Ok(free)
    }

    async fn put_if_match(
        &self,
        key: &str,
        body: Bytes,
        _content_type: &str,
        etag: &str,
    ) -> Result<bool, StoreError> {
        let mut world = self.world.lock();
        let same = world.objects.get(&self.id(key)).is_some_and(|(meta, _)| meta.etag == etag);
        if same {
            self.write(&mut world, key, body);
        }
        Ok(same)
    }

    async fn put_stream(
        &self,
        key: &str,
        _size: u64,
        body: &mut dyn Chunks,
        content_type: &str,
    ) -> Result<ObjectMeta, StoreError> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = body.next().await? {
            whole.extend_from_slice(&chunk);
        }
        self.put(key, whole.freeze(), content_type).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let world = self.world.lock();
        let ours = world.objects.iter().filter(|((b, k), _)| *b == self.bucket && k.starts_with(prefix));
        Ok(ours.map(|(_, (meta, _))| meta.clone()).collect())
    }

    async fn copy_from(
        &self,
        source_bucket: &str,
        at: &ObjectMeta,
        key: &str,
    ) -> Result<Option<Digest>, StoreError> {
        let mut world = self.world.lock();
        let body = self.pinned(&world, source_bucket, at)?;
        let digest = sha256(&body);
        self.write(&mut world, key, body);
        Ok(Some(digest))
    }

    async fn kept_until(&self, key: &str, version: Option<&str>) -> Result<Option<Timestamp>, StoreError> {
        let world = self.world.lock();
        Ok(world.locks.get(&self.lock_id(&world, key, version)?).copied())
    }

    async fn keep_until(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<(), StoreError> {
        let mut world = self.world.lock();
        let id = self.lock_id(&world, key, version)?;
        let lock = world.locks.entry(id).or_insert(until);
        *lock = until.max(*lock);
        Ok(())
    }
}

#[async_trait]
impl DeletingStore for MemoryStore {
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.world.remove(&self.bucket, key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::MemoryS3;

    #[tokio::test]
    async fn memory_keeps_the_contract() {
        let world = MemoryS3::default();
        contract::all(&world.bucket("one"), &world.bucket("two"), 3_000_000).await;
        contract::locks_only_grow(&world.bucket("locked")).await;
        contract::deletes_one_object_and_twice_is_once(&world.bucket("deleted")).await;
    }
}

//! A bucket of Amazon S3, or of anything that speaks its protocol.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode};
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use seatrial_domain::Digest;

use super::{Buckets, Chunks, DeletingStore, ObjectMeta, ObjectStore, StoreError};

/// How often in a row, without a byte in between, a body that broke off is asked for again from where it broke.
const RESUMES: u32 = 5;
/// How long a body may stand still before it counts as broken.
const STALL: Duration = Duration::from_secs(60);
/// How often a conditional write that met another in flight is tried again.
const CONFLICTS: u32 = 4;

/// An S3 client for this configuration: addressed by path where the endpoint is not AWS's own, since an emulator at an IP
/// address has no host names for buckets.
#[must_use]
pub fn s3_client(config: &aws_config::SdkConfig) -> Client {
    let own_endpoint = config.endpoint_url().is_some();
    let stall = StalledStreamProtectionConfig::enabled().grace_period(STALL).build();
    let builder = aws_sdk_s3::config::Builder::from(config).stalled_stream_protection(stall);
    Client::from_conf(builder.force_path_style(own_endpoint).build())
}

/// The sizes at which work is cut into parts, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// One part of an upload; twice that is the largest upload in one piece.
    pub upload: u64,
    /// One part of a copy; twice that is the largest copy in one piece. S3 takes at most 5 GiB.
    pub copy: u64,
}

impl Default for Parts {
    fn default() -> Self {
        Self { upload: 8 << 20, copy: 512 << 20 }
    }
}

/// One bucket on S3.
#[derive(Debug, Clone)]
pub struct S3Store {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) parts: Parts,
}

/// The buckets on S3.
#[derive(Debug, Clone)]
pub struct S3Buckets(Client);

impl S3Buckets {
    /// Those that this client reaches.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Buckets for S3Buckets {
    fn open(&self, name: &str) -> Arc<dyn ObjectStore> {
        Arc::new(S3Store::new(self.0.clone(), name))
    }
}

impl S3Store {
    /// The bucket of that name.
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self { client, bucket: bucket.into(), parts: Parts::default() }
    }

    /// The same with other part sizes.
    #[must_use]
    pub const fn with_parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    /// The meaning of an SDK error: 412 is a changed object where the call was pinned.
    pub(super) fn error<E>(&self, doing: &'static str, key: &str, error: SdkError<E>) -> StoreError
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let (bucket, key) = (self.bucket.clone(), key.to_owned());
        match status(&error) {
            Some(412 | 416) => StoreError::Changed { bucket, key },
            _ => StoreError::Failed { doing, bucket, key, source: describe(error).into() },
        }
    }

    fn meta(&self, key: &str, size: i64, etag: Option<&str>, version: Option<&str>) -> ObjectMeta {
        ObjectMeta {
            key: key.to_owned(),
            size: size.max(0) as u64,
            etag: etag.unwrap_or_default().to_owned(),
            version: version.map(str::to_owned),
        }
    }

    fn put_request(&self, key: &str, body: Bytes, content_type: &str) -> PutObjectFluentBuilder {
        let request = self.client.put_object().bucket(&self.bucket).key(key).content_type(content_type);
        request.body(ByteStream::from(body))
    }

    /// Sends a conditional write. 412 is a no; 409 is another write in flight, and then the answer is not known yet.
    async fn put_if<F>(&self, key: &str, request: F) -> Result<bool, StoreError>
    where
        F: Fn() -> PutObjectFluentBuilder + Send + Sync,
    {
        let mut attempt = 0;
        loop {
            match request().send().await {
                Ok(_) => return Ok(true),
                Err(e) => match status(&e) {
                    // 404: If-Match on an object that is gone.
                    Some(412 | 404) => return Ok(false),
                    Some(409) if attempt < CONFLICTS => {
                        attempt += 1;
                        tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                    }
                    _ => return Err(self.error("writing", key, e)),
                },
            }
        }
    }

    async fn open(&self, at: &ObjectMeta, offset: u64, last: Option<u64>) -> Result<ByteStream, StoreError> {
        let mut request = self.client.get_object().bucket(&self.bucket).key(&at.key).if_match(&at.etag);
        if offset > 0 || last.is_some() {
            let last = last.map(|l| l.to_string()).unwrap_or_default();
            request = request.range(format!("bytes={offset}-{last}"));
        }
        match request.send().await {
            Ok(answer) => Ok(answer.body),
            Err(e) if status(&e) == Some(404) => {
                Err(StoreError::Changed { bucket: self.bucket.clone(), key: at.key.clone() })
            }
            Err(e) => Err(self.error("reading", &at.key, e)),
        }
    }

    /// Until when an object is locked, and how.
    async fn lock(
        &self,
        key: &str,
        version: Option<&str>,
    ) -> Result<(Option<Timestamp>, ObjectLockRetentionMode), StoreError> {
        let request = self.client.head_object().bucket(&self.bucket).key(key);
        let found = match request.set_version_id(version.map(str::to_owned)).send().await {
            Ok(found) => found,
            Err(e) if status(&e) == Some(404) => {
                return Err(StoreError::Changed { bucket: self.bucket.clone(), key: key.to_owned() });
            }
            Err(e) => return Err(self.error("looking at", key, e)),
        };
        let until = found.object_lock_retain_until_date().and_then(|d| Timestamp::from_second(d.secs()).ok());
        let mode = match found.object_lock_mode() {
            Some(ObjectLockMode::Compliance) => ObjectLockRetentionMode::Compliance,
            _ => ObjectLockRetentionMode::Governance,
        };
        Ok((until, mode))
    }

    fn broken(&self, key: &str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        StoreError::Failed {
            doing: "reading",
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            source: error.into(),
        }
    }
}

/// The HTTP status of a refusal, if there was an answer at all.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|r| r.status().as_u16())
}

/// The whole chain of an SDK error in one line: its own text is only "service error".
fn describe<E: std::error::Error + Send + Sync + 'static>(error: SdkError<E>) -> String {
    aws_sdk_s3::error::DisplayErrorContext(error).to_string()
}

#[async_trait]
impl ObjectStore for S3Store {
    fn bucket(&self) -> &str {
        &self.bucket
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(found) => Ok(Some(self.meta(
                key,
                found.content_length().unwrap_or(0),
                found.e_tag(),
                found.version_id(),
            ))),
            Err(e) if status(&e) == Some(404) => Ok(None),
            Err(e) => Err(self.error("looking at", key, e)),
        }
    }

    async fn get_versioned(&self, key: &str, limit: u64) -> Result<Option<(ObjectMeta, Bytes)>, StoreError> {
        let answer = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => answer,
            Err(e) if status(&e) == Some(404) => return Ok(None),
            Err(e) => return Err(self.error("reading", key, e)),
        };
        let meta = self.meta(key, answer.content_length().unwrap_or(0), answer.e_tag(), answer.version_id());
        if meta.size > limit {
            let bucket = self.bucket.clone();
            return Err(StoreError::TooLarge { bucket, key: meta.key, size: meta.size, limit });
        }
        let body = answer.body.collect().await.map_err(|e| self.broken(key, e))?;
        Ok(Some((meta, body.into_bytes())))
    }

    async fn get_range(&self, at: &ObjectMeta, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        let end = offset.saturating_add(len).min(at.size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let body = self.open(at, offset, Some(end - 1)).await?;
        Ok(body.collect().await.map_err(|e| self.broken(&at.key, e))?.into_bytes())
    }

    async fn get_stream(&self, at: &ObjectMeta) -> Result<Box<dyn Chunks>, StoreError> {
        let body = self.open(at, 0, None).await?;
        Ok(Box::new(S3Chunks { store: self.clone(), at: at.clone(), body, read: 0, resumes: 0 }))
    }

    async fn put(&self, key: &str, body: Bytes, content_type: &str) -> Result<ObjectMeta, StoreError> {
        let size = body.len() as i64;
        let request = self.put_request(key, body, content_type);
        let done = request.send().await.map_err(|e| self.error("writing", key, e))?;
        Ok(self.meta(key, size, done.e_tag(), done.version_id()))
    }

    async fn put_if_absent(&self, key: &str, body: Bytes, content_type: &str) -> Result<bool, StoreError> {
        self.put_if(key, || self.put_request(key, body.clone(), content_type).if_none_match("*")).await
    }

    async fn put_if_match(
        &self,
        key: &str,
        body: Bytes,
        content_type: &str,
        etag: &str,
    ) -> Result<bool, StoreError> {
        self.put_if(key, || self.put_request(key, body.clone(), content_type).if_match(etag)).await
    }

    async fn put_stream(
        &self,
        key: &str,
        size: u64,
        body: &mut dyn Chunks,
        content_type: &str,
    ) -> Result<ObjectMeta, StoreError> {
        if size > 2 * self.parts.upload {
            return self.upload_in_parts(key, size, body, content_type).await;
        }
        let mut whole = BytesMut::with_capacity(size as usize);
        while let Some(chunk) = body.next().await? {
            whole.extend_from_slice(&chunk);
        }
        self.put(key, whole.freeze(), content_type).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let mut pages =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| self.error("listing", prefix, e))?;
            let objects = page.contents.unwrap_or_default();
            found.extend(
                objects
                    .iter()
                    .map(|o| self.meta(o.key().unwrap_or_default(), o.size().unwrap_or(0), o.e_tag(), None)),
            );
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    async fn copy_from(
        &self,
        source_bucket: &str,
        at: &ObjectMeta,
        key: &str,
    ) -> Result<Option<Digest>, StoreError> {
        if at.size > 2 * self.parts.copy {
            self.copy_in_parts(source_bucket, at, key).await?;
            return Ok(None);
        }
        self.copy_whole(source_bucket, at, key).await
    }

    async fn kept_until(&self, key: &str, version: Option<&str>) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.lock(key, version).await?.0)
    }

    async fn keep_until(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<(), StoreError> {
        let (kept, mode) = self.lock(key, version).await?;
        if kept.is_some_and(|kept| kept.as_second() >= until.as_second()) {
            return Ok(());
        }
        let until = DateTime::from_secs(until.as_second());
        let retention = ObjectLockRetention::builder().mode(mode).retain_until_date(until).build();
        let request = self.client.put_object_retention().bucket(&self.bucket).key(key);
        let request = request.set_version_id(version.map(str::to_owned)).retention(retention);
        request.send().await.map(|_| ()).map_err(|e| self.error("locking", key, e))
    }
}

#[async_trait]
impl DeletingStore for S3Store {
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let request = self.client.delete_object().bucket(&self.bucket).key(key);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if status(&e) == Some(404) => Ok(()),
            Err(e) => Err(self.error("deleting", key, e)),
        }
    }
}

/// The body of an object. Where it breaks off it is asked for again from there, pinned to the same object.
struct S3Chunks {
    store: S3Store,
    at: ObjectMeta,
    body: ByteStream,
    read: u64,
    resumes: u32,
}

#[async_trait]
impl Chunks for S3Chunks {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            match self.body.next().await {
                Some(Ok(chunk)) => {
                    self.read += chunk.len() as u64;
                    self.resumes = 0;
                    return Ok(Some(chunk));
                }
                None if self.read >= self.at.size => return Ok(None),
                Some(Err(e)) if self.resumes >= RESUMES => return Err(self.store.broken(&self.at.key, e)),
                None if self.resumes >= RESUMES => {
                    let short = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                    return Err(self.store.broken(&self.at.key, short));
                }
                Some(Err(_)) | None => {
                    self.resumes += 1;
                    tracing::warn!(
                        key = self.at.key,
                        read = self.read,
                        "the body broke off; reading on from there"
                    );
                    self.body = self.store.open(&self.at, self.read, None).await?;
                }
            }
        }
    }
}

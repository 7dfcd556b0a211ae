//! Large objects in parts: uploads in flat memory, copies inside S3. What fails is aborted, so that nobody pays for parts
//! that never became an object.

use std::fmt::Write as _;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, CopyPartResult, MetadataDirective,
    TaggingDirective,
};
use bytes::{Bytes, BytesMut};
use seatrial_domain::Digest;
use tokio::task::JoinSet;

use super::s3::status;
use super::{Chunks, ObjectMeta, S3Store, StoreError};

/// How many parts are in flight at once. Times the part size, this is the memory an upload takes.
const IN_FLIGHT: usize = 4;
/// What S3 checks each part by. It is named when an upload begins, for each part, and again at the end: S3 refuses to complete an
/// upload whose parts have checksums it was not told of (`InvalidPart`).
const CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc32;
/// S3 takes at most 10,000 parts.
const MAX_PARTS: u64 = 9_000;

type Part = Result<CompletedPart, StoreError>;

impl S3Store {
    pub(super) async fn upload_in_parts(
        &self,
        key: &str,
        size: u64,
        body: &mut dyn Chunks,
        content_type: &str,
    ) -> Result<ObjectMeta, StoreError> {
        let part_size = self.parts.upload.max(size.div_ceil(MAX_PARTS)) as usize;
        let upload = self.begin(key, content_type).await?;
        let sent = self.send_parts(key, &upload, part_size, body).await;
        let (etag, version) = self.finish(key, &upload, sent).await?;
        Ok(ObjectMeta { key: key.to_owned(), size, etag, version })
    }

    async fn send_parts(
        &self,
        key: &str,
        upload: &str,
        part_size: usize,
        body: &mut dyn Chunks,
    ) -> Result<Vec<CompletedPart>, StoreError> {
        let mut running = JoinSet::new();
        let mut done = Vec::new();
        let mut buffer = BytesMut::with_capacity(part_size);
        let mut number = 0;
        let mut ended = false;
        while !ended {
            match body.next().await? {
                Some(chunk) => buffer.extend_from_slice(&chunk),
                None => ended = true,
            }
            while buffer.len() >= part_size || (ended && !buffer.is_empty()) {
                let part = buffer.split_to(part_size.min(buffer.len())).freeze();
                number += 1;
                if running.len() >= IN_FLIGHT {
                    done.push(next(&mut running).await?);
                }
                let (store, key, upload) = (self.clone(), key.to_owned(), upload.to_owned());
                running.spawn(async move { store.send_part(&key, &upload, number, part).await });
            }
        }
        while !running.is_empty() {
            done.push(next(&mut running).await?);
        }
        Ok(done)
    }

    async fn send_part(&self, key: &str, upload: &str, number: i32, part: Bytes) -> Part {
        let request = self.client.upload_part().bucket(&self.bucket).key(key).upload_id(upload);
        let request = request.checksum_algorithm(CHECKSUM).part_number(number).body(ByteStream::from(part));
        let sent = request.send().await.map_err(|e| self.error("uploading a part of", key, e))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        Ok(part.set_checksum_crc32(sent.checksum_crc32).build())
    }

    pub(super) async fn copy_whole(
        &self,
        source_bucket: &str,
        at: &ObjectMeta,
        key: &str,
    ) -> Result<Option<Digest>, StoreError> {
        let request = self.client.copy_object().bucket(&self.bucket).key(key);
        let request = request.copy_source(source(source_bucket, &at.key)).copy_source_if_match(&at.etag);
        // Tags and metadata are the submitter's; they do not come along, and need no rights to be read.
        let request = request
            .metadata_directive(MetadataDirective::Replace)
            .tagging_directive(TaggingDirective::Replace)
            .content_type("application/octet-stream");
        // S3 then computes the SHA-256 itself: proof that the bytes hashed are the bytes copied.
        let request = request.checksum_algorithm(ChecksumAlgorithm::Sha256);
        match request.send().await {
            Ok(done) => {
                let result = done.copy_object_result;
                Ok(result.and_then(|r| r.checksum_sha256).as_deref().and_then(whole_object_digest))
            }
            Err(e) if status(&e) == Some(404) => Err(gone(source_bucket, &at.key)),
            Err(e) => Err(self.error("copying to", key, e)),
        }
    }

    pub(super) async fn copy_in_parts(
        &self,
        source_bucket: &str,
        at: &ObjectMeta,
        key: &str,
    ) -> Result<(), StoreError> {
        let part_size = self.parts.copy.max(at.size.div_ceil(MAX_PARTS));
        let upload = self.begin(key, "application/octet-stream").await?;
        let copied = self.copy_parts(source_bucket, at, key, &upload, part_size).await;
        self.finish(key, &upload, copied).await.map(drop)
    }

    async fn copy_parts(
        &self,
        source_bucket: &str,
        at: &ObjectMeta,
        key: &str,
        upload: &str,
        part_size: u64,
    ) -> Result<Vec<CompletedPart>, StoreError> {
        let mut running = JoinSet::new();
        let mut done = Vec::new();
        for (number, start) in (1..).zip((0..at.size).step_by(part_size as usize)) {
            if running.len() >= IN_FLIGHT {
                done.push(next(&mut running).await?);
            }
            let range = format!("bytes={start}-{}", (start + part_size).min(at.size) - 1);
            let (store, key, upload) = (self.clone(), key.to_owned(), upload.to_owned());
            let (from, pinned, source_key) = (source_bucket.to_owned(), at.etag.clone(), at.key.clone());
            running.spawn(async move {
                let request =
                    store.client.upload_part_copy().bucket(&store.bucket).key(&key).upload_id(upload);
                let request = request.copy_source(source(&from, &source_key)).copy_source_if_match(&pinned);
                match request.copy_source_range(range).part_number(number).send().await {
                    Ok(sent) => {
                        let result =
                            sent.copy_part_result.unwrap_or_else(|| CopyPartResult::builder().build());
                        let part = CompletedPart::builder().part_number(number).set_e_tag(result.e_tag);
                        Ok(part.set_checksum_crc32(result.checksum_crc32).build())
                    }
                    Err(e) if status(&e) == Some(404) => Err(gone(&from, &source_key)),
                    // The range lies within the object that was looked at; a smaller one in its place may be refused for the
                    // range before its tag is looked at.
                    Err(e) if matches!(e.code(), Some("InvalidArgument" | "InvalidRequest")) => {
                        let head =
                            store.client.head_object().bucket(&from).key(&source_key).if_match(&pinned);
                        match head.send().await {
                            Err(now) if matches!(status(&now), Some(404 | 412)) => {
                                Err(gone(&from, &source_key))
                            }
                            _ => Err(store.error("copying a part to", &key, e)),
                        }
                    }
                    Err(e) => Err(store.error("copying a part to", &key, e)),
                }
            });
        }
        while !running.is_empty() {
            done.push(next(&mut running).await?);
        }
        Ok(done)
    }

    async fn begin(&self, key: &str, content_type: &str) -> Result<String, StoreError> {
        let request =
            self.client.create_multipart_upload().bucket(&self.bucket).key(key).content_type(content_type);
        let begun = request.checksum_algorithm(CHECKSUM).send().await;
        let begun = begun.map_err(|e| self.error("beginning", key, e))?;
        Ok(begun.upload_id.unwrap_or_default())
    }

    /// Completes the upload, or aborts it when a part failed.
    async fn finish(
        &self,
        key: &str,
        upload: &str,
        parts: Result<Vec<CompletedPart>, StoreError>,
    ) -> Result<(String, Option<String>), StoreError> {
        let completed = match parts {
            Ok(mut parts) => {
                parts.sort_by_key(|p| p.part_number().unwrap_or_default());
                let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
                let request =
                    self.client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
                request.multipart_upload(all).send().await.map_err(|e| self.error("completing", key, e))
            }
            Err(e) => Err(e),
        };
        match completed {
            Ok(done) => Ok((done.e_tag.unwrap_or_default(), done.version_id)),
            Err(e) => {
                let request =
                    self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
                if let Err(abort) = request.send().await {
                    let why = aws_sdk_s3::error::DisplayErrorContext(abort).to_string();
                    tracing::warn!(
                        key,
                        why,
                        "an upload that failed could not be aborted; the bucket's lifecycle rule removes it"
                    );
                }
                Err(e)
            }
        }
    }
}

async fn next(running: &mut JoinSet<Part>) -> Part {
    match running.join_next().await {
        Some(Ok(part)) => part,
        ended => Err(StoreError::Failed {
            doing: "sending parts to",
            bucket: String::new(),
            key: String::new(),
            source: format!("a task ended without an answer: {ended:?}").into(),
        }),
    }
}

fn gone(bucket: &str, key: &str) -> StoreError {
    StoreError::Changed { bucket: bucket.to_owned(), key: key.to_owned() }
}

/// `bucket/key` as the header wants it: every byte of the key outside RFC 3986's unreserved set and `/` is encoded.
fn source(bucket: &str, key: &str) -> String {
    let mut text = format!("{bucket}/");
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The digest behind S3's base64 checksum. One with a `-<n>` is over part checksums, and says nothing of the whole.
fn whole_object_digest(base64: &str) -> Option<Digest> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    <[u8; 32]>::try_from(bytes).ok().map(Digest::from_bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_source_is_encoded_but_keeps_its_slashes() {
        assert_eq!(
            source("b", "submissions/m/1/weights/a b+ü.onnx"),
            "b/submissions/m/1/weights/a%20b%2B%C3%BC.onnx"
        );
    }

    #[test]
    fn only_a_whole_objects_checksum_is_a_digest() {
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert!(whole_object_digest(empty).unwrap().hex().starts_with("e3b0c442"));
        assert_eq!(whole_object_digest("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-3"), None);
        assert_eq!(whole_object_digest("AAAA"), None);
    }
}

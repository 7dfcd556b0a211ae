//! A bucket, with the caller's own rights.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use indicatif::ProgressBar;
use seatrial_artifacts::store::{Hasher, ObjectStore, S3Store, s3_client};
use seatrial_attestation::verify::Input;

use super::{Collected, Collector, FILE_LIMIT};
use crate::failure::Failure;

/// Objects that are read at the same time.
const AT_ONCE: usize = 16;

/// One bucket of evidence.
pub(crate) struct Bucket {
    store: S3Store,
}

impl Bucket {
    /// The bucket of that name.
    pub(crate) fn new(aws: &aws_config::SdkConfig, name: &str) -> Self {
        Self { store: S3Store::new(s3_client(aws), name) }
    }

    /// Everything below the prefixes, by its key. A prefix names folders: `a/b` is `a/b/`.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub(crate) async fn read(&self, prefixes: &[String]) -> Result<Collected, Failure> {
        let mut collector = Collector::default();
        let mut keys = BTreeSet::new();
        for prefix in prefixes {
            for object in self.store.list(&as_folder(prefix)).await.map_err(|e| unreadable(&e))? {
                collector.admit(&object.key, object.size)?;
                keys.insert(object.key);
            }
        }
        let progress = ProgressBar::new(keys.len() as u64);
        let objects = futures::stream::iter(keys.into_iter().map(|key| async {
            let bytes = self.store.get(&key, FILE_LIMIT).await.map_err(|e| unreadable(&e))?;
            progress.inc(1);
            Ok::<_, Failure>(bytes.map(|b| (key, b.to_vec())))
        }));
        let read: Vec<_> = objects.buffered(AT_ONCE).try_collect().await?;
        progress.finish_and_clear();
        Ok(read.into_iter().flatten().collect())
    }
}

impl Bucket {
    /// The SHA-256 of each of these files that is there, by its key. Memory stays flat.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub(crate) async fn digests(&self, inputs: &[Input]) -> Result<BTreeMap<String, String>, Failure> {
        let progress = ProgressBar::new(inputs.iter().map(|i| i.size).sum());
        let digests = futures::stream::iter(inputs.iter().map(|input| async {
            let Some(at) = self.store.head(&input.key).await.map_err(|e| unreadable(&e))? else {
                return Ok(None);
            };
            let mut chunks = self.store.get_stream(&at).await.map_err(|e| unreadable(&e))?;
            let mut hasher = Hasher::default();
            while let Some(chunk) = chunks.next().await.map_err(|e| unreadable(&e))? {
                hasher.update(&chunk);
                progress.inc(chunk.len() as u64);
            }
            Ok::<_, Failure>(Some((input.key.clone(), hasher.finish().0.hex().to_owned())))
        }));
        let digests: Vec<_> = digests.buffered(AT_ONCE).try_collect().await?;
        progress.finish_and_clear();
        Ok(digests.into_iter().flatten().collect())
    }
}

fn as_folder(prefix: &str) -> String {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() { String::new() } else { format!("{prefix}/") }
}

/// A bucket that cannot be read says why: which bucket, and what S3 answered.
fn unreadable(error: &seatrial_artifacts::store::StoreError) -> Failure {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        text.push_str(&format!(": {e}"));
        cause = e.source();
    }
    Failure::unavailable(text)
}

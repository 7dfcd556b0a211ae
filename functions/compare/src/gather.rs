//! Reading pairs and labels from the data bucket.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use seatrial_artifacts::store::{ObjectMeta, ObjectStore};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_evidence::keys;
use seatrial_evidence::pair::Pair;
use seatrial_evidence::summary::{Labels, Summary, distinct};
use seatrial_evidence::table::{self, StoredLabel};
use seatrial_runtime::Failure;
use seatrial_stats::Merge;

/// The largest file of pairs or labels that is read, in bytes.
pub const FILE_LIMIT: u64 = 256 << 20;

/// How many files are read at once.
pub const READS: usize = 16;

/// All pairs of a promotion that are written by now, duplicates included.
pub async fn pairs_so_far(data: &dyn ObjectStore, promotion: &PromotionRecord) -> Result<Vec<Pair>, Failure> {
    let objects = data.list(&keys::pairs_prefix(&promotion.model, &promotion.id)).await?;
    let files: Vec<Vec<Pair>> = stream::iter(objects)
        .map(|object| async move { pairs_of(&object.key, read(data, &object).await?) })
        .buffered(READS)
        .try_collect()
        .await?;
    Ok(files.into_iter().flatten().collect())
}

/// One object, which was there when it was listed.
pub async fn read(data: &dyn ObjectStore, object: &ObjectMeta) -> Result<Bytes, Failure> {
    data.get(&object.key, FILE_LIMIT).await?.ok_or_else(|| {
        Failure::unavailable("reading evidence", format!("{} vanished after it was listed", object.key))
    })
}

/// The pairs of a file.
pub fn pairs_of(key: &str, file: Bytes) -> Result<Vec<Pair>, Failure> {
    table::read_pairs(file).map_err(|e| Failure::internal(&format!("reading the pairs in {key} ({e})"), e))
}

/// The labels of a file.
pub fn labels_of(key: &str, file: Bytes) -> Result<Vec<StoredLabel>, Failure> {
    table::read_labels(file).map_err(|e| Failure::internal(&format!("reading the labels in {key} ({e})"), e))
}

/// Each partition deduplicated and summarised, and the summaries merged. The split is by the hash of the observation id, as
/// pairs are written.
pub fn summary(pairs: Vec<Pair>, labels: Vec<StoredLabel>) -> Summary {
    let mut parts: BTreeMap<u16, Vec<Pair>> = BTreeMap::new();
    for pair in pairs {
        parts.entry(keys::partition(&pair.observation_id, 64)).or_default().push(pair);
    }
    let parts: Vec<(Vec<Pair>, u64)> = parts.into_values().map(distinct).collect();
    let labels = Labels::new(labels, parts.iter().flat_map(|(pairs, _)| pairs));
    let mut all = Summary::default();
    for (pairs, duplicates) in &parts {
        all.merge(&Summary::of(pairs, *duplicates, &labels));
    }
    all
}

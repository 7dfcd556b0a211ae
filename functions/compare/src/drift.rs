//! Live inputs beside the reference: which files of the serving log are looked at, and what they hold.

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::store::{ObjectMeta, ObjectStore};
use seatrial_domain::canonical;
use seatrial_domain::promotion::{PromotionRecord, ShadowTimes};
use seatrial_evidence::comparison::FrozenObject;
use seatrial_evidence::drift::{LiveCounts, Profile};
use seatrial_evidence::{keys, live};
use seatrial_runtime::Failure;
use seatrial_stats::Merge;

use crate::gather;

/// How much of the serving log is looked at, in bytes. A distribution needs no more, and the log of a busy model is long.
const SAMPLE_BYTES: u64 = 64 << 20;

/// How many files are read at once.
const READS: usize = 4;

/// A file is filed under the hour of its oldest message, and messages come again for some minutes.
const EARLIER: SignedDuration = SignedDuration::from_hours(1);

/// The files of the serving log that were written while the shadow was open: all of them, or as many as fit, chosen by the
/// hash of their names, which says nothing about what is in them.
pub(crate) async fn sample(
    data: &dyn ObjectStore,
    record: &PromotionRecord,
    shadow: &ShadowTimes,
    until: Timestamp,
) -> Result<Vec<ObjectMeta>, Failure> {
    let from = shadow.opened_at.checked_sub(EARLIER).unwrap_or(shadow.opened_at);
    let mut found = Vec::new();
    for folder in keys::hours("observations", &record.model, from, shadow.closed_at.unwrap_or(until)) {
        found.extend(data.list(&folder).await?);
    }
    found.sort_by_cached_key(|object| canonical::sha256(object.key.as_bytes()).hex().to_owned());
    let mut left = SAMPLE_BYTES;
    let mut taken: Vec<ObjectMeta> = found
        .into_iter()
        .enumerate()
        .take_while(|(place, object)| {
            let fits = *place == 0 || object.size <= left;
            left = left.saturating_sub(object.size);
            fits
        })
        .map(|(_, object)| object)
        .collect();
    taken.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(taken)
}

/// The rows of these files that were served under the promotion's epoch while the shadow was open, counted into the bins of
/// each profile.
pub(crate) async fn counts(
    data: &dyn ObjectStore,
    files: &[FrozenObject],
    epoch: u64,
    shadow: &ShadowTimes,
    profiles: &[Profile],
) -> Result<Vec<LiveCounts>, Failure> {
    let (from, to) = (shadow.opened_at, shadow.closed_at.unwrap_or(Timestamp::MAX));
    let mut all = vec![LiveCounts::default(); profiles.len()];
    if profiles.is_empty() {
        return Ok(all);
    }
    let parts: Vec<Vec<LiveCounts>> = stream::iter(files)
        .map(|object| async move {
            let file = gather::fetch_verified(data, &object.into()).await?;
            let mut counts = vec![LiveCounts::default(); profiles.len()];
            live::read_inputs(file, epoch, from..to, |inputs| {
                for (counts, profile) in counts.iter_mut().zip(profiles) {
                    counts.observe(profile, inputs);
                }
            })
            .map_err(|e| Failure::internal(&format!("reading the serving log in {} ({e})", object.key), e))?;
            Ok::<_, Failure>(counts)
        })
        .buffered(READS)
        .try_collect()
        .await?;
    for part in parts {
        all.iter_mut().zip(&part).for_each(|(all, part)| all.merge(part));
    }
    Ok(all)
}

//! Takes observations from the queue into the evidence: tallies to the registry's table, rows, labels and signals to
//! Parquet, the shadow's sample onward to `replay`, and what does not count to the dead letters with its reason.
//!
//! Everything it writes is named by content or id, so a batch that comes again leaves the same. Nothing here runs a model.

mod read;
mod sort;
mod split;
mod trust;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::PromotionId;
use seatrial_domain::canonical;
use seatrial_domain::route::{Arm, Weight};
use seatrial_evidence::keys;
use seatrial_evidence::observation::{MESSAGE_BYTES, Queued, Served, TALLY_TTL, Tally};
use seatrial_evidence::table;
use seatrial_registry::{Records, Tallies, TallyItem, Watermarks};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::{Queue, pack};
use seatrial_runtime::sqs_event::{BatchAnswer, SqsEvent};
use serde::Serialize;

pub use sort::{DeadLetter, Sorted};
pub use trust::{Cache, Known, Trust};

/// How many tallies are written at once.
const TALLY_WRITES: usize = 16;

/// What `observe` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Reading the registry.
    pub records: &'a dyn Records,
    /// Writing tallies.
    pub tallies: &'a dyn Tallies,
    /// The evidence clock.
    pub watermarks: &'a dyn Watermarks,
    /// The data bucket.
    pub data: &'a dyn ObjectStore,
    /// Where the shadow's sample goes.
    pub shadow: &'a dyn Queue,
    /// Where the batch came from.
    pub observations: &'a dyn Queue,
    /// What was read about models before.
    pub cache: &'a Cache,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// Handles a batch. Bad entries go to the dead letters; trouble with a dependency keeps the whole batch in the queue.
///
/// # Errors
/// When a dependency does not answer: the batch comes again, and what was written is written again in the same place.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, event: SqsEvent) -> Result<BatchAnswer, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let now = clock();
    let (candidates, dead) = sort::parse(&event.records);
    let models = candidates.iter().map(|c| c.model().clone()).collect();
    let trust = Trust::about(ports.records, models, ports.cache).await?;
    let sorted = sort::sort(candidates, dead, &trust, now);

    store_tallies(ports, &sorted.tallies, now).await?;
    for (model, mut rows) in sorted.rows {
        let Some(known) = trust.known(&model) else { continue };
        let sample = sample_of(known, &rows)?;
        ports.shadow.send(pack(sample, MESSAGE_BYTES)).await?;
        // Only now: the shadow needs all columns.
        for column in known.policy.iter().flat_map(|p| &p.observations.drop_columns) {
            for row in &mut rows {
                row.entry.inputs.shift_remove(column);
            }
        }
        let file = table::write_served(&rows).map_err(|e| Failure::internal("writing the serving log", e))?;
        put(ports, file, |digest| keys::observations(&model, first_queued(&rows, now), digest), PARQUET)
            .await?;
    }
    // Filed by the queue's time: producers' clocks are not trusted, and the same batch again has the same.
    let oldest = event.records.iter().filter_map(seatrial_runtime::sqs_event::SqsMessage::sent_at).min();
    let queued = oldest.unwrap_or(now);
    for (model, labels) in &sorted.labels {
        let file = table::write_labels(labels).map_err(|e| Failure::internal("writing labels", e))?;
        put(ports, file, |digest| keys::labels(model, queued, digest), PARQUET).await?;
    }
    for (model, signals) in &sorted.signals {
        let file = table::write_signals(signals).map_err(|e| Failure::internal("writing signals", e))?;
        put(ports, file, |digest| keys::signals(model, queued, digest), PARQUET).await?;
    }
    store_dead(ports, &sorted.dead, now).await?;

    // Everything in this batch is worked off; what is older was handed out before it.
    if let Some(oldest) = oldest {
        ports.watermarks.set_drained_at(ports.observations.name(), oldest).await?;
    }
    Ok(BatchAnswer::default())
}

const PARQUET: &str = "application/vnd.apache.parquet";

fn first_queued(rows: &[Queued<Served>], now: Timestamp) -> Timestamp {
    rows.iter().map(|r| r.queued_at).min().unwrap_or(now)
}

/// A [`Sample`](seatrial_evidence::shadow::Sample) by reference: written the same.
#[derive(Serialize)]
struct Forwarded<'a> {
    promotion: &'a PromotionId,
    queued_at: Timestamp,
    row: &'a Served,
}

/// The rows that the shadow replays, as entries of its queue: of the present promotion, by the hash of their id.
fn sample_of(known: &Known, rows: &[Queued<Served>]) -> Result<Vec<String>, Failure> {
    let route = &known.head.route;
    let (Some(promotion), true) = (&route.promotion, route.shadow > Weight::ZERO) else {
        return Ok(Vec::new());
    };
    rows.iter()
        .filter(|r| r.entry.role != Arm::Pinned && r.entry.route.epoch == route.epoch)
        .filter(|r| route.samples(route.shadow, &r.entry.observation_id))
        .map(|r| serde_json::to_string(&Forwarded { promotion, queued_at: r.queued_at, row: &r.entry }))
        .collect::<Result<_, _>>()
        .map_err(|e| Failure::internal("writing the shadow's sample", e))
}

async fn store_tallies(ports: &Ports<'_>, tallies: &[Tally], now: Timestamp) -> Result<(), Failure> {
    let expires_at = now.saturating_add(TALLY_TTL).unwrap_or(Timestamp::MAX);
    stream::iter(tallies)
        .map(|tally| async move {
            let body = serde_json::to_string(tally).map_err(|e| Failure::internal("writing a tally", e))?;
            let item = TallyItem {
                model: tally.model.clone(),
                epoch: tally.route.epoch,
                second: tally.second,
                arm: tally.role.as_str().to_owned(),
                id: tally.tally_id.clone(),
                body,
                expires_at,
            };
            ports.tallies.put_tally(&item).await?;
            Ok::<(), Failure>(())
        })
        .buffer_unordered(TALLY_WRITES)
        .try_collect::<()>()
        .await
}

async fn store_dead(ports: &Ports<'_>, dead: &[DeadLetter], now: Timestamp) -> Result<(), Failure> {
    if dead.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        count = dead.len(),
        first = dead[0].reason,
        "entries do not count; they are in the dead letters"
    );
    let mut lines = Vec::new();
    for letter in dead {
        serde_json::to_writer(&mut lines, letter)
            .map_err(|e| Failure::internal("writing a dead letter", e))?;
        lines.push(b'\n');
    }
    let at = dead.iter().filter_map(|d| d.queued_at).min().unwrap_or(now);
    put(ports, lines, |digest| keys::dead_letters(at, digest), "application/jsonl").await
}

async fn put(
    ports: &Ports<'_>,
    file: Vec<u8>,
    key: impl Fn(&seatrial_domain::Digest) -> String,
    content_type: &str,
) -> Result<(), Failure> {
    let digest = canonical::sha256(&file);
    ports.data.put_if_absent(&key(&digest), Bytes::from(file), content_type).await?;
    Ok(())
}

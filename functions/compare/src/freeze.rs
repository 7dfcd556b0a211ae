//! Freezing: once everything observed before the shadow's end has arrived, the list of objects is written down.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::evidence::put_evidence;
use seatrial_artifacts::store::{ObjectMeta, ObjectStore};
use seatrial_domain::canonical;
use seatrial_domain::ids::Actor;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef, PromotionRecord};
use seatrial_domain::task::Frozen;
use seatrial_evidence::comparison::{FrozenInputs, FrozenObject};
use seatrial_evidence::keys;
use seatrial_registry::ops::{self, Ops};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::drained_up_to;

use crate::{Ports, drift, gather, traffic};

/// As many rows of pairs one function counts well within its time.
const ONE_FUNCTION: u64 = 20_000_000;

/// A file of labels is filed under the day of its oldest message; the label of a request is later than the request, but
/// clocks differ.
const EARLIER: SignedDuration = SignedDuration::from_hours(1);

/// Freezes the inputs, if they have all arrived.
pub(crate) async fn freeze<C>(
    ports: &Ports<'_>,
    clock: &C,
    record: &PromotionRecord,
    policy: &Policy,
) -> Result<Frozen, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    if let Some(reference) = record.evidence.get(&EvidenceKind::Inputs) {
        return Ok(done(&read(ports, reference).await?));
    }
    if let Some(shadow) = &record.shadow {
        let Some(closed_at) = shadow.closed_at else {
            return Err(Failure::invalid(format!(
                "the shadow of promotion {} is still open; it is closed before its evidence is frozen",
                record.id
            )));
        };
        if let Some(wait_seconds) = still_arriving(ports, clock, record, policy, closed_at).await? {
            return Ok(Frozen { frozen: false, wait_seconds, parts: Vec::new() });
        }
    }
    let inputs = list(ports, clock(), record).await?;
    let bytes = canonical::to_bytes(&inputs).map_err(|e| Failure::internal("writing canonical JSON", e))?;
    ops::still_holds(ports.registry, record).await?;
    let prefix = keys::evidence_prefix(&record.model, &record.id);
    let reference =
        put_evidence(ports.evidence, prefix.trim_end_matches('/'), "inputs", Bytes::from(bytes)).await?;
    let ops = Ops::new(ports.registry, Actor::function("compare"), clock);
    let recorded = ops
        .record_evidence(&record.model, &record.id, record.epoch, EvidenceKind::Inputs, &reference, None)
        .await?;
    match recorded.value.evidence.get(&EvidenceKind::Inputs).filter(|first| **first != reference) {
        Some(first) => Ok(done(&read(ports, first).await?)),
        None => Ok(done(&inputs)),
    }
}

/// The answer once the list is written. Of very many pairs each partition is counted by a function of its own.
fn done(inputs: &FrozenInputs) -> Frozen {
    let rows: u64 = inputs.pairs.iter().filter_map(|object| object.rows).sum();
    let parts: BTreeSet<u16> = inputs.pairs.iter().filter_map(|object| keys::part_of(&object.key)).collect();
    let parts = if rows > ONE_FUNCTION { parts.into_iter().collect() } else { Vec::new() };
    Frozen { frozen: true, wait_seconds: 1, parts }
}

/// Seconds to wait while observations from before the shadow's end, or their replays, may still arrive.
async fn still_arriving<C>(
    ports: &Ports<'_>,
    clock: &C,
    record: &PromotionRecord,
    policy: &Policy,
    closed_at: Timestamp,
) -> Result<Option<u32>, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let now = clock();
    let lateness = SignedDuration::from_secs(i64::from(policy.observations.lateness_seconds));
    let target = closed_at.saturating_add(lateness).unwrap_or(Timestamp::MAX);
    if now < target {
        let left = target.as_second() - now.as_second() + 1;
        return Ok(Some(left.clamp(1, 5) as u32));
    }
    let observed = drained_up_to(ports.observations, ports.watermarks, now).await?;
    if observed.is_none_or(|at| at < target) {
        return Ok(Some(1));
    }
    // From here on no more of this shadow's samples are sent. The replays are through when what was in their queue at the
    // moment this was first seen is worked off; the moment is kept, so that a queue that others fill does not move it.
    let marker = format!("observed-{}", record.id);
    if ports.watermarks.drained_at(&marker).await?.is_none() {
        ports.watermarks.set_drained_at(&marker, now).await?;
    }
    let since = ports.watermarks.drained_at(&marker).await?.unwrap_or(now);
    let replayed = drained_up_to(ports.shadow, ports.watermarks, clock()).await?;
    Ok(replayed.is_none_or(|at| at < since).then_some(1))
}

async fn list(ports: &Ports<'_>, now: Timestamp, record: &PromotionRecord) -> Result<FrozenInputs, Failure> {
    let mut inputs = FrozenInputs {
        schema: 1,
        model: record.model.clone(),
        promotion: record.id.clone(),
        epoch: record.epoch,
        frozen_at: now,
        shadow: record.shadow.clone(),
        pairs: Vec::new(),
        labels: Vec::new(),
        observations: Vec::new(),
        evaluation: record.evidence.get(&EvidenceKind::Evaluation).cloned(),
        traffic: traffic::traffic(ports, record, now).await?,
    };
    if let Some(shadow) = &record.shadow {
        let pairs = ports.data.list(&keys::pairs_prefix(&record.model, &record.id)).await?;
        let labels = labels(ports.data, record, shadow.opened_at, now).await?;
        inputs.pairs = objects(ports, &pairs).await?;
        inputs.labels = objects(ports, &labels).await?;
        let observations = drift::sample(ports.data, record, shadow, now).await?;
        inputs.observations = objects(ports, &observations).await?;
    }
    Ok(inputs)
}

/// The files of labels that came since the shadow was opened: no earlier one can be about its requests.
pub(crate) async fn labels(
    data: &dyn ObjectStore,
    record: &PromotionRecord,
    opened_at: Timestamp,
    now: Timestamp,
) -> Result<Vec<ObjectMeta>, Failure> {
    let from = opened_at.checked_sub(EARLIER).unwrap_or(opened_at);
    let mut found = Vec::new();
    for folder in keys::days("labels", &record.model, from, now) {
        found.extend(data.list(&folder).await?);
    }
    Ok(found)
}

async fn objects(ports: &Ports<'_>, listed: &[ObjectMeta]) -> Result<Vec<FrozenObject>, Failure> {
    stream::iter(listed).map(|object| frozen(ports, object)).buffered(gather::READS).try_collect().await
}

/// An object with the version and the SHA-256 of the bytes that are there now.
async fn frozen(ports: &Ports<'_>, object: &ObjectMeta) -> Result<FrozenObject, Failure> {
    let found = ports.data.get_versioned(&object.key, gather::FILE_LIMIT).await?;
    let (meta, bytes) = found.ok_or_else(|| {
        Failure::unavailable("freezing evidence", format!("{} vanished after it was listed", object.key))
    })?;
    let sha256 = canonical::sha256(&bytes).hex().to_owned();
    // A file without a footer is cut short: it is frozen as it is, and the report names it.
    let rows = seatrial_evidence::columnar::rows(&bytes).ok();
    Ok(FrozenObject {
        key: object.key.clone(),
        version_id: meta.version,
        sha256,
        size: bytes.len() as u64,
        rows,
    })
}

/// The frozen list as it was recorded.
pub(crate) async fn read(ports: &Ports<'_>, reference: &EvidenceRef) -> Result<FrozenInputs, Failure> {
    let bytes =
        seatrial_artifacts::evidence::get_evidence(ports.evidence, reference, gather::FILE_LIMIT).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Failure::internal(&format!("reading the frozen list {}", reference.key), e))
}

//! Freezing: once everything observed before the shadow's end has arrived, the list of objects is written down.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::evidence::put_evidence;
use seatrial_artifacts::store::ObjectMeta;
use seatrial_domain::canonical;
use seatrial_domain::ids::Actor;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef, PromotionRecord};
use seatrial_domain::task::Frozen;
use seatrial_evidence::comparison::{FrozenInputs, FrozenObject};
use seatrial_evidence::keys;
use seatrial_registry::ops::Ops;
use seatrial_runtime::Failure;
use seatrial_runtime::queue::drained_up_to;

use crate::{Ports, gather};

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
    if record.evidence.contains_key(&EvidenceKind::Inputs) {
        return Ok(Frozen { frozen: true, wait_seconds: 1 });
    }
    if let Some(shadow) = &record.shadow {
        let Some(closed_at) = shadow.closed_at else {
            return Err(Failure::invalid(format!(
                "the shadow of promotion {} is still open; it is closed before its evidence is frozen",
                record.id
            )));
        };
        if let Some(wait_seconds) = still_arriving(ports, clock, record, policy, closed_at).await? {
            return Ok(Frozen { frozen: false, wait_seconds });
        }
    }
    let inputs = list(ports, clock(), record).await?;
    let bytes = canonical::to_bytes(&inputs).map_err(|e| Failure::internal("writing canonical JSON", e))?;
    let prefix = keys::evidence_prefix(&record.model, &record.id);
    let reference =
        put_evidence(ports.evidence, prefix.trim_end_matches('/'), "inputs", Bytes::from(bytes)).await?;
    let ops = Ops::new(ports.registry, Actor::function("compare"), clock);
    ops.record_evidence(&record.model, &record.id, record.epoch, EvidenceKind::Inputs, &reference, None)
        .await?;
    Ok(Frozen { frozen: true, wait_seconds: 1 })
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
        evaluation: record.evidence.get(&EvidenceKind::Evaluation).cloned(),
    };
    if record.shadow.is_some() {
        inputs.pairs = objects(ports, &keys::pairs_prefix(&record.model, &record.id)).await?;
        inputs.labels = objects(ports, &keys::labels_prefix(&record.model)).await?;
    }
    Ok(inputs)
}

async fn objects(ports: &Ports<'_>, prefix: &str) -> Result<Vec<FrozenObject>, Failure> {
    let listed = ports.data.list(prefix).await?;
    stream::iter(&listed).map(|object| frozen(ports, object)).buffered(gather::READS).try_collect().await
}

/// An object with the version and the SHA-256 of the bytes that are there now.
async fn frozen(ports: &Ports<'_>, object: &ObjectMeta) -> Result<FrozenObject, Failure> {
    let found = ports.data.get_versioned(&object.key, gather::FILE_LIMIT).await?;
    let (meta, bytes) = found.ok_or_else(|| {
        Failure::unavailable("freezing evidence", format!("{} vanished after it was listed", object.key))
    })?;
    let sha256 = canonical::sha256(&bytes).hex().to_owned();
    Ok(FrozenObject { key: object.key.clone(), version_id: meta.version, sha256, size: bytes.len() as u64 })
}

/// The frozen list as it was recorded.
pub(crate) async fn read(ports: &Ports<'_>, reference: &EvidenceRef) -> Result<FrozenInputs, Failure> {
    let bytes =
        seatrial_artifacts::evidence::get_evidence(ports.evidence, reference, gather::FILE_LIMIT).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Failure::internal(&format!("reading the frozen list {}", reference.key), e))
}

//! Writes the manifest over all evidence of a promotion that ended, however it ended.
//!
//! First the registry's own words become evidence (the promotion, its gates, its part of the history), then every object
//! under the promotion's prefix is read back and hashed, and the list becomes the manifest. Done again, it writes the same
//! bytes: nothing in the manifest depends on when it is made.

pub mod card;

use bytes::Bytes;
use seatrial_artifacts::evidence::put_evidence;
use seatrial_artifacts::store::ObjectStore;
use seatrial_attestation::manifest::{Manifest, Subject, is_manifest};
use seatrial_attestation::statement::Sha256;
use seatrial_domain::gate::GateKind;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::{Actor, GateId};
use seatrial_domain::promotion::{EvidenceRef, PromotionRecord, PromotionStatus};
use seatrial_domain::refusal::Refusal;
use seatrial_domain::task::{Attested, HeldTask};
use seatrial_domain::{ModelName, canonical};
use seatrial_evidence::keys;
use seatrial_registry::Registry;
use seatrial_registry::ops::Ops;
use seatrial_runtime::Failure;
use serde::Serialize;

/// The largest evidence object that is read back, in bytes.
const OBJECT_LIMIT: u64 = 256 << 20;

/// Carries out one task.
///
/// # Errors
/// When the promotion still runs, an object cannot be read, or the registry is unavailable.
pub async fn handle<C>(
    registry: &dyn Registry,
    evidence: &dyn ObjectStore,
    clock: C,
    task: HeldTask,
) -> Result<Attested, Failure>
where
    C: Fn() -> jiff::Timestamp + Send + Sync,
{
    let promotion = registry.promotion(&task.model, &task.promotion).await?.ok_or_else(|| {
        Refusal::NotFound { what: format!("promotion {} of model {}", task.promotion, task.model) }
    })?;
    if promotion.status == PromotionStatus::Running {
        return Err(Failure::invalid(format!(
            "promotion {} still runs; it is attested when it ended",
            promotion.id
        )));
    }
    let reference = write(registry, evidence, &promotion).await?;
    let objects = reference.1;
    let ops = Ops::new(registry, Actor::function("attest"), &clock);
    ops.attested(&task.model, &task.promotion, &reference.0).await?;
    Ok(Attested { manifest: reference.0.key, objects, status: promotion.status })
}

/// Writes records and manifest; the manifest's reference and how many objects it lists.
async fn write(
    registry: &dyn Registry,
    evidence: &dyn ObjectStore,
    promotion: &PromotionRecord,
) -> Result<(EvidenceRef, u64), Failure> {
    let prefix = keys::evidence_prefix(&promotion.model, &promotion.id);
    let folder = prefix.trim_end_matches('/');
    // The record as it was when the promotion ended: what attesting itself adds must not change the bytes.
    let mut record = promotion.clone();
    record.attested = false;
    record.evidence.remove(&seatrial_domain::promotion::EvidenceKind::Manifest);
    put(evidence, folder, "promotion", &record).await?;
    for kind in [GateKind::ShadowWindow, GateKind::Approval] {
        if let Some(gate) = registry.gate(&GateId::derive(&promotion.id, kind.as_str(), 1)).await? {
            put(evidence, folder, &format!("gate-{}", kind.as_str().replace('_', "-")), &gate).await?;
        }
    }
    let history = history_of(registry, &promotion.model, promotion).await?;
    put(evidence, folder, "history", &history).await?;

    let mut subjects = Vec::new();
    for object in evidence.list(&prefix).await? {
        if object.key.strip_prefix(&prefix).is_some_and(is_manifest) {
            continue;
        }
        // A listing names no versions: the one whose bytes are hashed is the one that is read here.
        let (found, bytes) = evidence.get_versioned(&object.key, OBJECT_LIMIT).await?.ok_or_else(|| {
            Failure::unavailable(
                "reading an evidence object",
                format!("{} vanished while it was listed", object.key),
            )
        })?;
        subjects.push(Subject {
            name: object.key,
            size: bytes.len() as u64,
            digest: Sha256 { sha256: canonical::sha256(&bytes).hex().to_owned() },
            version_id: found.version,
        });
    }
    as_recorded(&record, &prefix, &subjects)?;
    let count = subjects.len() as u64;
    let manifest = Manifest::of(promotion, subjects);
    Ok((put(evidence, folder, "manifest", &manifest).await?, count))
}

/// What the registry recorded when it was written must be what lies in the bucket now: a manifest that hashed whatever it found
/// would make an object that was replaced in between look genuine.
fn as_recorded(record: &PromotionRecord, prefix: &str, subjects: &[Subject]) -> Result<(), Failure> {
    for (kind, object) in record.evidence.iter().filter(|(_, object)| object.key.starts_with(prefix)) {
        let found = subjects.iter().find(|s| s.name == object.key).map(|s| s.digest.sha256.as_str());
        if found != Some(object.digest.hex()) {
            let found = found.unwrap_or("nothing");
            let doing = format!(
                "attesting promotion {}: its {kind:?} at {} was recorded as {}, but {found} is there; it",
                record.id, object.key, object.digest
            );
            return Err(Failure::internal(&doing, "evidence is not what was recorded"));
        }
    }
    Ok(())
}

/// The history's entries up to the end of the promotion, its attestation excluded.
async fn history_of(
    registry: &dyn Registry,
    model: &ModelName,
    promotion: &PromotionRecord,
) -> Result<Vec<HistoryEntry>, Failure> {
    let mut all: Vec<HistoryEntry> = Vec::new();
    loop {
        let page = registry.history(model, all.last().map_or(0, |e| e.seq), 500).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let last = all.iter().rposition(|e| e.promotion.as_ref() == Some(&promotion.id) && e.event != "attested");
    all.truncate(last.map_or(0, |i| i + 1));
    Ok(all)
}

async fn put<T: Serialize + Sync>(
    evidence: &dyn ObjectStore,
    folder: &str,
    kind: &str,
    value: &T,
) -> Result<EvidenceRef, Failure> {
    let bytes = canonical::to_bytes(value).map_err(|e| Failure::internal("writing canonical JSON", e))?;
    Ok(put_evidence(evidence, folder, kind, Bytes::from(bytes)).await?)
}

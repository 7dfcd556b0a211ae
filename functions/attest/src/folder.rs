//! The folder of a promotion's evidence: the registry's own words, the list of everything, and the signature over that list.
//!
//! Done again, it writes the same bytes: nothing depends on when it is made.

use bytes::Bytes;
use seatrial_artifacts::evidence::{Found, put_evidence, read_folder};
use seatrial_artifacts::store::ObjectStore;
use seatrial_attestation::manifest::{self, DOCUMENTS, Manifest, Subject, is_made_of_it};
use seatrial_attestation::statement::Sha256;
use seatrial_attestation::verify::Files;
use seatrial_domain::gate::GateKind;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::GateId;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceRef, PromotionRecord, evidence_prefix};
use seatrial_domain::{ModelName, canonical};
use seatrial_registry::Registry;
use seatrial_runtime::Failure;
use serde::Serialize;

use crate::{Ports, signed};

/// Evidence objects of at most this size are kept in memory, in bytes.
const WHOLE: u64 = 64 << 20;

/// A folder that is whole.
pub(crate) struct Folder {
    /// The manifest.
    pub(crate) manifest: EvidenceRef,
    /// How many objects it lists.
    pub(crate) listed: u64,
    /// Its key, with a `/` at its end.
    pub(crate) prefix: String,
    /// What lies in it, the manifest and its envelope included, documents not.
    pub(crate) files: Files,
    /// Why the promotion cannot count as attested: an object is not what the registry recorded. The manifest says what is there and the
    /// record what should be, so whoever verifies sees it too.
    pub(crate) doubt: Option<Failure>,
}

/// Writes records, manifest and envelope.
pub(crate) async fn write(
    ports: &Ports<'_>,
    promotion: &PromotionRecord,
    policy: Option<&Policy>,
) -> Result<Folder, Failure> {
    let prefix = evidence_prefix(&promotion.model, &promotion.id);
    let record = as_it_ended(promotion);
    records(ports, &prefix, &record, policy).await?;

    let found = read_folder(ports.evidence, &prefix, WHOLE).await?;
    let listed: Vec<&Found> =
        found.iter().filter(|f| !f.meta.key.strip_prefix(&prefix).is_some_and(is_made_of_it)).collect();
    let subjects: Vec<Subject> = listed.iter().map(|f| subject(f)).collect();
    let doubt = as_recorded(&record, &prefix, &subjects).err();
    let count = subjects.len() as u64;
    let bytes = signed::payload(&Manifest::of(promotion, subjects, ports.data_days))?;
    // The signature first: a manifest without one would be a doubt.
    let name = manifest::name(&canonical::sha256(&bytes));
    let envelope = signed::once(ports, &format!("{prefix}{name}.dsse.json"), &bytes).await?;
    let manifest = put_evidence(ports.evidence, &prefix, "manifest", Bytes::from(bytes.clone())).await?;

    let mut files = files(found, &prefix);
    files.evidence.insert(format!("{name}.dsse.json"), envelope.to_vec());
    files.evidence.insert(format!("{name}.json"), bytes);
    Ok(Folder { manifest, listed: count, prefix, files, doubt })
}

/// What was found, by its path below the folder.
fn files(found: Vec<Found>, prefix: &str) -> Files {
    let mut files = Files::default();
    for Found { meta, bytes, .. } in found {
        let Some(path) = meta.key.strip_prefix(prefix).filter(|p| !p.starts_with(DOCUMENTS)) else {
            continue;
        };
        match bytes {
            Some(bytes) => drop(files.evidence.insert(path.to_owned(), bytes.to_vec())),
            None => files.partial = true,
        }
    }
    files
}

/// The record as it was when the promotion ended: what attesting itself adds must not change the bytes.
fn as_it_ended(promotion: &PromotionRecord) -> PromotionRecord {
    let mut record = promotion.clone();
    record.attested = false;
    record.evidence.retain(|kind, _| !kind.is_made_of_the_rest());
    record
}

/// The registry's own words become evidence: the promotion, its gates, its policy, the history up to its end.
async fn records(
    ports: &Ports<'_>,
    prefix: &str,
    record: &PromotionRecord,
    policy: Option<&Policy>,
) -> Result<(), Failure> {
    put(ports.evidence, prefix, "promotion", record).await?;
    for kind in [GateKind::ShadowWindow, GateKind::Approval] {
        if let Some(gate) = ports.registry.gate(&GateId::derive(&record.id, kind.as_str(), 1)).await? {
            put(ports.evidence, prefix, &format!("gate-{}", kind.as_str().replace('_', "-")), &gate).await?;
        }
    }
    if let Some(policy) = policy {
        put(ports.evidence, prefix, "policy", policy).await?;
    }
    let history = history_of(ports.registry, &record.model, record).await?;
    put(ports.evidence, prefix, "history", &history).await?;
    Ok(())
}

fn subject(found: &Found) -> Subject {
    Subject {
        name: found.meta.key.clone(),
        size: found.meta.size,
        digest: Sha256 { sha256: found.digest.hex().to_owned() },
        version_id: found.meta.version.clone(),
    }
}

/// What the registry recorded when it was written must be what lies in the bucket now.
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

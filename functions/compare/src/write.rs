//! Writing the report over the frozen inputs, and interim ones over what has arrived.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use seatrial_artifacts::evidence::{get_evidence, put_evidence};
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::canonical;
use seatrial_domain::ids::Actor;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef, PromotionRecord};
use seatrial_domain::refusal::Refusal;
use seatrial_domain::task::Compared;
use seatrial_evidence::comparison::{self, Facts, FrozenObject};
use seatrial_evidence::evaluation::Evaluation;
use seatrial_evidence::keys;
use seatrial_evidence::report::ComparisonReport;
use seatrial_registry::Registry;
use seatrial_registry::ops::{self, Ops};
use seatrial_runtime::Failure;

use crate::{Ports, freeze, gather};

/// Writes the report, once.
pub(crate) async fn report<C>(
    ports: &Ports<'_>,
    clock: &C,
    mut record: PromotionRecord,
    policy: &Policy,
) -> Result<Compared, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    if let Some(reference) = record.evidence.get(&EvidenceKind::Report) {
        let written: ComparisonReport = document(ports.evidence, reference).await?;
        return Ok(Compared { verdict: written.verdict, why: written.why });
    }
    if !record.evidence.contains_key(&EvidenceKind::Inputs) {
        if !freeze::freeze(ports, clock, &record, policy).await?.frozen {
            return Err(Failure::unavailable(
                "freezing the evidence",
                "observations from before the shadow's end may still arrive",
            ));
        }
        record = ports
            .registry
            .promotion(&record.model, &record.id)
            .await?
            .ok_or_else(|| Refusal::NotFound { what: format!("promotion {}", record.id) })?;
    }
    let Some(inputs_ref) = record.evidence.get(&EvidenceKind::Inputs).cloned() else {
        return Err(Failure::unavailable("reading the frozen list", "it is not recorded yet"));
    };
    let inputs = freeze::read(ports, &inputs_ref).await?;
    let evaluation: Option<Evaluation> = match &inputs.evaluation {
        Some(reference) => Some(document(ports.evidence, reference).await?),
        None => None,
    };
    let summary = match &inputs.shadow {
        Some(_) => Some(frozen_summary(ports.data, &inputs.pairs, &inputs.labels).await?),
        None => None,
    };
    let report = comparison::report(&Facts {
        promotion: &record,
        policy,
        evaluation: evaluation.as_ref(),
        summary: summary.as_ref(),
        shadow: inputs.shadow.as_ref(),
        inputs: Some(&inputs_ref),
        at: inputs.frozen_at,
    });
    let bytes = canonical::to_bytes(&report).map_err(|e| Failure::internal("writing canonical JSON", e))?;
    let prefix = keys::evidence_prefix(&record.model, &record.id);
    let reference =
        put_evidence(ports.evidence, prefix.trim_end_matches('/'), "report", Bytes::from(bytes)).await?;
    let ops = Ops::new(ports.registry, Actor::function("compare"), clock);
    ops.record_evidence(
        &record.model,
        &record.id,
        record.epoch,
        EvidenceKind::Report,
        &reference,
        Some(report.verdict),
    )
    .await?;
    Ok(Compared { verdict: report.verdict, why: report.why })
}

async fn frozen_summary(
    data: &dyn ObjectStore,
    pairs: &[FrozenObject],
    labels: &[FrozenObject],
) -> Result<seatrial_evidence::summary::Summary, Failure> {
    let pairs: Vec<Vec<_>> = stream::iter(pairs)
        .map(|object| async move { gather::pairs_of(&object.key, verified(data, object).await?) })
        .buffered(gather::READS)
        .try_collect()
        .await?;
    let labels: Vec<Vec<_>> = stream::iter(labels)
        .map(|object| async move { gather::labels_of(&object.key, verified(data, object).await?) })
        .buffered(gather::READS)
        .try_collect()
        .await?;
    Ok(gather::summary(pairs.into_iter().flatten().collect(), labels.into_iter().flatten().collect()))
}

/// The bytes of a frozen object, which must be those that were frozen.
async fn verified(data: &dyn ObjectStore, object: &FrozenObject) -> Result<Bytes, Failure> {
    let bytes = data.get(&object.key, gather::FILE_LIMIT).await?.ok_or_else(|| {
        Failure::invalid(format!(
            "the frozen input {} is gone; its version {} and SHA-256 {} stand in the frozen list",
            object.key,
            object.version_id.as_deref().unwrap_or("(none)"),
            object.sha256
        ))
    })?;
    let found = canonical::sha256(&bytes);
    if found.hex() != object.sha256 {
        return Err(Failure::invalid(format!(
            "the frozen input {} has the SHA-256 {} now, and had {} when it was frozen; no report is made of changed evidence",
            object.key,
            found.hex(),
            object.sha256
        )));
    }
    Ok(bytes)
}

async fn document<T: serde::de::DeserializeOwned>(
    evidence: &dyn ObjectStore,
    reference: &EvidenceRef,
) -> Result<T, Failure> {
    let bytes = get_evidence(evidence, reference, gather::FILE_LIMIT).await?;
    serde_json::from_slice(&bytes).map_err(|e| Failure::internal(&format!("reading {}", reference.key), e))
}

/// A report over what has arrived by now. It is marked interim, is stored nowhere, and cannot pass.
///
/// # Errors
/// When registry, data or evidence cannot be read.
pub async fn interim(
    registry: &dyn Registry,
    data: &dyn ObjectStore,
    evidence: &dyn ObjectStore,
    promotion: &PromotionRecord,
    now: Timestamp,
) -> Result<ComparisonReport, Failure> {
    let policy = ops::pinned_policy(registry, promotion).await?.policy;
    let evaluation: Option<Evaluation> = match promotion.evidence.get(&EvidenceKind::Evaluation) {
        Some(reference) => Some(document(evidence, reference).await?),
        None => None,
    };
    let summary = match &promotion.shadow {
        Some(_) => Some(gather::summary(gather::pairs_so_far(data, promotion).await?, Vec::new())),
        None => None,
    };
    Ok(comparison::report(&Facts {
        promotion,
        policy: &policy,
        evaluation: evaluation.as_ref(),
        summary: summary.as_ref(),
        shadow: promotion.shadow.as_ref(),
        inputs: None,
        at: now,
    }))
}

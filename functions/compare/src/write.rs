//! Writing the report over the frozen inputs, and interim ones over what has arrived.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;
use seatrial_artifacts::evidence::{get_evidence, put_evidence};
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::canonical;
use seatrial_domain::ids::Actor;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef, PromotionRecord};
use seatrial_domain::refusal::Refusal;
use seatrial_domain::task::{Compared, LONGEST_WAIT_SECONDS, Summarised};
use seatrial_evidence::columnar::Spec;
use seatrial_evidence::comparison::{self, Facts, FrozenInputs};
use seatrial_evidence::evaluation::Evaluation;
use seatrial_evidence::keys;
use seatrial_evidence::report::ComparisonReport;
use seatrial_evidence::summary::Summary;
use seatrial_registry::Registry;
use seatrial_registry::ops::{self, Ops};
use seatrial_runtime::Failure;
use seatrial_stats::Merge;

use crate::gather::{File, Question};
use crate::{Ports, drift, freeze, gather};

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
        return Ok(answer(&written, policy));
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
        Some(_) => Some(frozen_summary(ports, &record, policy, &inputs, &inputs_ref).await?),
        None => None,
    };
    let profiles = evaluation.as_ref().map(|e| e.profiles.as_slice()).unwrap_or_default();
    let live = match &inputs.shadow {
        Some(shadow) => {
            drift::counts(ports.data, &inputs.observations, record.epoch, shadow, profiles).await?
        }
        None => Vec::new(),
    };
    let report = comparison::report(&Facts {
        promotion: &record,
        policy,
        evaluation: evaluation.as_ref(),
        summary: summary.as_ref(),
        shadow: inputs.shadow.as_ref(),
        inputs: Some(&inputs_ref),
        traffic: inputs.traffic.as_ref(),
        live: &live,
        at: inputs.frozen_at,
    });
    let bytes = canonical::to_bytes(&report).map_err(|e| Failure::internal("writing canonical JSON", e))?;
    ops::still_holds(ports.registry, &record).await?;
    let prefix = keys::evidence_prefix(&record.model, &record.id);
    let reference =
        put_evidence(ports.evidence, prefix.trim_end_matches('/'), "report", Bytes::from(bytes)).await?;
    let ops = Ops::new(ports.registry, Actor::function("compare"), clock);
    let held = (&record.model, &record.id, record.epoch);
    ops.record_report(held, &reference, report.verdict, report.automatic.as_ref()).await?;
    Ok(answer(&report, policy))
}

/// What the state machine is told: the verdict, and how long the wait for an approval may last before `gate` looks again.
fn answer(report: &ComparisonReport, policy: &Policy) -> Compared {
    let by_itself = report.automatic.as_ref().is_some_and(|a| a.eligible);
    let approval_wait_seconds = if by_itself { policy.approval.window_seconds } else { LONGEST_WAIT_SECONDS };
    Compared { verdict: report.verdict, why: report.why.clone(), approval_wait_seconds }
}

/// The summary of the frozen pairs: of the partitions that were counted before what was counted, the rest counted now. Both
/// ways have the same bits.
async fn frozen_summary(
    ports: &Ports<'_>,
    record: &PromotionRecord,
    policy: &Policy,
    inputs: &FrozenInputs,
    reference: &EvidenceRef,
) -> Result<Summary, Failure> {
    let mut question = question(policy, inputs);
    let prefix = keys::summaries_prefix(&record.model, &record.id, &reference.digest);
    let mut all = Summary::default();
    let mut counted = BTreeSet::new();
    for object in ports.evidence.list(&prefix).await? {
        let Some(part) = part_of_summary(&object.key) else { continue };
        let Some(bytes) = ports.evidence.get(&object.key, gather::FILE_LIMIT).await? else { continue };
        let summary: Summary = serde_json::from_slice(&bytes)
            .map_err(|e| Failure::internal(&format!("reading {}", object.key), e))?;
        all.merge(&summary);
        counted.insert(part);
    }
    if !counted.is_empty() {
        let parts = question.pairs.iter().filter_map(|file| keys::part_of(&file.key));
        question.parts = Some(parts.filter(|part| !counted.contains(part)).collect());
    }
    if question.parts.as_ref().is_none_or(|parts| !parts.is_empty()) {
        all.merge(&gather::summary(ports.data, &question).await?);
    }
    Ok(all)
}

fn part_of_summary(key: &str) -> Option<u16> {
    key.rsplit('/').next()?.strip_prefix("part=")?.strip_suffix(".json")?.parse().ok()
}

fn question(policy: &Policy, inputs: &FrozenInputs) -> Question {
    Question {
        spec: Spec::of(policy, inputs.frozen_at),
        pairs: inputs.pairs.iter().map(File::from).collect(),
        labels: inputs.labels.iter().map(File::from).collect(),
        parts: None,
    }
}

/// Counts one partition of the frozen list and keeps the counts, once.
pub(crate) async fn summarise(
    ports: &Ports<'_>,
    record: &PromotionRecord,
    policy: &Policy,
    part: u16,
) -> Result<Summarised, Failure> {
    let reference = record.evidence.get(&EvidenceKind::Inputs).ok_or_else(|| {
        Failure::invalid(format!("the evidence of promotion {} is not frozen yet", record.id))
    })?;
    let key = keys::part_summary(&record.model, &record.id, &reference.digest, part);
    let summary: Summary = match ports.evidence.get(&key, gather::FILE_LIMIT).await? {
        Some(bytes) => {
            serde_json::from_slice(&bytes).map_err(|e| Failure::internal(&format!("reading {key}"), e))?
        }
        None => {
            let inputs = freeze::read(ports, reference).await?;
            let question = Question { parts: Some(BTreeSet::from([part])), ..question(policy, &inputs) };
            let summary = gather::summary(ports.data, &question).await?;
            let bytes =
                serde_json::to_vec(&summary).map_err(|e| Failure::internal("writing a summary", e))?;
            ops::still_holds(ports.registry, record).await?;
            ports.evidence.put_if_absent(&key, Bytes::from(bytes), "application/json").await?;
            summary
        }
    };
    Ok(Summarised { part, pairs: summary.pairs })
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
        Some(shadow) => {
            let pairs = data.list(&keys::pairs_prefix(&promotion.model, &promotion.id)).await?;
            let labels = freeze::labels(data, promotion, shadow.opened_at, now).await?;
            let question = Question {
                spec: Spec::of(&policy, now),
                pairs: pairs.iter().map(File::from).collect(),
                labels: labels.iter().map(File::from).collect(),
                parts: None,
            };
            Some(gather::summary(data, &question).await?)
        }
        None => None,
    };
    Ok(comparison::report(&Facts {
        promotion,
        policy: &policy,
        evaluation: evaluation.as_ref(),
        summary: summary.as_ref(),
        shadow: promotion.shadow.as_ref(),
        inputs: None,
        traffic: None,
        live: &[],
        at: now,
    }))
}

//! The model card of a version, made of what the registry and the buckets hold of its last promotion.

use seatrial_artifacts::store::ObjectStore;
use seatrial_artifacts::{
    Manifest, PublishError, ReadError, attach_card, get_evidence, load_version, read_file,
};
use seatrial_domain::Digest;
use seatrial_domain::change::PolicyRecord;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord};
use seatrial_domain::refusal::Refusal;
use seatrial_domain::version::VersionRecord;
use seatrial_evidence::report::ComparisonReport;
use seatrial_registry::Registry;
use seatrial_report::card::{Card, render};
use seatrial_runtime::Failure;

/// The largest report that is read.
const REPORT_LIMIT: u64 = 64 << 20;
/// The largest file of a submission that is read: what a submission may bring of them at most.
const FILE_LIMIT: u64 = 16 << 20;

/// The card of a version.
///
/// # Errors
/// When the version is collected; when a record, the report or the package cannot be read, or is not what its digest says.
pub async fn of_version(
    registry: &dyn Registry,
    models: &dyn ObjectStore,
    evidence: &dyn ObjectStore,
    version: &VersionRecord,
) -> Result<String, Failure> {
    version.loadable()?;
    let promotion = match &version.promotion {
        Some(id) => registry.promotion(&version.model, id).await?,
        None => None,
    };
    let policy =
        policy(registry, version, promotion.as_ref()).await?.map_or_else(Policy::default, |r| r.policy);
    let report = match promotion.as_ref().and_then(|p| p.evidence.get(&EvidenceKind::Report)) {
        Some(reference) => Some(report(evidence, reference).await?),
        None => None,
    };
    let gate = match promotion.as_ref().and_then(|p| p.gate.as_ref()) {
        Some(id) => registry.gate(id).await?,
        None => None,
    };
    let manifest = load_version(models, &version.model, &version.digest).await.map_err(unreadable)?;
    let data_manifest = text(models, version, &manifest, "data_manifest.txt").await?;
    let own_card = text(models, version, &manifest, "model_card.md").await?;
    Ok(render(&Card {
        version,
        policy: &policy,
        promotion: promotion.as_ref(),
        report: report.as_ref(),
        gate: gate.as_ref(),
        data_manifest: data_manifest.as_deref(),
        own_card: own_card.as_deref(),
    }))
}

/// Attaches the card of an ended promotion to its version; gives the digest of the card's manifest. Doing it again changes
/// nothing.
///
/// # Errors
/// As [`of_version`], and when the models bucket does not take it.
pub async fn attach(
    registry: &dyn Registry,
    models: &dyn ObjectStore,
    evidence: &dyn ObjectStore,
    promotion: &PromotionRecord,
) -> Result<Digest, Failure> {
    let (model, challenger) = (&promotion.model, &promotion.challenger);
    let Some(ended_at) = promotion.ended_at else {
        return Err(Failure::invalid(format!(
            "promotion {} still runs; its card is attached when it ended",
            promotion.id
        )));
    };
    let found = registry.version(model, challenger.version).await?;
    let mut version = found.ok_or_else(|| Refusal::NotFound {
        what: format!("version {} of model {model}", challenger.version),
    })?;
    // A promotion of the same bytes may have begun since; the card is this one's.
    version.promotion = Some(promotion.id.clone());
    let card = of_version(registry, models, evidence, &version).await?;
    let attached = attach_card(models, model, &version.digest, &card, &promotion.id, ended_at).await;
    attached.map_err(|e| match e {
        PublishError::Store(e) => e.into(),
        e @ PublishError::Layout { .. } => Failure::internal("attaching a model card", e),
    })
}

/// The policy that the promotion was held to; the one in force before the first.
async fn policy(
    registry: &dyn Registry,
    version: &VersionRecord,
    promotion: Option<&PromotionRecord>,
) -> Result<Option<PolicyRecord>, Failure> {
    let reference = match promotion {
        Some(promotion) => Some(promotion.policy.clone()),
        None => registry.head(&version.model).await?.and_then(|head| head.policy),
    };
    match reference {
        Some(reference) => Ok(registry.policy(&version.model, reference.number).await?),
        None => Ok(None),
    }
}

async fn report(
    evidence: &dyn ObjectStore,
    reference: &seatrial_domain::promotion::EvidenceRef,
) -> Result<ComparisonReport, Failure> {
    let bytes = get_evidence(evidence, reference, REPORT_LIMIT).await?;
    serde_json::from_slice(&bytes).map_err(|e| Failure::internal("reading the comparison report", e))
}

/// A text of the submission; none where it brought none.
async fn text(
    models: &dyn ObjectStore,
    version: &VersionRecord,
    manifest: &Manifest,
    path: &str,
) -> Result<Option<String>, Failure> {
    if !manifest.files.contains_key(path) {
        return Ok(None);
    }
    let bytes = read_file(models, &version.model, manifest, path, FILE_LIMIT).await.map_err(unreadable)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn unreadable(error: ReadError) -> Failure {
    if error.is_transient() {
        Failure::unavailable("reading a package", error)
    } else {
        Failure::internal("reading a package", error)
    }
}

//! Writes and signs what an auditor starts from: the manifest over all evidence of a promotion that ended, however it ended, the audit
//! document made of it, and checkpoints of histories. The only function that signs evidence.

pub mod card;
mod document;
mod folder;
mod keep;
mod signed;

use jiff::Timestamp;
use seatrial_artifacts::store::ObjectStore;
use seatrial_attestation::checkpoint::{self, Checkpoint};
use seatrial_attestation::signer::Signer;
use seatrial_domain::ModelName;
use seatrial_domain::ids::Actor;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_domain::refusal::Refusal;
use seatrial_domain::task::{AnchorTask, Anchored, AttestAnswer, AttestTask, Attested, HeldTask};
use seatrial_registry::ops::{Ops, pinned_policy};
use seatrial_registry::{OpError, Registry};
use seatrial_runtime::Failure;

/// What `attest` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn Registry,
    /// The evidence bucket.
    pub evidence: &'a dyn ObjectStore,
    /// The models bucket, for the card.
    pub models: &'a dyn ObjectStore,
    /// The deployment's key.
    pub signer: &'a dyn Signer,
    /// How many days the data bucket keeps what reports rest on.
    pub data_days: Option<u32>,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// Carries out one task.
///
/// # Errors
/// When the promotion still runs, an object cannot be read, nothing can be signed, or the registry is unavailable.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, task: AttestTask) -> Result<AttestAnswer, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    match task {
        AttestTask::Promotion(task) => attest(ports, clock, task).await.map(AttestAnswer::Promotion),
        AttestTask::Anchor(AnchorTask { anchor, .. }) => {
            let checkpoint = self::anchor(ports, &anchor).await?;
            Ok(AttestAnswer::Anchor(Anchored { checkpoint }))
        }
    }
}

/// Attests a promotion. First the registry's own words become evidence, then the manifest over everything is written and signed, then
/// the document made of it is sealed, then the registry is told, then the history, which now says so too, is anchored, and last the model
/// card is attached to the package. Each step done again finds what it made before.
async fn attest<C>(ports: &Ports<'_>, clock: C, task: HeldTask) -> Result<Attested, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let promotion = ports.registry.promotion(&task.model, &task.promotion).await?.ok_or_else(|| {
        Refusal::NotFound { what: format!("promotion {} of model {}", task.promotion, task.model) }
    })?;
    if promotion.status == PromotionStatus::Running {
        return Err(Failure::invalid(format!(
            "promotion {} still runs; it is attested when it ended",
            promotion.id
        )));
    }
    let policy = policy(ports.registry, &promotion).await?;
    let folder = folder::write(ports, &promotion, policy.as_ref()).await?;
    let document = document::write(ports, &folder).await?;
    keep::keep(ports.evidence, &promotion, policy.as_ref(), &folder.prefix).await?;
    if let Some(doubt) = folder.doubt {
        return Err(doubt);
    }
    let ops = Ops::new(ports.registry, Actor::function("attest"), &clock);
    ops.attested(&task.model, &task.promotion, &folder.manifest, &document).await?;
    anchor(ports, &task.model).await?;
    attach_card(ports, &promotion).await?;
    Ok(Attested { manifest: folder.manifest.key, objects: folder.listed, status: promotion.status })
}

/// Attaches the model card to the package. It is no evidence: a package that cannot be read keeps nothing from being attested.
async fn attach_card(ports: &Ports<'_>, promotion: &PromotionRecord) -> Result<(), Failure> {
    match card::attach(ports.registry, ports.models, ports.evidence, promotion).await {
        Err(failure) if failure.is_transient() => Err(failure),
        Err(failure) => {
            tracing::error!(promotion = %promotion.id, error = failure.chain(), "no model card is attached");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// The policy that the promotion pinned. A registry that lost or changed it keeps no promotion from its evidence, which then has none.
async fn policy(registry: &dyn Registry, promotion: &PromotionRecord) -> Result<Option<Policy>, Failure> {
    match pinned_policy(registry, promotion).await {
        Ok(record) => Ok(Some(record.policy)),
        Err(OpError::Refused(why)) => {
            tracing::error!(promotion = %promotion.id, %why, "the pinned policy cannot become evidence");
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}

/// Signs where the history of `model` stands. The checkpoint's key; none where there is no history.
async fn anchor(ports: &Ports<'_>, model: &ModelName) -> Result<Option<String>, Failure> {
    let Some(head) = ports.registry.head(model).await? else { return Ok(None) };
    let Some(before) = head.chain.seq.checked_sub(1) else { return Ok(None) };
    let entries = ports.registry.history(model, before, 1).await?;
    let last = entries.first().filter(|e| e.seq == head.chain.seq && e.hash == head.chain.hash);
    let last = last.ok_or_else(|| {
        let found = format!("its head says {} at {}", head.chain.hash, head.chain.seq);
        Failure::internal(&format!("anchoring the history of {model}"), found)
    })?;
    let key = checkpoint::key(model, last.seq);
    signed::once(ports, &key, &signed::payload(&Checkpoint::at(last))?).await?;
    Ok(Some(key))
}

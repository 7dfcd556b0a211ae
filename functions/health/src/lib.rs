//! Is the canary healthy, degraded, or not yet known: reads the tallies of its epoch up to the watermark and judges.
//!
//! It writes nothing in the registry. A judgement that ends a step becomes an evidence object; asked again about that step,
//! the same judgement is the answer.

pub mod live;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::canonical;
use seatrial_domain::refusal::Refusal;
use seatrial_domain::task::{HealthAnswer, HealthState, HealthTask, Held};
use seatrial_evidence::canary::{Counts, Facts, Judgement, judge};
use seatrial_evidence::keys;
use seatrial_evidence::observation::Tally;
use seatrial_registry::{Registry, Tallies, Watermarks, ops};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::{Queue, drained_up_to};
use serde::{Deserialize, Serialize};

/// The largest judgement that is read back, in bytes.
const JUDGEMENT_LIMIT: u64 = 16 << 20;

/// What `health` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Reading the registry.
    pub registry: &'a dyn Registry,
    /// The data planes' counts.
    pub tallies: &'a dyn Tallies,
    /// The evidence clock.
    pub watermarks: &'a dyn Watermarks,
    /// The evidence bucket.
    pub evidence: &'a dyn ObjectStore,
    /// The observations queue, whose watermark bounds what is counted.
    pub observations: &'a dyn Queue,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// The evidence object of a judged step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEvidence {
    /// 1.
    pub schema: u32,
    /// The promotion.
    #[serde(flatten)]
    pub of: Named,
    /// The judgement and all it rests on.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// Whose canary it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// The model.
    pub model: seatrial_domain::ModelName,
    /// The promotion.
    pub promotion: seatrial_domain::PromotionId,
    /// Its epoch.
    pub epoch: u64,
}

/// Judges a step.
///
/// # Errors
/// Superseded when the promotion no longer holds the model; invalid for a step that did not begin.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, task: HealthTask) -> Result<HealthAnswer, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let Held { model, promotion, epoch, .. } = &task.held;
    let head = ports
        .registry
        .head(model)
        .await?
        .ok_or_else(|| Refusal::NotFound { what: format!("model {model}") })?;
    head.held_by(promotion, *epoch)?;
    let record = ports
        .registry
        .promotion(model, promotion)
        .await?
        .ok_or_else(|| Refusal::NotFound { what: format!("promotion {promotion} of model {model}") })?;
    let policy = ops::pinned_policy(ports.registry, &record).await?.policy;
    let wait_seconds = policy.canary.check_seconds.clamp(1, 60);
    let answer = |j: &Judgement| HealthAnswer { state: j.state, wait_seconds, why: j.why.clone() };

    let prefix = keys::evidence_prefix(model, promotion);
    let key = format!("{prefix}canary-step-{}.json", task.step);
    if let Some(judged) = judged_before(ports.evidence, &key).await? {
        return Ok(answer(&judged.judgement));
    }
    let steps = record.steps.get(..=task.step as usize).ok_or_else(|| {
        Failure::invalid(format!(
            "canary step {} did not begin: promotion {promotion} took {}",
            task.step,
            record.steps.len()
        ))
    })?;
    let now = clock();
    let lateness = SignedDuration::from_secs(i64::from(policy.observations.lateness_seconds));
    let drained = drained_up_to(ports.observations, ports.watermarks, now).await?;
    let watermark = drained.and_then(|at| at.checked_sub(lateness).ok());
    let counts = match watermark {
        Some(to) => counts(ports, &task.held, to, policy.canary.unit).await?,
        None => Counts::default(),
    };
    let facts = Facts { rules: &policy.canary, steps, counts: &counts, now, watermark };
    let judgement = judge(&facts).ok_or_else(|| Failure::invalid("the canary has no step"))?;
    if judgement.state != HealthState::NotYetKnown {
        let of = Named { model: model.clone(), promotion: promotion.clone(), epoch: *epoch };
        let evidence = StepEvidence { schema: 1, of, judgement: judgement.clone() };
        let bytes =
            canonical::to_bytes(&evidence).map_err(|e| Failure::internal("writing canonical JSON", e))?;
        let first = ports.evidence.put_if_absent(&key, Bytes::from(bytes), "application/json").await?;
        // The same task running twice: what was written first is the judgement.
        if let (false, Some(judged)) = (first, judged_before(ports.evidence, &key).await?) {
            return Ok(answer(&judged.judgement));
        }
    }
    tracing::info!(model = model.as_str(), step = task.step, state = ?judgement.state, why = judgement.why, "judged the canary");
    Ok(answer(&judgement))
}

async fn counts(
    ports: &Ports<'_>,
    held: &Held,
    to: Timestamp,
    unit: seatrial_domain::policy::Unit,
) -> Result<Counts, Failure> {
    // The epoch begins with the promotion, so all its tallies count, however far behind a producer's clock is.
    let to = to.as_second();
    let items = ports.tallies.tallies(&held.model, held.epoch, 0..to.max(0)).await?;
    let parse =
        |body: &str| serde_json::from_str::<Tally>(body).map_err(|e| Failure::internal("reading a tally", e));
    let tallies = items.iter().map(|item| parse(&item.body)).collect::<Result<Vec<_>, _>>()?;
    Ok(Counts::of(tallies, to, unit))
}

async fn judged_before(evidence: &dyn ObjectStore, key: &str) -> Result<Option<StepEvidence>, Failure> {
    let Some(bytes) = evidence.get(key, JUDGEMENT_LIMIT).await? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Failure::internal(&format!("reading the judgement {key}"), e))
}

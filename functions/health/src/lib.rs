//! Is the canary healthy, degraded, or not yet known: reads the tallies of its epoch up to the watermark and judges.
//!
//! It writes nothing in the registry. A judgement that ends a step becomes an evidence object; asked again about that step,
//! the same judgement is the answer.

pub mod counted;
pub mod live;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::canonical;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{PromotionRecord, Stage};
use seatrial_domain::refusal::Refusal;
use seatrial_domain::target::{Met, Standing};
use seatrial_domain::task::{HealthAnswer, HealthState, HealthTask, Held};
use seatrial_evidence::canary::{Counts, Facts, Judgement, judge};
use seatrial_evidence::keys;
use seatrial_evidence::live::SignalCounts;
use seatrial_registry::{Registry, Tallies, Targets, Watermarks, ops};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::{Queue, drained_up_to};
use serde::{Deserialize, Serialize};

use counted::{Reading, Sums, TallyCache};
use live::LiveCache;

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
    /// What was seen of traffic targets.
    pub targets: &'a dyn Targets,
    /// The evidence bucket.
    pub evidence: &'a dyn ObjectStore,
    /// The data bucket: the serving log, signals and labels.
    pub data: &'a dyn ObjectStore,
    /// What earlier looks counted.
    pub tally_cache: &'a TallyCache,
    /// What earlier looks read of the serving log.
    pub live_cache: &'a LiveCache,
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

    if let Some(bypass) = record.bypass(Stage::Canary) {
        let why = format!(
            "the canary was skipped in an emergency by {} at {}: {}",
            bypass.by.principal, bypass.at, bypass.reason
        );
        return Ok(HealthAnswer { state: HealthState::Skipped, wait_seconds, why });
    }
    let prefix = keys::evidence_prefix(model, promotion);
    let key = format!("{prefix}canary-step-{}.json", task.step);
    if let Some(judged) = judged_before(ports.evidence, &key).await? {
        return Ok(answer(&judged.judgement));
    }
    let now = clock();
    let target = match &policy.target {
        None => None,
        Some(target) => {
            let seen = ports.targets.target(model).await?;
            Some(AtTarget {
                holds: Standing::of(&head, Some(target), seen.as_ref())
                    .holds_canary(policy.canary.hold_seconds, now),
                met: seen
                    .filter(|r| r.target == *target && r.epoch == *epoch)
                    .map(|r| r.met)
                    .unwrap_or_default(),
            })
        }
    };
    let look =
        Look { ports, record: &record, policy: &policy, target: target.as_ref(), step: task.step, now };
    let drained = drained_up_to(ports.observations, ports.watermarks, look.now).await?;
    let (mut judgement, partly_kept) = look.judge(drained, Reading::SinceLast).await?;
    // What ends a step rests on everything that was reported, whichever process looks.
    if judgement.state != HealthState::NotYetKnown && partly_kept {
        (judgement, _) = look.judge(drained, Reading::Everything).await?;
    }
    if judgement.state != HealthState::NotYetKnown {
        let of = Named { model: model.clone(), promotion: promotion.clone(), epoch: *epoch };
        let evidence = StepEvidence { schema: 1, of, judgement: judgement.clone() };
        let bytes =
            canonical::to_bytes(&evidence).map_err(|e| Failure::internal("writing canonical JSON", e))?;
        ops::still_holds(ports.registry, &record).await?;
        let first = ports.evidence.put_if_absent(&key, Bytes::from(bytes), "application/json").await?;
        // The same task running twice: what was written first is the judgement.
        if let (false, Some(judged)) = (first, judged_before(ports.evidence, &key).await?) {
            return Ok(answer(&judged.judgement));
        }
    }
    if !judgement.notify.is_empty() {
        seatrial_runtime::metric::count(seatrial_runtime::metric::SIGNAL_HELD, model);
    }
    for why in &judgement.notify {
        tracing::warn!(model = model.as_str(), step = task.step, why, "a signal holds the canary");
    }
    tracing::info!(model = model.as_str(), step = task.step, state = ?judgement.state, why = judgement.why, "judged the canary");
    Ok(answer(&judgement))
}

/// What splits the traffic, where that is no server that reads the route.
struct AtTarget {
    /// Why the step cannot be judged healthy yet.
    holds: Option<String>,
    /// From when on callers met the weights.
    met: Met,
}

/// Callers do not meet the step's weight yet: what was measured is not what the step asks about, so it leads no further, and nobody is
/// told of a signal.
fn not_before_the_target(mut judgement: Judgement, policy: &Policy, why: &str) -> Judgement {
    let held = judgement.judged_at.duration_since(judgement.since).as_secs();
    let longest = i64::from(policy.canary.max_hold_seconds);
    judgement.state = match judgement.state {
        HealthState::Healthy if held >= longest => HealthState::Exhausted,
        HealthState::Healthy => HealthState::NotYetKnown,
        state @ (HealthState::NotYetKnown | HealthState::Exhausted) => state,
        HealthState::Degraded | HealthState::Skipped => return judgement,
    };
    judgement.why = format!("{why}; {}", judgement.why);
    judgement.notify.clear();
    judgement
}

/// One look at a step.
struct Look<'a> {
    ports: &'a Ports<'a>,
    record: &'a PromotionRecord,
    policy: &'a Policy,
    target: Option<&'a AtTarget>,
    step: u32,
    now: Timestamp,
}

impl Look<'_> {
    /// The judgement, and whether it rests partly on what earlier looks read.
    ///
    /// Servers behind a target report the step's weight before their callers meet it. Over everything that they report, the weight is at
    /// most too high, so harm that is found there is harm; the rest, and above all that the step is healthy, is judged over what
    /// callers met.
    async fn judge(
        &self,
        drained: Option<Timestamp>,
        reading: Reading,
    ) -> Result<(Judgement, bool), Failure> {
        let Self { ports, record, policy, target, step, now } = *self;
        let rules = policy.judged_canary();
        let rules = rules.as_ref();
        let met = target.map(|target| &target.met);
        let steps = record.steps.get(..=step as usize).ok_or_else(|| {
            let (id, taken) = (&record.id, record.steps.len());
            Failure::invalid(format!("canary step {step} did not begin: promotion {id} took {taken}"))
        })?;
        let lateness_seconds = policy.observations.lateness_seconds;
        let watermark = drained
            .and_then(|at| at.checked_sub(SignedDuration::from_secs(i64::from(lateness_seconds))).ok());
        let (mut sums, mut signals, mut partly_kept) =
            (Sums::new(rules, met), SignalCounts::default(), false);
        if let (Some(watermark), Some(first)) = (watermark, steps.first()) {
            let of = (record, rules, met);
            let read =
                counted::count(ports.tallies, ports.tally_cache, of, (now, watermark), reading).await?;
            (sums, partly_kept) = (read.sums, read.partly_kept);
            let of = live::Of { model: &record.model, epoch: record.epoch, since: first.at, watermark };
            signals = live::signals(ports.data, ports.live_cache, rules, of).await?;
        }
        let judged = |counts: &Counts, signals: &SignalCounts| {
            let facts = Facts { rules, steps, counts, signals, now, watermark, lateness_seconds };
            judge(&facts).ok_or_else(|| Failure::invalid("the canary has no step"))
        };
        let everything = judged(&sums.all, &signals)?;
        let judgement = match (target, &sums.met) {
            (Some(AtTarget { holds: Some(why), .. }), _) => not_before_the_target(everything, policy, why),
            (Some(_), Some((met, counts))) if everything.state != HealthState::Degraded => {
                judged(counts, &signals.met(met))?
            }
            _ => everything,
        };
        Ok((judgement, partly_kept))
    }
}

async fn judged_before(evidence: &dyn ObjectStore, key: &str) -> Result<Option<StepEvidence>, Failure> {
    let Some(bytes) = evidence.get(key, JUDGEMENT_LIMIT).await? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Failure::internal(&format!("reading the judgement {key}"), e))
}

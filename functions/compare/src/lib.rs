//! Judges the shadow: is its evidence enough, which objects are the evidence, and what does it say.
//!
//! The report reads exactly the objects of the frozen list, each checked against its SHA-256, and holds no clock of its own:
//! made twice it has the same bytes.

mod drift;
mod freeze;
mod gather;
mod progress;
mod traffic;
mod write;

use jiff::Timestamp;
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::refusal::Refusal;
use seatrial_domain::task::{CompareAction, CompareTask, ShadowCheck, ShadowState};
use seatrial_registry::{Registry, Tallies, Watermarks, ops};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::{Queue, drained_up_to};
use serde::Serialize;

pub use seatrial_evidence::progress::ShadowProgress;
pub use write::interim;

/// What `compare` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn Registry,
    /// What the replays counted.
    pub tallies: &'a dyn Tallies,
    /// The evidence clock.
    pub watermarks: &'a dyn Watermarks,
    /// The data bucket.
    pub data: &'a dyn ObjectStore,
    /// The evidence bucket.
    pub evidence: &'a dyn ObjectStore,
    /// The observations queue.
    pub observations: &'a dyn Queue,
    /// The shadow queue.
    pub shadow: &'a dyn Queue,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// The answer of a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of `check_shadow`.
    Check(ShadowCheck),
    /// Of `freeze`.
    Frozen(seatrial_domain::task::Frozen),
    /// Of `summarise`.
    Summarised(seatrial_domain::task::Summarised),
    /// Of `report`.
    Compared(seatrial_domain::task::Compared),
}

/// Carries out one task.
///
/// # Errors
/// Superseded, unavailable, or a frozen input that is not what it was.
pub async fn handle<C>(ports: &Ports<'_>, clock: C, task: CompareTask) -> Result<Answer, Failure>
where
    C: Fn() -> Timestamp + Send + Sync,
{
    let held = &task.held;
    let head = ports
        .registry
        .head(&held.model)
        .await?
        .ok_or_else(|| Refusal::NotFound { what: format!("model {}", held.model) })?;
    head.held_by(&held.promotion, held.epoch)?;
    let record = ports.registry.promotion(&held.model, &held.promotion).await?.ok_or_else(|| {
        Refusal::NotFound { what: format!("promotion {} of model {}", held.promotion, held.model) }
    })?;
    let policy = ops::pinned_policy(ports.registry, &record).await?.policy;
    match task.action {
        CompareAction::CheckShadow => {
            let now = clock();
            let seen = progress::seen(ports.tallies, &record).await?;
            // The state machine looks again and again, so sums are kept up here, and no one else need write any.
            let observed = drained_up_to(ports.observations, ports.watermarks, now).await?;
            let replayed = drained_up_to(ports.shadow, ports.watermarks, now).await?;
            if let Some(drained) = observed.zip(replayed).map(|(a, b)| a.min(b)) {
                progress::sum_up(ports.tallies, &record, &seen, drained).await?;
            }
            let progress = seatrial_evidence::progress::progress(&record, &policy, &seen.all, now);
            Ok(Answer::Check(check(&policy, &progress)))
        }
        CompareAction::Freeze => Ok(Answer::Frozen(freeze::freeze(ports, &clock, &record, &policy).await?)),
        CompareAction::Summarise => {
            let part = task.part.ok_or_else(|| {
                Failure::invalid("summarise needs a partition; expected a number in `part`".to_owned())
            })?;
            Ok(Answer::Summarised(write::summarise(ports, &record, &policy, part).await?))
        }
        CompareAction::Report => Ok(Answer::Compared(write::report(ports, &clock, record, &policy).await?)),
    }
}

/// How far the shadow of `promotion` is, by what its replays counted; no pair is read, and nothing is changed.
///
/// # Errors
/// When the registry cannot be read.
pub async fn shadow_progress(
    registry: &dyn Registry,
    tallies: &dyn Tallies,
    promotion: &PromotionRecord,
    now: Timestamp,
) -> Result<ShadowProgress, Failure> {
    let policy = ops::pinned_policy(registry, promotion).await?.policy;
    let seen = progress::seen(tallies, promotion).await?;
    Ok(seatrial_evidence::progress::progress(promotion, &policy, &seen.all, now))
}

/// What the state machine does next: a look about every fifth of what is left, from 1 to 60 seconds.
fn check(policy: &Policy, progress: &ShadowProgress) -> ShadowCheck {
    let fifth = progress.seconds_left.min(i64::from(policy.shadow.max_seconds)) / 5;
    let wait_seconds = if progress.state == ShadowState::More { fifth.clamp(1, 60) as u32 } else { 1 };
    ShadowCheck { state: progress.state, wait_seconds, why: progress.why.clone() }
}

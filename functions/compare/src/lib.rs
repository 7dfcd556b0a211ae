//! Judges the shadow: is its evidence enough, which objects are the evidence, and what does it say.
//!
//! The report reads exactly the objects of the frozen list, each checked against its SHA-256, and holds no clock of its own:
//! made twice it has the same bytes.

mod freeze;
mod gather;
mod write;

use jiff::Timestamp;
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::refusal::Refusal;
use seatrial_domain::task::{CompareAction, CompareTask, ShadowCheck, ShadowState};
use seatrial_registry::{Registry, Watermarks, ops};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;
use serde::Serialize;

pub use seatrial_evidence::progress::ShadowProgress;
pub use write::interim;

/// What `compare` works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The registry.
    pub registry: &'a dyn Registry,
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
            let progress = shadow_progress(ports.registry, ports.data, &record, clock()).await?;
            Ok(Answer::Check(check(&policy, &progress)))
        }
        CompareAction::Freeze => Ok(Answer::Frozen(freeze::freeze(ports, &clock, &record, &policy).await?)),
        CompareAction::Report => Ok(Answer::Compared(write::report(ports, &clock, record, &policy).await?)),
    }
}

/// How far the shadow of `promotion` is. Reads the pairs written so far; changes nothing.
///
/// # Errors
/// When registry or data cannot be read.
pub async fn shadow_progress(
    registry: &dyn Registry,
    data: &dyn ObjectStore,
    promotion: &PromotionRecord,
    now: Timestamp,
) -> Result<ShadowProgress, Failure> {
    let policy = ops::pinned_policy(registry, promotion).await?.policy;
    let pairs = gather::pairs_so_far(data, promotion).await?;
    let summary = gather::summary(pairs, Vec::new());
    Ok(seatrial_evidence::progress::progress(promotion, &policy, &summary, now))
}

/// What the state machine does next: a look about every fifth of what is left, from 1 to 60 seconds.
fn check(policy: &Policy, progress: &ShadowProgress) -> ShadowCheck {
    let fifth = progress.seconds_left.min(i64::from(policy.shadow.max_seconds)) / 5;
    let wait_seconds = if progress.state == ShadowState::More { fifth.clamp(1, 60) as u32 } else { 1 };
    ShadowCheck { state: progress.state, wait_seconds, why: progress.why.clone() }
}

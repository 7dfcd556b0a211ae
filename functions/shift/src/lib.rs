//! Moves the route of a running promotion: opens and closes the shadow, gives the challenger the share of a canary step.
//!
//! Every write is conditional on the promotion and its epoch, and the first share on the approval: the registry refuses
//! what a state machine should not have asked for.

use seatrial_domain::ids::Actor;
use seatrial_domain::policy::Policy;
use seatrial_domain::refusal::Refusal;
use seatrial_domain::route::Weight;
use seatrial_domain::task::{Held, ShiftAction, ShiftTask, Shifted};
use seatrial_registry::Registry;
use seatrial_registry::ops::{self, Ops};
use seatrial_runtime::Failure;

/// Seconds after the end of a window before the state machine looks: the registry's expiry must come first.
const AFTER_EXPIRY: u32 = 1;

/// Seconds until the first look at a shadow: a challenger that fails is noticed long before the end of its window.
const FIRST_WATCH: u32 = 60;

/// Carries out one task.
///
/// # Errors
/// Labelled by what the registry says: superseded, not approved, invalid, unavailable.
pub async fn handle<C>(registry: &dyn Registry, clock: C, task: ShiftTask) -> Result<Shifted, Failure>
where
    C: Fn() -> jiff::Timestamp + Send + Sync,
{
    let Held { model, promotion, epoch, .. } = &task.held;
    let ops = Ops::new(registry, Actor::function("shift"), &clock);
    let record = registry
        .promotion(model, promotion)
        .await?
        .ok_or_else(|| Refusal::NotFound { what: format!("promotion {promotion} of model {model}") })?;
    let policy = ops::pinned_policy(registry, &record).await?.policy;
    let steps = policy.canary.steps.len() as u32;
    let (weight, wait_seconds) = match task.action {
        ShiftAction::OpenShadow => {
            ops.open_shadow(model, promotion, *epoch).await?;
            (Weight::ZERO, policy.shadow.window_seconds.min(FIRST_WATCH) + AFTER_EXPIRY)
        }
        ShiftAction::CloseShadow => {
            let stopped = was_stopped(registry, &task.held).await?;
            ops.close_shadow(model, promotion, *epoch, stopped).await?;
            (Weight::ZERO, policy.observations.lateness_seconds.max(1))
        }
        ShiftAction::CanaryStep => {
            let shift = ops.shift(model, promotion, *epoch, task.step).await?.value;
            (shift.weight, first_look(&policy))
        }
    };
    Ok(Shifted { weight, steps, wait_seconds })
}

/// Seconds until the first look at a step: the shortest hold, but never more than a minute, so that a rollback by other
/// hands is noticed soon.
fn first_look(policy: &Policy) -> u32 {
    policy.canary.hold_seconds.clamp(1, 60)
}

async fn was_stopped(registry: &dyn Registry, held: &Held) -> Result<bool, Failure> {
    use seatrial_domain::gate::{GateKind, GateStatus};
    let gate = seatrial_domain::GateId::derive(&held.promotion, GateKind::ShadowWindow.as_str(), 1);
    Ok(registry.gate(&gate).await?.is_some_and(|g| g.status == GateStatus::Approved))
}

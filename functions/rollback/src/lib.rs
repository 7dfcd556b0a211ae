//! Ends a promotion: the challenger leaves the route, the lock is free. It answers from the registry, so a late or
//! repeated call only learns how the promotion ended.

use seatrial_domain::ids::Actor;
use seatrial_domain::task::{RollbackTask, RolledBack};
use seatrial_registry::Registry;
use seatrial_registry::ops::Ops;
use seatrial_runtime::Failure;

/// Carries out one task.
///
/// # Errors
/// When the promotion does not exist, or the registry is unavailable.
pub async fn handle<C>(registry: &dyn Registry, clock: C, task: RollbackTask) -> Result<RolledBack, Failure>
where
    C: Fn() -> jiff::Timestamp + Send + Sync,
{
    let ops = Ops::new(registry, Actor::function("rollback"), &clock);
    let held = &task.held;
    let ended = ops.end_promotion(&held.model, &held.promotion, held.epoch, &task.reason).await?;
    let reason = ended.value.reason.unwrap_or(task.reason);
    Ok(RolledBack { status: ended.value.status, ended_now: ended.fresh, reason })
}

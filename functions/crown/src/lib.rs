//! Makes the challenger champion, in one transaction that holds only with the approval.

use seatrial_domain::ids::Actor;
use seatrial_domain::task::{Crowned, HeldTask};
use seatrial_registry::Registry;
use seatrial_registry::ops::Ops;
use seatrial_runtime::Failure;

/// Carries out one task. Asked again after it was done, it answers the same.
///
/// # Errors
/// Labelled by what the registry says: superseded after a rollback, not approved, unavailable.
pub async fn handle<C>(registry: &dyn Registry, clock: C, task: HeldTask) -> Result<Crowned, Failure>
where
    C: Fn() -> jiff::Timestamp + Send + Sync,
{
    let ops = Ops::new(registry, Actor::function("crown"), &clock);
    let crown = ops.crown(&task.model, &task.promotion, task.epoch).await?.value;
    Ok(Crowned { champion: crown.champion.version, standby: crown.standby.map(|s| s.version) })
}

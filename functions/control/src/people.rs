//! Who the caller is to a model: what the policy in force lets them do here.

use seatrial_domain::ModelName;
use seatrial_domain::access::{Access, Action};
use seatrial_domain::ids::Actor;
use seatrial_registry::OpError;
use seatrial_registry::ops::{By, live_policy};
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;

use crate::Control;

/// The model's people; none while it has no policy.
pub(crate) async fn access(control: &Control, model: &ModelName) -> Result<Option<Access>, Problem> {
    match live_policy(control.registry.as_ref(), model).await {
        Ok(record) => Ok(Some(record.policy.access())),
        Err(OpError::Refused(seatrial_domain::Refusal::NotFound { .. })) => Ok(None),
        Err(other) => Err(Failure::from(other).into()),
    }
}

/// Lets `actor` do `action` with `model`, or says who may.
pub(crate) async fn may(
    control: &Control,
    model: &ModelName,
    action: Action,
    actor: &Actor,
) -> Result<(), Problem> {
    match access(control, model).await? {
        Some(access) => Ok(access.may(action, &actor.principal)?),
        None => Ok(()),
    }
}

/// Whether the deployment names `actor` as its platform team.
pub(crate) fn is_platform_owner(control: &Control, actor: &Actor) -> bool {
    control.platform_owners.iter().any(|p| p == &actor.principal)
}

/// By whose right `actor` changes settings: the platform team's where the deployment names them, else the owner's.
pub(crate) fn right(control: &Control, actor: &Actor) -> By {
    if is_platform_owner(control, actor) { By::Platform } else { By::Owner }
}

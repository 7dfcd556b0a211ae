//! The line of promotions that wait for a model ([`crate::line`]).

use serde_json::json;

use super::{Change, Context, Draft, PolicyRecord};
use crate::ids::{Actor, PromotionId};
use crate::line::{LONGEST, Waiting};
use crate::policy::BusyMode;
use crate::refusal::Refusal;
use crate::version::{VersionEvent, VersionRecord};

/// Lets a promotion stand in line for a model that is not free. Nothing else of the model changes: whoever holds it goes on.
///
/// # Errors
/// [`Refusal::Busy`] or [`Refusal::InLine`] where the policy lets nobody wait, where too many wait already, or where this very version is being promoted or waits;
/// [`Refusal::Invalid`] for a model that is free, for the champion and the standby.
pub fn wait_for_model(
    context: &Context<'_>,
    id: &PromotionId,
    version: &VersionRecord,
    policy: &PolicyRecord,
    requested_by: &Actor,
    execution: Option<&str>,
) -> Result<Change, Refusal> {
    let head = context.head;
    let Err(busy) = head.free_for(Some(id), false) else {
        let why = format!("model {} is free; promotion {id} has nothing to wait for", head.model);
        return Err(Refusal::Invalid { why });
    };
    if policy.policy.when_busy.mode == BusyMode::Refuse
        || head.waiting.len() >= LONGEST
        || head.running.as_ref().is_some_and(|r| r.challenger.version == version.version)
        || head.waiting.iter().any(|w| w.promotion == *id || w.challenger.version == version.version)
    {
        return Err(busy);
    }
    // What could not start on a free model has nothing to wait for.
    version.apply(VersionEvent::StartPromotion)?;
    let waiting = Waiting {
        promotion: id.clone(),
        challenger: version.reference(),
        requested_by: requested_by.clone(),
        execution: execution.map(str::to_owned),
        since: context.now,
    };
    let details = json!({
        "behind": head.running.as_ref().map(|r| &r.promotion), "in_line": head.waiting.len(),
        "until": waiting.until(&policy.policy.when_busy), "requested_by": requested_by, "execution": execution,
    });
    let mut draft = Draft::new(context, "promotion_waits", details).about(Some(id), Some(version.version));
    draft.head.waiting.push(waiting);
    draft.finish()
}

/// Takes a promotion out of the line: it waited too long, somebody took it back, or nobody is left to carry it out.
///
/// # Errors
/// [`Refusal::NotFound`] when it does not wait.
pub fn leave_line(context: &Context<'_>, id: &PromotionId, reason: &str) -> Result<Change, Refusal> {
    let head = context.head;
    let Some(place) = head.place_of(id) else {
        return Err(Refusal::NotFound {
            what: format!("promotion {id} among those that wait for {}", head.model),
        });
    };
    let waiting = &head.waiting[place];
    let details = json!({
        "reason": reason, "since": waiting.since, "requested_by": waiting.requested_by,
    });
    let mut draft =
        Draft::new(context, "promotion_withdrawn", details).about(Some(id), Some(waiting.challenger.version));
    draft.head.waiting.remove(place);
    draft.finish()
}

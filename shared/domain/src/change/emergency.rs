//! Skipping a stage in an emergency: only whom the policy names for it, only with a reason, and never quietly.

use serde_json::json;

use super::{Change, Context, Draft};
use crate::access::Access;
use crate::compliance::{self, ProfileName};
use crate::gate::{self, GateKind, GateRecord, GateStatus};
use crate::promotion::{Bypass, PromotionRecord, Stage};
use crate::refusal::Refusal;
use crate::version::{VersionEvent, VersionRecord};

/// Skips `stage` of the running promotion. An approval gate that is open is approved with it; one that opens later is
/// approved then. Where the profile asks for an accountable approver, by the policy that the promotion started with or by the
/// one in force, the approval is never skipped.
///
/// # Errors
/// [`Refusal::ProfileUnmet`] for an approval that a profile asks people for, [`Refusal::Forbidden`] to whom the policy does not give this right, [`Refusal::Superseded`] when the promotion has ended,
/// [`Refusal::Invalid`] without a reason, for a stage that was skipped already or is over.
pub fn bypass(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    gate: Option<&GateRecord>,
    stage: Stage,
    reason: &str,
    access: &Access,
) -> Result<Change, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    let bypass = checked(context, promotion, stage, reason, access)?;
    let details = json!({ "stage": stage, "reason": bypass.reason });
    let mut draft =
        Draft::new(context, "emergency_bypass", details).about(Some(&promotion.id), Some(version.version));
    let open = gate.filter(|g| g.kind == GateKind::Approval && g.status == GateStatus::Pending);
    if let (Stage::Approval, Some(gate)) = (stage, open) {
        let changed = super::canary::bound_now(promotion)?.differences(&gate.bound);
        Refusal::unless_same(&gate.id, &changed)?;
        draft.change.gate = Some(gate::approve_in_emergency(gate, &bypass, context.now)?);
        draft.change.versions.push(version.apply(VersionEvent::Approve)?);
    }
    let mut after = promotion.clone();
    after.bypasses.push(bypass);
    draft.change.promotion = Some(after);
    draft.finish()
}

fn checked(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    stage: Stage,
    reason: &str,
    access: &Access,
) -> Result<Bypass, Refusal> {
    access.may_bypass(&context.actor.principal)?;
    if stage == Stage::Approval {
        for profile in [promotion.profile, access.profile] {
            approval_is_needed(profile)?;
        }
    }
    let reason = checked_reason(reason)?;
    if let Some(before) = promotion.bypass(stage) {
        let why = format!(
            "the {} of {} was skipped already, by {} at {}",
            stage.as_str(),
            promotion.id,
            before.by.principal,
            before.at
        );
        return Err(Refusal::Invalid { why });
    }
    let over = match stage {
        Stage::Shadow => promotion.shadow.as_ref().is_some_and(|s| s.closed_at.is_some()),
        Stage::Approval => !promotion.steps.is_empty(),
        Stage::Canary => false,
    };
    if over {
        return Err(Refusal::Invalid {
            why: format!("the {} of {} is over; there is nothing to skip", stage.as_str(), promotion.id),
        });
    }
    Ok(Bypass { stage, by: context.actor.clone(), at: context.now, reason })
}

/// Refuses to skip an approval that `profile` wants given by a person who answers for it.
fn approval_is_needed(profile: ProfileName) -> Result<(), Refusal> {
    let missing = compliance::missing_when_skipped(profile.profile());
    if missing.is_empty() { Ok(()) } else { Err(Refusal::ProfileUnmet { profile, missing }) }
}

/// The reason without the space around it.
pub(super) fn checked_reason(reason: &str) -> Result<String, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > 1_000 {
        return Err(Refusal::Invalid {
            why: "a reason of 1 to 1000 characters is required: say in a sentence why a stage is skipped"
                .into(),
        });
    }
    Ok(reason.to_owned())
}

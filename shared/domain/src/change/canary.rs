//! Traffic: shifting weight, crowning, ending the holdback. Only what people approved gets any.

use serde_json::json;

use super::promoting::challenger_route;
use super::{Change, Context, DecisionCheck, Draft};
use crate::gate::{Bound, GateRecord};
use crate::policy::Policy;
use crate::promotion::{CanaryStep, EvidenceKind, PromotionRecord, PromotionStatus, Stage};
use crate::refusal::Refusal;
use crate::route::Weight;
use crate::version::{VersionEvent, VersionRecord, VersionStatus};

/// What an approval of this promotion has to bind right now.
///
/// # Errors
/// [`Refusal::NotApproved`] while there is no report.
pub fn bound_now(promotion: &PromotionRecord) -> Result<Bound, Refusal> {
    let report = promotion
        .evidence
        .get(&EvidenceKind::Report)
        .ok_or_else(|| Refusal::NotApproved { why: "there is no comparison report yet".into() })?;
    Ok(Bound {
        package: promotion.challenger.digest.clone(),
        report: report.digest.clone(),
        benchmark: promotion.benchmark.as_ref().map(|b| b.digest.clone()),
        policy: promotion.policy.digest.clone(),
    })
}

/// The condition on the decision item that a change to this promotion's traffic carries.
fn approval_of(promotion: &PromotionRecord, gate: Option<&GateRecord>) -> Result<DecisionCheck, Refusal> {
    let bound = bound_now(promotion)?;
    let gate =
        gate.ok_or_else(|| Refusal::NotApproved { why: "the promotion has no approval gate".into() })?;
    let wrong = |why: String| Err(Refusal::NotApproved { why });
    if gate.kind != crate::gate::GateKind::Approval || gate.status != crate::gate::GateStatus::Approved {
        return wrong(format!("gate {} is {}", gate.id, gate.state_phrase()));
    }
    if gate.promotion != promotion.id || gate.epoch != promotion.epoch {
        return wrong(format!(
            "gate {} belongs to promotion {} at epoch {}",
            gate.id, gate.promotion, gate.epoch
        ));
    }
    if gate.bound != bound {
        return wrong("the package, report, benchmark or policy is not the one that was approved".into());
    }
    Ok(DecisionCheck {
        gate: gate.id.clone(),
        promotion: promotion.id.clone(),
        epoch: promotion.epoch,
        bound,
    })
}

/// Gives the challenger the share of a canary step.
///
/// # Errors
/// [`Refusal::Superseded`] after a rollback; [`Refusal::NotApproved`] without the approval; [`Refusal::Invalid`] for a
/// step that is not the next one or the present one again.
pub fn shift(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    gate: Option<&GateRecord>,
    policy: &Policy,
    step: u32,
) -> Result<Change, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    let approval = approval_of(promotion, gate)?;
    if context.head.champion().is_none() {
        return Err(Refusal::Invalid {
            why: "there is no champion to share traffic with; the first version is crowned".into(),
        });
    }
    let percent = policy.canary.steps.get(step as usize).ok_or_else(|| Refusal::Invalid {
        why: format!(
            "the policy has {} canary steps; step {step} (from 0) does not exist",
            policy.canary.steps.len()
        ),
    })?;
    let weight = Weight::from_percent(*percent).map_err(|e| Refusal::Invalid { why: e.to_string() })?;
    if step as usize != promotion.steps.len() {
        return Err(Refusal::Invalid {
            why: format!("canary step {step} is not the next one ({})", promotion.steps.len()),
        });
    }
    let details =
        json!({ "from": context.head.route.weight, "to": weight, "step": step, "gate": approval.gate });
    let mut draft =
        Draft::new(context, "weight_shifted", details).about(Some(&promotion.id), Some(version.version));
    let present = &context.head.route;
    if present.promotion.as_ref() != Some(&promotion.id) || present.epoch != promotion.epoch {
        draft.head.route = challenger_route(context, promotion, policy.row_share(), Weight::ZERO);
    }
    draft.head.route.weight = weight;
    // The challenger's own answers at the same time are what its canary's answers are compared with.
    draft.head.route.shadow = policy.canary_shadow();
    draft.head.route.since = context.now;
    if version.status == VersionStatus::Approved {
        draft.change.versions.push(version.apply(VersionEvent::StartCanary)?);
    }
    let mut after = promotion.clone();
    after.steps.push(CanaryStep { weight, at: context.now });
    draft.change.promotion = Some(after);
    draft.change.approval = Some(approval);
    draft.finish()
}

/// Makes the challenger champion: champion, standby, route, epoch and history in one transaction.
///
/// # Errors
/// [`Refusal::Superseded`] after a rollback; [`Refusal::NotApproved`] without the approval; [`Refusal::Invalid`] when the
/// canary is not through its steps.
pub fn crown(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    challenger: &VersionRecord,
    champion: Option<&VersionRecord>,
    standby: Option<&VersionRecord>,
    gate: Option<&GateRecord>,
    policy: &Policy,
) -> Result<Change, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    super::is_named(champion, context.head.champion(), "champion")?;
    super::is_named(standby, context.head.standby.as_ref(), "standby")?;
    let approval = approval_of(promotion, gate)?;
    let skipped = promotion.bypass(Stage::Canary);
    if champion.is_some() && skipped.is_none() && promotion.steps.len() != policy.canary.steps.len() {
        return Err(Refusal::Invalid {
            why: format!(
                "the canary took {} of {} steps; it is crowned after the last",
                promotion.steps.len(),
                policy.canary.steps.len()
            ),
        });
    }
    let previous = context.head.champion().cloned();
    let asked = Weight::from_percent(policy.canary.holdback_percent).unwrap_or(Weight::ZERO);
    let holdback = if previous.is_some() { asked } else { Weight::ZERO };
    let details = json!({
        "champion": promotion.challenger, "standby": previous, "holdback": holdback, "gate": approval.gate,
        "bound": approval.bound, "bypasses": promotion.bypasses,
    });
    let mut draft =
        Draft::new(context, "crowned", details).about(Some(&promotion.id), Some(challenger.version));
    draft.change.versions.push(challenger.apply(VersionEvent::Crown)?);
    if let Some(champion) = champion {
        draft.change.versions.push(champion.apply(VersionEvent::Displace)?);
        if let Some(standby) = standby {
            draft.change.versions.push(standby.apply(VersionEvent::Supersede)?);
        }
    }
    let head = &mut draft.head;
    head.epoch += 1;
    head.running = None;
    head.route.champion = Some(promotion.challenger.clone());
    head.route.challenger = None;
    head.route.weight = Weight::ZERO;
    head.route.holdback = holdback;
    head.route.standby = if holdback > Weight::ZERO { previous.clone() } else { None };
    head.standby = previous;
    head.route.promotion = Some(promotion.id.clone());
    head.route.epoch = head.epoch;
    head.route.rows = policy.row_share();
    head.route.shadow = Weight::ZERO;
    head.route.since = context.now;
    let mut after = promotion.clone();
    after.status = PromotionStatus::Crowned;
    after.ended_at = Some(context.now);
    after.reason = Some(format!("{} is the champion", challenger.version));
    draft.change.promotion = Some(after);
    draft.change.approval = Some(approval);
    draft.finish()
}

/// Ends the holdback: the champion serves everyone.
///
/// # Errors
/// [`Refusal::Invalid`] when there is none.
pub fn end_holdback(context: &Context<'_>) -> Result<Change, Refusal> {
    if context.head.route.holdback == Weight::ZERO {
        return Err(Refusal::Invalid { why: format!("model {} has no holdback", context.head.model) });
    }
    let details = json!({ "from": context.head.route.holdback });
    let mut draft = Draft::new(context, "holdback_ended", details);
    draft.head.route.holdback = Weight::ZERO;
    draft.head.route.standby = None;
    draft.head.route.since = context.now;
    draft.finish()
}

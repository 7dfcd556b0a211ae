//! Adoption: the one way to a champion without a promotion.

use serde_json::json;

use super::promoting::{Request, begun, carried};
use super::{Change, Context, Draft, PolicyRecord};
use crate::adoption::{Adoption, NOT_COMPARED};
use crate::ids::PromotionId;
use crate::promotion::{PromotionRecord, PromotionStatus};
use crate::refusal::Refusal;
use crate::route::Weight;
use crate::version::{VersionEvent, VersionRecord, VersionStatus};

/// Makes a version that already serves the champion of a model that has none. No traffic moves by it: whoever served goes on, and is
/// on the route from now on.
///
/// Its record is that of a promotion which was over when it began, so that evidence, manifest and audit document are made of it as of
/// any other; its status says that it was none.
///
/// # Errors
/// [`Refusal::HasChampion`]; [`Refusal::Busy`] while a promotion holds the model; [`Refusal::Forbidden`] to everybody but an owner, to
/// automation, and where duties are separated to whoever submitted the version; [`Refusal::Invalid`] for a version that a promotion
/// has judged, for one without the name that the policy's target needs, without a comment, or under a policy that is not in force.
pub fn adopt(
    context: &Context<'_>,
    id: &PromotionId,
    version: &VersionRecord,
    policy: &PolicyRecord,
    adoption: &Adoption,
    execution: Option<&str>,
) -> Result<Change, Refusal> {
    let head = context.head;
    if let Some(champion) = head.champion() {
        let (model, champion) = (head.model.clone(), champion.version);
        return Err(Refusal::HasChampion { model, champion, adopted: version.version });
    }
    if let Some(running) = &head.running {
        return Err(Refusal::Busy { by: running.promotion.clone(), version: running.challenger.version });
    }
    if head.policy.as_ref() != Some(&policy.reference) {
        let (number, model) = (policy.reference.number, &head.model);
        return Err(Refusal::Invalid { why: format!("policy {number} is not the one in force for {model}") });
    }
    let profile = policy.policy.profile;
    let access = policy.policy.access().held_to(profile);
    access.may_adopt(context.actor, &policy.set_by.principal, version)?;
    let adoption = adoption.checked(context.now)?;
    never_judged(version)?;
    carried(&policy.policy, [version])?;
    let details = json!({
        "champion": version.reference(), "comment": adoption.comment, "serving_since": adoption.serving_since,
        "submitted_by": version.submitted_by, "policy": policy.reference, "execution": execution,
    });
    let mut draft = Draft::new(context, "adopted", details).about(Some(id), Some(version.version));
    draft.head.epoch += 1;
    let epoch = draft.head.epoch;
    let route = &mut draft.head.route;
    route.champion = Some(version.reference());
    route.challenger = None;
    route.weight = Weight::ZERO;
    route.promotion = None;
    route.epoch = epoch;
    route.rows = policy.policy.row_share();
    route.shadow = Weight::ZERO;
    route.since = context.now;
    let mut serving = version.apply(VersionEvent::Adopt)?;
    serving.promotion = Some(id.clone());
    draft.change.versions.push(serving);
    // No benchmark: nothing was measured, and one that has judged this version would be a lie.
    draft.change.promotion = Some(PromotionRecord {
        status: PromotionStatus::Adopted,
        ended_at: Some(context.now),
        reason: Some(reason(version)),
        adoption: Some(adoption),
        ..begun(context, id, version, policy, &Request::new(context.actor, execution), epoch)
    });
    draft.finish()
}

/// What pages and documents say of it.
fn reason(version: &VersionRecord) -> String {
    let elsewhere = version.package.remote.as_ref();
    let elsewhere = elsewhere.map(|remote| format!(" Mind that {}.", remote.sentence())).unwrap_or_default();
    format!("{} is the champion. {NOT_COMPARED}{elsewhere}", version.version)
}

/// What a promotion has judged, or begun to, becomes champion by a promotion only: an adoption is no way around a rejection.
fn never_judged(version: &VersionRecord) -> Result<(), Refusal> {
    version.loadable()?;
    if version.status == VersionStatus::Packaged {
        return Ok(());
    }
    let (model, name, status) = (&version.model, version.version, version.status.as_str());
    Err(Refusal::Invalid {
        why: format!(
            "{name} of model {model} is {status}: only a version that no promotion has judged is adopted. `seatrial promote {model} {name}` \
             tries it"
        ),
    })
}

//! From a package to frozen evidence.

use serde_json::json;

use super::{Change, Claim, Context, Draft, PolicyRecord};
use crate::compliance;
use crate::ids::{Actor, Digest, PromotionId, VersionName};
use crate::package::PackageSummary;
use crate::policy::Policy;
use crate::promotion::{
    Automatic, Bypass, EvidenceKind, EvidenceRef, PromotionRecord, PromotionStatus, ShadowTimes, Stage,
};
use crate::refusal::Refusal;
use crate::route::{Route, Weight};
use crate::submission::Submitter;
use crate::target;
use crate::task::Emergency;
use crate::verdict::Verdict;
use crate::version::{VersionEvent, VersionRecord, VersionStatus};

/// Registers a package as the model's next version, `packaged`.
///
/// The digest is claimed in the same transaction, so the same bytes never become two versions. `before` is the version that has
/// the digest: one whose bytes are given up hands it on, and its record stays as it is.
///
/// # Errors
/// [`Refusal::Invalid`] when `before` can still be loaded: it is the version with these bytes. [`Refusal::Collecting`] while bytes of
/// the model may be deleted.
pub fn register_version<'a>(
    context: &Context<'_>,
    digest: Digest,
    package: PackageSummary,
    submitted_by: impl Into<Submitter<'a>>,
    before: Option<&VersionRecord>,
) -> Result<Change, Refusal> {
    let submitted_by = submitted_by.into();
    if let Some(collecting) = &context.head.collecting {
        collecting.registers_nothing_at(&context.head.model, context.now)?;
    }
    if let Some(known) = before.filter(|b| b.loadable().is_ok() || b.digest != digest) {
        let why =
            format!("{} has the digest {}; it is not handed on to {digest}", known.version, known.digest);
        return Err(Refusal::Invalid { why });
    }
    let of = before.map(|b| b.version);
    let version = VersionName::new(context.head.next_version);
    let mut details = json!({ "digest": digest, "size": package.size, "submitted_by": submitted_by.principal, "submitted_auth": submitted_by.auth });
    if let Some(of) = of {
        details["again"] = json!(of);
    }
    if let Some(artifact) = submitted_by.artifact {
        details["artifact"] = json!(artifact.name());
        details["training_job"] = json!(artifact.lineage.training_job);
        details["model_package"] = json!(artifact.lineage.model_package);
    }
    let mut draft = Draft::new(context, "version_packaged", details).about(None, Some(version));
    draft.head.next_version = version.number() + 1;
    draft.change.claim = Some(Claim { digest: digest.clone(), version, of });
    draft.change.versions.push(VersionRecord {
        model: context.head.model.clone(),
        version,
        digest,
        status: VersionStatus::Packaged,
        package,
        submitted_by: submitted_by.principal.to_owned(),
        submitted_auth: submitted_by.auth,
        artifact: submitted_by.artifact.cloned(),
        created_at: context.now,
        promotion: None,
        retired_at: None,
        collected_at: None,
    });
    draft.finish()
}

/// By whom a promotion is asked for, and how.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asked for it.
    pub by: &'a Actor,
    /// The execution that carries it out.
    pub execution: Option<&'a str>,
    /// Stages that it skips from its start.
    pub emergency: Option<&'a Emergency>,
    /// Whether it stood in line: then it begins from its place there, or not at all.
    pub waited: bool,
}

impl<'a> Request<'a> {
    /// A promotion that comes now, and skips nothing.
    #[must_use]
    pub const fn new(by: &'a Actor, execution: Option<&'a str>) -> Self {
        Self { by, execution, emergency: None, waited: false }
    }
}

/// Lets a promotion take the model: it holds the model from here on, at a new epoch. `serving` are the champion and the standby.
///
/// # Errors
/// [`Refusal::Busy`] when another promotion holds it; [`Refusal::InLine`] when others came first; [`Refusal::Invalid`] for a policy that is not the one in force, for the
/// champion itself, or for a version that the policy's target cannot carry beside what serves; [`Refusal::ProfileUnmet`] when the policy's compliance profile asks for what is not there.
pub fn start_promotion(
    context: &Context<'_>,
    id: &PromotionId,
    version: &VersionRecord,
    policy: &PolicyRecord,
    serving: &[VersionRecord],
    request: &Request<'_>,
) -> Result<Change, Refusal> {
    let head = context.head;
    let Request { by: requested_by, execution, emergency, .. } = *request;
    let bypasses = bypasses(context, policy, requested_by, emergency)?;
    head.free_for(Some(id), !bypasses.is_empty())?;
    if head.champion().is_some_and(|c| c.version == version.version) {
        return Err(Refusal::Invalid {
            why: format!("{} is the champion already; there is nothing to promote", version.version),
        });
    }
    may_start(context, version, policy, &bypasses)?;
    carried(&policy.policy, serving.iter().chain([version]))?;
    let details = json!({
        "from": head.champion(), "to": version.reference(), "policy": policy.reference, "benchmark": head.benchmark,
        "requested_by": requested_by, "execution": execution, "bypasses": bypasses,
    });
    let mut draft = Draft::new(context, "promotion_started", details).about(Some(id), Some(version.version));
    draft.head.epoch += 1;
    draft.head.waiting.retain(|w| w.promotion != *id);
    let epoch = draft.head.epoch;
    // A standby that is promoted again is no rollback target while it is the challenger.
    let mut taken = version.clone();
    if draft.head.standby.as_ref().is_some_and(|s| s.version == version.version) {
        return Err(Refusal::Invalid {
            why: format!(
                "{} is the standby; `seatrial rollback {} --champion` makes it champion again",
                version.version, head.model
            ),
        });
    }
    taken.promotion = Some(id.clone());
    draft.head.running =
        Some(crate::head::Running { promotion: id.clone(), challenger: version.reference(), epoch });
    draft.change.versions.push(taken.apply(VersionEvent::StartPromotion)?);
    draft.change.promotion = Some(PromotionRecord {
        champion: head.champion().cloned(),
        benchmark: head.benchmark.clone(),
        bypasses,
        ..begun(context, id, version, policy, request, epoch)
    });
    draft.finish()
}

/// The record of a promotion, or of an adoption in its place, that has just begun: it has no evidence, and is compared with nothing.
pub(super) fn begun(
    context: &Context<'_>,
    id: &PromotionId,
    version: &VersionRecord,
    policy: &PolicyRecord,
    request: &Request<'_>,
    epoch: u64,
) -> PromotionRecord {
    PromotionRecord {
        id: id.clone(),
        model: context.head.model.clone(),
        challenger: version.reference(),
        champion: None,
        status: PromotionStatus::Running,
        epoch,
        policy: policy.reference.clone(),
        profile: policy.policy.profile,
        benchmark: None,
        requested_by: request.by.clone(),
        execution: request.execution.map(str::to_owned),
        started_at: context.now,
        ended_at: None,
        reason: None,
        evidence: std::collections::BTreeMap::new(),
        verdict: None,
        gate: None,
        shadow: None,
        steps: Vec::new(),
        attested: false,
        automatic: None,
        bypasses: Vec::new(),
        adoption: None,
    }
}

/// Checks the policy and what its profile asks for in the transaction that takes the model: whatever was looked at before it,
/// the policy or the benchmark may have been set anew since.
fn may_start(
    context: &Context<'_>,
    version: &VersionRecord,
    policy: &PolicyRecord,
    bypasses: &[Bypass],
) -> Result<(), Refusal> {
    if context.head.policy.as_ref() != Some(&policy.reference) {
        return Err(Refusal::Invalid {
            why: format!(
                "policy {} is not the one in force for {}",
                policy.reference.number, context.head.model
            ),
        });
    }
    let facts = compliance::Facts {
        policy: &policy.policy,
        benchmark: context.head.benchmark.is_some(),
        reference: Some(version.package.has_reference()),
        skips_approval: bypasses.iter().any(|b| b.stage == Stage::Approval),
    };
    let profile = policy.policy.profile;
    let missing = compliance::missing(profile.profile(), &facts);
    if missing.is_empty() { Ok(()) } else { Err(Refusal::ProfileUnmet { profile, missing }) }
}

/// That the policy's target, where there is one, can carry these versions beside each other.
pub(super) fn carried<'a>(
    policy: &Policy,
    versions: impl IntoIterator<Item = &'a VersionRecord>,
) -> Result<(), Refusal> {
    let Some(target) = &policy.target else { return Ok(()) };
    target::carries(target, versions).map_err(|e| Refusal::Invalid { why: e.to_string() })
}

/// The stages that the promotion skips from its start. Who asked for it needs the right, by the policy in force; whoever
/// carries the request (a state machine's input) is not believed.
fn bypasses(
    context: &Context<'_>,
    policy: &PolicyRecord,
    requested_by: &Actor,
    emergency: Option<&Emergency>,
) -> Result<Vec<Bypass>, Refusal> {
    let Some(emergency) = emergency else { return Ok(Vec::new()) };
    policy.policy.access().may_bypass(&requested_by.principal)?;
    let reason = super::emergency::checked_reason(&emergency.reason)?;
    let mut stages = emergency.skip.clone();
    stages.sort_unstable();
    stages.dedup();
    let made = |stage| Bypass { stage, by: requested_by.clone(), at: context.now, reason: reason.clone() };
    Ok(stages.into_iter().map(made).collect())
}

/// Records an evidence object of the running promotion. Recording the same object again changes nothing but the history.
///
/// # Errors
/// [`Refusal::Superseded`] when the promotion no longer holds the model.
pub fn record_evidence(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    kind: EvidenceKind,
    object: EvidenceRef,
    verdict: Option<Verdict>,
) -> Result<Change, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    let details = json!({ "kind": kind, "key": object.key, "digest": object.digest, "verdict": verdict });
    let mut draft =
        Draft::new(context, "evidence_recorded", details).about(Some(&promotion.id), Some(version.version));
    let mut after = promotion.clone();
    after.evidence.insert(kind, object);
    if kind == EvidenceKind::Report {
        after.verdict = verdict;
        draft.head.route.shadow = Weight::ZERO;
        // Without a shadow the review follows the evaluation at once.
        let mut reviewed = version.clone();
        if reviewed.status == VersionStatus::Evaluating {
            reviewed = reviewed.apply(VersionEvent::OpenShadow)?;
        }
        if reviewed.status == VersionStatus::Shadowing {
            reviewed = reviewed.apply(VersionEvent::StartReview)?;
        }
        draft.change.versions.push(reviewed);
    }
    draft.change.promotion = Some(after);
    draft.finish()
}

/// Records the comparison report of the running promotion, and whether it allows an approval that comes by itself.
///
/// # Errors
/// As [`record_evidence`].
pub fn record_report(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    object: EvidenceRef,
    verdict: Verdict,
    automatic: Option<Automatic>,
) -> Result<Change, Refusal> {
    let noted = PromotionRecord { automatic, ..promotion.clone() };
    record_evidence(context, &noted, version, EvidenceKind::Report, object, Some(verdict))
}

/// Puts the challenger on the route at weight 0, so that servers load it, and begins sampling.
///
/// # Errors
/// [`Refusal::Superseded`], or an illegal transition.
pub fn open_shadow(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    rows: Weight,
    shadow: Weight,
) -> Result<Change, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    let details = json!({ "sample": shadow, "rows": rows });
    let mut draft =
        Draft::new(context, "shadow_opened", details).about(Some(&promotion.id), Some(version.version));
    draft.head.route = challenger_route(context, promotion, rows, shadow);
    draft.change.versions.push(version.apply(VersionEvent::OpenShadow)?);
    let mut after = promotion.clone();
    after.shadow = Some(ShadowTimes { opened_at: context.now, closed_at: None, stopped_early: false });
    draft.change.promotion = Some(after);
    draft.finish()
}

/// Ends the sampling. The challenger stays on the route at weight 0.
///
/// # Errors
/// [`Refusal::Superseded`], or [`Refusal::Invalid`] when no shadow was opened.
pub fn close_shadow(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    version: &VersionRecord,
    stopped_early: bool,
) -> Result<Change, Refusal> {
    context.head.held_by(&promotion.id, promotion.epoch)?;
    let mut after = promotion.clone();
    let Some(times) = &mut after.shadow else {
        return Err(Refusal::Invalid { why: format!("promotion {} has no shadow to close", promotion.id) });
    };
    times.closed_at = Some(context.now);
    times.stopped_early = stopped_early;
    let details = json!({ "opened_at": times.opened_at, "stopped_early": stopped_early });
    let mut draft =
        Draft::new(context, "shadow_closed", details).about(Some(&promotion.id), Some(version.version));
    draft.head.route.shadow = Weight::ZERO;
    draft.head.route.since = context.now;
    draft.change.promotion = Some(after);
    draft.finish()
}

/// Records that the manifest of an ended promotion is written.
///
/// # Errors
/// [`Refusal::Invalid`] while the promotion runs.
pub fn attested(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    manifest: EvidenceRef,
    document: EvidenceRef,
) -> Result<Change, Refusal> {
    if promotion.status == PromotionStatus::Running {
        return Err(Refusal::Invalid {
            why: format!("promotion {} is still running; it is attested when it ended", promotion.id),
        });
    }
    let details = json!({
        "key": manifest.key, "digest": manifest.digest, "document": document, "status": promotion.status,
    });
    let mut draft = Draft::new(context, "attested", details)
        .about(Some(&promotion.id), Some(promotion.challenger.version));
    let mut after = promotion.clone();
    after.evidence.insert(EvidenceKind::Manifest, manifest);
    after.evidence.insert(EvidenceKind::Document, document);
    after.attested = true;
    draft.change.promotion = Some(after);
    draft.finish()
}

/// The route with the promotion's challenger on it at weight 0.
pub(super) fn challenger_route(
    context: &Context<'_>,
    promotion: &PromotionRecord,
    rows: Weight,
    shadow: Weight,
) -> Route {
    let head = context.head;
    Route {
        champion: head.route.champion.clone(),
        challenger: Some(promotion.challenger.clone()),
        weight: Weight::ZERO,
        standby: None,
        holdback: Weight::ZERO,
        promotion: Some(promotion.id.clone()),
        epoch: promotion.epoch,
        salt: Route::salt_of(&head.model, &promotion.id, promotion.epoch),
        rows,
        shadow,
        since: context.now,
    }
}

//! The routes that change something.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use seatrial_artifacts::benchmark_key;
use seatrial_artifacts::store::Hasher;
use seatrial_domain::access::Action;
use seatrial_domain::compliance::{self, Facts, Missing, ProfileName};
use seatrial_domain::gate::{GateKind, GateRecord};
use seatrial_domain::head::{BenchmarkRef, Head, PolicyRef};
use seatrial_domain::ids::{Actor, Digest, GateId, VersionName};
use seatrial_domain::policy::{BusyMode, Policy};
use seatrial_domain::promotion::Stage;
use seatrial_domain::retention::{Line, Plan};
use seatrial_domain::task::{Emergency, PromotionInput, SCHEMA};
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{ModelName, PromotionId};
use seatrial_registry::ops::{Ops, kept, live_policy};
use seatrial_registry::standing;
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::starter::Start;
use crate::{Caller, Control, model_of, no_model, people};

pub(crate) fn parse<T: DeserializeOwned>(body: &Bytes, what: &str) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|e| Problem::bad_request(format!("the body is not {what}: {e}")))
}

pub(crate) fn operations<'a>(control: &'a Control, actor: Actor) -> Ops<'a> {
    Ops::new(control.registry.as_ref(), actor, &control.clock)
}

pub(crate) fn reason(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 1_000 {
        return Err(Problem::bad_request("`reason` must have 1 to 1000 characters: say in a sentence why"));
    }
    Ok(text)
}

/// How many used-up names of one version are passed over: each costs two calls of the thirty seconds an answer may take.
const ATTEMPTS: usize = 50;

/// How many of a model's latest changes are searched for withdrawals. An execution that was withdrawn earlier than that has looked since
/// and ended, so that its name is passed over as a used-up one.
const RECENT: u32 = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promote {
    version: VersionName,
    /// Stages to skip, by an operator whom the policy names for it.
    #[serde(default)]
    emergency: Option<Emergency>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Started {
    promotion: PromotionId,
    version: VersionName,
    /// Whether others are before it.
    waits: bool,
}

/// Starts a promotion of a packaged version. The promotion's name counts the attempts, so asking twice at once starts one. An emergency's
/// is another than that of a promotion in the ordinary way: one that stands in line does not keep it from beginning.
pub(crate) async fn promote(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let model = model_of(&model)?;
    let Promote { version, emergency } = parse(&body, r#"{"version": "v<n>"}"#)?;
    may_promote(&control, &model, &actor, emergency.as_ref()).await?;
    let head = control.registry.head(&model).await.map_err(Failure::from)?.ok_or_else(|| no_model(&model))?;
    let waits = emergency.is_none() && (head.running.is_some() || !head.waiting.is_empty());
    let busy = head.free_for(None, emergency.is_some()).err();
    if head.policy.is_none() {
        return Err(Problem::bad_request(format!(
            "model {model} has no policy; `seatrial policy set {model} FILE` first"
        )));
    }
    let record = control.registry.version(&model, version).await.map_err(Failure::from)?;
    let record = record.ok_or_else(|| Problem::not_found(&format!("version {version} of model {model}")))?;
    record.apply(seatrial_domain::version::VersionEvent::StartPromotion)?;
    let policy = live_policy(control.registry.as_ref(), &model).await.map_err(problem)?.policy;
    if let Some(busy) = busy
        && (policy.when_busy.mode == BusyMode::Refuse || emergency.is_some())
    {
        return Err(busy.into());
    }
    may_start(&policy, &record, head.benchmark.is_some(), emergency.as_ref())?;
    // An attempt that never held the model (another was faster, a dependency was away) left no promotion, but its name is
    // used up: the next one is taken.
    for promotion in names(&control, &head, &record.digest, emergency.is_some()).await? {
        let input = PromotionInput {
            schema: SCHEMA,
            model: model.clone(),
            promotion: promotion.clone(),
            submission: None,
            artifact: None,
            version: Some(version),
            requested_by: actor.clone(),
            emergency: emergency.clone(),
            waited: false,
        };
        if control.starter.start(&input).await? == Start::Runs {
            return Ok((StatusCode::ACCEPTED, Json(Started { promotion, version, waits })));
        }
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        "attempts_used_up",
        format!(
            "{ATTEMPTS} executions that promote {version} of model {model} ended before they began; see why in Step Functions"
        ),
    ))
}

/// The names that a promotion of the version with this digest may have, in the order in which they are tried.
///
/// The execution of a promotion that was withdrawn runs on until it looks again, and ends then: whoever asks anew is not that one.
async fn names(
    control: &Control,
    head: &Head,
    digest: &Digest,
    emergency: bool,
) -> Result<Vec<PromotionId>, Problem> {
    let model = &head.model;
    let earlier = control.registry.promotions(model).await.map_err(Failure::from)?;
    let first = earlier.iter().filter(|p| p.challenger.digest == *digest).count() as u32 + 1;
    let before = head.chain.seq.saturating_sub(u64::from(RECENT));
    let recent = control.registry.history(model, before, RECENT).await.map_err(Failure::from)?;
    let withdrawn = recent.into_iter().filter(|entry| entry.event == "promotion_withdrawn");
    let withdrawn: BTreeSet<PromotionId> = withdrawn.filter_map(|entry| entry.promotion).collect();
    let cause = format!("{}:{digest}", if emergency { "emergency" } else { "version" });
    let all = (first..).map(|attempt| PromotionId::derive(model, &cause, attempt));
    Ok(all.filter(|promotion| !withdrawn.contains(promotion)).take(ATTEMPTS).collect())
}

/// Says at once what the compliance profile asks for and is missing. The registry asks again when the promotion begins.
fn may_start(
    policy: &Policy,
    version: &VersionRecord,
    benchmark: bool,
    emergency: Option<&Emergency>,
) -> Result<(), Problem> {
    let facts = Facts {
        policy,
        benchmark,
        reference: Some(version.package.has_reference()),
        skips_approval: emergency.is_some_and(|e| e.skip.contains(&Stage::Approval)),
    };
    let profile = policy.profile;
    let missing = compliance::missing(profile.profile(), &facts);
    if missing.is_empty() {
        return Ok(());
    }
    Err(seatrial_domain::Refusal::ProfileUnmet { profile, missing }.into())
}

/// A promotion needs a submitter, and one that skips stages an operator with that right and a reason. The registry asks again
/// when it begins.
async fn may_promote(
    control: &Control,
    model: &ModelName,
    actor: &Actor,
    emergency: Option<&Emergency>,
) -> Result<(), Problem> {
    let Some(emergency) = emergency else {
        return people::may(control, model, Action::Promote, actor).await;
    };
    reason(&emergency.reason)?;
    if emergency.skip.is_empty() {
        return Err(Problem::bad_request("`emergency.skip` names no stage: shadow, approval, canary"));
    }
    match people::access(control, model).await? {
        Some(access) => Ok(access.may_bypass(&actor.principal)?),
        None => Ok(()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    reason: String,
}

/// Ends the shadow early: the evidence so far goes to the comparison, and the record says that it was ended.
pub(crate) async fn stop_shadow(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<Json<GateRecord>, Problem> {
    let model = model_of(&model)?;
    let body: Reason = parse(&body, r#"{"reason": "…"}"#)?;
    people::may(&control, &model, Action::StopShadow, &actor).await?;
    let head = control.registry.head(&model).await.map_err(Failure::from)?.ok_or_else(|| no_model(&model))?;
    let running =
        head.running.ok_or_else(|| Problem::not_found(&format!("a running promotion of model {model}")))?;
    let gate = GateId::derive(&running.promotion, GateKind::ShadowWindow.as_str(), 1);
    if control.registry.gate(&gate).await.map_err(Failure::from)?.is_none() {
        return Err(Problem::not_found(&format!("an open shadow of promotion {}", running.promotion)));
    }
    let decided = operations(&control, actor).decide_gate(&gate, true, reason(&body.reason)?, None).await;
    Ok(Json(decided.map_err(problem)?.value))
}

/// Takes a promotion out of the line of those that wait for the model. Its execution ends at its next look.
pub(crate) async fn withdraw(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path((model, promotion)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<serde_json::Value>, Problem> {
    let model = model_of(&model)?;
    let promotion = PromotionId::parse(&promotion).map_err(|e| Problem::bad_request(e.to_string()))?;
    let body: Reason = parse(&body, r#"{"reason": "…"}"#)?;
    // Whoever could have asked for it, and whoever could end it once it runs.
    if let Some(access) = people::access(&control, &model).await? {
        let principal = &actor.principal;
        access.may(Action::RollBack, principal).or_else(|_| access.may(Action::Promote, principal))?;
    }
    let reason = reason(&body.reason)?;
    let left = operations(&control, actor).leave_line(&model, &promotion, reason).await.map_err(problem)?;
    if !left.fresh {
        let what = format!("promotion {promotion} among those that wait for {model}");
        return Err(Problem::not_found(&what));
    }
    Ok(Json(json!({ "model": model, "promotion": promotion, "withdrawn": true })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollBack {
    reason: String,
    /// Take the champion back although a promotion runs; else a running promotion is what ends.
    #[serde(default)]
    champion: bool,
}

pub(crate) async fn roll_back(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<Json<serde_json::Value>, Problem> {
    let model = model_of(&model)?;
    let body: RollBack = parse(&body, r#"{"reason": "…", "champion": false}"#)?;
    people::may(&control, &model, Action::RollBack, &actor).await?;
    let done = operations(&control, actor)
        .roll_back(&model, reason(&body.reason)?, body.champion)
        .await
        .map_err(problem)?;
    let done = done.value;
    // What callers meet is told and not waited for; without it the rollback is done all the same.
    let traffic = standing(control.registry.as_ref(), &model).await.ok().flatten();
    Ok(Json(json!({
        "model": model, "traffic": traffic, "epoch": done.epoch, "ended": done.ended, "from": done.from,
        "champion": done.champion, "champion_changed": done.champion_changed, "history": done.seq,
    })))
}

pub(crate) async fn retire(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path((model, version)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Retired>, Problem> {
    let model = model_of(&model)?;
    let version: VersionName =
        version.parse().map_err(|e: seatrial_domain::ids::InvalidId| Problem::bad_request(e.to_string()))?;
    let body: Reason = parse(&body, r#"{"reason": "…"}"#)?;
    people::may(&control, &model, Action::Retire, &actor).await?;
    let retired = operations(&control, actor).retire(&model, version, reason(&body.reason)?).await;
    let record = retired.map_err(problem)?.value;
    let plan = retention_plan(&control, &model).await?;
    Ok(Json(Retired { record, retention: plan.line(version).cloned() }))
}

/// A version that was retired, and what becomes of its bytes.
#[derive(Debug, Serialize)]
pub(crate) struct Retired {
    #[serde(flatten)]
    record: VersionRecord,
    retention: Option<Line>,
}

/// What becomes of the versions of a model, by what holds now.
pub(crate) async fn retention_plan(control: &Control, model: &ModelName) -> Result<Plan, Problem> {
    let kept = kept(control.registry.as_ref(), model).await.map_err(problem)?;
    Ok(kept.plan((control.clock)()))
}

pub(crate) async fn set_policy(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<Json<PolicySet>, Problem> {
    let model = model_of(&model)?;
    let policy: Policy = parse(&body, "a policy")?;
    let defects = policy.check();
    if !defects.is_empty() {
        let list = defects.iter().filter_map(|d| serde_json::to_value(d).ok()).collect();
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_policy",
            format!("the policy has {} defects", defects.len()),
        )
        .with_defects(list));
    }
    let right = people::right(&control, &actor);
    let set = operations(&control, actor).set_policy_by(&model, &policy, right).await;
    let reference = set.map_err(problem)?.value;
    let head = control.registry.head(&model).await.map_err(Failure::from)?;
    let benchmark = head.is_some_and(|head| head.benchmark.is_some());
    let missing = will_be_missing(&policy, benchmark);
    Ok(Json(PolicySet { reference, profile: policy.profile, missing }))
}

/// A policy that was set, and what its compliance profile will ask for that is not there yet. It is a warning: the policy is in
/// force, and what is missing refuses a promotion.
#[derive(Debug, Serialize)]
pub(crate) struct PolicySet {
    #[serde(flatten)]
    reference: PolicyRef,
    profile: ProfileName,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Missing>,
}

/// What a promotion under `policy` would lack, as far as that is known before there is a package.
pub(crate) fn will_be_missing(policy: &Policy, benchmark: bool) -> Vec<Missing> {
    let facts = Facts { policy, benchmark, reference: None, skips_approval: false };
    compliance::missing(policy.profile.profile(), &facts)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetBenchmark {
    digest: Digest,
}

/// Sets the benchmark to a file that was uploaded under its digest; its bytes are read and hashed first.
pub(crate) async fn set_benchmark(
    State(control): State<Control>,
    Caller(actor): Caller,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<Json<BenchmarkRef>, Problem> {
    let model = model_of(&model)?;
    let SetBenchmark { digest } = parse(&body, r#"{"digest": "sha256:…"}"#)?;
    let key = benchmark_key(&model, &digest);
    let size = verified_size(&control, &model, &key, &digest).await?;
    let benchmark = BenchmarkRef { digest, key, size, set_at: (control.clock)() };
    let right = people::right(&control, &actor);
    let set = operations(&control, actor).set_benchmark_by(&model, &benchmark, right).await;
    Ok(Json(set.map_err(problem)?.value))
}

async fn verified_size(
    control: &Control,
    model: &ModelName,
    key: &str,
    digest: &Digest,
) -> Result<u64, Problem> {
    let store = control.models.as_ref();
    let meta = store.head(key).await.map_err(Failure::from)?.ok_or_else(|| {
        Problem::not_found(&format!(
            "the uploaded benchmark {key}; `seatrial benchmark set {model} FILE` uploads it"
        ))
    })?;
    let mut chunks = store.get_stream(&meta).await.map_err(Failure::from)?;
    let mut hasher = Hasher::default();
    while let Some(chunk) = chunks.next().await.map_err(Failure::from)? {
        hasher.update(&chunk);
    }
    let (found, _) = hasher.finish();
    if found != *digest {
        return Err(Problem::bad_request(format!(
            "the uploaded benchmark has the digest {found}, not {digest}; upload it again"
        )));
    }
    Ok(meta.size)
}

pub(crate) fn problem(error: seatrial_registry::OpError) -> Problem {
    match error {
        seatrial_registry::OpError::Refused(refusal) => refusal.into(),
        other => Failure::from(other).into(),
    }
}

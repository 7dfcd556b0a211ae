//! The routes that read.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use seatrial_artifacts::get_evidence;
use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::GateId;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, PromotionStatus};
use seatrial_domain::retention::Plan;
use seatrial_domain::target::Standing;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{ModelName, PromotionId};
use seatrial_evidence::keys;
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::change::{retention_plan, will_be_missing};
use crate::view::{ModelLine, ModelView, in_line, next_step, notices, traffic_notice};
use crate::{Caller, Control, Execution, model_of, no_model};

/// The largest report or manifest that is answered: what fits a Lambda's answer.
const DOCUMENT_LIMIT: u64 = 5 << 20;

type Answer<T> = Result<Json<T>, Problem>;

async fn head(control: &Control, model: &ModelName) -> Result<Head, Problem> {
    control.registry.head(model).await.map_err(Failure::from)?.ok_or_else(|| no_model(model))
}

async fn challenger(control: &Control, head: &Head) -> Result<Option<VersionRecord>, Problem> {
    match &head.running {
        Some(running) => Ok(control
            .registry
            .version(&head.model, running.challenger.version)
            .await
            .map_err(Failure::from)?),
        None => Ok(None),
    }
}

/// The gate that waits in a promotion: the approval's, else the shadow window's.
pub(crate) async fn open_gate(
    control: &Control,
    promotion: &PromotionId,
) -> Result<Option<GateRecord>, Problem> {
    for kind in [GateKind::Approval, GateKind::ShadowWindow] {
        let id = GateId::derive(promotion, kind.as_str(), 1);
        let gate = control.registry.gate(&id).await.map_err(Failure::from)?;
        if let Some(gate) = gate.filter(|g| g.status == GateStatus::Pending) {
            return Ok(Some(gate));
        }
    }
    Ok(None)
}

pub(crate) async fn models(State(control): State<Control>, _: Caller) -> Answer<Vec<ModelLine>> {
    let mut lines = Vec::new();
    for model in control.registry.models().await.map_err(Failure::from)? {
        let head = head(&control, &model).await?;
        let challenger = challenger(&control, &head).await?;
        lines.push(ModelLine::of(&head, challenger.as_ref()));
    }
    Ok(Json(lines))
}

pub(crate) async fn model(
    State(control): State<Control>,
    _: Caller,
    Path(model): Path<String>,
) -> Answer<ModelView> {
    let model = model_of(&model)?;
    let head = head(&control, &model).await?;
    let challenger = challenger(&control, &head).await?;
    let versions = control.registry.versions(&model).await.map_err(Failure::from)?;
    let promotion = match &head.running {
        Some(running) => {
            control.registry.promotion(&model, &running.promotion).await.map_err(Failure::from)?
        }
        None => control.registry.promotions(&model).await.map_err(Failure::from)?.pop(),
    };
    let gate = match &head.running {
        Some(running) => open_gate(&control, &running.promotion).await?,
        None => None,
    };
    let next = next_step(&head, challenger.as_ref(), gate.as_ref());
    let decided = match promotion.as_ref().and_then(|p| p.gate.as_ref()) {
        Some(id) => control.registry.gate(id).await.map_err(Failure::from)?,
        None => None,
    };
    let mut notices = notices(promotion.as_ref(), decided.as_ref());
    let policy = match &head.policy {
        Some(reference) => control.registry.policy(&model, reference.number).await.map_err(Failure::from)?,
        None => None,
    };
    let profile = policy.as_ref().map(|record| record.policy.profile);
    let target = policy.as_ref().and_then(|record| record.policy.target.as_ref());
    let seen = match target {
        Some(_) => control.registry.target(&model).await.map_err(Failure::from)?,
        None => None,
    };
    let traffic = Standing::of(&head, target, seen.as_ref());
    notices.extend(traffic_notice(&traffic, (control.clock)()));
    let missing = policy.map(|p| will_be_missing(&p.policy, head.benchmark.is_some())).unwrap_or_default();
    notices.extend(in_line(&head));
    notices.extend(missing.iter().map(|m| format!("THE NEXT PROMOTION IS REFUSED until this is there: {m}")));
    Ok(Json(ModelView { head, profile, traffic, versions, promotion, gate, next, notices }))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<u32>,
}

/// A page of a model's history, with the chain's end as the head has it.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryPage {
    entries: Vec<HistoryEntry>,
    chain: seatrial_domain::history::ChainTip,
}

pub(crate) async fn history(
    State(control): State<Control>,
    _: Caller,
    Path(model): Path<String>,
    Query(page): Query<Page>,
) -> Answer<HistoryPage> {
    let model = model_of(&model)?;
    let limit = page.limit.unwrap_or(200).clamp(1, 1_000);
    let chain = head(&control, &model).await?.chain;
    let entries = control.registry.history(&model, page.after, limit).await.map_err(Failure::from)?;
    Ok(Json(HistoryPage { entries, chain }))
}

pub(crate) async fn promotions(
    State(control): State<Control>,
    _: Caller,
    Path(model): Path<String>,
) -> Answer<Vec<PromotionRecord>> {
    let model = model_of(&model)?;
    head(&control, &model).await?;
    Ok(Json(control.registry.promotions(&model).await.map_err(Failure::from)?))
}

async fn record(control: &Control, model: &ModelName, promotion: &str) -> Result<PromotionRecord, Problem> {
    let all = || Problem::not_found(&format!("promotion {promotion} of model {model}"));
    // `latest` is what people mean most often.
    if promotion == "latest" {
        return control.registry.promotions(model).await.map_err(Failure::from)?.pop().ok_or_else(all);
    }
    let id = PromotionId::parse(promotion).map_err(|e| Problem::bad_request(e.to_string()))?;
    match control.registry.promotion(model, &id).await.map_err(Failure::from)? {
        Some(record) => Ok(record),
        None => Err(without_record(control, model, &id).await?),
    }
}

/// What is said of a promotion that has no record: it may be on its way to one, or have come to nothing before it held the model.
async fn without_record(control: &Control, model: &ModelName, id: &PromotionId) -> Result<Problem, Problem> {
    let line = control.registry.head(model).await.map_err(Failure::from)?.map(|head| head.waiting);
    let missing = |why: &str| {
        let detail = format!("promotion {id} of model {model} {why}");
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    };
    if line.unwrap_or_default().iter().any(|waiting| waiting.promotion == *id) {
        return Ok(missing("has not begun: it waits in line for the model"));
    }
    Ok(match control.starter.execution(id).await? {
        Execution::Failed { cause } => {
            let cause = if cause.is_empty() { "its execution was stopped" } else { cause.as_str() };
            let detail = format!(
                "promotion {id} of model {model} came to nothing before it held the model, which is as it was: {cause}"
            );
            Problem::new(StatusCode::GONE, "not_begun", detail)
        }
        Execution::Runs => missing("has not begun: its execution has not taken the model yet"),
        Execution::Missing | Execution::Succeeded => missing("does not exist"),
    })
}

pub(crate) async fn promotion(
    State(control): State<Control>,
    _: Caller,
    Path((model, promotion)): Path<(String, String)>,
) -> Answer<PromotionRecord> {
    Ok(Json(record(&control, &model_of(&model)?, &promotion).await?))
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    /// Whether the report is made anew over what has arrived by now.
    #[serde(default)]
    now: bool,
}

/// The report; while the promotion is still collecting, an interim one that is never a pass. With `now=true` one over the
/// pairs and labels that are there now, those that came after the report included: it is interim, and stored nowhere.
pub(crate) async fn report(
    State(control): State<Control>,
    _: Caller,
    Path((model, promotion)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let model = model_of(&model)?;
    let record = record(&control, &model, &promotion).await?;
    let collecting = record.status == PromotionStatus::Running
        && record.evidence.contains_key(&EvidenceKind::Evaluation)
        && !record.evidence.contains_key(&EvidenceKind::Report);
    let again = asked.now && record.evidence.contains_key(&EvidenceKind::Evaluation);
    if !collecting && !again {
        return document(&control, &record, EvidenceKind::Report).await;
    }
    let (registry, data, evidence) =
        (control.registry.as_ref(), control.data.as_ref(), control.evidence.as_ref());
    let report = fn_compare::interim(registry, data, evidence, &record, (control.clock)()).await?;
    Ok(Json(report).into_response())
}

pub(crate) async fn manifest(
    State(control): State<Control>,
    _: Caller,
    Path((model, promotion)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let record = record(&control, &model_of(&model)?, &promotion).await?;
    document(&control, &record, EvidenceKind::Manifest).await
}

/// The last judgement that ended a step of the canary, with the canary over time in it.
pub(crate) async fn canary(
    State(control): State<Control>,
    _: Caller,
    Path((model, promotion)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let record = record(&control, &model_of(&model)?, &promotion).await?;
    let prefix = keys::evidence_prefix(&record.model, &record.id);
    for step in (0..record.steps.len()).rev() {
        let key = format!("{prefix}canary-step-{step}.json");
        if let Some(bytes) = control.evidence.get(&key, DOCUMENT_LIMIT).await.map_err(Failure::from)? {
            return Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response());
        }
    }
    Err(Problem::not_found(&format!("a judged step of the canary of promotion {}", record.id)))
}

/// An evidence document as it lies in the bucket, its digest checked.
async fn document(
    control: &Control,
    record: &PromotionRecord,
    kind: EvidenceKind,
) -> Result<Response, Problem> {
    let reference = record.evidence.get(&kind).ok_or_else(|| {
        Problem::not_found(&format!(
            "the {} of promotion {} (it is {:?})",
            format!("{kind:?}").to_lowercase(),
            record.id,
            record.status
        ))
    })?;
    let bytes =
        get_evidence(control.evidence.as_ref(), reference, DOCUMENT_LIMIT).await.map_err(Failure::from)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

pub(crate) async fn shadow(
    State(control): State<Control>,
    _: Caller,
    Path(model): Path<String>,
) -> Result<Response, Problem> {
    let model = model_of(&model)?;
    let head = head(&control, &model).await?;
    let record = match &head.running {
        Some(running) => record(&control, &model, running.promotion.as_str()).await?,
        None => record(&control, &model, "latest").await?,
    };
    let progress = fn_compare::shadow_progress(
        control.registry.as_ref(),
        control.tallies.as_ref(),
        &record,
        (control.clock)(),
    )
    .await?;
    Ok(Json(progress).into_response())
}

/// What becomes of each version, and when: what `sweep` would do now, done by nobody here.
pub(crate) async fn retention(
    State(control): State<Control>,
    _: Caller,
    Path(model): Path<String>,
) -> Answer<Plan> {
    let model = model_of(&model)?;
    head(&control, &model).await?;
    Ok(Json(retention_plan(&control, &model).await?))
}

pub(crate) async fn policy(
    State(control): State<Control>,
    _: Caller,
    Path(model): Path<String>,
) -> Answer<seatrial_domain::change::PolicyRecord> {
    let model = model_of(&model)?;
    let missing = || Problem::not_found(&format!("the policy of model {model}"));
    let reference = head(&control, &model).await?.policy.ok_or_else(missing)?;
    let found = control.registry.policy(&model, reference.number).await.map_err(Failure::from)?;
    found.map(Json).ok_or_else(missing)
}

//! The JSON API. Its callers are authenticated by the API's own authorizer, never by a header or the body.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use lambda_http::request::RequestContext;
use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::ids::Actor;
use seatrial_domain::{GateId, ModelName};
use seatrial_evidence::report::ComparisonReport;
use seatrial_registry::{GateFilter, OpError};
use seatrial_runtime::Failure;
use seatrial_runtime::caller::caller;
use seatrial_runtime::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::decide::decide_once;
use crate::{App, review};

type Context = Option<Extension<RequestContext>>;

/// A gate as the API shows it.
#[derive(Serialize)]
pub(crate) struct ApprovalView {
    #[serde(flatten)]
    gate: GateRecord,
    /// The review page's address, without any right to decide.
    page: String,
}

#[derive(Serialize)]
pub(crate) struct ListView {
    approvals: Vec<ApprovalView>,
}

#[derive(Serialize)]
pub(crate) struct ShowView {
    #[serde(flatten)]
    approval: ApprovalView,
    /// How many approvals are needed by the policy in force.
    quorum: u32,
    /// The comparison report that the gate binds.
    report: ComparisonReport,
    /// What the submitter says changed.
    changelog: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    status: Option<GateStatus>,
    model: Option<ModelName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideBody {
    comment: String,
}

fn who(app: &App, context: Context) -> Result<Actor, Problem> {
    let context = context.map(|Extension(c)| c);
    caller(context.as_ref(), app.local_identity.as_deref()).ok_or_else(|| {
        Problem::unauthenticated(
            "the caller is not known: sign the request with AWS credentials (SigV4, service execute-api)",
        )
    })
}

fn view(app: &App, gate: GateRecord) -> ApprovalView {
    ApprovalView { page: app.base.to(&format!("/g/{}", gate.id)), gate }
}

/// `GET /api/v1/approvals?status=&model=`: approval gates by status (default `pending`), oldest first.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    context: Context,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListView>, Problem> {
    who(&app, context)?;
    let Query(query) = query.map_err(|e| {
        Problem::bad_request(format!(
            "{}; expected status=pending|approved|rejected|expired|cancelled and model=<name>",
            e.body_text()
        ))
    })?;
    let filter = GateFilter { status: query.status.unwrap_or(GateStatus::Pending), model: query.model };
    let gates = app.registry.gates(&filter).await.map_err(Failure::from)?;
    let approvals =
        gates.into_iter().filter(|g| g.kind == GateKind::Approval).map(|g| view(&app, g)).collect();
    Ok(Json(ListView { approvals }))
}

/// `GET /api/v1/approvals/{gate}`: one gate with the report it binds.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(gate): Path<String>,
    context: Context,
) -> Result<Json<ShowView>, Problem> {
    who(&app, context)?;
    let gate = find(&app, &gate).await?;
    let live = review::live(&app, &gate).await?;
    let found = review::collect(&app, gate, live).await?;
    Ok(Json(ShowView {
        quorum: found.live.quorum,
        report: found.report,
        changelog: found.challenger.package.changelog,
        approval: view(&app, found.gate),
    }))
}

/// `POST /api/v1/approvals/{gate}/approve` with `{"comment": …}`.
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    Path(gate): Path<String>,
    context: Context,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ApprovalView>, Problem> {
    decide(&app, &gate, context, body, true).await
}

/// `POST /api/v1/approvals/{gate}/reject` with `{"comment": …}`.
pub(crate) async fn reject(
    State(app): State<Arc<App>>,
    Path(gate): Path<String>,
    context: Context,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ApprovalView>, Problem> {
    decide(&app, &gate, context, body, false).await
}

async fn decide(
    app: &App,
    gate: &str,
    context: Context,
    body: Result<Bytes, BytesRejection>,
    approve: bool,
) -> Result<Json<ApprovalView>, Problem> {
    let by = who(app, context)?;
    let body = body.map_err(|e| Problem::new(e.status(), "invalid", e.body_text()))?;
    let body: DecideBody = serde_json::from_slice(&body)
        .map_err(|e| Problem::bad_request(format!("the body is not {{\"comment\": \"why\"}}: {e}")))?;
    let gate = find(app, gate).await?;
    match decide_once(app, &gate.id, by, approve, &body.comment, None).await {
        Ok(gate) => Ok(Json(view(app, gate))),
        Err(OpError::Refused(refusal)) => Err(refusal.into()),
        Err(error) => Err(Failure::from(error).into()),
    }
}

/// The approval gate of this name. A shadow's window is none: it is ended with `seatrial shadow stop`.
async fn find(app: &App, text: &str) -> Result<GateRecord, Problem> {
    let id =
        GateId::parse(text).map_err(|e| Problem::new(StatusCode::NOT_FOUND, "not_found", e.to_string()))?;
    review::approval_gate(app, &id).await?.ok_or_else(|| Problem::not_found(&format!("approval gate {id}")))
}

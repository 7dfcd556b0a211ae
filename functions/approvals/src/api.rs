//! The JSON API, once for bearer tokens (`/api/v1`) and once for AWS credentials (`/iam/v1`). Who calls is known before any
//! of this runs; what they see is only what their policies name them for.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::ids::Actor;
use seatrial_domain::promotion::Bypass;
use seatrial_domain::{GateId, ModelName, Refusal};
use seatrial_evidence::report::ComparisonReport;
use seatrial_registry::ops::Ops;
use seatrial_registry::{GateFilter, OpError};
use seatrial_runtime::problem::Problem;
use seatrial_runtime::{Failure, label};
use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::decide::decide_once;
use crate::review::Seen;
use crate::segment::Segment;
use crate::{App, BODY_BYTES, review};

/// A gate as the API shows it.
#[derive(Serialize)]
pub(crate) struct ApprovalView {
    #[serde(flatten)]
    gate: GateRecord,
    /// The review page's address, without any right to decide.
    page: String,
    /// The fingerprint of what the gate binds, to send along with a decision about just that.
    shown: String,
}

#[derive(Serialize)]
pub(crate) struct ListView {
    approvals: Vec<ApprovalView>,
    /// What to ask for as `after`, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<GateId>,
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
    /// The stages that an operator skipped in an emergency.
    bypasses: Vec<Bypass>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    status: Option<GateStatus>,
    model: Option<ModelName>,
    limit: Option<usize>,
    after: Option<GateId>,
}

/// The most gates in one answer, and how many there are when nothing is said.
const MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideBody {
    comment: String,
    /// The `shown` of the gate that was looked at. Whoever names none decides about what the gate binds, whatever that is.
    #[serde(default)]
    shown: Option<String>,
}

fn view(app: &App, gate: GateRecord) -> ApprovalView {
    ApprovalView { page: app.base.to(&format!("/g/{}", gate.id)), shown: gate.bound.fingerprint(), gate }
}

/// `GET …/approvals?status=&model=`: approval gates by status (default `pending`), oldest first.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListView>, Problem> {
    let Query(query) = query.map_err(|e| {
        Problem::bad_request(format!(
            "{}; expected status=pending|approved|rejected|expired|cancelled, model=<name>, limit=1..{MOST} and after=<gate>",
            e.body_text()
        ))
    })?;
    let limit = query.limit.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is {limit}; expected 1 to {MOST}")));
    }
    let after = match &query.after {
        None => None,
        Some(id) => match review::approval_gate(&app, id).await? {
            Some(gate) => Some(gate),
            None => return Err(Problem::not_found(&format!("gate {id}, after which to go on"))),
        },
    };
    let filter = GateFilter { status: query.status.unwrap_or(GateStatus::Pending), model: query.model };
    let part = review::visible(&app, &filter, &caller, after.as_ref(), limit).await?;
    let approvals = part.gates.into_iter().map(|seen| view(&app, seen.gate)).collect();
    Ok(Json(ListView { approvals, next: part.next }))
}

/// `GET …/approvals/{gate}`: one gate with the report it binds.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Segment(gate): Segment,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ShowView>, Problem> {
    let Seen { gate, live } = find(&app, &gate, &caller).await?;
    // The caller asked for nothing wrong: what cannot be read is ours.
    let found = review::collect(&app, gate, live).await.map_err(|failure| match failure.label {
        label::UNAVAILABLE => failure,
        _ => Failure { label: label::INTERNAL, ..failure },
    })?;
    Ok(Json(ShowView {
        quorum: found.live.quorum,
        report: found.report,
        changelog: found.challenger.package.changelog,
        bypasses: found.promotion.bypasses,
        approval: view(&app, found.gate),
    }))
}

/// `POST …/approvals/{gate}/approve` with `{"comment": …}`.
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    Segment(gate): Segment,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ApprovalView>, Problem> {
    change(&app, Verb::Approve, &gate, &caller, &headers, body).await
}

/// `POST …/approvals/{gate}/reject` with `{"comment": …}`.
pub(crate) async fn reject(
    State(app): State<Arc<App>>,
    Segment(gate): Segment,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ApprovalView>, Problem> {
    change(&app, Verb::Reject, &gate, &caller, &headers, body).await
}

/// `POST …/approvals/{gate}/block` with `{"comment": …}`: the approval does not come by itself any more.
pub(crate) async fn block(
    State(app): State<Arc<App>>,
    Segment(gate): Segment,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ApprovalView>, Problem> {
    change(&app, Verb::Block, &gate, &caller, &headers, body).await
}

/// What a caller does with a gate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Approve,
    Reject,
    Block,
}

async fn change(
    app: &App,
    verb: Verb,
    gate: &str,
    caller: &Caller,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ApprovalView>, Problem> {
    let DecideBody { comment, shown } = read(headers, body)?;
    let Seen { gate, .. } = find(app, gate, caller).await?;
    if let Some(shown) = shown {
        Refusal::unless_same(&gate.id, &gate.bound.changed_since(&shown))?;
    }
    let by = caller.actor().clone();
    let done = match verb {
        Verb::Block => block_once(app, &gate, by, &comment).await?,
        Verb::Approve | Verb::Reject => {
            let approve = verb == Verb::Approve;
            decide_once(app, &gate.id, by, approve, &comment, None).await.map_err(refused)?
        }
    };
    Ok(Json(view(app, done)))
}

fn refused(error: OpError) -> Problem {
    match error {
        OpError::Refused(refusal) => refusal.into(),
        error => Failure::from(error).into(),
    }
}

/// The body of a decision. Only JSON that says so is read: a form on another site cannot send it.
fn read(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<DecideBody, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = format!("the body's content type is {kind:?}; expected application/json");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let body = body.map_err(|e| {
        let code = if e.status() == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "invalid" };
        Problem::new(e.status(), code, format!("{}; expected at most {BODY_BYTES} bytes", e.body_text()))
    })?;
    serde_json::from_slice(&body)
        .map_err(|e| Problem::bad_request(format!("the body is not {{\"comment\": \"why\"}}: {e}")))
}

/// Blocks, or says that there is nothing to block: a gate never gets a window after it has opened.
async fn block_once(app: &App, gate: &GateRecord, by: Actor, comment: &str) -> Result<GateRecord, Problem> {
    if gate.window.is_none() {
        let detail =
            format!("gate {} waits for people: there is no automatic approval to block; reject it", gate.id);
        return Err(Problem::new(StatusCode::CONFLICT, "no_window", detail));
    }
    let ops = Ops::new(app.registry.as_ref(), by, &app.clock);
    let done = ops.block_gate(&gate.id, comment).await.map_err(refused)?;
    if done.fresh {
        tracing::info!(gate = %gate.id, "the automatic approval of a gate was blocked");
    }
    Ok(done.value)
}

/// The approval gate of this name, if the caller may see it. A shadow's window is none: it is ended with `seatrial shadow stop`.
async fn find(app: &App, text: &str, caller: &Caller) -> Result<Seen, Problem> {
    let id =
        GateId::parse(text).map_err(|e| Problem::new(StatusCode::NOT_FOUND, "not_found", e.to_string()))?;
    let gate = review::approval_gate(app, &id).await?;
    let gate = gate.ok_or_else(|| Problem::not_found(&format!("approval gate {id}")))?;
    let live = review::live(app, &gate).await?;
    if !caller.may_see(&live) {
        let who = &caller.actor().principal;
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!(
                "{who} is not named in the policy that gate {id} belongs to: its owner can name you there"
            ),
        ));
    }
    Ok(Seen { gate, live })
}

//! The form that decides.

use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seatrial_domain::gate::GateRecord;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::{Digest, GateId, Refusal};
use seatrial_registry::OpError;
use seatrial_registry::ops::Ops;
use seatrial_report::message::Message;
use seatrial_report::sentence;
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::Deserialize;

use crate::App;
use crate::pages::{Instead, Visit, no_such_gate};

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Input {
    decision: Choice,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    token: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Approve,
    Reject,
}

/// `POST /g/{gate}/decide`: decides, then shows the page, which says what happened.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    Path(gate): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Input>, FormRejection>,
) -> Result<Response, Instead> {
    let id = GateId::parse(&gate).map_err(|_| no_such_gate())?;
    same_origin(&app, &headers)?;
    let Form(input) = form.map_err(|e| unreadable(&e))?;
    let visit = Visit::by_cookie(&app, &id, &headers).await?;
    if !visit.secret.accepts_form(&id, &input.token) {
        return Err(forged());
    }
    let by = Actor { principal: visit.capability.approver.clone(), auth: Auth::Link };
    let approve = input.decision == Choice::Approve;
    match decide_once(&app, &id, by, approve, &input.comment, Some(&visit.secret.hash())).await {
        Ok(_) => {
            Ok((StatusCode::SEE_OTHER, [(header::LOCATION, app.base.to(&format!("/g/{id}")))])
                .into_response())
        }
        Err(OpError::Refused(Refusal::Invalid { why })) => {
            let review = visit.review(&app).await?;
            visit.page(&app, &review, StatusCode::UNPROCESSABLE_ENTITY, input.comment, Some(sentence(&why)))
        }
        Err(OpError::Refused(refusal)) => Err(refused(&app, &id, refusal)),
        Err(error) => Err(Failure::from(error).into()),
    }
}

/// Decides, or finds that this person has decided just so already: a request that is sent twice decides once.
pub(crate) async fn decide_once(
    app: &App,
    id: &GateId,
    by: Actor,
    approve: bool,
    comment: &str,
    link: Option<&Digest>,
) -> Result<GateRecord, OpError> {
    let who = by.clone();
    let refusal = match Ops::new(app.registry.as_ref(), by, &app.clock)
        .decide_gate(id, approve, comment, link)
        .await
    {
        Ok(outcome) => {
            tracing::info!(gate = %id, by = who.principal, approve, status = ?outcome.value.status, "a gate was decided");
            return Ok(outcome.value);
        }
        Err(OpError::Refused(refusal @ Refusal::GateClosed { .. })) => refusal,
        Err(error) => return Err(error),
    };
    let gate = app.registry.gate(id).await?;
    let same = |g: &GateRecord| {
        g.decisions.iter().any(|d| d.by == who && d.approve == approve && d.comment == comment.trim())
    };
    gate.filter(same).ok_or(OpError::Refused(refusal))
}

/// A browser names the origin of the page that sends a form. Anything but our own, or none at all, is refused.
fn same_origin(app: &App, headers: &HeaderMap) -> Result<(), Instead> {
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    let ours = |v: &HeaderValue| v.as_bytes() == app.base.origin().as_bytes();
    match (origins.next(), origins.next()) {
        (Some(origin), None) if ours(origin) => Ok(()),
        _ => {
            let message = Message::new(
                "This form was sent from somewhere else",
                "Decisions are taken only from the review page itself. Nothing was decided.",
            )
            .and("Open your link again and decide there.");
            Err(Instead::new(StatusCode::FORBIDDEN, message))
        }
    }
}

fn forged() -> Instead {
    let message = Message::new(
        "This form is out of date",
        "It does not belong to the link that this browser has. Nothing was decided.",
    )
    .and("Open your link again and decide there.");
    Instead::new(StatusCode::FORBIDDEN, message)
}

fn unreadable(rejection: &FormRejection) -> Instead {
    let message = Message::new(
        "The form could not be read",
        "Nothing was decided. Open your link again and decide there.",
    );
    Instead::new(rejection.status(), message)
}

fn refused(app: &App, id: &GateId, refusal: Refusal) -> Instead {
    let title = match &refusal {
        Refusal::GateClosed { .. } => "This gate is closed",
        Refusal::Superseded { .. } => "This promotion has ended",
        Refusal::Forbidden { .. } => "You cannot decide this",
        Refusal::NotApproved { .. } => "What is decided has changed",
        _ => "This was not decided",
    };
    let text = sentence(&refusal.to_string());
    let status = Problem::from(refusal).status();
    let message = Message::new(title, text)
        .and("Your decision was not recorded.")
        .with_link(&app.base.to(&format!("/g/{id}")), "See how it stands");
    Instead::new(status, message)
}

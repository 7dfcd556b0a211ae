//! The form that decides.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::ids::Actor;
use seatrial_domain::{Digest, GateId, Refusal};
use seatrial_registry::OpError;
use seatrial_registry::ops::Ops;
use seatrial_report::banners::decided;
use seatrial_report::message::Message;
use seatrial_report::sentence;
use seatrial_runtime::Failure;
use seatrial_runtime::problem::Problem;
use serde::Deserialize;

use crate::denied::{Instead, no_such_gate};
use crate::segment::Segment;
use crate::visit::{Tried, Visit};
use crate::{App, review};

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Input {
    decision: Choice,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    shown: String,
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
    Segment(gate): Segment,
    headers: HeaderMap,
    form: Result<Form<Input>, FormRejection>,
) -> Result<Response, Instead> {
    let id = GateId::parse(&gate).map_err(|_| no_such_gate(&app))?;
    same_origin(&app, &headers)?;
    let Form(input) = form.map_err(|e| unreadable(&e))?;
    let visit = Visit::of_form(&app, &id, &headers, &input.token).await?;
    same_as_shown(&app, &id, &input.shown).await?;
    let approve = input.decision == Choice::Approve;
    match decide_once(&app, &id, visit.actor(), approve, &input.comment, visit.link().as_ref()).await {
        Ok(_) => {
            Ok((StatusCode::SEE_OTHER, [(header::LOCATION, app.base.to(&format!("/g/{id}")))])
                .into_response())
        }
        Err(OpError::Refused(Refusal::Invalid { why })) => {
            let review = visit.review(&app).await?;
            let tried = Tried::Decision { comment: input.comment, problem: sentence(&why) };
            visit.page(&app, &review, StatusCode::UNPROCESSABLE_ENTITY, tried)
        }
        Err(OpError::Refused(refusal)) => Err(refused(&app, &id, refusal, "decision").await),
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
pub(crate) fn same_origin(app: &App, headers: &HeaderMap) -> Result<(), Instead> {
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    let ours = |v: &HeaderValue| v.as_bytes() == app.base.origin().as_bytes();
    match (origins.next(), origins.next()) {
        (Some(origin), None) if ours(origin) => Ok(()),
        _ => {
            let message = Message::new(
                "This form was sent from somewhere else",
                "Forms are taken only from our own pages. Nothing was decided.",
            )
            .and("Open the page again and decide there.");
            Err(Instead::new(StatusCode::FORBIDDEN, message))
        }
    }
}

pub(crate) fn unreadable(rejection: &FormRejection) -> Instead {
    let message = Message::new(
        "The form could not be read",
        "Nothing was decided. Open the page again and decide there.",
    );
    Instead::new(rejection.status(), message)
}

/// Refuses what was sent from a page that showed something else than what the gate binds.
pub(crate) async fn same_as_shown(app: &App, id: &GateId, shown: &str) -> Result<(), Instead> {
    let gate = review::approval_gate(app, id).await?.ok_or_else(|| no_such_gate(app))?;
    if shown.is_empty() && gate.status == GateStatus::Pending {
        let message = Message::new(
            "This form is out of date",
            "It does not say what was shown above it. Nothing was recorded.",
        )
        .and("Open the page again and decide there.");
        return Err(Instead::new(StatusCode::CONFLICT, message));
    }
    match Refusal::unless_same(id, &gate.bound.changed_since(shown)) {
        Ok(()) => Ok(()),
        Err(refusal) => Err(refused(app, id, refusal, "decision").await),
    }
}

/// The page that says why `what`, for example a decision, was not recorded.
pub(crate) async fn refused(app: &App, id: &GateId, refusal: Refusal, what: &str) -> Instead {
    let title = match &refusal {
        Refusal::GateClosed { .. } => "This gate is closed",
        Refusal::Superseded { .. } => "This promotion has ended",
        Refusal::Forbidden { .. } => "You cannot do this",
        Refusal::Changed { .. } => "What is decided has changed",
        _ => "This was not recorded",
    };
    let text = sentence(&refusal.to_string());
    let status = Problem::from(refusal).status();
    let message = Message::new(title, text);
    // Who decided, when and why stands in people's words; the gate is read again because it was somebody else's doing.
    let (message, banners) = match review::approval_gate(app, id).await {
        Ok(Some(gate)) => {
            let said = gate.decisions.last().filter(|_| gate.status != GateStatus::Pending);
            let message = match said {
                Some(d) => message.and(format!("{} They said: {}", decided(d), sentence(&d.comment))),
                None => message,
            };
            (message, review::banners(app, &gate).await.unwrap_or_default())
        }
        _ => (message, Vec::new()),
    };
    let message = message
        .and(format!("Your {what} was not recorded."))
        .with_banners(banners)
        .with_link(&app.base.to(&format!("/g/{id}")), "See how it stands");
    Instead::new(status, message)
}

//! The pages that show.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seatrial_domain::GateId;
use seatrial_domain::gate::Capability;
use seatrial_report::message::Message;
use seatrial_runtime::Failure;
use seatrial_runtime::link::LinkSecret;
use seatrial_runtime::problem::Problem;

use crate::access::{self, Denied};
use crate::api_routes::is_api;
use crate::denied::{self, Instead, denied, no_such_gate};
use crate::segment::Segment;
use crate::visit::{Tried, Visit};
use crate::{App, cookie, session};

/// `GET /`: the list of gates for whoever is logged in; else what can be done.
pub(crate) async fn home(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Instead> {
    if session::logged_in(&app, &headers).await?.is_some() {
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, app.base.to("/gates"))]).into_response());
    }
    let message = Message::new(
        "Decisions are made at gates",
        "Each gate has its own address, and approvers get a link to it.",
    );
    Ok(Instead::new(StatusCode::OK, denied::advised(&app, message, None)).into_response())
}

/// Everything else.
pub(crate) async fn nothing_here(request: Request) -> Response {
    if is_api(request.uri().path()) {
        return Problem::not_found("this address of the API").into_response();
    }
    Instead::new(
        StatusCode::NOT_FOUND,
        Message::new("There is nothing here", "The address may have been cut off."),
    )
    .into_response()
}

/// A known address with another method.
pub(crate) async fn wrong_method(request: Request) -> Response {
    if is_api(request.uri().path()) {
        let detail = format!("{} is not understood at this address", request.method());
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).into_response();
    }
    let message =
        Message::new("This cannot be done here", "Opening a page shows it; only the form on it decides.");
    Instead::new(StatusCode::METHOD_NOT_ALLOWED, message).into_response()
}

/// `GET /l/{secret}`: hands the secret over to a cookie and goes on to an address without it.
pub(crate) async fn link(State(app): State<Arc<App>>, Segment(text): Segment) -> Result<Response, Instead> {
    let secret = LinkSecret::parse(&text).ok_or_else(|| denied(&app, &Denied::Unknown, None))?;
    let found = app.registry.capability(&secret.hash()).await.map_err(Failure::from)?;
    let now = (app.clock)();
    let capability = access::opens(found, now).map_err(|d| denied(&app, &d, None))?;
    still_given(&app, &capability).await?;
    let set = cookie::set(&capability.gate, &secret, now, capability.expires_at);
    let to = app.base.to(&format!("/g/{}", capability.gate));
    let headers = [
        (header::SET_COOKIE, set),
        (header::LOCATION, to),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// `GET /g/{gate}`: the review page.
pub(crate) async fn gate(
    State(app): State<Arc<App>>,
    Segment(gate): Segment,
    headers: HeaderMap,
) -> Result<Response, Instead> {
    let id = GateId::parse(&gate).map_err(|_| no_such_gate(&app))?;
    let visit = Visit::open(&app, &id, &headers).await?;
    let review = visit.review(&app).await?;
    visit.page(&app, &review, StatusCode::OK, Tried::Nothing)
}

/// Whether the link was not taken back. The gate's record says so, and the transaction that decides asks it again.
async fn still_given(app: &App, capability: &Capability) -> Result<(), Instead> {
    let gate = app.registry.gate(&capability.gate).await.map_err(Failure::from)?;
    let gate = gate.ok_or_else(|| no_such_gate(app))?;
    access::still_given(capability, &gate).map_err(|d| denied(app, &d, Some(&capability.gate)))
}

//! The form that blocks an approval that would come by itself.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seatrial_domain::{GateId, Refusal};
use seatrial_registry::OpError;
use seatrial_registry::ops::Ops;
use seatrial_report::sentence;
use seatrial_runtime::Failure;
use serde::Deserialize;

use crate::App;
use crate::decide::{refused, same_as_shown, same_origin, unreadable};
use crate::denied::{Instead, no_such_gate};
use crate::segment::Segment;
use crate::visit::{Tried, Visit};

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Input {
    #[serde(default)]
    comment: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    shown: String,
}

/// `POST /g/{gate}/block`: blocks, then shows the page, which says so. The link is not used up: its holder can still decide.
pub(crate) async fn block(
    State(app): State<Arc<App>>,
    Segment(gate): Segment,
    headers: HeaderMap,
    form: Result<Form<Input>, FormRejection>,
) -> Result<Response, Instead> {
    let id = GateId::parse(&gate).map_err(|_| no_such_gate(&app))?;
    same_origin(&app, &headers)?;
    let Form(input) = form.map_err(|e| unreadable(&e))?;
    let visit = Visit::of_form(&app, &id, &headers, &input.token).await?;
    // Only whom the page is shown to: the policy in force still names them.
    let review = visit.review(&app).await?;
    same_as_shown(&app, &id, &input.shown).await?;
    if visit.is_used() {
        let state = review.gate.state_phrase();
        let refusal =
            Refusal::GateClosed { gate: id.clone(), state: format!("{state}, and this link has been used") };
        return Err(refused(&app, &id, refusal, "block").await);
    }
    let by = visit.actor();
    let who = by.principal.clone();
    match Ops::new(app.registry.as_ref(), by, &app.clock).block_gate(&id, &input.comment).await {
        Ok(_) => {
            tracing::info!(gate = %id, by = who, "an automatic approval was blocked");
            let to = app.base.to(&format!("/g/{id}"));
            Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
        }
        Err(OpError::Refused(Refusal::Invalid { why })) if review.gate.open_window().is_some() => {
            let tried = Tried::Block { comment: input.comment, problem: sentence(&why) };
            visit.page(&app, &review, StatusCode::UNPROCESSABLE_ENTITY, tried)
        }
        Err(OpError::Refused(refusal)) => Err(refused(&app, &id, refusal, "block").await),
        Err(error) => Err(Failure::from(error).into()),
    }
}

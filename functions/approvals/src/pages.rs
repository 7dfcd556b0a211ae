//! The pages that show.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use seatrial_domain::GateId;
use seatrial_domain::gate::Capability;
use seatrial_report::message::Message;
use seatrial_report::review::{DecideForm, Deciding, render};
use seatrial_runtime::link::LinkSecret;
use seatrial_runtime::problem::Problem;
use seatrial_runtime::{Failure, label};

use crate::access::{self, Denied, Right};
use crate::review::{self, Review};
use crate::{App, cookie};

/// A page in place of the one that was asked for.
#[derive(Debug)]
pub(crate) struct Instead(StatusCode, Box<Message>);

impl Instead {
    pub(crate) fn new(status: StatusCode, message: Message) -> Self {
        Self(status, Box::new(message))
    }
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        match self.1.render() {
            Ok(page) => (self.0, Html(page)).into_response(),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, self.1.title.clone()).into_response(),
        }
    }
}

impl From<Failure> for Instead {
    fn from(failure: Failure) -> Self {
        tracing::error!(label = failure.label, error = failure.chain(), "a page could not be shown");
        if failure.label == label::UNAVAILABLE {
            let message = Message::new(
                "This did not work just now",
                "A part of the service did not answer. Load the page again in a moment.",
            );
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
        }
        let message = Message::new(
            "This page cannot be shown",
            "Something it needs cannot be read, and the reason is in the log of the approvals function.",
        )
        .and("Nothing was decided.");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

const ASK: &str = "Open the newest link that was sent to you. If you have none, ask whoever runs this model, or use the command line with your own login:";

fn commands(gate: Option<&GateId>) -> Vec<String> {
    match gate {
        Some(gate) => vec![
            format!("seatrial approvals show {gate}"),
            format!("seatrial approvals approve {gate} --comment \"why\""),
            format!("seatrial approvals reject {gate} --comment \"why\""),
        ],
        None => vec!["seatrial approvals list".into()],
    }
}

/// What to say about a link that opens nothing.
pub(crate) fn denied(why: &Denied, gate: Option<&GateId>) -> Instead {
    let (status, title, what) = match why {
        Denied::NoLink => (
            StatusCode::FORBIDDEN,
            "A link or a login is needed",
            "What is decided here is shown only to approvers, and this browser has no link for this gate."
                .to_owned(),
        ),
        Denied::Unknown => (
            StatusCode::NOT_FOUND,
            "This link is not valid",
            "It may have been cut off by a mail program, or belong to another installation.".to_owned(),
        ),
        Denied::Revoked => {
            (StatusCode::GONE, "This link was taken back", "It does not open anything any more.".to_owned())
        }
        Denied::Expired { at } => {
            let at = at.strftime("%-d %b %Y, %H:%M UTC");
            (
                StatusCode::GONE,
                "This link has expired",
                format!(
                    "It ended on {at}, together with the time to decide. Undecided, the promotion ended like a rejection."
                ),
            )
        }
        Denied::NotApprover { who } => (
            StatusCode::FORBIDDEN,
            "You are not an approver of this model now",
            format!("{who} is not among the approvers that the model's policy names at this moment."),
        ),
    };
    Instead::new(status, Message::new(title, what).and(ASK).with_commands(commands(gate)))
}

pub(crate) fn no_such_gate() -> Instead {
    let message = Message::new("There is no such gate", "The address may have been cut off.")
        .and(ASK)
        .with_commands(commands(None));
    Instead::new(StatusCode::NOT_FOUND, message)
}

/// `GET /`
pub(crate) async fn home() -> Instead {
    let message = Message::new(
        "Decisions are made at gates",
        "Each gate has its own address, and approvers get a link to it.",
    )
    .and(ASK)
    .with_commands(commands(None));
    Instead::new(StatusCode::OK, message)
}

/// Everything else.
pub(crate) async fn nothing_here(request: Request) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") {
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
    if request.uri().path().starts_with("/api/") {
        let detail = format!("{} is not understood at this address", request.method());
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).into_response();
    }
    let message =
        Message::new("This cannot be done here", "Opening a page shows it; only the form on it decides.");
    Instead::new(StatusCode::METHOD_NOT_ALLOWED, message).into_response()
}

/// `GET /l/{secret}`: hands the secret over to a cookie and goes on to an address without it.
pub(crate) async fn link(State(app): State<Arc<App>>, Path(text): Path<String>) -> Result<Response, Instead> {
    let secret = LinkSecret::parse(&text).ok_or_else(|| denied(&Denied::Unknown, None))?;
    let found = app.registry.capability(&secret.hash()).await.map_err(Failure::from)?;
    let now = (app.clock)();
    let capability = access::opens(found, now).map_err(|d| denied(&d, None))?;
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
    Path(gate): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Instead> {
    let id = GateId::parse(&gate).map_err(|_| no_such_gate())?;
    let visit = Visit::by_cookie(&app, &id, &headers).await?;
    let review = visit.review(&app).await?;
    visit.page(&app, &review, StatusCode::OK, String::new(), None)
}

/// A browser with a link for a gate.
pub(crate) struct Visit {
    pub(crate) gate: GateId,
    pub(crate) secret: LinkSecret,
    pub(crate) capability: Capability,
}

impl Visit {
    /// Who this browser is, by its cookie for `gate`.
    pub(crate) async fn by_cookie(app: &App, gate: &GateId, headers: &HeaderMap) -> Result<Self, Instead> {
        let secret = cookie::read(headers, gate).ok_or_else(|| denied(&Denied::NoLink, Some(gate)))?;
        let found = app.registry.capability(&secret.hash()).await.map_err(Failure::from)?;
        let capability =
            access::opens_gate(found, gate, (app.clock)()).map_err(|d| denied(&d, Some(gate)))?;
        Ok(Self { gate: gate.clone(), secret, capability })
    }

    /// What there is to see, if this person may still see it.
    pub(crate) async fn review(&self, app: &App) -> Result<Review, Instead> {
        let gate = review::approval_gate(app, &self.gate).await?.ok_or_else(no_such_gate)?;
        let live = review::live(app, &gate).await?;
        access::is_approver(&self.capability, &live, (app.clock)())
            .map_err(|d| denied(&d, Some(&self.gate)))?;
        Ok(review::collect(app, gate, live).await?)
    }

    /// The review page for this person.
    pub(crate) fn page(
        &self,
        app: &App,
        review: &Review,
        status: StatusCode,
        comment: String,
        problem: Option<String>,
    ) -> Result<Response, Instead> {
        let now = (app.clock)();
        let elsewhere = |why: &str, commands| Deciding::Elsewhere { why: why.to_owned(), commands };
        let deciding = match access::right(&self.capability, &review.gate, &review.live, now) {
            Right::Decide { own } => Deciding::Form(DecideForm {
                action: app.base.to(&format!("/g/{}/decide", self.gate)),
                token: self.secret.form_token(&self.gate),
                approver: self.capability.approver.clone(),
                own,
                comment,
                problem,
            }),
            Right::Login => elsewhere(
                "This model's policy asks for a login to decide: separation of duties, or more than one approver. Your link shows the page; decide with your own login:",
                commands(Some(&self.gate)),
            ),
            Right::Decided => {
                elsewhere("You have decided already. The gate waits for another approver.", Vec::new())
            }
            Right::Closed => Deciding::Closed,
        };
        let page =
            render(&review.facts(now), &deciding).map_err(|e| Failure::internal("rendering the page", e))?;
        Ok((status, Html(page)).into_response())
    }
}

//! The list of gates in a browser.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use futures::future::try_join_all;
use seatrial_domain::gate::GateStatus;
use seatrial_domain::ids::Actor;
use seatrial_domain::{GateId, ModelName};
use seatrial_registry::GateFilter;
use seatrial_report::list::{Entry, ListFacts, Yours, render};
use seatrial_report::message::Message;
use seatrial_report::review::SignedIn;
use seatrial_report::sentence;
use seatrial_runtime::Failure;
use serde::Deserialize;

use crate::access::{self, Right};
use crate::denied::{self, Instead};
use crate::login::{self, Destination};
use crate::review::{self, Part, Seen};
use crate::{App, session};

/// The most gates on one page.
const MOST: usize = 50;

/// The filter's form, as it is sent: a field that was left empty is there and empty.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Input {
    status: String,
    model: String,
    after: String,
}

/// `GET /gates?status=&model=&after=`: the gates of the models whose policy names whoever is logged in.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: Result<Query<Input>, QueryRejection>,
) -> Result<Response, Instead> {
    let Some(login) = session::logged_in(&app, &headers).await? else { return Err(to_log_in(&app)) };
    let caller = &login.caller;
    let now = (app.clock)();
    let (input, unread) = match query {
        Ok(Query(input)) => (input, None),
        Err(error) => (Input::default(), Some(error.body_text())),
    };
    let asked = match unread {
        Some(problem) => Err(problem),
        None => filter(&input),
    };
    let (filter, problem) = match asked {
        Ok(filter) => (Some(filter), None),
        Err(problem) => (None, Some(sentence(&problem))),
    };
    let part = match &filter {
        Some(filter) => {
            // Of a gate that is not there (any more) the list begins at its beginning.
            let after = match GateId::parse(&input.after) {
                Ok(id) => review::approval_gate(&app, &id).await?,
                Err(_) => None,
            };
            review::visible(&app, filter, caller, after.as_ref(), MOST).await?
        }
        None => Part { gates: Vec::new(), next: None },
    };
    let status = filter.as_ref().map_or(GateStatus::Pending, |f| f.status);
    let action = app.base.to("/gates");
    let next = part.next.map(|gate| {
        let model = filter.as_ref().and_then(|f| f.model.as_ref());
        let model = model.map(|m| format!("&model={m}")).unwrap_or_default();
        format!("{action}?status={}{model}&after={gate}", status.as_str())
    });
    let entries = part.gates.into_iter().map(|seen| entry(&app, seen, caller.actor(), now));
    let entries = try_join_all(entries).await?;
    let signed_in = SignedIn { who: caller.actor().principal.clone(), sign_out: app.base.to("/logout") };
    let code = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let page = render(&ListFacts {
        signed_in: &signed_in,
        entries: &entries,
        status,
        model: &input.model,
        action: &action,
        next,
        problem,
        now,
    });
    let page = page.map_err(|e| Failure::internal("rendering the list", e))?;
    Ok((code, Html(page)).into_response())
}

fn filter(input: &Input) -> Result<GateFilter, String> {
    let status = match input.status.as_str() {
        "" => GateStatus::Pending,
        text => GateStatus::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| {
            let words: Vec<&str> = GateStatus::ALL.iter().map(|s| s.as_str()).collect();
            format!("the status is {text:?}; expected {}", words.join(", "))
        })?,
    };
    let model = match input.model.trim() {
        "" => None,
        text => Some(ModelName::parse(text).map_err(|e| e.to_string())?),
    };
    Ok(GateFilter { status, model })
}

async fn entry(app: &App, seen: Seen, who: &Actor, now: jiff::Timestamp) -> Result<Entry, Failure> {
    let Seen { gate, live } = seen;
    let yours = match access::right(who, &gate, &live, now) {
        Right::Decide { may_approve: true, .. } => Yours::Decide,
        Right::Decide { may_approve: false, .. } => Yours::Reject,
        Right::Decided => Yours::Decided,
        Right::Look | Right::Login => Yours::Look,
        Right::Closed => Yours::Closed,
    };
    let may_block = access::may_block(&who.principal, &gate, &live, now);
    let promotion = app.registry.promotion(&gate.model, &gate.promotion).await?;
    let skipped = promotion.into_iter().flat_map(|p| p.bypasses).map(|b| b.stage).collect();
    Ok(Entry { yours, may_block, skipped, page: app.base.to(&format!("/g/{}", gate.id)), gate })
}

/// Nobody is logged in in this browser.
fn to_log_in(app: &App) -> Instead {
    let title = "The list of gates is for people who are logged in";
    match app.logins() {
        Some(_) => {
            let message = Message::new(
                title,
                "It shows the gates of the models whose policy names you, and which of them need you.",
            );
            let address = login::address(app, &Destination::parse("/gates"));
            Instead::new(StatusCode::FORBIDDEN, message.with_link(&address, "Log in"))
        }
        None => {
            let message = Message::new(
                title,
                "This installation names no OIDC issuer and client, so nobody can log in with a browser.",
            );
            Instead::new(StatusCode::FORBIDDEN, denied::advised(app, message, None))
        }
    }
}

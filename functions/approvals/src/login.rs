//! Logging in at the issuer and out again.
//!
//! What a login that has begun needs lies in a cookie of its browser, and nothing of it in the registry: whoever opens
//! `/login` a million times writes nothing. The cookie is bound to the issuer's answer by `state`, is used once, and says
//! where to go afterwards: only to pages of ours, by a list.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use seatrial_domain::GateId;
use seatrial_identity::{Challenge, Grant, Issuer, IssuerError};
use seatrial_report::message::Message;
use seatrial_report::sentence;
use seatrial_runtime::link::LinkSecret;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use crate::decide::same_origin;
use crate::denied::{self, Instead};
use crate::{App, cookie, session};

/// How long somebody may take at the issuer.
pub(crate) const TRANSACTION: SignedDuration = SignedDuration::from_mins(10);

/// A page of ours that a login leads back to. There is no other way to make one than from this list of shapes, so no login
/// leads to another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination(String);

impl Destination {
    /// Reads `/`, `/gates` or `/g/<gate>`; everything else leads to `/`.
    pub(crate) fn parse(text: &str) -> Self {
        let gate = text.strip_prefix("/g/").is_some_and(|id| GateId::parse(id).is_ok());
        Self(if gate || text == "/gates" { text.to_owned() } else { "/".to_owned() })
    }

    pub(crate) fn gate(gate: &GateId) -> Self {
        Self(format!("/g/{gate}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The address of the login that comes back to `to`.
pub(crate) fn address(app: &App, to: &Destination) -> String {
    app.base.to(&format!("/login?to={}", to.as_str()))
}

/// A login that has begun: what its cookie holds.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) secret: LinkSecret,
    pub(crate) at: Timestamp,
    pub(crate) to: Destination,
}

#[derive(Deserialize)]
pub(crate) struct Start {
    to: Option<String>,
}

/// `GET /login?to=`: sends the browser to the issuer.
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    query: Result<Query<Start>, QueryRejection>,
) -> Result<Response, Instead> {
    let issuer = app.logins().ok_or_else(|| denied::no_logins(&app))?;
    let to = query.ok().and_then(|Query(q)| q.to).unwrap_or_default();
    let begun = Begun { secret: LinkSecret::mint()?, at: (app.clock)(), to: Destination::parse(&to) };
    let challenge = Challenge::of(&begun.secret.expose());
    let address = issuer.login_address(&challenge, &callback(&app)).await;
    let address = address.map_err(|e| not_finished(&app, &e, &begun.to))?;
    Ok(see_other(&address, [cookie::set_login(&begun)]))
}

/// Where the issuer sends the browser back to. It must be registered there, exactly.
fn callback(app: &App) -> String {
    app.base.to("/login/callback")
}

/// What the issuer sends back.
#[derive(Deserialize)]
pub(crate) struct Returned {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// `GET /login/callback`: takes the issuer's answer and begins a session.
pub(crate) async fn finish(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: Result<Query<Returned>, QueryRejection>,
) -> Result<Response, Instead> {
    let issuer = app.logins().ok_or_else(|| denied::no_logins(&app))?;
    let Query(returned) = query.map_err(|_| stray(&app))?;
    let begun = cookie::read_login(&headers).ok_or_else(|| stray(&app))?;
    let challenge = Challenge::of(&begun.secret.expose());
    let state = returned.state.as_deref().unwrap_or_default();
    // An answer to another browser's login, or to an older one of this browser: it changes nothing, not even the cookie.
    if !bool::from(state.as_bytes().ct_eq(challenge.state().as_bytes())) {
        return Err(stray(&app));
    }
    let (used_up, now) = (cookie::clear_login(), (app.clock)());
    let taken = now.duration_since(begun.at);
    if taken.is_negative() || taken >= TRANSACTION {
        return Ok(with_cookies(stray(&app), [used_up]));
    }
    match redeem(issuer, &challenge, &returned, &callback(&app)).await {
        Err(error) => Ok(with_cookies(not_finished(&app, &error, &begun.to), [used_up])),
        Ok(identity) => {
            let begins = session::begin(&app, &headers, identity).await?;
            Ok(see_other(&app.base.to(begun.to.as_str()), [used_up, begins]))
        }
    }
}

async fn redeem(
    issuer: &Issuer,
    challenge: &Challenge,
    returned: &Returned,
    redirect: &str,
) -> Result<seatrial_identity::Identity, IssuerError> {
    if let Some(error) = &returned.error {
        let word: String =
            error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
        return Err(IssuerError::Refused(format!("the issuer says {word}")));
    }
    let code =
        returned.code.as_deref().ok_or_else(|| IssuerError::Refused("it came without a code".into()))?;
    issuer.redeem(challenge, Grant { code, issuer: returned.iss.as_deref(), redirect }).await
}

/// `POST /logout`: ends the session.
pub(crate) async fn logout(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Instead> {
    same_origin(&app, &headers)?;
    session::end(&app, &headers).await?;
    Ok(see_other(&app.base.to("/"), [cookie::clear_session()]))
}

fn cookies<const N: usize>(all: [String; N]) -> AppendHeaders<[(HeaderName, String); N]> {
    AppendHeaders(all.map(|cookie| (header::SET_COOKIE, cookie)))
}

fn with_cookies<const N: usize>(page: Instead, all: [String; N]) -> Response {
    (cookies(all), page).into_response()
}

/// The address that a redirect is sent from holds a code: it is told to nobody.
fn see_other<const N: usize>(to: &str, all: [String; N]) -> Response {
    let headers = [(header::LOCATION, to.to_owned()), (header::REFERRER_POLICY, "no-referrer".to_owned())];
    (StatusCode::SEE_OTHER, headers, cookies(all)).into_response()
}

/// An answer that belongs to no login of this browser.
fn stray(app: &App) -> Instead {
    let message = Message::new(
        "This login cannot be finished",
        "It took longer than ten minutes, was finished already, or began in another browser. Nothing was decided.",
    )
    .and("Begin again. If it happens every time, this browser keeps no cookies of this site.")
    .with_link(&address(app, &Destination::parse("/")), "Log in");
    Instead::new(StatusCode::BAD_REQUEST, message)
}

fn not_finished(app: &App, error: &IssuerError, to: &Destination) -> Instead {
    let again = address(app, to);
    match error {
        IssuerError::Refused(why) => {
            tracing::warn!(why, "a login was refused");
            let message = Message::new("You are not logged in", sentence(&format!("the login was refused: {why}")))
                .and("Nothing was decided. If you did not break it off yourself, ask whoever runs this installation.")
                .with_link(&again, "Try again");
            Instead::new(StatusCode::FORBIDDEN, message)
        }
        IssuerError::Unavailable { source, .. } => {
            tracing::error!(error = %source, "a login could not be finished");
            let message = Message::new(
                "You are not logged in",
                "The service that knows your password did not answer. Try again in a moment.",
            )
            .and("Nothing was decided.")
            .with_link(&again, "Try again");
            Instead::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_ours_and_nowhere_else() {
        let gate = format!("/g/ga_{}", "0".repeat(24));
        for ours in ["/", "/gates", gate.as_str()] {
            assert_eq!(Destination::parse(ours).as_str(), ours);
        }
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/g/../../evil",
            "/g/ga_0",
            "/gates?x=1",
            "/gates/",
            "/g//evil.example",
            "javascript:alert(1)",
            "/login",
            "/logout",
            "/l/secret",
            &format!("{gate}\r\nset-cookie: x=1"),
            &format!("{gate}@evil.example"),
            &format!(" {gate}"),
        ] {
            assert_eq!(Destination::parse(other).as_str(), "/", "{other:?}");
        }
    }
}

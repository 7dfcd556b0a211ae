//! Who is logged in, in this browser.

use axum::http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_identity::Identity;
use seatrial_registry::Session;
use seatrial_runtime::Failure;
use seatrial_runtime::link::LinkSecret;

use crate::caller::Caller;
use crate::{App, cookie};

/// How long a login holds. Then it is asked for again, whatever was done meanwhile.
const HOURS: i64 = 8;

/// A browser in which somebody is logged in.
#[derive(Debug, Clone)]
pub struct Login {
    /// Who.
    pub caller: Caller,
    /// The random bits of its cookie, to which its forms are bound.
    pub(crate) secret: LinkSecret,
}

/// Who is logged in in the browser that sent these headers; nobody where the deployment has no logins (any more).
///
/// # Errors
/// When the registry does not answer.
pub async fn logged_in(app: &App, headers: &HeaderMap) -> Result<Option<Login>, Failure> {
    if app.logins().is_none() {
        return Ok(None);
    }
    let Some(secret) = cookie::read_session(headers) else { return Ok(None) };
    let session = app.registry.session(&secret.hash(), (app.clock)()).await?;
    Ok(session
        .map(|s| Login { caller: Caller::new(Actor { principal: s.principal, auth: Auth::Oidc }), secret }))
}

/// Begins a session for whoever just logged in, in the place of the browser's earlier one. Returns its cookie.
pub(crate) async fn begin(app: &App, headers: &HeaderMap, identity: Identity) -> Result<String, Failure> {
    end(app, headers).await?;
    let secret = LinkSecret::mint()?;
    let begun_at: Timestamp = (app.clock)();
    let expires_at = begun_at + SignedDuration::from_hours(HOURS);
    let Identity { principal, subject, .. } = identity;
    tracing::info!(by = principal, "somebody logged in");
    let session = Session { principal, subject, begun_at, expires_at };
    app.registry.put_session(&secret.hash(), &session).await?;
    Ok(cookie::set_session(&secret, begun_at, expires_at))
}

/// Ends the browser's session, if it has one.
pub(crate) async fn end(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    match cookie::read_session(headers) {
        Some(secret) => Ok(app.registry.end_session(&secret.hash()).await?),
        None => Ok(()),
    }
}

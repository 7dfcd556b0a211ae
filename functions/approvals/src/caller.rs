//! Who calls: by AWS credentials, by a bearer token, or by a login. Never by anything that the caller could simply write.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use lambda_http::request::RequestContext;
use seatrial_domain::access::Access;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_identity::{Issuer, IssuerError};
use seatrial_runtime::caller::caller;
use seatrial_runtime::problem::Problem;

use crate::App;

/// Somebody who is known, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(Actor);

impl Caller {
    pub(crate) const fn new(actor: Actor) -> Self {
        Self(actor)
    }

    /// Who, and how they were authenticated.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.0
    }

    /// Whether they may see the gates of a model with this access: its policy names them, under any of their names.
    #[must_use]
    pub fn may_see(&self, access: &Access) -> bool {
        access.names(&self.0.principal)
    }
}

/// Lets in whoever API Gateway's IAM authorizer knows.
pub(crate) async fn by_iam(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let context = request.extensions().get::<RequestContext>();
    match caller(context, app.local_identity.as_deref()) {
        Some(actor) => {
            request.extensions_mut().insert(Caller(actor));
            next.run(request).await
        }
        None => Problem::unauthenticated(
            "the caller is not known: sign the request with AWS credentials (SigV4, service execute-api)",
        )
        .into_response(),
    }
}

/// Lets in the bearer of a token of the configured issuer.
pub(crate) async fn by_token(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let token = bearer(request.headers());
    match known(app.issuer.as_deref(), token).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(unknown) => unknown.into_response(token.is_some()),
    }
}

/// Why a bearer is not known.
enum Unknown {
    /// Nobody is, by what was sent.
    Nobody(String),
    /// It cannot be said now.
    NotNow,
}

impl Unknown {
    /// RFC 6750 §3: the challenge names an error only where a token was sent.
    fn into_response(self, sent: bool) -> Response {
        let challenge = if sent {
            "Bearer realm=\"seatrial\", error=\"invalid_token\""
        } else {
            "Bearer realm=\"seatrial\""
        };
        match self {
            Self::Nobody(why) => {
                let mut response = Problem::unauthenticated(why).into_response();
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                response
            }
            Self::NotNow => Problem::unavailable(
                "the OIDC issuer does not answer, so no token can be checked: try again, or use /iam/v1 with AWS credentials",
            )
            .into_response(),
        }
    }
}

async fn known(issuer: Option<&Issuer>, token: Option<&str>) -> Result<Caller, Unknown> {
    let issuer = issuer.ok_or_else(|| {
        Unknown::Nobody(
            "this deployment believes no OIDC issuer (parameter OidcIssuer): use /iam/v1 with AWS credentials (SigV4, service execute-api)"
                .into(),
        )
    })?;
    let token = token.ok_or_else(|| {
        Unknown::Nobody(format!(
            "the caller is not known: send one header `Authorization: Bearer <token>` with a token of {} for the audience {:?}",
            issuer.settings().issuer(),
            issuer.settings().audience(),
        ))
    })?;
    match issuer.bearer(token).await {
        Ok(identity) => Ok(Caller(Actor { principal: identity.principal, auth: Auth::Oidc })),
        Err(error @ IssuerError::Refused(_)) => Err(Unknown::Nobody(error.to_string())),
        Err(IssuerError::Unavailable { issuer, source }) => {
            tracing::error!(issuer, error = %source, "no token can be checked");
            Err(Unknown::NotNow)
        }
    }
}

/// The token of the one `Authorization` header, if it is a bearer's.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).into_iter();
    let (one, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' ')).filter(|t| !t.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_in_exactly_one_header() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of(&["Bearer a.b.c"]).as_deref(), Some("a.b.c"));
        assert_eq!(of(&["bearer  a.b.c "]).as_deref(), Some("a.b.c"));
        for none in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["Basic YTpi"],
            &["a.b.c"],
            &["AWS4-HMAC-SHA256 Credential=x"],
            &["Bearer a", "Bearer b"],
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}

//! A request that gets no prediction: the protocol's `{"error": …}`, with the fields of a problem document beside it.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::ports::LoadFailure;
use crate::routes::NoRoute;

/// Why a request gets no prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The HTTP status.
    pub status: StatusCode,
    /// A stable code for programs.
    pub code: String,
    /// What happened and what to do, for people.
    pub message: String,
    /// The observation's id, when the request reached a version.
    pub observation_id: Option<String>,
}

impl Refused {
    /// A refusal with this status, code and text.
    pub fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), observation_id: None }
    }

    /// A request that is not what the protocol says.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// A name that nothing has.
    pub fn unknown(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Something that will work later.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// A model whose route is not known.
    #[must_use]
    pub fn no_route(model: &str, why: NoRoute) -> Self {
        match why {
            NoRoute::Unknown => Self::unknown("unknown-model", format!("there is no model {model:?}")),
            NoRoute::Unreadable => Self::unavailable(
                "route-unreadable",
                format!("the registry cannot be read, so model {model} has no route yet; try again"),
            ),
        }
    }

    /// A version that is not loaded.
    #[must_use]
    pub fn not_loaded(version: &str, why: &LoadFailure) -> Self {
        let cause = match why {
            LoadFailure::Unavailable(_) => "its files cannot be had at the moment; try again",
            LoadFailure::Broken(_) => "its files cannot be run",
        };
        Self::unavailable("not-loaded", format!("version {version} is not loaded: {cause}"))
    }

    /// The same refusal, for a request that reached a version.
    #[must_use]
    pub fn of_observation(mut self, id: &str) -> Self {
        self.observation_id = Some(id.to_owned());
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("error".into(), json!(self.message));
        body.insert("type".into(), json!("about:blank"));
        body.insert("title".into(), json!(self.status.canonical_reason().unwrap_or("Error")));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("code".into(), json!(self.code));
        body.insert("detail".into(), json!(self.message));
        if let Some(id) = &self.observation_id {
            body.insert("observation_id".into(), json!(id));
        }
        let body = Value::Object(body).to_string();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                (self.status, kind, [(header::RETRY_AFTER, "1")], body).into_response()
            }
            status => (status, kind, body).into_response(),
        }
    }
}

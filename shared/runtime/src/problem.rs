//! Errors over HTTP: RFC 9457 problem documents with a stable code.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use seatrial_domain::Refusal;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::label;

/// A problem document (`application/problem+json`).
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// `about:blank`: the code says more than a page would.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The HTTP status's own words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A stable code for programs.
    pub code: String,
    /// What happened and what to do, for people.
    pub detail: String,
    /// Where, field by field, when there is more than one defect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defects: Vec<Value>,
}

impl Problem {
    /// A problem with this status, code and text.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            defects: Vec::new(),
        }
    }

    /// A request that is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// Something that does not exist.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} does not exist"))
    }

    /// A caller whose identity is not known.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// Something that does not answer at the moment.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// The same problem with a list of defects.
    #[must_use]
    pub fn with_defects(mut self, defects: Vec<Value>) -> Self {
        self.defects = defects;
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
            Refusal::Forbidden { .. } | Refusal::NotApproved { .. } => StatusCode::FORBIDDEN,
            Refusal::Invalid { .. } | Refusal::ProfileUnmet { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Collected { .. } => StatusCode::GONE,
            Refusal::Collecting { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Busy { .. }
            | Refusal::InLine { .. }
            | Refusal::HasChampion { .. }
            | Refusal::Superseded { .. }
            | Refusal::IllegalTransition { .. }
            | Refusal::Changed { .. }
            | Refusal::GateClosed { .. }
            | Refusal::AlreadyAnnounced { .. }
            | Refusal::NoStandby { .. }
            | Refusal::Stabilising { .. } => StatusCode::CONFLICT,
        };
        Self::new(status, refusal.code(), refusal.to_string())
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        tracing::error!(label = failure.label, error = failure.chain(), "a request failed");
        match failure.label {
            label::UNAVAILABLE => Self::unavailable("a dependency did not answer; try again"),
            label::INTERNAL => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", failure.message),
            _ => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", failure.message),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (self.status(), [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

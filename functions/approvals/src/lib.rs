//! The review page and the JSON API of decisions.
//!
//! `GET` shows and changes nothing, however often and by whatever scanner it is opened; only `POST` decides. A decision is
//! stored in the registry and nowhere else: this function can reach neither task tokens nor state machines.

mod access;
mod api;
mod base;
mod cookie;
mod decide;
mod headers;
mod pages;
mod review;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use jiff::Timestamp;
use seatrial_artifacts::ObjectStore;
use seatrial_registry::{Capabilities, Registry};

pub use base::BaseUrl;

/// What `approvals` needs of the registry: records, decisions, and links.
pub trait ApprovalsRegistry: Registry + Capabilities {}
impl<R: Registry + Capabilities> ApprovalsRegistry for R {}

/// What the pages and the API work with.
#[derive(Clone)]
pub struct App {
    /// The registry.
    pub registry: Arc<dyn ApprovalsRegistry>,
    /// The evidence bucket, to read reports from.
    pub evidence: Arc<dyn ObjectStore>,
    /// Where people reach this function.
    pub base: BaseUrl,
    /// The identity of API callers on an engine without IAM.
    pub local_identity: Option<String>,
    /// The time.
    pub clock: fn() -> Timestamp,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The largest body that is read, in bytes: a comment of 4,000 characters, percent-encoded, with room to spare.
const BODY_BYTES: usize = 64 * 1024;

/// All routes.
pub fn router(app: App) -> Router {
    let base = app.base.clone();
    Router::new()
        .route("/", get(pages::home))
        .route("/l/{secret}", get(pages::link))
        .route("/g/{gate}", get(pages::gate))
        .route("/g/{gate}/decide", post(decide::decide))
        .route("/api/v1/approvals", get(api::list))
        .route("/api/v1/approvals/{gate}", get(api::show))
        .route("/api/v1/approvals/{gate}/approve", post(api::approve))
        .route("/api/v1/approvals/{gate}/reject", post(api::reject))
        .fallback(pages::nothing_here)
        .method_not_allowed_fallback(pages::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(axum::middleware::map_response(move |response| headers::secure(base.clone(), response)))
        .with_state(Arc::new(app))
}

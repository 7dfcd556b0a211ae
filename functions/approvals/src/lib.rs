//! The review page and the JSON API of decisions.
//!
//! `GET` shows and changes nothing, however often and by whatever scanner it is opened; only `POST` decides. A decision is
//! stored in the registry and nowhere else: this function can reach neither task tokens nor state machines.

mod access;
mod api;
mod api_routes;
mod base;
mod block;
mod caller;
mod cookie;
mod decide;
mod denied;
mod headers;
mod list;
mod login;
mod openapi;
mod pages;
mod review;
mod segment;
pub mod session;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use jiff::Timestamp;
use seatrial_artifacts::ObjectStore;
use seatrial_identity::Issuer;
use seatrial_registry::{Capabilities, Registry, Sessions};

pub use api_routes::{ADDRESSES, BASES, IAM_BASE, Operation, TOKEN_BASE};
pub use base::BaseUrl;
pub use caller::Caller;

/// What `approvals` needs of the registry: records, decisions, links, and logins.
pub trait ApprovalsRegistry: Registry + Capabilities + Sessions {}
impl<R: Registry + Capabilities + Sessions> ApprovalsRegistry for R {}

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
    /// Whose tokens and logins are believed; none where the deployment names no issuer.
    pub issuer: Option<Arc<Issuer>>,
    /// The time.
    pub clock: fn() -> Timestamp,
}

impl App {
    /// The issuer at which people log in with a browser; none where there are no such logins.
    pub(crate) fn logins(&self) -> Option<&Issuer> {
        self.issuer.as_deref().filter(|i| i.settings().client().is_some())
    }
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
    let app = Arc::new(app);
    let by_token = from_fn_with_state(Arc::clone(&app), caller::by_token);
    let by_iam = from_fn_with_state(Arc::clone(&app), caller::by_iam);
    Router::new()
        .route("/", get(pages::home))
        .route("/l/{secret}", get(pages::link))
        .route("/gates", get(list::list))
        .route("/g/{gate}", get(pages::gate))
        .route("/g/{gate}/decide", post(decide::decide))
        .route("/g/{gate}/block", post(block::block))
        .route("/login", get(login::start))
        .route("/login/callback", get(login::finish))
        .route("/logout", post(login::logout))
        .merge(api_routes::document())
        .merge(api_routes::routes(TOKEN_BASE).route_layer(by_token))
        .merge(api_routes::routes(IAM_BASE).route_layer(by_iam))
        .fallback(pages::nothing_here)
        .method_not_allowed_fallback(pages::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(map_response(move |response| headers::secure(base.clone(), response)))
        .with_state(app)
}

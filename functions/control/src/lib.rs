//! The operator API: everything the command line does, over HTTPS with IAM.
//!
//! Reading routes answer views of the registry; changing routes go through the registry's operations, whose rules decide.
//! Crowning is not here: people approve at the gate, and roll back here.

mod change;
mod emergency;
mod events;
mod inventory;
mod links;
mod people;
mod read;
mod starter;
mod submissions;
mod view;
mod who;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::{get, post, put};
use jiff::Timestamp;
use seatrial_artifacts::ObjectStore;
use seatrial_domain::ModelName;
use seatrial_domain::ids::Actor;
use seatrial_registry::{Registry, Submissions, Tallies, Targets};
use seatrial_runtime::caller::caller;
use seatrial_runtime::lambda_http::request::RequestContext;
use seatrial_runtime::problem::Problem;

pub use events::{DeadEvent, DeadEvents, Letter, Retaken, SqsEvents};
pub use starter::{Execution, Start, Starter, StepFunctions};
pub use view::notices;

/// What `control` needs of the registry: its records, who announced a submission, and what was seen of traffic targets.
pub trait ControlRegistry: Registry + Submissions + Targets {}
impl<R: Registry + Submissions + Targets> ControlRegistry for R {}

/// What `control` works with.
#[derive(Clone)]
pub struct Control {
    /// The registry.
    pub registry: Arc<dyn ControlRegistry>,
    /// What the replays counted.
    pub tallies: Arc<dyn Tallies>,
    /// The models bucket, for benchmarks.
    pub models: Arc<dyn ObjectStore>,
    /// The data bucket, for the shadow's pairs.
    pub data: Arc<dyn ObjectStore>,
    /// The evidence bucket, for reports.
    pub evidence: Arc<dyn ObjectStore>,
    /// Step Functions.
    pub starter: Arc<dyn Starter>,
    /// Events that started no promotion.
    pub events: Arc<dyn DeadEvents>,
    /// The fixed identity of an engine without IAM.
    pub local_identity: Option<String>,
    /// Principals that may change every model's policy and benchmark.
    pub platform_owners: Vec<String>,
    /// The time.
    pub clock: fn() -> Timestamp,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

/// The API.
pub fn app(control: Control) -> Router {
    Router::new()
        .route("/v1/whoami", get(who::who_am_i))
        .route("/v1/models", get(read::models))
        .route("/v1/inventory", get(inventory::inventory))
        .route("/v1/models/{model}", get(read::model))
        .route("/v1/models/{model}/history", get(read::history))
        .route("/v1/models/{model}/promotions", get(read::promotions).post(change::promote))
        .route("/v1/models/{model}/promotions/{promotion}", get(read::promotion))
        .route("/v1/models/{model}/promotions/{promotion}/report", get(read::report))
        .route("/v1/models/{model}/promotions/{promotion}/canary", get(read::canary))
        .route("/v1/models/{model}/promotions/{promotion}/manifest", get(read::manifest))
        .route("/v1/models/{model}/retention", get(read::retention))
        .route("/v1/models/{model}/people", get(who::people))
        .route("/v1/models/{model}/submissions", post(submissions::announce))
        .route("/v1/models/{model}/submissions/{id}", get(submissions::became))
        .route("/v1/models/{model}/shadow", get(read::shadow))
        .route("/v1/models/{model}/shadow/stop", post(change::stop_shadow))
        .route("/v1/models/{model}/emergency", post(emergency::skip))
        .route("/v1/models/{model}/rollback", post(change::roll_back))
        .route("/v1/models/{model}/versions/{version}/card", get(inventory::card))
        .route("/v1/models/{model}/versions/{version}/retire", post(change::retire))
        .route("/v1/models/{model}/policy", get(read::policy).put(change::set_policy))
        .route("/v1/models/{model}/benchmark", put(change::set_benchmark))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}/replay", post(events::replay))
        .route("/v1/events/{id}/drop", post(events::drop))
        .route("/v1/gates/{gate}/links/revoke", post(links::revoke))
        .route("/v1/gates/{gate}/links/renew", post(links::renew))
        .fallback(|| async { Problem::not_found("this path of the control API") })
        .with_state(control)
}

/// Whoever calls, as the API's authorizer says.
#[derive(Debug, Clone)]
pub struct Caller(pub Actor);

impl FromRequestParts<Control> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Problem> {
        let context = parts.extensions.get::<RequestContext>();
        caller(context, control.local_identity.as_deref()).map(Self).ok_or_else(|| {
            Problem::unauthenticated(
                "the API did not authenticate a caller: sign the request with AWS credentials it knows",
            )
        })
    }
}

/// The model's name in a path.
fn model_of(text: &str) -> Result<ModelName, Problem> {
    ModelName::parse(text).map_err(|e| Problem::bad_request(e.to_string()))
}

fn no_model(model: &ModelName) -> Problem {
    let detail = format!(
        "model {model} does not exist: `seatrial policy set {model} FILE` makes it, `seatrial models` lists those there are"
    );
    Problem::new(axum::http::StatusCode::NOT_FOUND, "not_found", detail)
}

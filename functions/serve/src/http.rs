//! The protocol's paths.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::app::{App, Mode};
use crate::infer::{infer, model_name, version_name};
use crate::oip::answer::ModelMetadata;
use crate::oip::{InferAnswer, Refused};
use crate::ports::Predictor;

/// The largest body: what a Lambda takes.
pub const BODY_BYTES: usize = 6 << 20;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// What announces tensors in binary form after the JSON.
const BINARY: &str = "inference-header-content-length";

type Shared = State<Arc<App>>;
type Named<T> = Result<Path<T>, PathRejection>;

/// All paths; `/metrics` only where somebody can scrape it.
pub fn router(app: Arc<App>) -> Router {
    let metrics = app.mode == Mode::Server;
    let router = Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer_model))
        .route("/v2/models/{model}/versions/{version}", get(version))
        .route("/v2/models/{model}/versions/{version}/ready", get(version_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_version));
    let router = if metrics { router.route("/metrics", get(prometheus)) } else { router };
    router.method_not_allowed_fallback(wrong_method).fallback(unknown_path).with_state(app)
}

async fn server() -> Response {
    ok(&json!({ "name": "seatrial", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
}

async fn live() -> Response {
    ok(&json!({ "live": true }))
}

/// Ready when every model in use has its champion loaded, and the route of every model to be loaded at start was read.
async fn ready(State(app): Shared) -> Response {
    let standings = app.routes.standings();
    let read = app.preload.iter().all(|model| standings.iter().any(|standing| standing.model == *model));
    let mut champions = standings.iter().filter_map(|s| Some((&s.model, s.view.route.champion.as_ref()?)));
    let ready =
        read && champions.all(|(model, champion)| app.versions.ready(model, &champion.digest).is_some());
    readiness(&json!({ "ready": ready }), ready)
}

async fn model(State(app): Shared, path: Named<String>) -> Result<Response, Refused> {
    let Path(name) = path?;
    let (champion, versions) = champion(&app, &name).await?;
    Ok(json_body(StatusCode::OK, &json!(ModelMetadata::new(name, versions, champion.signature()))))
}

async fn model_ready(State(app): Shared, path: Named<String>) -> Result<Response, Refused> {
    let Path(name) = path?;
    champion(&app, &name).await?;
    Ok(ok(&json!({ "name": name, "ready": true })))
}

async fn version(State(app): Shared, path: Named<(String, String)>) -> Result<Response, Refused> {
    let Path((name, version)) = path?;
    let pinned = pinned(&app, &name, &version).await?;
    Ok(json_body(StatusCode::OK, &json!(ModelMetadata::new(name, vec![version], pinned.signature()))))
}

async fn version_ready(State(app): Shared, path: Named<(String, String)>) -> Result<Response, Refused> {
    let Path((name, version)) = path?;
    pinned(&app, &name, &version).await?;
    Ok(ok(&json!({ "name": name, "version": version, "ready": true })))
}

async fn infer_model(
    State(app): Shared,
    path: Named<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<InferAnswer, Refused> {
    let Path(model) = path?;
    let body = whole_body(&headers, body).await?;
    infer(&app, &model, None, &body).await
}

async fn infer_version(
    State(app): Shared,
    path: Named<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<InferAnswer, Refused> {
    let Path((model, version)) = path?;
    let body = whole_body(&headers, body).await?;
    infer(&app, &model, Some(&version), &body).await
}

async fn prometheus(State(app): Shared) -> Response {
    let text = app.metrics.prometheus(&app.routes.standings(), app.versions.loaded().len());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Refused {
    Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        format!("{} does not take {method}", uri.path()),
    )
}

async fn unknown_path(uri: Uri) -> Refused {
    let paths = "/v2/models/{model}[/versions/{version}]/infer, /v2/models/{model}[/ready], /v2/health/live and /v2/health/ready";
    Refused::unknown("unknown-path", format!("there is nothing at {}; this server has {paths}", uri.path()))
}

impl From<PathRejection> for Refused {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed(format!("the path cannot be read: {}", rejection.body_text()))
    }
}

/// The body, if it is of a form and size that this server takes, and comes in time.
async fn whole_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    if headers.contains_key(BINARY) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Refused::new(
            status,
            "binary-tensors",
            "this server takes tensors as JSON only, not in binary form",
        ));
    }
    match tokio::time::timeout(ARRIVAL, axum::body::to_bytes(body, BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Both are the client's: a length above the limit, or a connection that broke, whose answer nobody reads.
        Ok(Err(error)) => Err(Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the body could not be read; at most {BODY_BYTES} bytes are taken ({error})"),
        )),
        Err(_) => Err(Refused::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow-body",
            format!("the body did not arrive within {} s", ARRIVAL.as_secs()),
        )),
    }
}

/// The champion, loaded, and the names of the versions that serve.
async fn champion(app: &Arc<App>, model: &str) -> Result<(Arc<dyn Predictor>, Vec<String>), Refused> {
    let name = model_name(model)?;
    let (view, _) = app.view(&name).await?;
    let champion = view.route.champion.as_ref();
    let champion = champion
        .ok_or_else(|| Refused::unavailable("no-champion", format!("model {name} has no champion yet")))?;
    let loaded = app.versions.get(&name, champion).await;
    let (loaded, _) = loaded.map_err(|why| Refused::not_loaded(&champion.version.to_string(), &why))?;
    let versions = view.serving().map(|(_, version)| version.version.to_string()).collect();
    Ok((Arc::clone(&loaded.predictor), versions))
}

/// The version that a path names, loaded.
async fn pinned(app: &Arc<App>, model: &str, version: &str) -> Result<Arc<dyn Predictor>, Refused> {
    let (name, version) = (model_name(model)?, version_name(version)?);
    let (view, _) = app.view(&name).await?;
    let pinned = app.pinned(&name, &view, version).await?;
    let loaded = app.versions.get(&name, &pinned).await;
    let (loaded, _) = loaded.map_err(|why| Refused::not_loaded(&version.to_string(), &why))?;
    Ok(Arc::clone(&loaded.predictor))
}

fn ok(body: &Value) -> Response {
    json_body(StatusCode::OK, body)
}

fn readiness(body: &Value, ready: bool) -> Response {
    json_body(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
}

fn json_body(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

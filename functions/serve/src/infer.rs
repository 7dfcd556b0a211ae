//! One inference request, from its body to its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use seatrial_domain::ids::{ModelName, VersionName};
use seatrial_domain::route::Arm;
use seatrial_evidence::observation::{Served, ServedError, Side};
use seatrial_inference::{Batch, PredictError, Prediction};
use seatrial_runtime::now;
use tokio::time::Instant;

use crate::app::App;
use crate::choice::{Choice, View, choose, unit_hash};
use crate::journal::Kind;
use crate::metrics::{Counter, End};
use crate::observed::{self, Facts};
use crate::oip::answer::{self, AnswerParameters, InferAnswer};
use crate::oip::{Caller, InferRequest, Refused};
use crate::tally::{Asked, Outcome};
use crate::versions::Loaded;

/// Requests in flight from which on new ones are refused.
const MOST: usize = 1_024;
/// The longest a request may run; HTTP APIs give up at 30 s.
const LIMIT: Duration = Duration::from_secs(25);

/// Answers a request for a model, or for the version that `pin` names.
///
/// # Errors
/// Everything that is not an answer, with the HTTP status that fits.
pub async fn infer(
    app: &Arc<App>,
    model: &str,
    pin: Option<&str>,
    body: &[u8],
) -> Result<InferAnswer, Refused> {
    let _running = Running::enter(app)?;
    let late =
        |_| Err(Refused::unavailable("not-loaded", "the model's version takes long to load; try again"));
    let prepared = tokio::time::timeout(LIMIT, prepare(app, model, pin, body)).await.unwrap_or_else(late);
    let call = prepared.inspect_err(|_| app.metrics.add(Counter::Malformed, 1))?;
    // In a task of its own: a caller who goes away does not stop the counting.
    let runs = tokio::spawn(Arc::new(call).run());
    let result = runs.await.unwrap_or_else(|_| {
        Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request was stopped"))
    });
    app.send_before_answer().await;
    result
}

/// A place among the requests in flight.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn enter(app: &'a App) -> Result<Self, Refused> {
        let place = Self(&app.running);
        if app.running.fetch_add(1, Ordering::Relaxed) >= MOST {
            app.metrics.add(Counter::Shed, 1);
            return Err(Refused::unavailable("overloaded", "too many requests are running; try again"));
        }
        Ok(place)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Parses the name of a model in a path.
///
/// # Errors
/// A name that no model can have is as unknown as any other.
pub fn model_name(text: &str) -> Result<ModelName, Refused> {
    ModelName::parse(text).map_err(|why| Refused::unknown("unknown-model", why.to_string()))
}

/// Parses the name of a version in a path.
///
/// # Errors
/// As [`model_name`].
pub fn version_name(text: &str) -> Result<VersionName, Refused> {
    text.parse()
        .map_err(|why: seatrial_domain::ids::InvalidId| Refused::unknown("unknown-version", why.to_string()))
}

/// A request with its version, ready to run.
struct Call {
    app: Arc<App>,
    request: InferRequest,
    view: Arc<View>,
    facts: Facts,
    loaded: Arc<Loaded>,
    /// The unit, hashed with the route's salt.
    unit: String,
    /// Whether the split had named the challenger, which is not loaded.
    diverted: bool,
    began: Instant,
}

async fn prepare(app: &Arc<App>, model: &str, pin: Option<&str>, body: &[u8]) -> Result<Call, Refused> {
    let model = model_name(model)?;
    let pin = pin.map(version_name).transpose()?;
    let request = InferRequest::parse(body)?;
    let caller = Caller::parse(&request.parameters)?;
    let (view, waited) = app.view(&model).await?;
    let id = uuid::Uuid::now_v7().to_string();
    let unit = caller.unit.as_deref().unwrap_or(&id);
    let choice = match pin {
        Some(name) => {
            let version = app.pinned(&model, &view, name).await?;
            Choice { arm: Arm::Pinned, version, diverted: false }
        }
        None => choose(&view.route, unit, |version| app.versions.ready(&model, &version.digest).is_some())
            .ok_or_else(|| {
                Refused::unavailable(
                    "no-champion",
                    format!("model {model} has no champion yet; only its pinned versions answer"),
                )
            })?,
    };
    if choice.diverted {
        app.metrics.add(Counter::Diverted, 1);
    }
    let (loaded, load_us) = app
        .versions
        .get(&model, &choice.version)
        .await
        .map_err(|why| Refused::not_loaded(&choice.version.version.to_string(), &why))?;
    let unit = unit_hash(&view.route.salt, unit);
    let assignment = app.assignment(&model, &view, choice.arm, &choice.version);
    let facts = Facts { id, assignment, caller, at: now(), load_us: load_us.or(waited) };
    let diverted = choice.diverted;
    Ok(Call { app: Arc::clone(app), request, view, facts, loaded, unit, diverted, began: Instant::now() })
}

/// What running a version came to, before anything of it is counted.
struct Done {
    result: Result<Vec<Prediction>, Failed>,
    rows: Vec<Served>,
    latency_us: u64,
}

/// An error with its place.
struct Failed {
    error: ServedError,
    row: Option<usize>,
}

impl Call {
    async fn run(self: Arc<Self>) -> Result<InferAnswer, Refused> {
        let facts = &self.facts;
        let mark = self.app.mark(Kind::Serve, &facts.id, &facts.assignment, self.unit.clone());
        let done = match tokio::time::timeout(LIMIT, Arc::clone(&self).work()).await {
            Ok(done) => done,
            Err(_) => self.gave_up("timeout", &format!("it did not answer within {} s", LIMIT.as_secs())),
        };
        self.count(&done);
        drop(mark);
        let Done { result, rows, .. } = done;
        rows.into_iter().for_each(|row| self.app.outbox.row(row));
        match result {
            Ok(predictions) => Ok(self.answer(&predictions)),
            Err(failed) => Err(self.refusal(&failed)),
        }
    }

    /// Runs the version on a thread that may block.
    async fn work(self: Arc<Self>) -> Done {
        let Ok(permit) = Arc::clone(&self.loaded.permits).acquire_owned().await else {
            return self.gave_up("stopped", "the server is ending");
        };
        let this = Arc::clone(&self);
        let work = tokio::task::spawn_blocking(move || {
            let done = this.predict();
            drop(permit);
            done
        });
        match work.await {
            Ok(done) => done,
            Err(_) => self.gave_up("panicked", "it panicked"),
        }
    }

    fn predict(&self) -> Done {
        let predictor = &self.loaded.predictor;
        let batch = match self.batch() {
            Ok(batch) => batch,
            Err(error) => return self.refused_by_columns(&error),
        };
        let results = predictor.predict_each(&batch);
        let latency_us = self.latency_us();
        let rows = observed::rows(&self.facts, &batch, &results, latency_us, |id| self.sampled(id));
        Done { result: whole(results, batch.rows()), rows, latency_us }
    }

    /// The columns, with what the caller says row by row and what it wants checked against them.
    fn batch(&self) -> Result<Batch, ServedError> {
        let predictor = &self.loaded.predictor;
        let wrong = |refused: Refused| client(&refused.code, refused.message);
        answer::check_outputs(&self.request.outputs, predictor.signature()).map_err(wrong)?;
        let batch = predictor.batch(&self.request.inputs).map_err(|error| observed::error(&error))?;
        self.facts.caller.check_rows(batch.rows()).map_err(wrong)?;
        Ok(batch)
    }

    fn refused_by_columns(&self, error: &ServedError) -> Done {
        let latency_us = self.latency_us();
        // Rows whose columns cannot even be told apart have nothing to report; the tally has the request.
        let rows = Batch::from_oip(&self.request.inputs)
            .map(|batch| observed::failed(&self.facts, &batch, error, latency_us, |id| self.sampled(id)))
            .unwrap_or_default();
        Done { result: Err(Failed { error: error.clone(), row: None }), rows, latency_us }
    }

    /// The version did not come to an end: its fault.
    fn gave_up(&self, kind: &str, what: &str) -> Done {
        let message = format!("version {}: {what}", self.facts.assignment.version);
        let error = ServedError { kind: kind.into(), side: Side::Model, message };
        self.refused_by_columns(&error)
    }

    /// Rows are sampled by their id: the same choice wherever it is made. The shadow's sample lies within.
    fn sampled(&self, id: &str) -> bool {
        let route = &self.view.route;
        route.samples(route.rows.max(route.shadow), id)
    }

    fn latency_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn count(&self, done: &Done) {
        let of = &self.facts.assignment;
        let (outcome, end) = match &done.result {
            Ok(_) => (Outcome::Answered(done.latency_us), End::Answered),
            Err(Failed { error: ServedError { side: Side::Model, .. }, .. }) => {
                (Outcome::ModelError(self.unit.clone()), End::Error)
            }
            Err(_) => (Outcome::ClientError, End::ClientError),
        };
        let first = done.result.as_ref().ok().and_then(|predictions| predictions.first());
        let class = first.and_then(|prediction| prediction.label.as_deref());
        let unit = self.facts.caller.unit.as_ref().map(|_| self.unit.as_str());
        self.app.outbox.tallies.count_request(of, outcome, Asked { class, unit, diverted: self.diverted });
        self.app.metrics.request(&of.model, of.version, of.role, end, done.latency_us);
    }

    fn answer(&self, predictions: &[Prediction]) -> InferAnswer {
        let Facts { id, assignment, .. } = &self.facts;
        InferAnswer {
            model_name: assignment.model.to_string(),
            model_version: assignment.version.to_string(),
            id: self.request.id.clone().unwrap_or_else(|| id.clone()),
            parameters: AnswerParameters {
                observation_id: id.clone(),
                observation_ids: (0..predictions.len()).map(|row| answer::row_id(id, row)).collect(),
            },
            outputs: answer::tensors(self.loaded.predictor.config(), predictions, &self.request.outputs),
        }
    }

    /// The client reads what is wrong with its request; what is wrong with a version is for its owner, in the rows.
    fn refusal(&self, failed: &Failed) -> Refused {
        let Failed { error, row } = failed;
        let place = row.map(|row| format!("row {row}: ")).unwrap_or_default();
        let refused = match error.side {
            Side::Client => {
                Refused::new(StatusCode::BAD_REQUEST, &error.kind, format!("{place}{}", error.message))
            }
            Side::Model => {
                let status = if error.kind == "timeout" {
                    StatusCode::GATEWAY_TIMEOUT
                } else {
                    StatusCode::INTERNAL_SERVER_ERROR
                };
                let version = self.facts.assignment.version;
                Refused::new(
                    status,
                    &error.kind,
                    format!("{place}version {version} failed on this request ({})", error.kind),
                )
            }
        };
        refused.of_observation(&self.facts.id)
    }
}

fn client(kind: &str, message: String) -> ServedError {
    ServedError { kind: kind.to_owned(), side: Side::Client, message }
}

/// The answer is whole or none: a row that the version failed on fails the request, and so does one that is wrong. Where
/// both happen the version's failure counts, so that no client hides it.
fn whole(results: Vec<Result<Prediction, PredictError>>, rows: usize) -> Result<Vec<Prediction>, Failed> {
    if results.len() != rows {
        let message = format!("{} answers for {rows} rows", results.len());
        return Err(Failed {
            error: ServedError { kind: "bad-output".into(), side: Side::Model, message },
            row: None,
        });
    }
    let failed = |side: seatrial_inference::Side| {
        let found = results.iter().enumerate().find_map(|(row, result)| {
            result
                .as_ref()
                .err()
                .filter(|error| error.side() == side)
                .map(|error| (row, observed::error(error)))
        });
        found.map(|(row, error)| Failed { error, row: (rows > 1).then_some(row) })
    };
    match failed(seatrial_inference::Side::Model).or_else(|| failed(seatrial_inference::Side::Client)) {
        Some(failed) => Err(failed),
        None => Ok(results.into_iter().flatten().collect()),
    }
}

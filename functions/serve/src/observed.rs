//! A served request as rows for the queue. Pure.

use jiff::Timestamp;
use seatrial_evidence::observation::{Output, SCHEMA, Served, ServedError, Side};
use seatrial_inference::{Batch, PredictError, Prediction};
use serde_json::{Map, Value};

use crate::choice::Assignment;
use crate::oip::Caller;
use crate::oip::answer::row_id;

/// The longest error message in a row, in characters.
const MESSAGE: usize = 500;

/// What is known about a served request beside its rows.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its id.
    pub id: String,
    /// Version, arm and route.
    pub assignment: Assignment,
    /// What the caller said.
    pub caller: Caller,
    /// When it was chosen.
    pub at: Timestamp,
    /// How long it waited for its version to load, if it did.
    pub load_us: Option<u64>,
}

/// The rows in the sample: those that were answered, or, of a request that failed, those at fault.
///
/// A good row of a failed request was not answered, so it is not reported: its output was seen by nobody.
#[must_use]
pub fn rows(
    facts: &Facts,
    batch: &Batch,
    results: &[Result<Prediction, PredictError>],
    latency_us: u64,
    sampled: impl Fn(&str) -> bool,
) -> Vec<Served> {
    let failed = results.iter().any(Result::is_err);
    let total = results.len();
    let reported = results.iter().enumerate().filter(|(_, result)| result.is_err() == failed);
    let rows = reported.filter_map(|(row, result)| {
        let id = row_id(&facts.id, row);
        sampled(&id).then(|| {
            let inputs = batch.row(row).unwrap_or_default();
            served(facts, (row, total), id, inputs, latency_us, result.as_ref().map(output).map_err(error))
        })
    });
    rows.collect()
}

/// The rows in the sample of a request that failed as a whole, all with the same error.
#[must_use]
pub fn failed(
    facts: &Facts,
    batch: &Batch,
    error: &ServedError,
    latency_us: u64,
    sampled: impl Fn(&str) -> bool,
) -> Vec<Served> {
    let total = batch.rows();
    let ids = (0..total).map(|row| (row, row_id(&facts.id, row))).filter(|(_, id)| sampled(id));
    ids.map(|(row, id)| {
        served(facts, (row, total), id, batch.row(row).unwrap_or_default(), latency_us, Err(error.clone()))
    })
    .collect()
}

/// An error as rows carry it.
#[must_use]
pub fn error(error: &PredictError) -> ServedError {
    let side = match error.side() {
        seatrial_inference::Side::Client => Side::Client,
        seatrial_inference::Side::Model => Side::Model,
    };
    ServedError { kind: error.code().into(), side, message: error.message().chars().take(MESSAGE).collect() }
}

fn output(prediction: &Prediction) -> Output {
    Output {
        label: prediction.label.clone(),
        scores: prediction.scores.clone(),
        value: prediction.value,
        ..Output::default()
    }
}

fn served(
    facts: &Facts,
    (row, total): (usize, usize),
    observation_id: String,
    inputs: Map<String, Value>,
    latency_us: u64,
    result: Result<Output, ServedError>,
) -> Served {
    let Facts { assignment: of, caller, .. } = facts;
    let (output, error) = match result {
        Ok(output) => (output, None),
        Err(error) => (Output::default(), Some(error)),
    };
    let values = |named: &std::collections::BTreeMap<String, crate::oip::request::PerRow>| {
        named.iter().filter_map(|(name, value)| Some((name.clone(), value.of(row)?.to_owned()))).collect()
    };
    Served {
        schema: SCHEMA,
        observation_id,
        client_id: caller.client_id_of(row, total),
        model: of.model.clone(),
        version: of.version,
        digest: of.digest.clone(),
        role: of.role,
        route: of.route.clone(),
        unit: caller.unit.clone(),
        at: facts.at,
        inputs,
        output,
        latency_us,
        load_us: facts.load_us,
        warm: Some(facts.load_us.is_none()),
        error,
        segments: values(&caller.segments),
        protected: values(&caller.protected),
    }
}

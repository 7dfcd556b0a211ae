//! Answers of the protocol.

use std::collections::BTreeSet;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use seatrial_inference::{ModelConfig, OipTensor, Prediction, Signature, TensorSpec, oip};
use serde::Serialize;

use super::refused::Refused;
use super::request::RequestedOutput;

/// The answer of `POST …/infer`.
#[derive(Debug, Serialize)]
pub struct InferAnswer {
    /// The model.
    pub model_name: String,
    /// The version that answered, for example `v2`: the only place where a caller can see a canary.
    pub model_version: String,
    /// The caller's id of the request, else the observation's.
    pub id: String,
    /// The observation's ids.
    pub parameters: AnswerParameters,
    /// The predictions.
    pub outputs: Vec<OipTensor>,
}

/// What the server says about its answer.
#[derive(Debug, Serialize)]
pub struct AnswerParameters {
    /// The request's id at the server.
    pub observation_id: String,
    /// The ids of its rows, in order: what labels and signals name.
    pub observation_ids: Vec<String>,
}

impl IntoResponse for InferAnswer {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => {
                tracing::error!(error = %error, "an answer cannot be written as JSON");
                let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
                Refused::new(status, "internal", "the answer could not be written").into_response()
            }
        }
    }
}

/// The answer of `GET /v2/models/{model}`.
#[derive(Debug, Serialize)]
pub struct ModelMetadata {
    /// The model.
    pub name: String,
    /// The versions that serve.
    pub versions: Vec<String>,
    /// What runs it.
    pub platform: &'static str,
    /// What it takes.
    pub inputs: Vec<TensorSpec>,
    /// What it answers.
    pub outputs: Vec<TensorSpec>,
}

impl ModelMetadata {
    /// The description of a model.
    #[must_use]
    pub fn new(name: String, versions: Vec<String>, signature: &Signature) -> Self {
        let Signature { inputs, outputs } = signature.clone();
        Self { name, versions, platform: "onnx_onnxv1", inputs, outputs }
    }
}

/// The id of row `row` of the request `id`.
#[must_use]
pub fn row_id(id: &str, row: usize) -> String {
    format!("{id}#{row}")
}

/// Checks that every requested output exists.
///
/// # Errors
/// Names the first that does not.
pub fn check_outputs(wanted: &[RequestedOutput], signature: &Signature) -> Result<(), Refused> {
    let known: BTreeSet<&str> = signature.outputs.iter().map(|output| output.name.as_str()).collect();
    match wanted.iter().find(|output| !known.contains(output.name.as_str())) {
        None => Ok(()),
        Some(output) => Err(Refused::new(
            axum::http::StatusCode::BAD_REQUEST,
            "unknown-output",
            format!(
                "there is no output {:?}; this version has {}",
                output.name,
                known.into_iter().collect::<Vec<_>>().join(", ")
            ),
        )),
    }
}

/// The tensors of an answer: those that were asked for, or all.
#[must_use]
pub fn tensors(
    config: &ModelConfig,
    predictions: &[Prediction],
    wanted: &[RequestedOutput],
) -> Vec<OipTensor> {
    let mut tensors = oip::outputs(config, predictions);
    if !wanted.is_empty() {
        tensors.retain(|tensor| wanted.iter().any(|output| output.name == tensor.name));
    }
    tensors
}

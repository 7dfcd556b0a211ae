//! A version that runs elsewhere: what is asked of it, and what its answer means. Pure: whoever has a network carries the bytes.
//!
//! All remote versions speak one language, the JSON tensors of the Open Inference Protocol. Its inputs are those of `config.yaml`, as a
//! graph's would be; its answers become predictions by the same code as a graph's, so that the same numbers are the same prediction.

mod config;
mod wire;

use crate::answers::Prediction;
use crate::batch::Batch;
use crate::bind::bind;
use crate::config::ModelConfig;
use crate::error::{LoadError, PredictError};
use crate::model::{from_oip, signature};
use crate::oip::{OipTensor, Signature};
use crate::onnx::{GraphInfo, ValueInfo, ValueKind};
use crate::plan::{ColumnSpec, Plan, plan};

pub(crate) use config::read;
pub use config::{Place, RemoteConfig};

/// The largest request and the largest answer, in bytes: what every one of the services takes.
pub const LARGEST: usize = 5 << 20;

/// A remote version's side of the protocol.
#[derive(Debug, Clone)]
pub struct Remote {
    config: ModelConfig,
    plan: Plan,
    signature: Signature,
}

/// A request for some of a batch's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// How many rows it is about.
    pub rows: usize,
    /// The body.
    pub body: String,
}

impl Remote {
    /// The protocol of the version that `config` describes.
    ///
    /// # Errors
    /// [`LoadError::Defects`] when the configuration contradicts itself.
    pub fn new(config: &ModelConfig) -> Result<Self, LoadError> {
        let plan = plan(config, &described(config)).map_err(LoadError::Defects)?;
        let signature = signature(config, &plan);
        Ok(Self { config: config.clone(), plan, signature })
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What it takes and answers.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The columns that a client sends.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.plan.columns
    }

    /// A batch of a request's tensors.
    ///
    /// # Errors
    /// When they do not fit; always the client's.
    pub fn batch_from_oip(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
        from_oip(&self.plan, tensors)
    }

    /// The requests for a batch: one, or several where one would be too large.
    ///
    /// # Errors
    /// When the batch does not fit the columns, or a single row is too large; always the client's.
    pub fn requests(&self, batch: &Batch) -> Result<Vec<Ask>, PredictError> {
        let body = wire::request(&self.plan.outputs, &bind(&self.plan, batch)?);
        let rows = batch.rows();
        if body.len() <= LARGEST {
            return Ok(vec![Ask { rows, body }]);
        }
        if rows == 1 {
            let message =
                format!("the row takes {} bytes as a request, expected at most {LARGEST}", body.len());
            return Err(PredictError::client("too-large", message));
        }
        let mut asks = Vec::new();
        for half in [batch.slice(0, rows / 2), batch.slice(rows / 2, rows)].into_iter().flatten() {
            asks.extend(self.requests(&half)?);
        }
        Ok(asks)
    }

    /// The predictions in an answer to a request for `rows` rows.
    ///
    /// # Errors
    /// When it is no answer of the protocol, or its tensors are no predictions: always the model's.
    pub fn answer(&self, rows: usize, body: &[u8]) -> Result<Vec<Prediction>, PredictError> {
        wire::answer(&self.config, &self.plan.outputs, rows, body)
    }
}

/// What the graph would say of itself if there were one: exactly what the configuration says.
fn described(config: &ModelConfig) -> GraphInfo {
    let tensor = |name: &str, element, dims| ValueInfo {
        name: name.to_owned(),
        kind: ValueKind::Tensor { element, dims },
    };
    let inputs = config.inputs.iter().map(|i| tensor(&i.name, i.datatype.onnx(), i.shape.clone()));
    let (bytes, fp64) = (crate::Datatype::Bytes.onnx(), crate::Datatype::Fp64.onnx());
    let outputs = &config.outputs;
    let label = outputs.label.iter().map(|name| tensor(name, bytes, None));
    let floats = outputs.scores.iter().chain(&outputs.value).map(|name| tensor(name, fp64, None));
    GraphInfo { inputs: inputs.collect(), outputs: label.chain(floats).collect(), ..GraphInfo::default() }
}

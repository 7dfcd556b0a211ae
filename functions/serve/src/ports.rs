//! What the data plane needs from outside, one capability each. Tests put their own behind them.

use std::sync::Arc;

use async_trait::async_trait;
use seatrial_domain::head::Head;
use seatrial_domain::ids::{Digest, ModelName, VersionName, VersionRef};
use seatrial_domain::version::VersionRecord;
use seatrial_inference::{Batch, ModelConfig, OipTensor, PredictError, Prediction, Runner, Signature};

/// Reading the registry, strongly consistent.
#[async_trait]
pub trait Heads: Send + Sync {
    /// The head of a model; `None` when there is no such model.
    async fn head(&self, model: &ModelName) -> Result<Option<Head>, ReadError>;
    /// One version of a model; `None` when there is no such version.
    async fn version(
        &self,
        model: &ModelName,
        version: VersionName,
    ) -> Result<Option<VersionRecord>, ReadError>;
}

/// The registry could not be read: for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub String);

/// Bringing a version into this process.
#[async_trait]
pub trait Loader: Send + Sync {
    /// Fetches the version's files, checks them against its digest and its signature, and makes it ready to run.
    async fn load(&self, model: &ModelName, version: &VersionRef) -> Result<Arc<dyn Predictor>, LoadFailure>;
    /// Gives back the room that a version's files take; it is no longer loaded. Does not wait.
    fn forget(&self, version: &Digest);
}

/// Why a version could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadFailure {
    /// The store did not answer, or this machine has no room: it says nothing about the version.
    #[error("{0}")]
    Unavailable(String),
    /// The version's files are not what its digest or its signature says, or the engine refuses them.
    #[error("{0}")]
    Broken(String),
}

/// A loaded version.
pub trait Predictor: Send + Sync {
    /// How the version is described.
    fn config(&self) -> &ModelConfig;
    /// What it takes and answers.
    fn signature(&self) -> &Signature;
    /// The request's tensors as named columns.
    ///
    /// # Errors
    /// When they do not fit the version's columns; always the client's side.
    fn batch(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError>;
    /// One result a row, in order.
    fn predict_each(&self, batch: &Batch) -> Vec<Result<Prediction, PredictError>>;
    /// Whether its work is done elsewhere, and costs this machine no processor.
    fn is_elsewhere(&self) -> bool {
        false
    }
}

impl<R: Runner> Predictor for R {
    fn config(&self) -> &ModelConfig {
        Runner::config(self)
    }
    fn signature(&self) -> &Signature {
        Runner::signature(self)
    }
    fn batch(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
        self.batch_from_oip(tensors)
    }
    fn predict_each(&self, batch: &Batch) -> Vec<Result<Prediction, PredictError>> {
        Runner::predict_each(self, batch)
    }
    fn is_elsewhere(&self) -> bool {
        self.in_process().is_none()
    }
}

/// The observation queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends messages: at most ten, together below 256 KB. One outcome a message, in order.
    async fn send(&self, bodies: &[String]) -> Vec<Sent>;
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The queue has it.
    Done,
    /// The queue did not answer or had a fault: sending again may help.
    Again(String),
    /// The queue refuses this message; sending it again does not help.
    Refused(String),
}

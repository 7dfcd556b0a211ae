//! What runs a version, wherever it runs: the one port that evaluation, replay and data plane know.

use std::fmt::Debug;

use crate::answers::Prediction;
use crate::batch::Batch;
use crate::config::ModelConfig;
use crate::error::PredictError;
use crate::model::Model;
use crate::oip::{OipTensor, Signature};
use crate::plan::ColumnSpec;

/// A version that can predict. Its calls block until there is an answer; none takes longer than the version is given.
pub trait Runner: Send + Sync + Debug {
    /// How it is fed and read.
    fn config(&self) -> &ModelConfig;
    /// What it takes and answers.
    fn signature(&self) -> &Signature;
    /// The columns that a client sends.
    fn columns(&self) -> &[ColumnSpec];
    /// A batch of a request's tensors.
    ///
    /// # Errors
    /// When they do not fit its columns; always the client's.
    fn batch_from_oip(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError>;
    /// One prediction a row, in the order of the rows.
    ///
    /// # Errors
    /// If the batch does not fit (the client's), or the version fails on any row (the model's).
    fn predict(&self, batch: &Batch) -> Result<Vec<Prediction>, PredictError>;
    /// Each row's own outcome: a row on which the version fails does not sink the others.
    fn predict_each(&self, batch: &Batch) -> Vec<Result<Prediction, PredictError>> {
        each(batch, &|part| self.predict(part))
    }
    /// The version as a graph in this process, for what needs to look into it; none where it runs elsewhere.
    fn in_process(&self) -> Option<&Model> {
        None
    }
}

impl Runner for Model {
    fn config(&self) -> &ModelConfig {
        Self::config(self)
    }
    fn signature(&self) -> &Signature {
        Self::signature(self)
    }
    fn columns(&self) -> &[ColumnSpec] {
        Self::columns(self)
    }
    fn batch_from_oip(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
        Self::batch_from_oip(self, tensors)
    }
    fn predict(&self, batch: &Batch) -> Result<Vec<Prediction>, PredictError> {
        Self::predict(self, batch)
    }
    fn in_process(&self) -> Option<&Model> {
        Some(self)
    }
}

/// Each row's outcome: a batch that fails is halved until the failing rows stand alone, so that a few bad rows cost a few more runs.
/// What concerns all rows, a server that is away among it, is not tried row by row.
pub(crate) fn each(
    batch: &Batch,
    predict: &dyn Fn(&Batch) -> Result<Vec<Prediction>, PredictError>,
) -> Vec<Result<Prediction, PredictError>> {
    let rows = batch.rows();
    match predict(batch) {
        Ok(all) => all.into_iter().map(Ok).collect(),
        Err(e) if rows == 1 || e.concerns_all_rows() => vec![Err(e); rows],
        Err(_) => {
            let halves = [batch.slice(0, rows / 2), batch.slice(rows / 2, rows)];
            halves.iter().flatten().flat_map(|half| each(half, predict)).collect()
        }
    }
}

//! A remote version as something that predicts.

use seatrial_inference::{
    Batch, ColumnSpec, ModelConfig, OipTensor, PredictError, Prediction, Remote, Runner, Signature,
};

use crate::Identity;
use crate::line::Line;

/// A remote version. Its calls block, as those of a graph in this process do.
#[derive(Debug)]
pub struct RemoteModel {
    pub(crate) protocol: Remote,
    pub(crate) identity: Identity,
    pub(crate) line: Line,
}

impl RemoteModel {
    /// What the service said of itself when the version was connected.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl Runner for RemoteModel {
    fn config(&self) -> &ModelConfig {
        self.protocol.config()
    }

    fn signature(&self) -> &Signature {
        self.protocol.signature()
    }

    fn columns(&self) -> &[ColumnSpec] {
        self.protocol.columns()
    }

    fn batch_from_oip(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
        self.protocol.batch_from_oip(tensors)
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Prediction>, PredictError> {
        let mut all = Vec::with_capacity(batch.rows());
        for ask in self.protocol.requests(batch)? {
            let answer = self.line.ask(ask.body)?;
            all.extend(self.protocol.answer(ask.rows, &answer)?);
        }
        Ok(all)
    }
}

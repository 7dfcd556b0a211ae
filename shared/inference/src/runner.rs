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

/// Batches of so many rows are halved without a look at the service: their halves cost hardly more calls than that.
const FEW: usize = 8;

/// Each row's outcome: a batch that fails is halved until the failing rows stand alone, so that a few bad rows cost a few more runs.
/// What concerns all rows, a server that is away among it, is not tried row by row; nor is a service that fails on the first and on the
/// last row by themselves, of which each call may take its whole time.
pub(crate) fn each(
    batch: &Batch,
    predict: &dyn Fn(&Batch) -> Result<Vec<Prediction>, PredictError>,
) -> Vec<Result<Prediction, PredictError>> {
    let rows = batch.rows();
    match predict(batch) {
        Ok(all) => all.into_iter().map(Ok).collect(),
        Err(e) if rows == 1 || e.concerns_all_rows() => vec![Err(e); rows],
        Err(e) if rows > FEW && e.is_remote() && fails_at_both_ends(batch, predict) => vec![Err(e); rows],
        Err(_) => {
            let halves = [batch.slice(0, rows / 2), batch.slice(rows / 2, rows)];
            halves.iter().flatten().flat_map(|half| each(half, predict)).collect()
        }
    }
}

fn fails_at_both_ends(
    batch: &Batch,
    predict: &dyn Fn(&Batch) -> Result<Vec<Prediction>, PredictError>,
) -> bool {
    let fails = |row| batch.slice(row, 1).is_some_and(|single| predict(&single).is_err());
    fails(0) && fails(batch.rows() - 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::cells::Column;
    use crate::error::RemoteCode;

    /// How often a service was asked about 64 rows, and the rows that failed. It fails as `fails` says of a batch's rows.
    fn asked(fails: impl Fn(&[i64]) -> Option<RemoteCode>) -> (usize, Vec<usize>) {
        let batch = Batch::from_columns(vec![("x".into(), Column::i64((0..64).collect()))]).unwrap();
        let calls = Cell::new(0);
        let outcomes = each(&batch, &|part| {
            calls.set(calls.get() + 1);
            let row = |row| part.row(row).unwrap()["x"].as_i64().unwrap();
            let rows: Vec<i64> = (0..part.rows()).map(row).collect();
            match fails(&rows) {
                Some(code) => Err(PredictError::remote(code, "it failed")),
                None => Ok(rows
                    .iter()
                    .map(|x| Prediction { label: None, scores: None, value: Some(*x as f64) })
                    .collect()),
            }
        });
        assert!(outcomes.iter().enumerate().all(|(n, o)| match o {
            Ok(prediction) => prediction.value == Some(n as f64),
            Err(_) => true,
        }));
        let failed = outcomes.iter().enumerate().filter(|(_, o)| o.is_err()).map(|(row, _)| row).collect();
        (calls.get(), failed)
    }

    #[test]
    fn a_row_on_which_a_service_fails_and_a_batch_that_is_too_much_sink_no_other_row() {
        for code in [RemoteCode::Refused, RemoteCode::Failed, RemoteCode::Timeout] {
            let (_, failed) = asked(|rows| rows.contains(&20).then_some(code));
            assert_eq!(failed, [20], "{code:?}");
            let (_, failed) = asked(|rows| (rows.len() > 16).then_some(code));
            assert!(failed.is_empty(), "{code:?}: {failed:?}");
        }
    }

    #[test]
    fn a_service_that_fails_at_both_ends_fails_on_all_and_one_that_is_away_is_asked_once() {
        let (calls, failed) = asked(|_| Some(RemoteCode::Timeout));
        assert_eq!((calls, failed.len()), (3, 64));
        let (calls, failed) = asked(|_| Some(RemoteCode::Unavailable));
        assert_eq!((calls, failed.len()), (1, 64));
    }
}

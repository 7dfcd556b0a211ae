//! Estimated values of any model, by running it on mixtures.

use seatrial_stats::shap::{Estimated, Permutations};

use super::feeds::Feeds;
use super::{Explanation, Method, Row, Sampling, Scale, outputs};
use crate::answers::Prediction;
use crate::batch::Batch;
use crate::error::PredictError;
use crate::model::Model;

/// The fewest orders: below, a standard error says nothing.
const FEWEST_ORDERS: usize = 8;

pub(super) fn explain(
    model: &Model,
    rows: &Batch,
    background: &Batch,
    sampling: Sampling,
    why: String,
) -> Result<Explanation, PredictError> {
    let feeds = Feeds::new(model, rows, background)?;
    let config = model.config();
    let explained = |p: Prediction| -> Option<Vec<f64>> {
        match (p.value, p.scores, config.positive_index()) {
            (Some(value), ..) => Some(vec![value]),
            (None, Some(scores), Some(positive)) => scores.get(positive).map(|s| vec![*s]),
            (None, scores, None) => scores,
            _ => None,
        }
    };
    let all = |answers: Vec<Prediction>| -> Result<Vec<Vec<f64>>, PredictError> {
        let read: Option<Vec<_>> = answers.into_iter().map(explained).collect();
        read.ok_or_else(|| {
            PredictError::model("bad-output", "the version gives neither scores nor a value to explain")
        })
    };
    let (given, expected) = (all(model.predict(rows)?)?, all(model.predict(background)?)?);
    let players = model.columns().len();
    let a_row_and_order = given.len().saturating_mul(2).saturating_mul(players.saturating_sub(1)).max(1);
    let affordable = (sampling.most_runs / a_row_and_order).max(FEWEST_ORDERS);
    let permutations =
        Permutations { seed: sampling.seed, orders: sampling.orders.max(FEWEST_ORDERS).min(affordable) };
    let mut found = Vec::with_capacity(given.len());
    for (row, output) in given.into_iter().enumerate() {
        let run = |mixes: &[_]| all(feeds.answers(row, mixes)?);
        let estimated = permutations.explain(row, players, &output, &expected, run)?;
        let Estimated { values, errors } = estimated.ok_or_else(|| {
            PredictError::model(
                "bad-output",
                "the version answers mixtures of rows with another number of scores",
            )
        })?;
        found.push(Row { output, values, errors: Some(errors) });
    }
    let mean = |k: usize| expected.iter().map(|e| e[k]).sum::<f64>() / expected.len() as f64;
    Ok(Explanation {
        method: Method::Permutations { orders: permutations.orders },
        why_sampled: Some(why),
        scale: if config.task.is_classification() { Scale::Probability } else { Scale::Value },
        outputs: outputs(config),
        features: model.columns().iter().map(|c| c.name.clone()).collect(),
        expected: (0..expected.first().map_or(0, Vec::len)).map(mean).collect(),
        rows: found,
    })
}

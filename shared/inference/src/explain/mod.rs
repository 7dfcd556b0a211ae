//! Which columns an answer rests on: Shapley values of the public columns, against a background sample.
//!
//! A player is a public column, whatever the graph makes of it: the one-hot columns of a text move together. Where the graph
//! is understood (columns made ready one by one, then trees, then the answer) the values are exact, and explain the trees' sum
//! (log odds, or the averaged probability of a forest). What was understood is tried against the engine on every row
//! before it is believed. Any other model is run on random mixtures of its inputs, and what is explained is what it answers.

mod ensemble;
mod ensemble_v5;
mod feeds;
mod origins;
mod sampled;
mod trees;

use std::path::Path;

use crate::batch::Batch;
use crate::config::ModelConfig;
use crate::error::PredictError;
use crate::model::Model;
use crate::runtime::Runtime;

/// How values were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Exactly, from the trees in the graph.
    Trees,
    /// By sampling.
    Permutations {
        /// Random orders of the columns for each row, each walked both ways.
        orders: usize,
    },
}

/// What the explained numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The trees' sum before a sigmoid or softmax: log odds, up to a constant.
    Margin,
    /// A probability.
    Probability,
    /// The predicted number.
    Value,
}

/// The values of one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// For each output what was explained.
    pub output: Vec<f64>,
    /// For each output the value of each column. They add up to the output minus the expected one.
    pub values: Vec<Vec<f64>>,
    /// Where values are estimated, their standard errors.
    pub errors: Option<Vec<Vec<f64>>>,
}

/// The values of some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// How they were found.
    pub method: Method,
    /// Why they were not found exactly.
    pub why_sampled: Option<String>,
    /// What was explained.
    pub scale: Scale,
    /// The outputs' names: the positive class, all classes, or `value`.
    pub outputs: Vec<String>,
    /// The public columns.
    pub features: Vec<String>,
    /// For each output its mean over the background.
    pub expected: Vec<f64>,
    /// The rows, in their order.
    pub rows: Vec<Row>,
}

/// How much work sampling may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// The seed.
    pub seed: u64,
    /// The orders that are wanted for each row; fewer are drawn where they would need more than `most_runs`.
    pub orders: usize,
    /// The most rows that the model is run on.
    pub most_runs: usize,
}

/// Explains rows of a model that was loaded from `folder`. Both batches need to fit its columns.
///
/// # Errors
/// If a batch does not fit, the model fails on a row or a mixture of two, or it gives neither scores nor values.
pub fn explain(
    runtime: &'static Runtime,
    folder: &Path,
    model: &Model,
    rows: &Batch,
    background: &Batch,
    sampling: Sampling,
) -> Result<Explanation, PredictError> {
    let path = folder.join(&model.config().model);
    let exact =
        trees::TreeModel::read(runtime, &path, model).and_then(|trees| trees.explain(rows, background));
    match exact.map(|found| (found.is_finite(), found)) {
        Ok((true, found)) => Ok(found),
        Ok((false, _)) => {
            sampled::explain(model, rows, background, sampling, "its trees hold no numbers".into())
        }
        Err(why) => sampled::explain(model, rows, background, sampling, why),
    }
}

impl Explanation {
    fn is_finite(&self) -> bool {
        let of_rows = self.rows.iter().flat_map(|r| r.output.iter().chain(r.values.iter().flatten()));
        self.expected.iter().chain(of_rows).all(|x| x.is_finite())
    }
}

/// The names of the outputs that are explained.
fn outputs(config: &ModelConfig) -> Vec<String> {
    match (config.task.is_classification(), config.positive_index()) {
        (false, _) => vec!["value".into()],
        (true, Some(positive)) => vec![config.classes[positive].clone()],
        (true, None) => config.classes.clone(),
    }
}

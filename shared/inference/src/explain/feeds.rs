//! Inputs for the graph that are mixed of rows and background rows, column by column.

use seatrial_stats::shap::Mix;

use crate::answers::Prediction;
use crate::batch::Batch;
use crate::bind::{Fed, bind};
use crate::error::PredictError;
use crate::model::Model;
use crate::plan::{Plan, PlannedInput, Source};

/// Mixed rows that are run at once.
const AT_ONCE: usize = 2_048;

/// Rows and background, each as the tensors that the graph takes.
pub(crate) struct Feeds<'m> {
    model: &'m Model,
    rows: Vec<Fed<'m>>,
    background: Vec<Fed<'m>>,
}

/// The public column of each element of an input's row, `width` of them.
pub(crate) fn columns_of(plan: &Plan, input: &PlannedInput, width: usize) -> Vec<usize> {
    let column = |name: &String| plan.columns.iter().position(|c| c.name == *name).unwrap_or(0);
    match &input.source {
        Source::Packed(names) => names.iter().map(column).collect(),
        Source::Column => vec![column(&input.name); width],
    }
}

impl<'m> Feeds<'m> {
    pub(crate) fn new(model: &'m Model, rows: &Batch, background: &Batch) -> Result<Self, PredictError> {
        let feeds =
            Self { model, rows: bind(model.plan(), rows)?, background: bind(model.plan(), background)? };
        let differ = feeds.rows.iter().zip(&feeds.background).find(|(a, b)| a.shape[1..] != b.shape[1..]);
        match differ {
            None => Ok(feeds),
            Some((a, b)) => Err(PredictError::client(
                "wrong-shape",
                format!(
                    "input `{}` has the shape {:?} a row in the rows, and {:?} in the background",
                    a.name,
                    &a.shape[1..],
                    &b.shape[1..]
                ),
            )),
        }
    }

    /// The tensors of these mixtures of row number `row`.
    pub(crate) fn mixed(&self, row: usize, mixes: &[Mix]) -> Vec<Fed<'m>> {
        let plan = self.model.plan();
        let inputs = plan.inputs.iter().zip(self.rows.iter().zip(&self.background));
        inputs
            .map(|(input, (ours, theirs))| {
                let width = ours.shape[1..].iter().product::<i64>() as usize;
                let columns = columns_of(plan, input, width);
                let pick = |mix: &Mix, at: usize| match mix.from_row[columns[at]] {
                    true => (true, row * width + at),
                    false => (false, mix.background * width + at),
                };
                let picks: Vec<(bool, usize)> = mixes
                    .iter()
                    .flat_map(|mix| (0..width).map(move |at| (mix, at)))
                    .map(|(mix, at)| pick(mix, at))
                    .collect();
                ours.picked(theirs, mixes.len(), &picks)
            })
            .collect()
    }

    /// What the model answers to these mixtures of row number `row`.
    pub(crate) fn answers(&self, row: usize, mixes: &[Mix]) -> Result<Vec<Prediction>, PredictError> {
        let at_once = if self.model.plan().one_by_one { 1 } else { AT_ONCE };
        let mut answers = Vec::with_capacity(mixes.len());
        for part in mixes.chunks(at_once) {
            answers.extend(self.model.run_fed(self.mixed(row, part), part.len())?);
        }
        Ok(answers)
    }
}

//! The tensors of the Open Inference Protocol (KServe v2), as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::answers::Prediction;
use crate::batch::flatten;
use crate::cells::{Cell, Column};
use crate::config::ModelConfig;
use crate::datatype::Datatype;
use crate::error::PredictError;

/// A tensor of a request or an answer. `data` is flat in row-major order, or nested as `shape` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OipTensor {
    /// The column's or output's name.
    pub name: String,
    /// The sizes; the first is the number of rows.
    pub shape: Vec<i64>,
    /// The element type, as the protocol names it.
    pub datatype: String,
    /// The elements.
    #[serde(default)]
    pub data: Value,
    /// Extensions; not read here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
}

/// A tensor in a model's metadata; -1 for what varies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorSpec {
    /// The name.
    pub name: String,
    /// The element type.
    pub datatype: Datatype,
    /// The sizes.
    pub shape: Vec<i64>,
}

/// What a model takes and answers, as its metadata say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// The columns.
    pub inputs: Vec<TensorSpec>,
    /// `label` and `scores`, or `value`.
    pub outputs: Vec<TensorSpec>,
}

/// What an answer of a model with this configuration holds.
pub(crate) fn output_specs(config: &ModelConfig, label: bool, scores: bool) -> Vec<TensorSpec> {
    let spec = |name: &str, datatype, shape| TensorSpec { name: name.to_owned(), datatype, shape };
    if !config.task.is_classification() {
        return vec![spec("value", Datatype::Fp64, vec![-1])];
    }
    let mut specs = Vec::new();
    if label || scores {
        specs.push(spec("label", Datatype::Bytes, vec![-1])); // without a label output it is the best-scored class
    }
    if scores {
        specs.push(spec("scores", Datatype::Fp64, vec![-1, config.classes.len() as i64]));
    }
    specs
}

/// The answer's tensors: `label` `[N]`, `scores` `[N, C]` in the order of the classes, `value` `[N]`; those that are there.
pub fn outputs(config: &ModelConfig, predictions: &[Prediction]) -> Vec<OipTensor> {
    let n = predictions.len() as i64;
    let tensor = |name: &str, datatype: Datatype, shape: Vec<i64>, data: Value| OipTensor {
        name: name.to_owned(),
        shape,
        datatype: datatype.name().to_owned(),
        data,
        parameters: None,
    };
    let mut out = Vec::new();
    let labels: Option<Vec<&String>> = predictions.iter().map(|p| p.label.as_ref()).collect();
    if let Some(labels) = labels {
        out.push(tensor("label", Datatype::Bytes, vec![n], json!(labels)));
    }
    let scores: Option<Vec<&Vec<f64>>> = predictions.iter().map(|p| p.scores.as_ref()).collect();
    if let Some(scores) = scores {
        let flat: Vec<f64> = scores.into_iter().flatten().copied().collect();
        out.push(tensor("scores", Datatype::Fp64, vec![n, config.classes.len() as i64], json!(flat)));
    }
    let values: Option<Vec<f64>> = predictions.iter().map(|p| p.value).collect();
    if let Some(values) = values {
        out.push(tensor("value", Datatype::Fp64, vec![n], json!(values)));
    }
    if predictions.is_empty() { Vec::new() } else { out }
}

/// A column of a request's tensor, checked against its own declaration.
pub(crate) fn column(tensor: &OipTensor) -> Result<Column, PredictError> {
    let name = &tensor.name;
    let refuse = |code, what: String| PredictError::client(code, format!("input `{name}`: {what}"));
    let Some(datatype) = Datatype::from_name(&tensor.datatype) else {
        let what = format!("found the datatype `{}`, expected one of {}", tensor.datatype, Datatype::names());
        return Err(refuse("wrong-type", what));
    };
    let shape: Option<Vec<usize>> = tensor.shape.iter().map(|d| usize::try_from(*d).ok()).collect();
    let Some(shape) = shape.filter(|s| !s.is_empty()) else {
        let what = format!("found the shape {:?}, expected sizes of 0 or more, the rows first", tensor.shape);
        return Err(refuse("wrong-shape", what));
    };
    let mut cells = Vec::new();
    if !tensor.data.is_array() {
        return Err(refuse("wrong-type", "`data` is no list".to_owned()));
    }
    let nested = flatten(&tensor.data, &mut cells).map_err(|e| refuse(e.code(), e.message().to_owned()))?;
    let elements = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    if elements != Some(cells.len()) || (nested.len() > 1 && nested != shape) {
        let what = format!(
            "`data` has {} elements in the shape {nested:?}, expected the shape {shape:?}",
            cells.len()
        );
        return Err(refuse("wrong-shape", what));
    }
    for (i, cell) in cells.iter_mut().enumerate() {
        declared(cell, datatype).map_err(|(code, what)| refuse(code, format!("element {i} {what}")))?;
    }
    let item = if shape[1..].iter().product::<usize>() == 1 { Vec::new() } else { shape[1..].to_vec() };
    Column::from_cells(name, cells, item)
}

/// Whether a cell is what the datatype says; integers become floats under a float type.
fn declared(cell: &mut Cell, datatype: Datatype) -> Result<(), (&'static str, String)> {
    let wrong = |found: &str| Err(("wrong-type", format!("is {found}, expected {datatype}")));
    match (&*cell, datatype) {
        (Cell::Missing, _) | (Cell::Bool(_), Datatype::Bool) | (Cell::Text(_), Datatype::Bytes) => Ok(()),
        (Cell::Float(_), d) if d.is_float() => Ok(()),
        (Cell::Int(i), d) if d.is_float() => {
            *cell = Cell::Float(*i as f64);
            Ok(())
        }
        (Cell::Int(i), d) => match d.integer_range() {
            Some((low, high)) if (low..=high).contains(&i128::from(*i)) => Ok(()),
            Some(_) => Err(("out-of-range", format!("is {i}, beyond {datatype}"))),
            None => wrong("a number"),
        },
        (Cell::Float(f), _) => wrong(&format!("the number {f}")),
        (Cell::Bool(_), _) => wrong("a truth value"),
        (Cell::Text(_), _) => wrong("text"),
    }
}

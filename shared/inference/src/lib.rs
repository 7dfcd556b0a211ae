//! Runs a version: ONNX in process.
//!
//! A version is a graph (`weights/model.onnx`) and the `config.yaml` that says how to feed it and how to read it. The road of
//! a request: JSON or Parquet become a [`Batch`] of named columns; the [`Model`] casts them to what its graph wants, runs it,
//! and reads labels, scores or values into one [`Prediction`] a row. Named columns are the contract between a client and
//! *all* versions of a model: whether a graph takes one input per column or one packed tensor stays its own affair.
//!
//! - Everything about files is decided before the engine sees them: [`GraphInfo`] reads the graph in one streaming pass, and
//!   [`ModelConfig::check_graph`] lists every disagreement at once. Neither needs the ONNX Runtime library.
//! - An error says whose it is: the client's (its columns) or the model's (its graph); see [`PredictError`].
//! - No operator library is ever registered, unknown operator domains are refused, and weights in other files must lie inside
//!   the model's own folder.

mod answers;
mod batch;
mod bind;
mod cells;
mod config;
mod config_reader;
mod datatype;
mod error;
pub mod explain;
mod model;
pub mod oip;
mod onnx;
mod plan;
mod plan_outputs;
mod raw;
mod runtime;
mod serving;

pub use answers::Prediction;
pub use batch::Batch;
pub use cells::Column;
pub use config::{InputConfig, ModelConfig, OutputsConfig, ScoreKind, Task};
pub use datatype::Datatype;
pub use error::{Defect, LoadError, PredictError, Side};
pub use model::Model;
pub use oip::{OipTensor, Signature, TensorSpec};
pub use onnx::{GraphError, GraphInfo, ValueInfo, ValueKind};
pub use plan::ColumnSpec;
pub use runtime::{Runtime, RuntimeError};
pub use serving::Serving;

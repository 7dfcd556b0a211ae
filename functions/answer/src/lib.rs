//! Answers the task token of a gate that is decided, expired or cancelled.
//!
//! The decision is stored first, by whoever decides; the registry's stream then brings the gate here. So a decision is never
//! lost with an answer, and an answer is tried again until Step Functions has it.

mod callbacks;
mod handler;

pub use callbacks::{CallbackError, Callbacks, StepFunctions};
pub use handler::{BatchResponse, ItemFailure, Told, handle, tell};

//! Answers the task token of a gate that is decided, expired or cancelled.
//!
//! The decision is stored first, by whoever decides; the registry's stream then brings the gate here. So a decision is never
//! lost with an answer, and an answer is tried again until Step Functions has it.
//!
//! It is the one function that reads the stream, which carries task tokens; so it also passes on to `notify` where something
//! happened that people may have to hear of, and to `reconcile` where a route may have changed.

mod callbacks;
mod handler;
mod notices;

pub use callbacks::{CallbackError, Callbacks, StepFunctions};
pub use handler::{BatchResponse, ItemFailure, Queues, Told, handle, tell};

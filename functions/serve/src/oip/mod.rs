//! The Open Inference Protocol, version 2, over HTTP: the shapes of requests, answers and errors.

pub mod answer;
pub mod refused;
pub mod request;

pub use answer::InferAnswer;
pub use refused::Refused;
pub use request::{Caller, InferRequest};

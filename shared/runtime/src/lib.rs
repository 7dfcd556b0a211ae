//! What every function needs around its work: configuration read once, JSON logs, stable error labels for the state
//! machines, problem documents for HTTP, and the caller's identity from the API's authorizer.

pub mod caller;
pub mod config;
pub mod failure;
pub mod label;
pub mod link;
pub mod metric;
pub mod postpone;
pub mod problem;
pub mod queue;
pub mod sqs_event;
pub mod task;
pub mod wire;

pub use config::Config;
pub use failure::Failure;
pub use lambda_http;
pub use lambda_runtime;
pub use task::{init_logs, run_events, run_task};

/// The time now. The one place where functions look at the clock; everything that decides is given the time.
#[must_use]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

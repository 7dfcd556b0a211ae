//! Running a function: events in, answers or labelled failures out, one line of log a failure.

use std::future::Future;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Config;
use crate::failure::Failure;

/// Sets up JSON logs on stdout at the configured level. Called once, first thing in `main`.
pub fn init_logs(config: &Config) {
    let level = config.get("SEATRIAL_LOG").unwrap_or("info");
    let filter =
        tracing_subscriber::EnvFilter::try_new(format!("{level},aws=warn,hyper=warn,lambda_runtime=warn"))
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A second call (in tests) finds the logger set, which is what was wanted.
    drop(
        tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_env_filter(filter)
            .try_init(),
    );
}

/// Runs a state machine's task: the payload is parsed, a failure carries its label as the error's type.
///
/// # Errors
/// When the Lambda runtime cannot be reached.
pub async fn run_task<P, A, F, Fut>(handler: F) -> Result<(), lambda_runtime::Error>
where
    P: DeserializeOwned,
    A: Serialize,
    F: Fn(P) -> Fut,
    Fut: Future<Output = Result<A, Failure>>,
{
    let handler = Arc::new(handler);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let handler = Arc::clone(&handler);
        async move { answer(event.payload, handler.as_ref()).await }
    }))
    .await
}

/// Runs a function on events (SQS, EventBridge, a stream): the same, with the raw payload.
///
/// # Errors
/// When the Lambda runtime cannot be reached.
pub async fn run_events<A, F, Fut>(handler: F) -> Result<(), lambda_runtime::Error>
where
    A: Serialize,
    F: Fn(Value) -> Fut,
    Fut: Future<Output = Result<A, Failure>>,
{
    run_task::<Value, A, F, Fut>(handler).await
}

async fn answer<P, A, F, Fut>(payload: Value, handler: &F) -> Result<A, Failure>
where
    P: DeserializeOwned,
    F: Fn(P) -> Fut,
    Fut: Future<Output = Result<A, Failure>>,
{
    let parsed = serde_json::from_value(payload)
        .map_err(|e| Failure::invalid(format!("the payload is not what this function takes: {e}")));
    let result = match parsed {
        Ok(task) => handler(task).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &result {
        tracing::error!(label = failure.label, error = failure.chain(), "the task failed");
    }
    result
}

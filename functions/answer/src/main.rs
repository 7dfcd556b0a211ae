//! `answer`: tells waiting executions how their gates were decided, and `notify` and `reconcile` where something happened.

use fn_answer::{Queues, StepFunctions, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::queue::SqsQueue;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let callbacks = StepFunctions::new(&wiring.aws);
    let sqs = aws_sdk_sqs::Client::new(&wiring.aws);
    let notices = SqsQueue::new(sqs.clone(), wiring.config.need("SEATRIAL_NOTICES_QUEUE_URL")?);
    let targets = SqsQueue::new(sqs, wiring.config.need("SEATRIAL_TARGETS_QUEUE_URL")?);
    let queues = Queues { notices: &notices, targets: &targets };
    seatrial_runtime::run_events(|event| handle(&registry, &callbacks, queues, event)).await
}

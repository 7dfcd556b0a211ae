//! `answer`: tells waiting executions how their gates were decided, and `notify` where something happened.

use fn_answer::{StepFunctions, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::queue::SqsQueue;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let callbacks = StepFunctions::new(&wiring.aws);
    let url = wiring.config.need("SEATRIAL_NOTICES_QUEUE_URL")?;
    let notices = SqsQueue::new(aws_sdk_sqs::Client::new(&wiring.aws), url);
    seatrial_runtime::run_events(|event| handle(&registry, &callbacks, &notices, event)).await
}

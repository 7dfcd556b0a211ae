//! `answer`: tells waiting executions how their gates were decided.

use fn_answer::{StepFunctions, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let callbacks = StepFunctions::new(&wiring.aws);
    seatrial_runtime::run_events(|event| handle(&registry, &callbacks, event)).await
}

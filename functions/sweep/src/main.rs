//! `sweep`: brings what nobody finishes to its lawful end, on a schedule and when an execution dies.

use fn_sweep::{Ports, StepFunctions, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let executions = StepFunctions::new(aws_sdk_sfn::Client::new(&wiring.aws));
    let ports = Ports { registry: &registry, evidence: evidence.as_ref(), executions: &executions };
    seatrial_runtime::run_events(|event| handle(&ports, seatrial_runtime::now, event)).await
}

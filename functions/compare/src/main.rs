//! `compare`: judges the shadow, freezes its evidence, and writes the comparison report.

use fn_compare::{Ports, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::queue::SqsQueue;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let data = wiring.bucket("SEATRIAL_DATA_BUCKET")?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let sqs = aws_sdk_sqs::Client::new(&wiring.aws);
    let observations = SqsQueue::new(sqs.clone(), wiring.config.need("SEATRIAL_OBSERVATIONS_QUEUE_URL")?);
    let shadow = SqsQueue::new(sqs, wiring.config.need("SEATRIAL_SHADOW_QUEUE_URL")?);
    let ports = Ports {
        registry: &registry,
        tallies: &registry,
        watermarks: &registry,
        data: data.as_ref(),
        evidence: evidence.as_ref(),
        observations: &observations,
        shadow: &shadow,
    };
    seatrial_runtime::run_task(|task| handle(&ports, seatrial_runtime::now, task)).await
}

//! `observe`: takes observations from the queue into the evidence.

use fn_observe::{Cache, Ports, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::queue::SqsQueue;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let data = wiring.bucket("SEATRIAL_DATA_BUCKET")?;
    let sqs = aws_sdk_sqs::Client::new(&wiring.aws);
    let shadow = SqsQueue::new(sqs.clone(), wiring.config.need("SEATRIAL_SHADOW_QUEUE_URL")?);
    let observations = SqsQueue::new(sqs, wiring.config.need("SEATRIAL_OBSERVATIONS_QUEUE_URL")?);
    let cache = Cache::default();
    let ports = Ports {
        records: &registry,
        tallies: &registry,
        watermarks: &registry,
        data: data.as_ref(),
        shadow: &shadow,
        observations: &observations,
        cache: &cache,
    };
    seatrial_runtime::run_task(|event| handle(&ports, seatrial_runtime::now, event)).await
}

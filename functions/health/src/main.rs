//! `health`: judges the canary.

use fn_health::counted::TallyCache;
use fn_health::live::LiveCache;
use fn_health::{Ports, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::queue::SqsQueue;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let data = wiring.bucket("SEATRIAL_DATA_BUCKET")?;
    let (tally_cache, live_cache) = (TallyCache::default(), LiveCache::default());
    let sqs = aws_sdk_sqs::Client::new(&wiring.aws);
    let observations = SqsQueue::new(sqs, wiring.config.need("SEATRIAL_OBSERVATIONS_QUEUE_URL")?);
    let ports = Ports {
        registry: &registry,
        tallies: &registry,
        watermarks: &registry,
        targets: &registry,
        evidence: evidence.as_ref(),
        data: data.as_ref(),
        tally_cache: &tally_cache,
        live_cache: &live_cache,
        observations: &observations,
    };
    seatrial_runtime::run_task(|task| handle(&ports, seatrial_runtime::now, task)).await
}

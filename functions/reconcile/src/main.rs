//! `reconcile`: drives the traffic targets of models to their routes.

use aws_sdk_sqs::Client;
use fn_reconcile::{Ports, handle};
use seatrial_outbound::Allowed;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::postpone::Visibility;
use seatrial_runtime::queue::SqsQueue;
use seatrial_runtime::wire::Wiring;
use seatrial_targets::OwnTargets;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let (config, aws) = (&wiring.config, &wiring.aws);
    let registry = wiring.registry()?;
    let url = config.need("SEATRIAL_TARGETS_QUEUE_URL")?;
    let client = Client::new(aws);
    let queue = SqsQueue::new(client.clone(), url);
    let postpone = Visibility::new(client, url);
    let hosts = config.get("SEATRIAL_TARGET_HOSTS").unwrap_or_default();
    let targets = OwnTargets {
        aws: aws.clone(),
        stack: config.need("SEATRIAL_STACK")?.to_owned(),
        parameters: config.need("SEATRIAL_TARGET_PARAMETERS")?.to_owned(),
        allowed: Allowed::of("TargetHosts", hosts, config.is_emulator()),
        clock: seatrial_runtime::now,
    };
    let ports = Ports { registry: &registry, targets: &targets, queue: &queue, postpone: &postpone };
    seatrial_runtime::run_events(|event| handle(&ports, seatrial_runtime::now, event)).await
}

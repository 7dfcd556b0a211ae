//! `package`: validates a submission and registers the version.

use fn_package::{Ports, handle};
use seatrial_remote::Network;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let submissions = wiring.bucket("SEATRIAL_SUBMISSIONS_BUCKET")?;
    let models = wiring.bucket("SEATRIAL_MODELS_BUCKET")?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let (buckets, readable) = (wiring.buckets(), wiring.readable()?);
    let signer = wiring.signer()?;
    let hosts = wiring.config.get("SEATRIAL_REMOTE_HOSTS").unwrap_or_default();
    let stack = wiring.config.need("SEATRIAL_STACK")?;
    let network = Network::of(wiring.aws.clone(), stack, hosts, wiring.config.is_emulator());
    let ports = Ports {
        registry: &registry,
        submissions: submissions.as_ref(),
        buckets: &buckets,
        readable: &readable,
        models: models.as_ref(),
        evidence: evidence.as_ref(),
        signer: &signer,
        network: &network,
    };
    seatrial_runtime::run_task(|task| handle(&ports, seatrial_runtime::now, task)).await
}

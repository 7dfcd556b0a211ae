//! `attest`: writes and signs the manifest over all evidence of a promotion that ended.

use fn_attest::{Ports, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let signer = wiring.signer()?;
    let ports = Ports { registry: &registry, evidence: evidence.as_ref(), signer: &signer };
    seatrial_runtime::run_task(|task| handle(&ports, seatrial_runtime::now, task)).await
}

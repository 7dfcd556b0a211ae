//! `attest`: writes the manifest over all evidence of a promotion that ended.

use fn_attest::handle;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    seatrial_runtime::run_task(|task| handle(&registry, evidence.as_ref(), seatrial_runtime::now, task)).await
}

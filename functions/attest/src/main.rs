//! `attest`: writes and signs the manifest over all evidence of a promotion that ended.

use fn_attest::{Ports, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let models = wiring.bucket("SEATRIAL_MODELS_BUCKET")?;
    let signer = wiring.signer()?;
    let data_days = wiring.config.get("SEATRIAL_OBSERVATION_DAYS").and_then(|days| days.parse().ok());
    let ports = Ports {
        registry: &registry,
        evidence: evidence.as_ref(),
        models: models.as_ref(),
        signer: &signer,
        data_days,
    };
    seatrial_runtime::run_task(|task| handle(&ports, seatrial_runtime::now, task)).await
}

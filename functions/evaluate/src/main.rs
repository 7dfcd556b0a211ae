//! `evaluate`: smoke test and held-out benchmark of a challenger beside the champion.

use fn_evaluate::{Ports, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let models = wiring.bucket("SEATRIAL_MODELS_BUCKET")?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let ports = Ports {
        registry: &registry,
        models: models.as_ref(),
        evidence: evidence.as_ref(),
        library: wiring.config.onnxruntime(),
        folder: std::env::temp_dir().join("seatrial-evaluate"),
    };
    seatrial_runtime::run_task(|task| handle(&ports, seatrial_runtime::now, task)).await
}

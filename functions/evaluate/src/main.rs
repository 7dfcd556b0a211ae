//! `evaluate`: smoke test, integration checks and held-out benchmark of a challenger beside the champion.

use fn_evaluate::checks::HttpChecks;
use fn_evaluate::{Ports, handle};
use seatrial_outbound::Allowed;
use seatrial_remote::Network;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let models = wiring.bucket("SEATRIAL_MODELS_BUCKET")?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let trust = wiring.trust().await?;
    let hosts = wiring.config.get("SEATRIAL_CHECK_HOSTS").unwrap_or_default();
    let checks =
        HttpChecks::new(Allowed::of("CheckHosts", hosts, wiring.config.is_emulator()), wiring.aws.clone());
    let hosts = wiring.config.get("SEATRIAL_REMOTE_HOSTS").unwrap_or_default();
    let stack = wiring.config.need("SEATRIAL_STACK")?;
    let network = Network::of(wiring.aws.clone(), stack, hosts, wiring.config.is_emulator());
    let ports = Ports {
        registry: &registry,
        models: models.as_ref(),
        trust: &trust,
        evidence: evidence.as_ref(),
        checks: &checks,
        serve: wiring.config.get("SEATRIAL_SERVE_URL"),
        network: &network,
        library: wiring.config.onnxruntime(),
        folder: std::env::temp_dir().join("seatrial-evaluate"),
    };
    seatrial_runtime::run_task(|task| handle(&ports, seatrial_runtime::now, task)).await
}

//! `sweep`: brings what nobody finishes to its lawful end, on a schedule and when an execution dies.

use fn_sweep::{LambdaAnswering, LambdaAttesting, Ports, StepFunctions, handle};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let evidence = wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?;
    let models = wiring.deleting_bucket("SEATRIAL_MODELS_BUCKET")?;
    let executions = StepFunctions::new(aws_sdk_sfn::Client::new(&wiring.aws));
    let function = wiring.config.need("SEATRIAL_ATTEST_FUNCTION")?;
    let attesting = LambdaAttesting::new(wiring.aws.clone(), function);
    let answering = LambdaAnswering::new(wiring.aws.clone(), wiring.config.need("SEATRIAL_ANSWER_FUNCTION")?);
    let ports = Ports {
        registry: &registry,
        evidence: evidence.as_ref(),
        models: models.as_ref(),
        executions: &executions,
        attesting: &attesting,
        answering: &answering,
    };
    seatrial_runtime::run_events(|event| handle(&ports, seatrial_runtime::now, event)).await
}

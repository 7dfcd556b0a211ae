//! `control`: the operator API behind the command line.

use std::sync::Arc;

use fn_control::{Control, SqsEvents, StepFunctions, app};
use seatrial_runtime::lambda_http;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let wiring = Wiring::start().await;
    let machine = wiring.config.need("SEATRIAL_PROMOTION_MACHINE_ARN")?;
    let events = SqsEvents::new(
        wiring.aws.clone(),
        wiring.config.need("SEATRIAL_INTAKE_DEAD_LETTERS_URL")?,
        wiring.config.need("SEATRIAL_INTAKE_FUNCTION")?,
    );
    let registry = Arc::new(wiring.registry()?);
    let control = Control {
        tallies: registry.clone(),
        registry,
        models: wiring.bucket("SEATRIAL_MODELS_BUCKET")?,
        data: wiring.bucket("SEATRIAL_DATA_BUCKET")?,
        evidence: wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?,
        starter: Arc::new(StepFunctions::new(aws_sdk_sfn::Client::new(&wiring.aws), machine)),
        events: Arc::new(events),
        local_identity: wiring.config.get("SEATRIAL_LOCAL_IDENTITY").map(str::to_owned),
        platform_owners: wiring.config.list("SEATRIAL_PLATFORM_OWNERS"),
        clock: seatrial_runtime::now,
    };
    lambda_http::run(app(control)).await
}

//! `intake`: turns an event into a started promotion, once.

use aws_sdk_sfn::Client;
use fn_intake::{Places, StepFunctions, hear};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let (buckets, readable) = (wiring.buckets(), wiring.readable()?);
    let submissions = wiring.config.need("SEATRIAL_SUBMISSIONS_BUCKET")?;
    let stack = wiring.config.need("SEATRIAL_STACK")?;
    let machine = wiring.config.need("SEATRIAL_PROMOTION_MACHINE_ARN")?;
    let starter = StepFunctions::new(Client::new(&wiring.aws), machine);
    let places = Places { submissions, readable: &readable };
    seatrial_runtime::run_events(|event| hear(stack, &registry, &starter, &buckets, places, event)).await
}

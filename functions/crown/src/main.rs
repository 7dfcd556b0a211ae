//! `crown`: makes the challenger champion.

use fn_crown::handle;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    seatrial_runtime::run_task(|task| handle(&registry, seatrial_runtime::now, task)).await
}

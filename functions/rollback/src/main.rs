//! `rollback`: ends a promotion, whoever asks for it: a state machine, an alarm, or `control`.

use fn_rollback::handle;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    seatrial_runtime::run_task(|task| handle(&registry, seatrial_runtime::now, task)).await
}

//! `gate`: opens, re-opens and closes gates, and sends the links.

use fn_answer::StepFunctions;
use fn_gate::{Ports, work};
use seatrial_mail::{Mailer, Ses};
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let callbacks = StepFunctions::new(&wiring.aws);
    let ses = wiring.config.get("SEATRIAL_MAIL_FROM").map(|from| Ses::new(&wiring.aws, from));
    let approvals_url = wiring.config.need("SEATRIAL_APPROVALS_URL")?.trim_end_matches('/');
    let mailer = ses.as_ref().map(|ses| ses as &dyn Mailer);
    let ports = Ports { registry: &registry, callbacks: &callbacks, mailer, approvals_url };
    seatrial_runtime::run_events(|payload| work(&ports, seatrial_runtime::now, payload)).await
}

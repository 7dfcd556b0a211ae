//! `notify`: tells people and machines what happened.

use aws_sdk_sqs::Client;
use fn_notify::{Ports, Sns, Ssm, handle};
use seatrial_mail::{Mailer, Ses};
use seatrial_outbound::Allowed;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::postpone::Visibility;
use seatrial_runtime::queue::SqsQueue;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let (config, aws) = (&wiring.config, &wiring.aws);
    let registry = wiring.registry()?;
    let client = Client::new(aws);
    let url = config.need("SEATRIAL_NOTICES_QUEUE_URL")?;
    let queue = SqsQueue::new(client.clone(), url);
    let dead_letters = SqsQueue::new(client.clone(), config.need("SEATRIAL_NOTICES_DEAD_LETTERS_URL")?);
    let postpone = Visibility::new(client, url);
    let ses = config.get("SEATRIAL_MAIL_FROM").map(|from| Ses::new(aws, from));
    let topics = Sns::new(aws.clone());
    let parameters = Ssm::new(aws.clone(), config.need("SEATRIAL_WEBHOOK_PARAMETERS")?);
    let allowed = Allowed::of(
        "NotifyHosts",
        config.get("SEATRIAL_NOTIFY_HOSTS").unwrap_or_default(),
        config.is_emulator(),
    );
    let ports = Ports {
        registry: &registry,
        queue: &queue,
        postpone: &postpone,
        dead_letters: &dead_letters,
        mailer: ses.as_ref().map(|ses| ses as &dyn Mailer),
        topics: &topics,
        parameters: &parameters,
        allowed: &allowed,
        topic: config.get("SEATRIAL_NOTIFY_TOPIC"),
        approvals_url: config.need("SEATRIAL_APPROVALS_URL")?.trim_end_matches('/'),
    };
    seatrial_runtime::run_events(|event| handle(&ports, seatrial_runtime::now, event)).await
}

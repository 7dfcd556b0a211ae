//! `replay`: runs both versions on a sampled request. Started with `--worker`, it is the child process that runs them.

use fn_replay::{Ports, Replayer, worker};
use seatrial_remote::Network;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::queue::SqsQueue;
use seatrial_runtime::wire::Wiring;

fn main() -> Result<(), Error> {
    if std::env::args().nth(1).as_deref() == Some(worker::FLAG) {
        return Ok(worker::serve(std::io::stdin().lock(), std::io::stdout().lock())?);
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let registry = wiring.registry()?;
    let models = wiring.bucket("SEATRIAL_MODELS_BUCKET")?;
    let data = wiring.bucket("SEATRIAL_DATA_BUCKET")?;
    let trust = wiring.trust().await?;
    let queue = SqsQueue::new(
        aws_sdk_sqs::Client::new(&wiring.aws),
        wiring.config.need("SEATRIAL_SHADOW_QUEUE_URL")?,
    );
    let hosts = wiring.config.get("SEATRIAL_REMOTE_HOSTS").unwrap_or_default();
    let stack = wiring.config.need("SEATRIAL_STACK")?;
    let network = Network::of(wiring.aws.clone(), stack, hosts, wiring.config.is_emulator());
    let ports = Ports {
        records: &registry,
        tallies: &registry,
        attempts: &registry,
        watermarks: &registry,
        models: models.as_ref(),
        trust: &trust,
        network: &network,
        data: data.as_ref(),
        queue: &queue,
    };
    let replayer =
        Replayer::new(ports, wiring.config.onnxruntime(), std::env::temp_dir().join("seatrial-versions"));
    seatrial_runtime::run_task(|event| replayer.handle(seatrial_runtime::now, event)).await
}

//! The data plane as the environment configures it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use seatrial_artifacts::store::{S3Store, s3_client};
use seatrial_domain::ids::ModelName;
use seatrial_registry::DynamoRegistry;
use seatrial_runtime::{Config, Failure};

use crate::adapters::{FromRegistry, FromStore, ToSqs};
use crate::app::{App, Mode, Parts};
use crate::journal::{Journal, wrecks};
use crate::versions::Versions;

/// Versions kept loaded unless `SEATRIAL_LOADED_VERSIONS` says otherwise.
const VERSIONS: usize = 16;

/// The data plane that `config` describes.
///
/// # Errors
/// When a value is missing or has a wrong form.
pub fn app(config: &Config, aws: &SdkConfig, mode: Mode) -> Result<Arc<App>, Failure> {
    let folder = folder();
    let capacity = number(config, "SEATRIAL_LOADED_VERSIONS", VERSIONS)?;
    let loader = FromStore {
        store: Arc::new(S3Store::new(s3_client(aws), config.need("SEATRIAL_MODELS_BUCKET")?)),
        folder: folder.join("versions"),
        library: config.onnxruntime(),
    };
    let registry = DynamoRegistry::new(aws_sdk_dynamodb::Client::new(aws), config.table()?);
    let queue = ToSqs { client: sqs(aws, mode), url: config.need("SEATRIAL_OBSERVATIONS_QUEUE_URL")?.to_owned() };
    let markers = folder.join("markers");
    // Read before this process's own journal is opened. Without a folder the data plane serves all the same.
    let wrecks = wrecks(&markers).unwrap_or_else(|error| {
        tracing::warn!(folder = %markers.display(), error = %error, "markers of earlier processes cannot be read");
        Vec::new()
    });
    let journal = Journal::open(&markers)
        .inspect_err(|error| tracing::error!(folder = %markers.display(), error = %error, "markers cannot be written"))
        .ok();
    let parallel = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Ok(App::new(Parts {
        mode,
        heads: Arc::new(FromRegistry(registry)),
        versions: Versions::new(Arc::new(loader), capacity, parallel.max(2)),
        queue: Arc::new(queue),
        journal,
        wrecks,
    }))
}

/// The models that a server loads before anybody asks for them.
///
/// # Errors
/// When a name is none.
pub fn preload(config: &Config) -> Result<Vec<ModelName>, Failure> {
    let names = config.get("SEATRIAL_MODELS").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let parse = |name| ModelName::parse(name).map_err(|why| Failure::invalid(format!("SEATRIAL_MODELS: {why}")));
    names.map(parse).collect()
}

/// The folder of this machine's data planes. In a Lambda it is the environment's own, and outlives its processes.
fn folder() -> PathBuf {
    std::env::temp_dir().join("seatrial-serve")
}

/// A Lambda's caller waits for the queue, so there it has less time.
fn sqs(aws: &SdkConfig, mode: Mode) -> aws_sdk_sqs::Client {
    let seconds = if mode == Mode::Lambda { 3 } else { 20 };
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_secs(seconds)).build();
    aws_sdk_sqs::Client::from_conf(aws_sdk_sqs::config::Builder::from(aws).timeout_config(timeouts).build())
}

fn number(config: &Config, name: &str, default: usize) -> Result<usize, Failure> {
    let Some(text) = config.get(name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Failure::invalid(format!("{name} is {text:?}; expected a whole number from 1")))
}

//! The data plane as the environment configures it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use seatrial_artifacts::package::Trust;
use seatrial_artifacts::store::{S3Store, s3_client};
use seatrial_attestation::KmsSigner;
use seatrial_domain::ids::ModelName;
use seatrial_registry::DynamoRegistry;
use seatrial_remote::Network;
use seatrial_runtime::{Config, Failure};

use crate::adapters::{FromRegistry, FromStore, ToSqs};
use crate::app::{App, Mode, Parts};
use crate::journal::{Journal, wrecks};
use crate::versions::Versions;

/// The environment's name for the key that signs packages.
const SIGNING_KEY: &str = "SEATRIAL_SIGNING_KEY";
/// Versions kept loaded unless `SEATRIAL_LOADED_VERSIONS` says otherwise.
const VERSIONS: usize = 16;

/// The data plane that `config` describes.
///
/// # Errors
/// When a value is missing or has a wrong form, or the signing key's public half cannot be read.
pub async fn app(config: &Config, aws: &SdkConfig, mode: Mode) -> Result<Arc<App>, Failure> {
    let folder = folder()?;
    let capacity = number(config, "SEATRIAL_LOADED_VERSIONS", VERSIONS)?;
    let loader = FromStore {
        store: Arc::new(S3Store::new(s3_client(aws), config.need("SEATRIAL_MODELS_BUCKET")?)),
        trust: trust(config, aws, mode).await?,
        folder: folder.join("versions"),
        library: config.onnxruntime(),
        network: Network::of(
            aws.clone(),
            config.get("SEATRIAL_STACK").unwrap_or_default(),
            config.get("SEATRIAL_REMOTE_HOSTS").unwrap_or_default(),
            config.is_emulator(),
        ),
    };
    loader.prune(capacity);
    let registry = DynamoRegistry::new(aws_sdk_dynamodb::Client::new(aws), config.table()?);
    let queue =
        ToSqs { client: sqs(aws, mode), url: config.need("SEATRIAL_OBSERVATIONS_QUEUE_URL")?.to_owned() };
    let markers = folder.join("markers");
    // Read before this process's own journal is opened. Without a folder the data plane serves all the same.
    let wrecks = wrecks(&markers).unwrap_or_else(|error| {
        tracing::warn!(folder = %markers.display(), error = %error, "markers of earlier processes cannot be read");
        Vec::new()
    });
    let journal = Journal::open(&markers)
        .inspect_err(
            |error| tracing::error!(folder = %markers.display(), error = %error, "markers cannot be written"),
        )
        .ok();
    let parallel = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Ok(App::new(Parts {
        mode,
        heads: Arc::new(FromRegistry(registry)),
        versions: Versions::new(Arc::new(loader), capacity, parallel.max(2)),
        queue: Arc::new(queue),
        journal,
        wrecks,
        preload: preload(config)?,
    }))
}

/// Trust in what the deployment's key signed. Outside of Lambda a data plane may run without rights to the key, and says so.
async fn trust(config: &Config, aws: &SdkConfig, mode: Mode) -> Result<Trust, Failure> {
    let key = match (mode, config.get(SIGNING_KEY)) {
        (Mode::Server, None) => {
            tracing::warn!(
                signature = "not checked",
                "{SIGNING_KEY} is not set: versions are loaded whoever signed them; set it to the deployment's key to load only what Seatrial packaged"
            );
            return Ok(Trust::Unchecked);
        }
        (_, Some(key)) => key,
        (Mode::Lambda, None) => config.need(SIGNING_KEY)?,
    };
    Ok(Trust::of(&KmsSigner::new(aws, key)).await?)
}

fn preload(config: &Config) -> Result<Vec<ModelName>, Failure> {
    let names = config
        .get("SEATRIAL_MODELS")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let parse =
        |name| ModelName::parse(name).map_err(|why| Failure::invalid(format!("SEATRIAL_MODELS: {why}")));
    names.map(parse).collect()
}

/// The folder of this user's data planes on this machine. In a Lambda it is the environment's own, and outlives its
/// processes. What lies in it is run, so it must be ours: `/tmp` is everybody's.
fn folder() -> Result<PathBuf, Failure> {
    let own =
        fs::metadata("/proc/self").map_err(|error| Failure::internal("reading /proc/self", error))?.uid();
    let folder = std::env::temp_dir().join(format!("seatrial-serve-{own}"));
    private(&folder, own)?;
    Ok(folder)
}

fn private(folder: &Path, own: u32) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        Failure::internal(
            &format!("making {} (set TMPDIR to a folder that can be written)", folder.display()),
            error,
        )
    })?;
    let found = fs::symlink_metadata(folder)
        .map_err(|error| Failure::internal("looking at the folder of versions", error))?;
    if found.is_dir() && found.uid() == own && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "{} belongs to somebody else or others may write to it; expected a folder of this user alone. Remove it, or set TMPDIR",
        folder.display()
    )))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_may_write_to_holds_no_versions() {
        let own = fs::metadata("/proc/self").unwrap().uid();
        let parent = crate::testing::folder();
        let folder = parent.join("a");
        assert!(private(&folder, own).is_ok());
        assert!(private(&folder, own).is_ok(), "and is used again");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(private(&folder, own).unwrap_err().message.contains("TMPDIR"));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(private(&folder, own + 1).is_err());
        std::os::unix::fs::symlink(&folder, parent.join("link")).unwrap();
        assert!(private(&parent.join("link"), own).is_err());
    }

    #[test]
    fn names_and_numbers_of_the_environment_are_checked() {
        assert_eq!(preload(&Config::of(&[("SEATRIAL_MODELS", "a, b,")])).unwrap().len(), 2);
        assert!(preload(&Config::of(&[("SEATRIAL_MODELS", "A")])).is_err());
        assert!(
            number(&Config::of(&[("SEATRIAL_LOADED_VERSIONS", "0")]), "SEATRIAL_LOADED_VERSIONS", 16)
                .is_err()
        );
        assert_eq!(number(&Config::default(), "SEATRIAL_LOADED_VERSIONS", 16).unwrap(), 16);
    }
}

//! The running stack, as the end-to-end suite drives it: with the command line, over HTTP, and with AWS's own clients.
//!
//! What goes wrong here fails the test that asked, so these helpers panic and say what they expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli;
mod faults;
mod http;
mod load;
mod mail;
mod model;
mod objects;
mod role;
mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use seatrial_registry::DynamoRegistry;

pub use cli::Ran;
pub use http::{Answer, Browser, attribute, encode};
pub use load::{Load, request};
pub use mail::Mail;
pub use model::Model;
pub use server::Server;

/// The stack that `SEATRIAL_OUTPUTS` describes.
pub struct Stack {
    outputs: BTreeMap<String, String>,
    file: PathBuf,
    cli: PathBuf,
    onnxruntime: PathBuf,
    sdk: SdkConfig,
    http: reqwest::Client,
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// Step Functions.
    pub sfn: aws_sdk_sfn::Client,
    /// DynamoDB.
    pub dynamo: aws_sdk_dynamodb::Client,
    /// The registry on the stack's table.
    pub registry: DynamoRegistry,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the suite is told by its environment where the stack and its programs are"
)]
fn told(name: &str) -> PathBuf {
    let value = std::env::var_os(name).filter(|v| !v.is_empty());
    PathBuf::from(value.unwrap_or_else(|| panic!("{name} is not set: `cargo xtask test` sets it")))
}

impl Stack {
    /// The stack, with clients for all of it.
    pub async fn connect() -> Self {
        let file = told("SEATRIAL_OUTPUTS");
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|e| panic!("{} cannot be read: {e}", file.display()));
        let outputs: BTreeMap<String, String> = serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{} is not the outputs: {e}", file.display()));
        let get = |name: &str| {
            outputs.get(name).cloned().unwrap_or_else(|| panic!("the stack has no output {name}"))
        };
        let endpoint = outputs.get("Endpoint").cloned();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(get("Region")));
        if let Some(endpoint) = &endpoint {
            let own = Credentials::new(get("Account"), "local", None, None, "end-to-end suite");
            loader = loader.endpoint_url(endpoint).credentials_provider(own);
        }
        let sdk = loader.load().await;
        // Buckets are reached by path on an emulator: it has no DNS of its own.
        let s3 = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(endpoint.is_some()).build();
        let dynamo = aws_sdk_dynamodb::Client::new(&sdk);
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::new(&sdk),
            sfn: aws_sdk_sfn::Client::new(&sdk),
            registry: DynamoRegistry::new(dynamo.clone(), get("TableName")),
            dynamo,
            http: http::client(),
            cli: told("SEATRIAL_CLI"),
            onnxruntime: told("ORT_DYLIB_PATH"),
            sdk,
            file,
            outputs,
        }
    }

    /// An output of the stack.
    #[must_use]
    pub fn out(&self, name: &str) -> &str {
        self.outputs.get(name).map(String::as_str).unwrap_or_else(|| panic!("the stack has no output {name}"))
    }

    /// The address of a service's API: the emulator's for all of them, else the one in the stack's region.
    #[must_use]
    pub fn api(&self, service: &str) -> String {
        match self.outputs.get("Endpoint") {
            Some(endpoint) => endpoint.clone(),
            None => format!("https://{service}.{}.amazonaws.com", self.out("Region")),
        }
    }

    /// Who the suite is, as policies name a caller. On an emulator it has the credentials of the account itself.
    #[must_use]
    pub fn principal(&self) -> String {
        let root = || format!("arn:aws:iam::{}:root", self.out("Account"));
        self.outputs.get("Principal").cloned().unwrap_or_else(root)
    }

    /// The port on which the stack expects its OIDC issuer. One test alone may listen there.
    #[must_use]
    pub fn issuer_port(&self) -> u16 {
        let port = told("SEATRIAL_ISSUER_PORT");
        port.to_str().and_then(|p| p.parse().ok()).unwrap_or_else(|| panic!("{} is no port", port.display()))
    }

    /// The file with the outputs.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// A name that no other test and no other run has.
#[must_use]
pub fn unique(what: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!(
        "{what}-{:x}-{:x}",
        now.as_millis() & 0xffff_ffff,
        std::process::id() & 0xffff ^ now.subsec_nanos()
    )
}

/// Looks until there is something to see, four times a second.
pub async fn until<T>(what: &str, patience: u64, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(patience);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience} s in vain for {what}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

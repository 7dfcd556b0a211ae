//! The contract of the registry on the running stack's table.
//!
//! The environment variable `SEATRIAL_OUTPUTS` names the stack's outputs. Each case makes a model of its own, so the suite
//! leaves other models alone and may run beside other suites.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use seatrial_registry::DynamoRegistry;

/// The outputs that this suite needs.
#[derive(serde::Deserialize)]
struct Outputs {
    #[serde(rename = "TableName")]
    table: String,
    #[serde(rename = "Endpoint", alias = "endpoint")]
    endpoint: String,
    #[serde(rename = "Region", alias = "region")]
    region: String,
}

async fn registry() -> DynamoRegistry {
    #[expect(clippy::disallowed_methods, reason = "a suite is told by its environment where the stack is")]
    let path = std::env::var("SEATRIAL_OUTPUTS")
        .expect("SEATRIAL_OUTPUTS names the outputs of `cargo xtask local up`");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path} cannot be read: {e}"));
    let outputs: Outputs =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path} is not the outputs: {e}"));
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(outputs.endpoint)
        .region(Region::new(outputs.region))
        .credentials_provider(Credentials::new("000000000000", "any", None, None, "tests"))
        .retry_config(RetryConfig::standard())
        .build();
    DynamoRegistry::new(aws_sdk_dynamodb::Client::from_conf(config), outputs.table)
}

seatrial_registry::contract_tests!(registry());

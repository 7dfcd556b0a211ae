//! For tests of whoever uses remote versions.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::Network;

/// AWS at an address of this machine.
#[must_use]
pub fn aws_at(base: &str) -> SdkConfig {
    let credentials = Credentials::new("k", "s", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(base)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// A network that leads nowhere: no host is allowed, and AWS does not answer.
#[must_use]
pub fn nowhere() -> Network {
    Network::of(aws_at("http://127.0.0.1:9"), "", false)
}

/// A network in which AWS, and every address of this machine, may be asked.
#[must_use]
pub fn local(base: &str) -> Network {
    Network::of(aws_at(base), "", true)
}

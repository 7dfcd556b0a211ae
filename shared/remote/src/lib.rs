//! Runs versions that serve elsewhere, behind the same port as those in process ([`seatrial_inference::Runner`]).
//!
//! A remote version is a reference that cannot come to mean another: a published version of a Lambda function, a server's image by its
//! digest, a version of a model package behind a SageMaker endpoint. Its bytes are never seen here, so it is *not byte-verified*; what
//! the service says of itself is compared with the reference before it is used ([`Network::connect`]), and a change refuses it.
//!
//! Everything is bounded: a call by the version's own timeout, a request and an answer in size, the hosts and ARNs by the deployment.
//! A call is made again only where the service said that it did not run it, and once.

mod failure;
mod function;
mod line;
mod model;
mod network;
mod role;
mod sagemaker;
mod server;

pub use failure::RemoteError;
pub use model::RemoteModel;
pub use network::{Identity, Network};

#[cfg(any(test, feature = "contract"))]
pub mod testing;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::failure::CallFailed;

/// How bytes get to a version and back.
#[async_trait]
pub(crate) trait Transport: Send + Sync + std::fmt::Debug {
    /// Asks once, without a limit of time of its own.
    async fn call(&self, body: String) -> Result<Bytes, CallFailed>;
    /// What the service says of what runs there.
    async fn identity(&self) -> Result<Identity, RemoteError>;
}

/// The longest that a service is asked what it is.
pub(crate) const IDENTITY_LIMIT: Duration = Duration::from_secs(10);

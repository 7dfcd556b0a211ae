//! What splits a model's traffic, behind one port.
//!
//! The registry's route says what is wanted. A [`TrafficTarget`] is looked at and driven there: servers that read the route
//! ([`OurRoute`], which have nothing to be driven to), an alias of a Lambda function, the variants of a SageMaker endpoint, or a hook of the
//! owner's for anything else. [`OwnTargets`] reaches those that a policy names, with the deployment's rights or with a role of the owner's.

#[cfg(feature = "contract")]
pub mod contract;
mod hook;
mod lambda;
#[cfg(feature = "contract")]
pub mod memory;
mod open;
mod refusal;
mod route;
mod sagemaker;

use async_trait::async_trait;
use seatrial_domain::ModelName;
use seatrial_domain::policy::Target;
use seatrial_domain::target::{Actual, Desired};

pub use hook::Hook;
pub use lambda::AliasOf;
pub use open::OwnTargets;
pub use route::OurRoute;
pub use sagemaker::Endpoint;

/// Why a target was not seen, or not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    /// Not now: it is to be tried again.
    #[error("{0}")]
    Pending(String),
    /// Not as things are: somebody has to change something.
    #[error("{0}")]
    Refused(String),
}

/// Something that splits a model's traffic.
#[async_trait]
pub trait TrafficTarget: Send + Sync {
    /// What it does at this moment.
    ///
    /// # Errors
    /// [`Hindrance`], by what can be done about it.
    async fn observe(&self) -> Result<Actual, Hindrance>;

    /// Moves it from `seen`, what it was last observed to do, to `wanted`: that and nothing else. Once it returns, what is wanted is
    /// accepted; whether it holds already, [`TrafficTarget::observe`] says.
    ///
    /// # Errors
    /// [`Hindrance`]; then it is where it was.
    async fn drive(&self, wanted: &Desired, seen: &Actual) -> Result<(), Hindrance>;
}

/// Reaches the targets that policies name.
#[async_trait]
pub trait Targets: Send + Sync {
    /// The target of a model.
    ///
    /// # Errors
    /// [`Hindrance`], where it may not or cannot be reached.
    async fn open(&self, model: &ModelName, target: &Target) -> Result<Box<dyn TrafficTarget>, Hindrance>;
}

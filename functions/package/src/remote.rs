//! A version that runs elsewhere: whether what it names is there, and what it was pinned as.

use seatrial_artifacts::Defect;
use seatrial_domain::ModelName;
use seatrial_domain::package::PackageSummary;
use seatrial_inference::ModelConfig;
use seatrial_remote::{Identity, Network, RemoteError};
use seatrial_runtime::Failure;

/// What the service says of itself; nothing of a version in the package. A service that says something else is a defect.
pub(crate) async fn identity(
    network: &Network,
    model: &ModelName,
    config: &ModelConfig,
) -> Result<Result<Option<Identity>, Defect>, Failure> {
    if config.remote.is_none() {
        return Ok(Ok(None));
    }
    match network.identity(model.as_str(), config).await {
        Ok(identity) => Ok(Ok(Some(identity))),
        Err(RemoteError::Unavailable(why)) => Err(Failure::unavailable("looking at a remote version", why)),
        Err(refused) => {
            let expected = "a place that the deployment may reach, and that runs what the reference names";
            Ok(Err(Defect::new("config.yaml", refused.to_string(), expected).at("remote")))
        }
    }
}

/// Notes what was said. It is no part of the package: the same reference has the same digest, whoever was asked when.
pub(crate) fn noted(summary: &mut PackageSummary, found: Option<Identity>) {
    if let (Some(remote), Some(found)) = (&mut summary.remote, found) {
        remote.identity_checked = found.checked;
        remote.identity = found.why;
    }
}

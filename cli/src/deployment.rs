//! Which deployment the command talks to: a flat file of the stack's outputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;

use crate::failure::Failure;

/// The file that `seatrial connect` writes.
pub const FILE: &str = ".seatrial.json";

/// The file that the local stack writes.
const LOCAL: &str = "target/local/outputs.json";

/// The outputs of a stack, and how to reach it.
#[derive(Debug, Clone)]
pub struct Deployment(BTreeMap<String, String>);

impl Deployment {
    /// Reads the deployment's file: the one that is named, else `.seatrial.json`, else the local stack's.
    ///
    /// # Errors
    /// When there is none, or it is not such a file.
    pub fn find(named: Option<&Path>) -> Result<Self, Failure> {
        let candidates: Vec<PathBuf> = match named {
            Some(path) => vec![path.to_owned()],
            None => vec![PathBuf::from(FILE), PathBuf::from(LOCAL)],
        };
        let Some(path) = candidates.iter().find(|p| p.is_file()) else {
            let looked = candidates.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" and ");
            return Err(Failure::invalid(format!(
                "no deployment is known (looked for {looked}): `seatrial connect --stack NAME` in an account, or `cargo xtask local up` on this machine"
            )));
        };
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::invalid(format!("cannot read {}: {e}", path.display())))?;
        let outputs = serde_json::from_str(&text)
            .map_err(|e| Failure::invalid(format!("{} is not a deployment's file: {e}", path.display())))?;
        Ok(Self(outputs))
    }

    /// An output that must be there.
    ///
    /// # Errors
    /// When the deployment lacks it.
    pub fn need(&self, name: &str) -> Result<&str, Failure> {
        self.0.get(name).map(String::as_str).ok_or_else(|| {
            Failure::invalid(format!(
                "the deployment's file has no {name}: run `seatrial connect` again, or `cargo xtask local up`"
            ))
        })
    }

    /// An output that may be missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The SDK's configuration: in an account from the usual places; on a local engine its endpoint and fixed credentials.
    pub async fn aws(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = self.get("Region") {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let (Some(endpoint), Some(account)) = (self.get("Endpoint"), self.get("Account")) {
            loader = loader.endpoint_url(endpoint).credentials_provider(Credentials::new(
                account,
                "local",
                None,
                None,
                "local engine",
            ));
        }
        loader.load().await
    }
}

//! What the deployment lets remote versions reach, and getting there.

use std::path::Path;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use seatrial_inference::{ModelConfig, Place, Remote, RemoteConfig};
use seatrial_outbound::{Allowed, aws};
use tokio::sync::Mutex;

use crate::function::Function;
use crate::line::{self, Line};
use crate::role::OwnersRole;
use crate::sagemaker::Endpoint;
use crate::server::Server;
use crate::{RemoteError, RemoteModel, Transport};

/// The largest answer that is read, in bytes.
pub(crate) const LARGEST_ANSWER: usize = seatrial_inference::LARGEST;

/// What a service says of what runs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whether the service itself says that it is what the reference names. Else the reference is its owner's word.
    pub checked: bool,
    /// What was found, in one sentence.
    pub why: String,
}

impl Identity {
    /// That `found` is what was pinned.
    ///
    /// # Errors
    /// [`RemoteError::Refused`] when it is another.
    pub(crate) fn same(what: &str, part: &str, pinned: &str, found: &str) -> Result<Self, RemoteError> {
        if pinned == found {
            return Ok(Self { checked: true, why: format!("{what} says that {part} is {found}") });
        }
        Err(RemoteError::Refused(format!(
            "{what} is not what was pinned: {part} is {found}, expected {pinned}. Restore it, or submit a version that names what runs there now"
        )))
    }

    pub(crate) fn said(why: &str) -> Self {
        Self { checked: false, why: format!("{why}: the reference is its owner's word") }
    }
}

/// The way out: as whom, and to which hosts.
#[derive(Debug, Clone)]
pub struct Network {
    aws: SdkConfig,
    stack: String,
    allowed: Allowed,
}

impl Network {
    /// A network with these rights, of the deployment of this name. What AWS's services may be asked is the role's to say; addresses are allowed here.
    #[must_use]
    pub fn new(aws: SdkConfig, stack: &str, allowed: Allowed) -> Self {
        Self { aws, stack: stack.to_owned(), allowed }
    }

    /// The network of a deployment: `hosts` are those of its parameter `RemoteHosts`, separated by commas; `local` says whether it is an
    /// emulator's, where http://127.0.0.1 is allowed too.
    #[must_use]
    pub fn of(aws: SdkConfig, stack: &str, hosts: &str, local: bool) -> Self {
        Self::new(aws, stack, Allowed::of("RemoteHosts", hosts, local))
    }

    /// The version that `config` describes, once it is what it was pinned as. `model` is part of the external id that an owner's role
    /// can ask for: nobody else's model gets to use it.
    ///
    /// # Errors
    /// [`RemoteError`], by whether trying again may help.
    pub async fn connect(&self, model: &str, config: &ModelConfig) -> Result<RemoteModel, RemoteError> {
        let protocol = Remote::new(config)?;
        let remote = described(config)?;
        // Taking a role is a large future, which nobody who calls this should carry.
        let transport = Box::pin(self.transport(model, remote)).await?;
        let line = Line::open(transport, Duration::from_millis(remote.timeout_ms.into()))?;
        let identity = line.identity().await?;
        Ok(RemoteModel { protocol, identity, line })
    }

    /// The version whose files lie in `folder`, where it runs elsewhere; none where the folder holds its graph, or cannot be read:
    /// whoever loads that says why.
    ///
    /// # Errors
    /// As [`Network::connect`].
    pub async fn connect_folder(
        &self,
        model: &str,
        folder: &Path,
    ) -> Result<Option<RemoteModel>, RemoteError> {
        let text = tokio::fs::read_to_string(folder.join("config.yaml")).await.ok();
        match text.and_then(|text| ModelConfig::from_yaml(&text).ok()).filter(|c| c.remote.is_some()) {
            Some(config) => self.connect(model, &config).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether what `config` names is there and what it was pinned as.
    ///
    /// # Errors
    /// As [`Network::connect`].
    pub async fn identity(&self, model: &str, config: &ModelConfig) -> Result<Identity, RemoteError> {
        let transport = Box::pin(self.transport(model, described(config)?)).await?;
        line::identity(transport.as_ref()).await
    }

    async fn transport(&self, model: &str, remote: &RemoteConfig) -> Result<Box<dyn Transport>, RemoteError> {
        let client = || aws::client().map_err(|e| RemoteError::of("the network", e));
        Ok(match &remote.place {
            Place::Lambda { function, code_sha256 } => Box::new(Function {
                aws: self.as_whom(model, remote).await?,
                client: client()?,
                arn: function.clone(),
                code_sha256: code_sha256.clone(),
            }),
            Place::Http { url, image } => Box::new(Server {
                allowed: self.allowed.clone(),
                url: url.clone(),
                image: image.clone(),
                kept: Mutex::new(None),
            }),
            Place::Sagemaker { endpoint, variant, model_package } => Box::new(Endpoint {
                aws: self.as_whom(model, remote).await?,
                client: client()?,
                name: endpoint.rsplit('/').next().unwrap_or_default().to_owned(),
                variant: variant.clone(),
                model_package: model_package.clone(),
            }),
        })
    }

    /// The rights to call with: the deployment's, or those of the owner's role, in the region that the ARN names.
    async fn as_whom(&self, model: &str, remote: &RemoteConfig) -> Result<SdkConfig, RemoteError> {
        let mut builder = self.aws.clone().into_builder();
        if let Some(region) = remote.region() {
            builder = builder.region(Region::new(region.to_owned()));
        }
        let config = builder.build();
        let Some(role) = &remote.role else { return Ok(config) };
        if self.stack.is_empty() {
            return Err(RemoteError::Refused(format!(
                "{role} is taken with an external id that begins with the deployment's name, and this process has none: set SEATRIAL_STACK"
            )));
        }
        let provider = OwnersRole::of(role, aws::external_id(&self.stack, model), &config).await;
        Ok(config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build())
    }
}

fn described(config: &ModelConfig) -> Result<&RemoteConfig, RemoteError> {
    let none = || RemoteError::Refused("the version has no `remote` in its config.yaml".into());
    config.remote.as_ref().ok_or_else(none)
}

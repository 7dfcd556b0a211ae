//! Reaching what a policy names: with the deployment's rights, or with a role that the owner supplied.

use async_trait::async_trait;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::policy::Target;
use seatrial_outbound::{Allowed, CallError, NoSecret, aws, parameter};

use crate::{AliasOf, Endpoint, Hindrance, Hook, Targets, TrafficTarget};

/// The targets that policies name.
#[derive(Debug, Clone)]
pub struct OwnTargets {
    /// The function's own credentials.
    pub aws: SdkConfig,
    /// The deployment's name. With the model's it is the external id by which roles are assumed.
    pub stack: String,
    /// What the names of the parameters with hooks' keys begin with.
    pub parameters: String,
    /// What hooks may reach.
    pub allowed: Allowed,
    /// The time.
    pub clock: fn() -> Timestamp,
}

impl OwnTargets {
    /// The credentials for a target: those of its role, where it has one.
    async fn credentials(&self, model: &ModelName, target: &Target) -> Result<SdkConfig, Hindrance> {
        let Some(role) = target.role() else { return Ok(self.aws.clone()) };
        let external_id = aws::external_id(&self.stack, model.as_str());
        let provider = AssumeRoleProvider::builder(role)
            .configure(&self.aws)
            .session_name("seatrial-reconcile")
            .external_id(external_id.clone())
            .build_from_provider(self.own()?)
            .await;
        let why =
            |text| format!("the role {role} cannot be assumed with the external id {external_id} ({text})");
        let assumed = provider.provide_credentials().await.map_err(|e| match aws::no_credentials(&e) {
            CallError::NotAllowed(text) => Hindrance::Refused(format!(
                "{}; its trust policy must name the role of `reconcile` and this external id, and the deployment's parameter \
                 TargetRoles must name it",
                why(text)
            )),
            CallError::NoAnswer(text) => Hindrance::Pending(why(text)),
        })?;
        Ok(self.aws.to_builder().credentials_provider(SharedCredentialsProvider::new(assumed)).build())
    }

    fn own(&self) -> Result<SharedCredentialsProvider, Hindrance> {
        self.aws
            .credentials_provider()
            .ok_or_else(|| Hindrance::Refused("no AWS credentials are set up".into()))
    }
}

#[async_trait]
impl Targets for OwnTargets {
    async fn open(&self, model: &ModelName, target: &Target) -> Result<Box<dyn TrafficTarget>, Hindrance> {
        let model = model.clone();
        Ok(match target {
            Target::LambdaAlias(alias) => {
                let mut aws = self.credentials(&model, target).await?;
                // arn:aws:lambda:<region>:…
                if let Some(region) = alias.function.split(':').nth(3) {
                    aws = aws.to_builder().region(Region::new(region.to_owned())).build();
                }
                Box::new(AliasOf::new(aws, model, alias.clone()))
            }
            Target::SagemakerEndpoint(endpoint) => {
                Box::new(Endpoint::new(self.credentials(&model, target).await?, model, endpoint.clone()))
            }
            Target::Http(hook) => {
                let name = format!("{}/{model}/key", self.parameters.trim_end_matches('/'));
                let key = parameter(&self.aws, &name).await.map_err(|e| match e {
                    NoSecret::Missing { .. } => Hindrance::Refused(format!(
                        "{e}; put the key there that the hook's calls are signed with"
                    )),
                    NoSecret::Refused(why) => Hindrance::Refused(why),
                    NoSecret::Unavailable(why) => Hindrance::Pending(why),
                })?;
                Box::new(Hook::new(self.allowed.clone(), model, hook.clone(), key, self.clock))
            }
        })
    }
}

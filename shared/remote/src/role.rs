//! The rights of an owner's role, kept until they end.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::sync::Mutex;

/// How long before their end rights are no longer used.
const EARLY: Duration = Duration::from_secs(120);

/// The role of a model's owner. The provider it asks asks STS each time; a call for each prediction would be one too many.
#[derive(Debug)]
pub(crate) struct OwnersRole {
    provider: AssumeRoleProvider,
    kept: Mutex<Option<Credentials>>,
}

impl OwnersRole {
    /// The role, taken with the rights of `config`.
    pub(crate) async fn of(role: &str, external_id: String, config: &SdkConfig) -> Self {
        let provider = AssumeRoleProvider::builder(role).external_id(external_id);
        let provider = provider.session_name("seatrial").configure(config).build().await;
        Self { provider, kept: Mutex::new(None) }
    }

    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        let good = |c: &&Credentials| c.expiry().is_some_and(|end| end > SystemTime::now() + EARLY);
        if let Some(known) = kept.as_ref().filter(good) {
            return Ok(known.clone());
        }
        let taken = self.provider.provide_credentials().await?;
        *kept = Some(taken.clone());
        Ok(taken)
    }
}

impl ProvideCredentials for OwnersRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

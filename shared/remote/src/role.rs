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

/// Which role was not given, and how it was asked for: STS says neither.
#[derive(Debug, thiserror::Error)]
#[error("the role {role} is not taken with the external id {external_id}")]
struct NotTaken {
    role: String,
    external_id: String,
    source: CredentialsError,
}

/// The role of a model's owner. The provider it asks asks STS each time; a call for each prediction would be one too many.
#[derive(Debug)]
pub(crate) struct OwnersRole {
    role: String,
    external_id: String,
    provider: AssumeRoleProvider,
    kept: Mutex<Option<Credentials>>,
}

impl OwnersRole {
    /// The role, taken with the rights of `config`.
    pub(crate) async fn of(role: &str, external_id: String, config: &SdkConfig) -> Self {
        let provider = AssumeRoleProvider::builder(role).external_id(external_id.clone());
        let provider = provider.session_name("seatrial").configure(config).build().await;
        Self { role: role.to_owned(), external_id, provider, kept: Mutex::new(None) }
    }

    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        let good = |c: &&Credentials| c.expiry().is_some_and(|end| end > SystemTime::now() + EARLY);
        if let Some(known) = kept.as_ref().filter(good) {
            return Ok(known.clone());
        }
        let taken = self.provider.provide_credentials().await.map_err(|source| {
            let (role, external_id) = (self.role.clone(), self.external_id.clone());
            CredentialsError::provider_error(NotTaken { role, external_id, source })
        })?;
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

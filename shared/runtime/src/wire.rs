//! Wiring: the real ports of a function, made once at cold start.

use std::sync::Arc;

use aws_config::SdkConfig;
use seatrial_artifacts::package::{SignVersionError, Trust};
use seatrial_artifacts::store::{DeletingStore, ObjectStore, S3Buckets, S3Store, s3_client};
use seatrial_attestation::kms::KmsSigner;
use seatrial_attestation::model_signing::SigningError;
use seatrial_attestation::signer::SignError;
use seatrial_domain::artifact::Readable;
use seatrial_registry::{CommitError, DynamoRegistry, OpError, StoreError};

use crate::config::{self, Config};
use crate::failure::Failure;

/// What a function is made of.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// The environment.
    pub config: Config,
    /// The SDK's configuration.
    pub aws: SdkConfig,
}

impl Wiring {
    /// Reads the environment and sets up logs. First thing in `main`.
    pub async fn start() -> Self {
        let config = Config::from_env();
        crate::init_logs(&config);
        Self { config, aws: config::aws().await }
    }

    /// The registry on the table the environment names.
    ///
    /// # Errors
    /// When the environment does not name it.
    pub fn registry(&self) -> Result<DynamoRegistry, Failure> {
        Ok(DynamoRegistry::new(aws_sdk_dynamodb::Client::new(&self.aws), self.config.table()?))
    }

    /// The bucket that the environment names under `name`.
    ///
    /// # Errors
    /// When the environment does not name it.
    pub fn bucket(&self, name: &str) -> Result<Arc<dyn ObjectStore>, Failure> {
        let client = s3_client(&self.aws);
        Ok(Arc::new(S3Store::new(client, self.config.need(name)?)))
    }

    /// A bucket of that name that objects may be taken out of.
    ///
    /// # Errors
    /// When the environment does not name it.
    pub fn deleting_bucket(&self, name: &str) -> Result<Arc<dyn DeletingStore>, Failure> {
        let client = s3_client(&self.aws);
        Ok(Arc::new(S3Store::new(client, self.config.need(name)?)))
    }

    /// Buckets that events name.
    #[must_use]
    pub fn buckets(&self) -> S3Buckets {
        S3Buckets::new(s3_client(&self.aws))
    }

    /// Which artifacts of training the deployment may read.
    ///
    /// # Errors
    /// When the environment names them in another form.
    pub fn readable(&self) -> Result<Readable, Failure> {
        let patterns = self.config.list("SEATRIAL_TRAINING_ARTIFACTS");
        let wrong = |why| Failure::invalid(format!("SEATRIAL_TRAINING_ARTIFACTS: {why}"));
        Readable::parse(patterns.iter().map(String::as_str)).map_err(wrong)
    }

    /// The key that signs packages and evidence.
    ///
    /// # Errors
    /// When the environment does not name it.
    pub fn signer(&self) -> Result<KmsSigner, Failure> {
        Ok(KmsSigner::new(&self.aws, self.config.need("SEATRIAL_SIGNING_KEY")?))
    }

    /// Trust in packages that the deployment's key signed. Asks for its public half, so once at cold start.
    ///
    /// # Errors
    /// When the environment does not name the key, or its public half cannot be read.
    pub async fn trust(&self) -> Result<Trust, Failure> {
        Ok(Trust::of(&self.signer()?).await?)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable { .. } => Self::unavailable("reading or writing the registry", error),
            StoreError::Corrupt { .. } => Self::internal("reading the registry", error),
        }
    }
}

impl From<OpError> for Failure {
    fn from(error: OpError) -> Self {
        match error {
            OpError::Refused(refusal) => refusal.into(),
            OpError::Store(error) => error.into(),
            OpError::Contended { .. } => Self::unavailable("changing the model", error),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Refused(refusal) => refusal.into(),
            CommitError::Store(error) => error.into(),
            CommitError::Conflict { .. } => Self::unavailable("changing the model", error),
            CommitError::Claimed { .. } => Self::invalid(error.to_string()),
        }
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        match &error {
            SignError::Unavailable { .. } => Self::unavailable("working with the signing key", error),
            SignError::Unusable { .. } => {
                Self::internal(&format!("working with the signing key ({error})"), error)
            }
        }
    }
}

impl From<seatrial_artifacts::store::StoreError> for Failure {
    fn from(error: seatrial_artifacts::store::StoreError) -> Self {
        if error.is_transient() {
            Self::unavailable("reading or writing an object", error)
        } else {
            Self::internal(&format!("working with an object ({error})"), error)
        }
    }
}

impl From<seatrial_artifacts::package::ReadError> for Failure {
    fn from(error: seatrial_artifacts::package::ReadError) -> Self {
        if error.is_transient() {
            Self::unavailable("reading an object", error)
        } else {
            Self::internal(&format!("reading an object ({error})"), error)
        }
    }
}

impl From<SignVersionError> for Failure {
    fn from(error: SignVersionError) -> Self {
        match error {
            SignVersionError::Read(error) => error.into(),
            SignVersionError::Signing(SigningError::Signer(error)) => error.into(),
            SignVersionError::Signing(error @ SigningError::Files(_)) => {
                Self::internal(&format!("signing a package ({error})"), error)
            }
        }
    }
}

//! Is the execution of a promotion still alive?

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::DisplayErrorContext;
use aws_sdk_sfn::types::ExecutionStatus;
use seatrial_runtime::Failure;

/// How an execution stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Alive,
    /// It ended, or is not known any more; with the word for it.
    Dead(String),
}

/// Asks about executions.
#[async_trait]
pub trait Executions: Send + Sync {
    /// How the execution with this ARN stands.
    ///
    /// # Errors
    /// When nobody answers: then nothing is concluded.
    async fn standing(&self, arn: &str) -> Result<Standing, Failure>;
}

/// Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctions(Client);

impl StepFunctions {
    /// Asks through this client.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl Executions for StepFunctions {
    async fn standing(&self, arn: &str) -> Result<Standing, Failure> {
        match self.0.describe_execution().execution_arn(arn).send().await {
            Ok(found) => Ok(match found.status() {
                ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Standing::Alive,
                ended => Standing::Dead(ended.as_str().to_owned()),
            }),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_execution_does_not_exist()) => {
                Ok(Standing::Dead("not known to Step Functions".into()))
            }
            Err(e) => Err(Failure::unavailable("asking Step Functions", DisplayErrorContext(&e).to_string())),
        }
    }
}

//! Starting the promotion state machine, once per promotion.

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::DisplayErrorContext;
use aws_sdk_sfn::types::ExecutionStatus;
use seatrial_domain::PromotionId;
use seatrial_domain::task::PromotionInput;
use seatrial_runtime::Failure;

/// What starting a promotion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// An execution of this name runs: by this call, or by one just before it.
    Runs,
    /// An execution of this name ended, and the name is used up: Step Functions keeps names for ninety days.
    UsedUp,
}

/// How far the execution of a promotion is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Execution {
    /// There is none of this name.
    Missing,
    /// It runs.
    Runs,
    /// It ended well.
    Succeeded,
    /// It ended otherwise.
    Failed {
        /// Why, as the state machine says it; empty where it was stopped without a word.
        cause: String,
    },
}

/// Starts promotions.
#[async_trait]
pub trait Starter: Send + Sync {
    /// Starts the execution named as the promotion.
    ///
    /// # Errors
    /// When Step Functions does not answer.
    async fn start(&self, input: &PromotionInput) -> Result<Start, Failure>;
    /// How far the execution named as the promotion is.
    ///
    /// # Errors
    /// When Step Functions does not answer.
    async fn execution(&self, promotion: &PromotionId) -> Result<Execution, Failure>;
}

/// Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: Client,
    machine: String,
}

impl StepFunctions {
    /// Starts executions of this state machine.
    #[must_use]
    pub fn new(client: Client, machine: &str) -> Self {
        Self { client, machine: machine.to_owned() }
    }
}

#[async_trait]
impl Starter for StepFunctions {
    async fn start(&self, input: &PromotionInput) -> Result<Start, Failure> {
        let text = serde_json::to_string(input)
            .map_err(|e| Failure::internal("writing the promotion's input", e))?;
        let started = self
            .client
            .start_execution()
            .state_machine_arn(&self.machine)
            .name(input.promotion.as_str())
            .input(text)
            .send()
            .await;
        match started {
            Ok(_) => Ok(Start::Runs),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_execution_already_exists()) => {
                let running = self.execution(&input.promotion).await? == Execution::Runs;
                Ok(if running { Start::Runs } else { Start::UsedUp })
            }
            Err(e) => {
                Err(Failure::unavailable("starting the promotion", DisplayErrorContext(&e).to_string()))
            }
        }
    }
    async fn execution(&self, promotion: &PromotionId) -> Result<Execution, Failure> {
        let arn = format!("{}:{promotion}", self.machine.replacen(":stateMachine:", ":execution:", 1));
        let found = match self.client.describe_execution().execution_arn(arn).send().await {
            Ok(found) => found,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_execution_does_not_exist()) => {
                return Ok(Execution::Missing);
            }
            Err(e) => {
                let why = DisplayErrorContext(&e).to_string();
                return Err(Failure::unavailable("looking at the promotion's execution", why));
            }
        };
        Ok(match found.status() {
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Execution::Runs,
            ExecutionStatus::Succeeded => Execution::Succeeded,
            _ => Execution::Failed { cause: found.cause().unwrap_or_default().to_owned() },
        })
    }
}

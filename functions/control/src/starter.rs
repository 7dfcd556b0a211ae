//! Starting the promotion state machine, once per promotion.

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::DisplayErrorContext;
use seatrial_domain::task::PromotionInput;
use seatrial_runtime::Failure;

/// Starts promotions.
#[async_trait]
pub trait Starter: Send + Sync {
    /// Starts the execution named as the promotion; whether this call started it (else it was started before).
    ///
    /// # Errors
    /// When Step Functions does not answer.
    async fn start(&self, input: &PromotionInput) -> Result<bool, Failure>;
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
    async fn start(&self, input: &PromotionInput) -> Result<bool, Failure> {
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
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_execution_already_exists()) => Ok(false),
            Err(e) => {
                Err(Failure::unavailable("starting the promotion", DisplayErrorContext(&e).to_string()))
            }
        }
    }
}

//! Answering task tokens.

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::send_task_success::SendTaskSuccessError;
use seatrial_domain::task::GateAnswer;
use seatrial_registry::TaskToken;

/// Why a token was not answered.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// No execution waits for this token: it was answered already, its task timed out, or its execution ended. Trying again
    /// does not help.
    #[error("no execution waits for the token: {why}")]
    NobodyWaits {
        /// Step Functions' own word for it, for example `TaskTimedOut`. Never the token.
        why: &'static str,
    },
    /// Step Functions did not take the answer. Trying again may help.
    #[error("Step Functions did not take the answer")]
    Unavailable {
        /// Why. The SDK's errors name the service's answer and never the request.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Tells waiting executions how to go on.
#[async_trait]
pub trait Callbacks: Send + Sync {
    /// Answers a token.
    ///
    /// # Errors
    /// [`CallbackError`], by what can be done about it.
    async fn succeed(&self, token: &TaskToken, answer: &GateAnswer) -> Result<(), CallbackError>;
}

/// Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctions(Client);

impl StepFunctions {
    /// Answers through a client of this configuration.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self(Client::new(config))
    }
}

#[async_trait]
impl Callbacks for StepFunctions {
    async fn succeed(&self, token: &TaskToken, answer: &GateAnswer) -> Result<(), CallbackError> {
        let output =
            serde_json::to_string(answer).map_err(|e| CallbackError::Unavailable { source: Box::new(e) })?;
        let sent = self.0.send_task_success().task_token(token.expose()).output(output).send().await;
        sent.map(|_| ()).map_err(|e| match e.as_service_error().and_then(nobody_waits) {
            Some(why) => CallbackError::NobodyWaits { why },
            None => CallbackError::Unavailable { source: Box::new(e) },
        })
    }
}

fn nobody_waits(error: &SendTaskSuccessError) -> Option<&'static str> {
    match error {
        SendTaskSuccessError::TaskTimedOut(_) => Some("TaskTimedOut"),
        SendTaskSuccessError::TaskDoesNotExist(_) => Some("TaskDoesNotExist"),
        SendTaskSuccessError::InvalidToken(_) => Some("InvalidToken"),
        _ => None,
    }
}

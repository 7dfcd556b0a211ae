//! The function that attests, as `sweep` asks it: only that one may sign.

use async_trait::async_trait;
use aws_config::SdkConfig;
use seatrial_domain::task::{AttestAnswer, AttestTask};
use seatrial_outbound::aws;
use seatrial_runtime::Failure;

/// The largest answer, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// Somebody who attests.
#[async_trait]
pub trait Attesting: Send + Sync {
    /// Has one task of `attest` carried out.
    ///
    /// # Errors
    /// When it was not.
    async fn attest(&self, task: &AttestTask) -> Result<AttestAnswer, Failure>;
}

/// The Lambda function.
#[derive(Debug, Clone)]
pub struct LambdaAttesting {
    aws: SdkConfig,
    function: String,
}

impl LambdaAttesting {
    /// The function of that name (with its alias).
    #[must_use]
    pub fn new(aws: SdkConfig, function: &str) -> Self {
        Self { aws, function: function.to_owned() }
    }
}

#[async_trait]
impl Attesting for LambdaAttesting {
    async fn attest(&self, task: &AttestTask) -> Result<AttestAnswer, Failure> {
        let failed = |why: String| Failure::unavailable("attesting", why);
        let task = serde_json::to_string(task).map_err(|e| failed(e.to_string()))?;
        let answer = aws::invoke(&self.aws, &self.function, &task, ANSWER_LIMIT).await.map_err(failed)?;
        serde_json::from_slice(&answer).map_err(|e| failed(format!("its answer cannot be read: {e}")))
    }
}

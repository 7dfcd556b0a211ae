//! The function that answers task tokens, as `sweep` asks it: only `gate` and that one may know them.

use async_trait::async_trait;
use aws_config::SdkConfig;
use fn_answer::BatchResponse;
use seatrial_domain::GateId;
use seatrial_outbound::aws;
use seatrial_runtime::Failure;

/// The largest answer, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// Somebody who tells executions how their gates were decided.
#[async_trait]
pub trait Answering: Send + Sync {
    /// Has the execution that waits for a decided gate told, if one still does.
    ///
    /// # Errors
    /// When it could not be told.
    async fn answer(&self, gate: &GateId) -> Result<(), Failure>;
}

/// The Lambda function.
#[derive(Debug, Clone)]
pub struct LambdaAnswering {
    aws: SdkConfig,
    function: String,
}

impl LambdaAnswering {
    /// The function of that name (with its alias).
    #[must_use]
    pub fn new(aws: SdkConfig, function: &str) -> Self {
        Self { aws, function: function.to_owned() }
    }
}

#[async_trait]
impl Answering for LambdaAnswering {
    async fn answer(&self, gate: &GateId) -> Result<(), Failure> {
        let failed = |why: String| Failure::unavailable(&format!("answering gate {gate}"), why);
        let asked = fn_answer::again(gate).to_string();
        let answer = aws::invoke(&self.aws, &self.function, &asked, ANSWER_LIMIT).await.map_err(failed)?;
        let left: BatchResponse = serde_json::from_slice(&answer)
            .map_err(|e| failed(format!("the answer of `answer` cannot be read: {e}")))?;
        if left.batch_item_failures.is_empty() {
            return Ok(());
        }
        Err(failed("Step Functions or the registry did not take it; the log of `answer` says why".to_owned()))
    }
}

//! Starts executions of the promotion state machine, each name once.

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::DisplayErrorContext;
use seatrial_domain::artifact::{ArtifactRef, Lineage};
use seatrial_domain::ids::Actor;
use seatrial_domain::task::PromotionInput;
use seatrial_runtime::Failure;

/// Starts promotions.
#[async_trait]
pub trait Starter: Send + Sync {
    /// Starts the execution `name` with `input`. `false` when it was started already, for the same thing ([`same_request`]).
    ///
    /// # Errors
    /// When the name stands for another input, or Step Functions does not answer.
    async fn start(&self, name: &str, input: &str) -> Result<bool, Failure>;
}

/// Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: Client,
    machine: String,
}

impl StepFunctions {
    /// Starts executions of the state machine with this ARN.
    pub fn new(client: Client, machine: impl Into<String>) -> Self {
        Self { client, machine: machine.into() }
    }

    /// AWS answers a repeated start of a running execution as if it were the first, and refuses it afterwards; other engines
    /// refuse it always, and another input is always refused. So a refusal is looked into: the same request is the same promotion.
    async fn known(&self, name: &str, input: &str) -> Result<bool, Failure> {
        let found =
            self.client.describe_execution().execution_arn(execution_arn(&self.machine, name)).send().await;
        match found {
            Ok(found) if same_request(found.input().unwrap_or_default(), input) => Ok(false),
            Ok(_) => Err(Failure::invalid(format!(
                "promotion {name} was started with another input; a deliberate second run needs the next attempt number"
            ))),
            Err(e) => Err(unavailable("looking at the execution that has the promotion's name", e)),
        }
    }
}

#[async_trait]
impl Starter for StepFunctions {
    async fn start(&self, name: &str, input: &str) -> Result<bool, Failure> {
        let request = self.client.start_execution().state_machine_arn(&self.machine).name(name).input(input);
        match request.send().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_execution_already_exists()) => {
                self.known(name, input).await
            }
            Err(e) => Err(unavailable("starting the promotion", e)),
        }
    }
}

fn unavailable<E>(doing: &str, error: aws_sdk_sfn::error::SdkError<E>) -> Failure
where
    E: std::error::Error + Send + Sync + 'static,
{
    Failure::unavailable(doing, DisplayErrorContext(error).to_string())
}

/// The ARN of an execution of a state machine.
fn execution_arn(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))
}

/// Whether two inputs ask for the same promotion of the same thing. Who asks, and what an event knows of where an artifact comes
/// from, differ from event to event; the first to come is on record.
#[must_use]
pub fn same_request(one: &str, other: &str) -> bool {
    let read = |text: &str| {
        let input: PromotionInput = serde_json::from_str(text).ok()?;
        let artifact = input.artifact.map(|a| ArtifactRef { lineage: Lineage::default(), ..a });
        Some(PromotionInput { artifact, requested_by: Actor::function("anybody"), ..input })
    };
    match (read(one), read(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_named_after_its_machine() {
        assert_eq!(
            execution_arn("arn:aws:states:eu-west-1:123456789012:stateMachine:s-promotion", "pr_1"),
            "arn:aws:states:eu-west-1:123456789012:execution:s-promotion:pr_1"
        );
    }

    #[test]
    fn the_same_thing_asked_for_by_another_is_the_same_request() {
        let input = |by: &str, version: &str, lineage: &str| {
            format!(
                r#"{{"schema":1,"model":"m","promotion":"pr_0123456789abcdef01234567","version":{version},
                "artifact":{{"bucket":"b","key":"k","etag":"e","lineage":{lineage}}},"requested_by":{{"principal":"{by}","auth":"iam"}}}}"#
            )
        };
        let one = input("a", "null", "{}");
        assert!(same_request(&one, &input("b", "null", r#"{"training_job":"arn"}"#)));
        assert!(!same_request(&one, &input("a", r#""v2""#, "{}")), "something else");
        assert!(!same_request("", "") && !same_request(&one, "{}"), "no input of a promotion");
    }
}

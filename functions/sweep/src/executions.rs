//! Is the execution of a promotion still alive?

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::DisplayErrorContext;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::{SignedDuration, Timestamp};
use seatrial_runtime::Failure;

/// How old something is before its execution is dead because nobody knows it: Step Functions may not know yet of one that began a moment
/// ago.
const KNOWN_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// How an execution stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Alive,
    /// It ended; with the word for it.
    Dead(String),
    /// Nobody knows it: not yet, or not any more.
    Unknown,
}

impl Standing {
    /// The word for how the execution of what began at `since` died; none while it goes on, or may only not be known yet.
    pub(crate) fn death(self, since: Timestamp, now: Timestamp) -> Option<String> {
        match self {
            Self::Alive => None,
            Self::Dead(how) => Some(how),
            Self::Unknown => {
                (now.duration_since(since) >= KNOWN_AFTER).then(|| "not known to Step Functions".to_owned())
            }
        }
    }
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
                Ok(Standing::Unknown)
            }
            Err(e) => Err(Failure::unavailable("asking Step Functions", DisplayErrorContext(&e).to_string())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_old_enough_to_be_known_dies_of_being_unknown() {
        let since: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let after =
            |standing: Standing, seconds| standing.death(since, since + SignedDuration::from_secs(seconds));
        assert_eq!([after(Standing::Unknown, -5), after(Standing::Unknown, 119)], [None, None]);
        assert_eq!(after(Standing::Unknown, 120).unwrap(), "not known to Step Functions");
        assert_eq!(after(Standing::Dead("FAILED".into()), 0).unwrap(), "FAILED");
        assert_eq!(after(Standing::Alive, 900), None);
    }
}

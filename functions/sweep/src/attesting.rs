//! The function that attests, as `sweep` asks it: only that one may sign.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use seatrial_domain::task::{AttestAnswer, AttestTask};
use seatrial_outbound::aws;
use seatrial_runtime::Failure;

/// The largest answer, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;
/// How long its answer is waited for. It may take far longer, and goes on without anybody who waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it is asked at every tick; then once an hour, since what failed sixty times will most likely fail again.
const OFTEN: SignedDuration = SignedDuration::from_mins(60);

/// Somebody who attests.
#[async_trait]
pub trait Attesting: Send + Sync {
    /// Has one task of `attest` carried out.
    ///
    /// # Errors
    /// When it was not.
    async fn attest(&self, task: &AttestTask) -> Result<AttestAnswer, Failure>;
}

/// Has one task carried out, and holds nobody up who waits behind it.
pub(crate) async fn ask(attesting: &dyn Attesting, task: &AttestTask) -> Result<AttestAnswer, Failure> {
    let late = |_| Failure::unavailable("attesting", "no answer within a minute; `attest` goes on by itself");
    tokio::time::timeout(PATIENCE, attesting.attest(task)).await.map_err(late)?
}

/// Whether the tick of `now` asks about what is to be attested since `since`. Minutes are compared, so nothing is to be remembered.
pub(crate) fn is_due(since: Timestamp, now: Timestamp) -> bool {
    let minute = |at: Timestamp| at.as_second().div_euclid(60);
    now.duration_since(since) < OFTEN || (minute(now) - minute(since)).rem_euclid(60) == 0
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_attested_is_asked_for_each_minute_for_an_hour_and_then_once_an_hour() {
        let since: Timestamp = "2026-11-21T10:00:40Z".parse().unwrap();
        // A tick comes a moment sooner or later in its minute.
        for second in [1, 20, 39, 59] {
            let first: Timestamp = format!("2026-11-21T10:01:{second:02}Z").parse().unwrap();
            let asked = |minutes: std::ops::Range<i64>| {
                minutes.filter(|n| is_due(since, first + SignedDuration::from_mins(*n))).count()
            };
            assert_eq!(asked(0..59), 59, "{second}");
            assert_eq!(asked(60..60 + 48 * 60), 48, "{second}");
        }
        assert!(is_due(since, since - SignedDuration::from_secs(1)), "the clocks of two functions differ");
    }
}

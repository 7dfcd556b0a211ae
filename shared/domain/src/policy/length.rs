//! How long a promotion may take in all.

use super::Policy;
use super::busy::BusyMode;

/// An execution lives for a year at most (<https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>), and what runs
/// out after that is decided by nobody. The rest of the year is for everything that no policy bounds: retries, a late watermark.
const LONGEST_DAYS: u64 = 350;

impl Policy {
    /// Seconds until the last of its waits is over, each taken as long as the policy lets it be.
    fn longest_seconds(&self) -> u64 {
        let waits = if self.when_busy.mode == BusyMode::Wait { self.when_busy.max_wait_seconds } else { 0 };
        let shadow = if self.shadow.enabled { self.shadow.max_seconds } else { 0 };
        let canary = self.canary.steps.len() as u64 * u64::from(self.canary.max_hold_seconds);
        [waits, shadow, self.approval.expires_seconds].into_iter().map(u64::from).sum::<u64>() + canary
    }

    /// What is out of bounds, if anything is.
    pub(super) fn length_defect(&self) -> Option<(&'static str, String)> {
        let days = self.longest_seconds().div_ceil(86_400);
        (days > LONGEST_DAYS).then(|| {
            let problem = format!(
                "with when_busy.max_wait_seconds, shadow.max_seconds and the canary's holds makes a promotion of up to {days} days; \
                 expected at most {LONGEST_DAYS}, since an execution of Step Functions ends after a year: make one of them shorter"
            );
            ("approval.expires_seconds", problem)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{BusyMode, Policy};

    #[test]
    fn the_longest_of_everything_is_more_than_an_execution_lives() {
        let day = 86_400;
        let mut policy = Policy::default();
        assert_eq!(policy.length_defect(), None, "{} s", policy.longest_seconds());
        policy.approval.expires_seconds = 300 * day;
        policy.shadow.max_seconds = 30 * day;
        policy.canary.steps = vec![5.0, 25.0];
        policy.canary.max_hold_seconds = 10 * day;
        assert_eq!((policy.longest_seconds(), policy.length_defect()), (350 * u64::from(day), None));
        policy.when_busy.mode = BusyMode::Wait;
        let (field, problem) = policy.length_defect().unwrap_or_default();
        assert_eq!(field, "approval.expires_seconds");
        assert!(problem.contains("up to 357 days; expected at most 350"), "{problem}");
        policy.shadow.enabled = false;
        assert_eq!(policy.length_defect(), None);
    }
}

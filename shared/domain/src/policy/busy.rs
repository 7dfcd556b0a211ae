//! What becomes of a promotion whose model another one holds.

use serde::{Deserialize, Serialize};

/// The longest time a promotion may wait, 14 days: its execution looks again and again, and may have 25,000 events in all.
pub const LONGEST_WAIT_SECONDS: u32 = 14 * 86_400;

/// What becomes of a promotion whose model another one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhenBusy {
    /// Whether it waits.
    pub mode: BusyMode,
    /// How long it waits at most, in seconds; then it ends without having begun.
    pub max_wait_seconds: u32,
}

/// Whether a promotion waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusyMode {
    /// It is refused, and what it packaged stays a version.
    Refuse,
    /// It waits, in the order of arrival.
    Wait,
}

impl Default for WhenBusy {
    fn default() -> Self {
        Self { mode: BusyMode::Refuse, max_wait_seconds: 7 * 86_400 }
    }
}

impl WhenBusy {
    /// Whether it says what a policy without it says.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is out of bounds, if anything is.
    pub(super) fn defect(&self) -> Option<(&'static str, String)> {
        let found = self.max_wait_seconds;
        let problem = || format!("{found} is not between 60 (a minute) and {LONGEST_WAIT_SECONDS} (14 days)");
        (!(60..=LONGEST_WAIT_SECONDS).contains(&found)).then(|| ("when_busy.max_wait_seconds", problem()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn a_second_promotion_is_refused_unless_the_policy_lets_it_wait() {
        assert_eq!(Policy::default().when_busy.mode, BusyMode::Refuse);
        let policy: Policy = serde_json::from_value(serde_json::json!({
            "when_busy": { "mode": "wait" }
        }))
        .unwrap();
        assert_eq!(policy.when_busy, WhenBusy { mode: BusyMode::Wait, max_wait_seconds: 604_800 });
    }

    #[test]
    fn a_wait_has_an_end() {
        for (seconds, fine) in [(0, false), (59, false), (60, true), (1_209_600, true), (1_209_601, false)] {
            let rules = WhenBusy { max_wait_seconds: seconds, ..WhenBusy::default() };
            assert_eq!(rules.defect().is_none(), fine, "{seconds}");
        }
        let (field, problem) = WhenBusy { max_wait_seconds: 0, ..WhenBusy::default() }.defect().unwrap();
        assert_eq!(field, "when_busy.max_wait_seconds");
        assert_eq!(problem, "0 is not between 60 (a minute) and 1209600 (14 days)");
    }
}

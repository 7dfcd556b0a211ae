//! Verdicts and how they combine.

use serde::{Deserialize, Serialize};

/// The outcome of a comparison, ordered from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The evidence shows that the rule is met.
    Pass,
    /// The evidence is missing, too little, late or contradictory. Never a pass.
    Inconclusive,
    /// The evidence shows that the rule is broken.
    Fail,
}

impl Verdict {
    /// The worst of several verdicts; `Inconclusive` when there are none, because no data is never a pass.
    pub fn worst(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().max().unwrap_or(Self::Inconclusive)
    }

    /// The word used in reports and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a metric may cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricClass {
    /// A failure stops the promotion or rolls the canary back; only guardrails combine into the verdict.
    Guardrail,
    /// A failure holds and tells people.
    Signal,
    /// Shown only.
    Info,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A larger value is better (accuracy).
    HigherIsBetter,
    /// A smaller value is better (log loss, latency).
    LowerIsBetter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rows_are_never_a_pass_and_the_worst_wins() {
        assert_eq!(Verdict::worst([]), Verdict::Inconclusive);
        assert_eq!(Verdict::worst([Verdict::Pass, Verdict::Pass]), Verdict::Pass);
        assert_eq!(Verdict::worst([Verdict::Pass, Verdict::Inconclusive]), Verdict::Inconclusive);
        assert_eq!(Verdict::worst([Verdict::Fail, Verdict::Inconclusive, Verdict::Pass]), Verdict::Fail);
    }
}

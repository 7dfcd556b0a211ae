//! Integration checks: programs of the model's owner that try a packaged version before anything else does.

use serde::{Deserialize, Serialize};

use crate::verdict::MetricClass;

/// A check that runs in the evaluation. It gets the version's pinned endpoint and answers pass, fail or inconclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntegrationCheck {
    /// Its name in the report.
    pub name: String,
    /// What to call: exactly one of `lambda` and `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<String>,
    /// An https address whose host the deployment allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Seconds to wait for the answer; a check that does not answer in time is inconclusive.
    #[serde(default = "half_a_minute")]
    pub timeout_seconds: u32,
    /// What its failure may cause.
    #[serde(default = "guardrail")]
    pub class: MetricClass,
}

fn half_a_minute() -> u32 {
    30
}

fn guardrail() -> MetricClass {
    MetricClass::Guardrail
}

impl IntegrationCheck {
    /// What is wrong with it, if anything.
    pub(super) fn defect(&self) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            return Some(format!(
                "{:?} is not a name of 1 to 64 letters, digits, '-', '_' or '.'",
                self.name
            ));
        }
        if !(1..=300).contains(&self.timeout_seconds) {
            return Some(format!("timeout_seconds {} is not between 1 and 300", self.timeout_seconds));
        }
        match (&self.lambda, &self.url) {
            (Some(_), None) => None,
            (None, Some(url)) if url.starts_with("https://") || url.starts_with("http://127.0.0.1:") => None,
            (None, Some(url)) => Some(format!("{url:?} is not an https address")),
            _ => Some("names both or neither of lambda and url; expected exactly one".into()),
        }
    }
}

//! How long versions that are out of use are kept.

use serde::{Deserialize, Serialize};

use super::check::MAX_RETENTION_DAYS;

/// When versions that are out of use go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days after its retirement until a version is collected: its bytes are deleted, its records and evidence stay. A compliance
    /// profile that asks for longer wins.
    pub collect_retired_after_days: After,
    /// Days after a crown until the standby that it left is retired, and never before the end of the stability window.
    pub retire_standby_after_days: After,
}

impl Default for Retention {
    fn default() -> Self {
        Self { collect_retired_after_days: After::Days(90), retire_standby_after_days: After::Never }
    }
}

impl Retention {
    /// Whether it says what a policy without it says.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The fields that are out of bounds, with what was found and expected.
    pub(super) fn defects(&self) -> Vec<(&'static str, String)> {
        let fields = [
            ("retention.collect_retired_after_days", self.collect_retired_after_days),
            ("retention.retire_standby_after_days", self.retire_standby_after_days),
        ];
        let beyond = fields.into_iter().filter_map(|(field, after)| match after {
            After::Days(days) if days > MAX_RETENTION_DAYS => Some((field, days)),
            After::Days(_) | After::Never => None,
        });
        let problem = |days| format!("{days} is more than {MAX_RETENTION_DAYS} days; `never` is longer");
        beyond.map(|(field, days)| (field, problem(days))).collect()
    }
}

/// A number of days (`90`), or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AfterText", into = "AfterText")]
pub enum After {
    /// After so many days; 0 is at the next occasion.
    Days(u32),
    /// Not at all.
    Never,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum AfterText {
    Number(u32),
    Text(String),
}

impl TryFrom<AfterText> for After {
    type Error = String;
    fn try_from(text: AfterText) -> Result<Self, String> {
        match text {
            AfterText::Number(days) => Ok(Self::Days(days)),
            AfterText::Text(word) if word == "never" => Ok(Self::Never),
            AfterText::Text(other) => Err(format!("{other:?} is neither a number of days nor `never`")),
        }
    }
}

impl From<After> for AfterText {
    fn from(after: After) -> Self {
        match after {
            After::Days(days) => Self::Number(days),
            After::Never => Self::Text("never".into()),
        }
    }
}

impl std::fmt::Display for After {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Days(1) => f.write_str("1 day"),
            Self::Days(days) => write!(f, "{days} days"),
            Self::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::{Approver, Policy};

    #[test]
    fn a_time_is_days_or_never_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<Retention>(text);
        assert_eq!(read("{}").unwrap(), Retention::default());
        let never = r#"{"collect_retired_after_days":"never","retire_standby_after_days":30}"#;
        assert_eq!(serde_json::to_string(&read(never).unwrap()).unwrap(), never);
        for wrong in [r#""soon""#, "-1", "1.5", "null", r#""90""#] {
            let text = format!(r#"{{"collect_retired_after_days":{wrong}}}"#);
            assert!(read(&text).is_err(), "{wrong}");
        }
        assert!(read(r#"{"collect_after":1}"#).is_err());
    }

    #[test]
    fn days_have_a_bound_and_a_policy_that_says_nothing_keeps_its_digest() {
        let mut policy = Policy::default();
        policy.approval.approvers.push(Approver { email: "ann@example.com".into(), principals: vec![] });
        let plain = crate::canonical::digest(&policy).unwrap();
        policy.retention.collect_retired_after_days = After::Days(0);
        assert_eq!(policy.check(), vec![], "at the next occasion is a time");
        assert_ne!(crate::canonical::digest(&policy).unwrap(), plain);
        policy.retention.retire_standby_after_days = After::Days(36_501);
        let found: Vec<_> = policy.check().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["retention.retire_standby_after_days: 36501 is more than 36500 days; `never` is longer"]
        );
        policy.retention = Retention::default();
        assert_eq!(crate::canonical::digest(&policy).unwrap(), plain);
    }
}

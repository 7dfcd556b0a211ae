//! The model's entry in the inventory: what people must know of a model without asking its makers.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The longest text of a field, in characters.
const MAX_TEXT: usize = 2_000;
/// The longest name of an owner, in characters.
const MAX_OWNER: usize = 200;

/// A model's entry in the inventory, in its owner's words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// The person or unit that answers for the model.
    pub owner: String,
    /// What the model is for.
    pub purpose: String,
    /// On whom or what it may be used, and how its answers are acted on.
    pub intended_use: String,
    /// How much harm a wrong answer can do, by the owner's own classes.
    pub risk: Risk,
    /// The day by which the entry is looked through again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_by: Option<Date>,
    /// Where the model is known to be weak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limitations: Option<String>,
    /// What it must not be used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_scope: Option<String>,
}

/// How much harm a wrong answer can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Little.
    Low,
    /// Some, to few.
    Limited,
    /// Much, or to many.
    #[default]
    High,
}

impl Risk {
    /// The word in policies and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Limited => "limited",
            Self::High => "high",
        }
    }
}

impl Inventory {
    /// The fields that are not usable, with what was found and expected.
    pub(super) fn defects(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("inventory.owner", Some(&self.owner), MAX_OWNER),
            ("inventory.purpose", Some(&self.purpose), MAX_TEXT),
            ("inventory.intended_use", Some(&self.intended_use), MAX_TEXT),
            ("inventory.limitations", self.limitations.as_ref(), MAX_TEXT),
            ("inventory.out_of_scope", self.out_of_scope.as_ref(), MAX_TEXT),
        ];
        let given = texts.into_iter().filter_map(|(field, text, most)| Some((field, text?, most)));
        given.filter_map(|(field, text, most)| Some((field, defect(text, most)?))).collect()
    }

    /// The day by which the entry must be looked through: its own, or `review_days` after the policy that holds it was set,
    /// whichever comes first.
    #[must_use]
    pub fn due(&self, set_at: Timestamp, review_days: Option<u32>) -> Option<Date> {
        let set_on = set_at.to_zoned(TimeZone::UTC).date();
        let by_profile = review_days
            .and_then(|days| set_on.checked_add(jiff::Span::new().try_days(i64::from(days)).ok()?).ok());
        [self.review_by, by_profile].into_iter().flatten().min()
    }
}

fn defect(text: &str, most: usize) -> Option<String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Some("is empty; expected text".into());
    }
    if length > most {
        return Some(format!("has {length} characters; expected at most {most}"));
    }
    let control = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))?;
    Some(format!("holds the control character {control:?}; expected text"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    const ENTRY: &str = r#"{"owner":"Credit risk","purpose":"p","intended_use":"u","risk":"limited"}"#;

    #[test]
    fn an_entry_needs_owner_purpose_use_and_risk_and_every_text_is_text() {
        let entry: Inventory = serde_json::from_str(ENTRY).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), ENTRY);
        assert_eq!(entry.defects(), vec![]);
        assert!(serde_json::from_str::<Inventory>(r#"{"owner":"x"}"#).is_err());
        assert!(serde_json::from_str::<Inventory>(&ENTRY.replace("limited", "tiny")).is_err());
        let bad = Inventory {
            owner: " ".into(),
            purpose: "x".repeat(2_001),
            limitations: Some("a\u{1b}[2J".into()),
            ..entry
        };
        let mut policy = Policy { inventory: Some(bad), ..Policy::default() };
        policy
            .approval
            .approvers
            .push(crate::policy::Approver { email: "ann@example.com".into(), principals: vec![] });
        let fields: Vec<_> = policy.check().into_iter().map(|d| d.field).collect();
        assert_eq!(fields, ["inventory.owner", "inventory.purpose", "inventory.limitations"]);
    }

    #[test]
    fn the_review_is_due_by_the_entrys_own_day_or_the_profiles_time_whichever_comes_first() {
        let mut entry: Inventory = serde_json::from_str(ENTRY).unwrap();
        let set_at = "2026-01-31T23:00:00Z".parse().unwrap();
        assert_eq!(entry.due(set_at, None), None);
        assert_eq!(entry.due(set_at, Some(183)), Some("2026-08-02".parse().unwrap()));
        entry.review_by = Some("2026-06-30".parse().unwrap());
        assert_eq!(entry.due(set_at, Some(183)), entry.review_by);
        entry.review_by = Some("2027-06-30".parse().unwrap());
        assert_eq!(entry.due(set_at, Some(183)), Some("2026-08-02".parse().unwrap()));
    }
}

//! Compliance profiles: what a regulator wants to find, as data.
//!
//! A profile names the evidence without which a promotion does not start, the sections of the audit document in their order with
//! the rule that each answers to, and how long evidence is kept. A policy names its profile. Profiles are read from the JSON files
//! beside this one; nothing else in the product knows a regulation by name.

mod missing;

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

pub use missing::{Facts, Missing, missing, missing_when_skipped, told};

/// The name of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// No regulation: good practice.
    #[default]
    Default,
    /// Reserve Bank of India, FREE-AI committee report (August 2025).
    RbiFreeAi,
    /// United States banking agencies, supervisory letter SR 26-2 (April 2026), which replaced SR 11-7.
    #[serde(rename = "sr_26_2")]
    Sr262,
    /// European Union, Regulation (EU) 2024/1689 (AI Act), high-risk systems.
    EuAiAct,
}

impl ProfileName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Default, Self::RbiFreeAi, Self::Sr262, Self::EuAiAct];

    /// The word in policies and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::RbiFreeAi => "rbi_free_ai",
            Self::Sr262 => "sr_26_2",
            Self::EuAiAct => "eu_ai_act",
        }
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }

    /// What the profile says.
    #[must_use]
    pub fn profile(self) -> &'static Profile {
        let [default, rbi, sr, eu] = &*PROFILES;
        match self {
            Self::Default => default,
            Self::RbiFreeAi => rbi,
            Self::Sr262 => sr,
            Self::EuAiAct => eu,
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a regulation wants of a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// Its title, as it stands on the audit document.
    pub title: String,
    /// What it rests on: the regulation, its date and its standing, in a sentence or two.
    pub about: String,
    /// Evidence without which no promotion starts, each with the rule that asks for it.
    pub requires: Vec<Required>,
    /// The sections of the audit document, in their order.
    pub sections: Vec<SectionOf>,
    /// How often the model's entry in the inventory is looked through, in days; none where the profile names no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_days: Option<u32>,
    /// How long evidence is kept at least, in days.
    pub retention_days: u32,
    /// How long the packages that a promotion compared are kept at least, in days from its end, so that what its evidence says
    /// can be tried again on the same bytes; none where the profile leaves that to the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_days: Option<u32>,
}

impl Profile {
    /// The rule by which the profile asks for `item`; none when it does not.
    #[must_use]
    pub fn rule(&self, item: Requirement) -> Option<&str> {
        self.requires.iter().find(|r| r.item == item).map(|r| r.rule.as_str())
    }
}

/// How long the evidence of a promotion under `policy` is kept, in days: as long as the policy says, and never shorter than its
/// profile.
#[must_use]
pub fn retention_days(policy: &Policy) -> u32 {
    let least = policy.profile.profile().retention_days;
    policy.evidence_retention_days.map_or(least, |days| days.max(least))
}

/// A piece of evidence that a profile asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Required {
    /// What.
    pub item: Requirement,
    /// The rule that asks for it, for example `Article 14(4)`.
    pub rule: String,
}

/// What can be asked for before a promotion starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// A held-out benchmark.
    Benchmark,
    /// Protected attributes are named and their guardrails are judged.
    FairnessAudit,
    /// Shapley values of both versions.
    Explanations,
    /// People decide, by name; nothing is approved by itself.
    AccountableApprover,
    /// Submitter and approver differ.
    IndependentReview,
    /// The model's entry in the inventory: owner, purpose, risk.
    InventoryEntry,
}

impl Requirement {
    /// The word in profiles and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Benchmark => "benchmark",
            Self::FairnessAudit => "fairness_audit",
            Self::Explanations => "explanations",
            Self::AccountableApprover => "accountable_approver",
            Self::IndependentReview => "independent_review",
            Self::InventoryEntry => "inventory_entry",
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Benchmark => "held-out benchmark",
            Self::FairnessAudit => "fairness audit",
            Self::Explanations => "explanations",
            Self::AccountableApprover => "accountable approver",
            Self::IndependentReview => "independent review",
            Self::InventoryEntry => "inventory entry",
        }
    }
}

/// A section of the audit document under a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionOf {
    /// What it shows.
    pub section: Section,
    /// The rule that it answers to; none where it is good practice alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// The sections an audit document can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// What the shadow saw: counts, agreement, disagreement, latency.
    Shadow,
    /// Every metric with interval, margin and verdict.
    Comparison,
    /// The protected attributes.
    Fairness,
    /// Calibration of both versions.
    Calibration,
    /// The segments.
    Segments,
    /// How far live traffic is from the benchmark.
    Drift,
    /// The benchmark: what it is, its age, how often it judged.
    Evaluation,
    /// Which columns answers rest on.
    Explanations,
    /// Who decided, how they were known, when, why, and what they saw.
    Approval,
    /// The canary's steps.
    Canary,
    /// The model's history with its hashes.
    History,
    /// Every evidence object with its SHA-256.
    Manifest,
}

/// The files are the program's own; a test reads each.
static PROFILES: LazyLock<[Profile; 4]> = LazyLock::new(|| {
    [
        read(include_str!("default.json")),
        read(include_str!("rbi_free_ai.json")),
        read(include_str!("sr_26_2.json")),
        read(include_str!("eu_ai_act.json")),
    ]
});

#[allow(clippy::expect_used)] // compiled in, and read by a test
fn read(text: &str) -> Profile {
    serde_json::from_str(text).expect("a profile that is compiled in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_read_under_its_own_name_and_ends_with_its_manifest() {
        for name in ProfileName::ALL {
            let profile = name.profile();
            assert_eq!(profile.name, name);
            assert_eq!(serde_json::to_value(name).ok(), Some(name.as_str().into()));
            assert_eq!(profile.sections.last().map(|s| s.section), Some(Section::Manifest));
            assert!(profile.retention_days >= 180, "{name}");
            // Evidence that nobody can try again is kept no shorter than the bytes that it speaks of.
            assert!(profile.package_days.is_none_or(|days| days <= profile.retention_days), "{name}");
            assert_eq!(profile.package_days.is_none(), name.is_default(), "{name}");
            for required in &profile.requires {
                assert_eq!(profile.rule(required.item), Some(required.rule.as_str()), "an item stands twice");
                let word = serde_json::to_value(required.item).ok();
                assert_eq!(word, Some(required.item.as_str().into()));
            }
        }
    }

    #[test]
    fn evidence_is_kept_as_long_as_the_policy_says_and_never_shorter_than_its_profile() {
        let days = |profile, days| {
            retention_days(&Policy { profile, evidence_retention_days: days, ..Policy::default() })
        };
        assert_eq!(days(ProfileName::Default, None), 365);
        assert_eq!(days(ProfileName::EuAiAct, None), 3_653);
        assert_eq!(days(ProfileName::EuAiAct, Some(4_000)), 4_000);
        assert_eq!(days(ProfileName::EuAiAct, Some(30)), 3_653);
    }
}

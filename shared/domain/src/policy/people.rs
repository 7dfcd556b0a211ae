//! The people of a model: who they are, under which names, and what each may do.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A person who may decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Their own mail address, to which links go; also their name in records.
    pub email: String,
    /// Other principals that are the same person: IAM user ARNs, role ids, OIDC subjects.
    #[serde(default)]
    pub principals: Vec<String>,
}

/// What a person may do with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Submit versions and start promotions.
    Submitter,
    /// Decide at gates.
    Approver,
    /// Roll back, end a shadow, retire versions. Never promote.
    Operator,
    /// See everything, change nothing.
    Auditor,
    /// Set policy and benchmark, and whatever a submitter or an operator may do.
    Owner,
}

impl Role {
    /// The word in policies and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitter => "submitter",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Owner => "owner",
        }
    }
}

/// A person with roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Their own mail address; also their name in records.
    pub email: String,
    /// Other principals that are the same person: IAM user ARNs, role ids, OIDC subjects.
    #[serde(default)]
    pub principals: Vec<String>,
    /// What they may do.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// For operators: whether they may skip a stage, or promote without approval, in an emergency.
    #[serde(default)]
    pub emergency: bool,
}

impl Person {
    /// Whether `principal` is this person.
    #[must_use]
    pub fn is(&self, principal: &str) -> bool {
        self.email.eq_ignore_ascii_case(principal) || self.principals.iter().any(|p| p == principal)
    }

    /// Whether they have this role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// An approver's right, lent to another person for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// The approver who lends it, by mail address.
    pub from: String,
    /// Who decides in their place, by the mail address of somebody in `people`.
    pub to: String,
    /// When it begins; at once where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it ends.
    pub until: Timestamp,
}

impl Delegation {
    /// Whether it holds at `at`.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && at < self.until
    }
}

/// The mailbox behind an address: case and what follows `+` do not make another one.
#[must_use]
pub fn mailbox(email: &str) -> String {
    let email = email.to_lowercase();
    match email.split_once('@') {
        Some((local, host)) => format!("{}@{host}", local.split('+').next().unwrap_or(local)),
        None => email,
    }
}

//! What a person may do with a model now, said so that people can read it.
//!
//! It asks the same rules that decide, so it says what would happen.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::access::{Access, Action};
use crate::policy::Role;
use crate::refusal::Refusal;

/// Whether somebody may do one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Right {
    /// The word for it in JSON, for example `roll_back`.
    pub right: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Whether they may.
    pub may: bool,
    /// By what rule, or what stands against it.
    pub why: String,
}

/// Who somebody is to a model, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The address by which the policy names them; none when it does not.
    pub person: Option<String>,
    /// Their other names.
    pub principals: Vec<String>,
    /// Their roles.
    pub roles: BTreeSet<Role>,
    /// The approver for whom they decide at this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decides_for: Option<String>,
    /// What they may do, right by right.
    pub rights: Vec<Right>,
}

impl Standing {
    /// Whether they have this right.
    #[must_use]
    pub fn may(&self, right: &str) -> bool {
        self.rights.iter().any(|r| r.right == right && r.may)
    }
}

impl Access {
    /// What `principal` may do at `at`. `set_by` is who set the policy in force.
    #[must_use]
    pub fn standing(&self, principal: &str, set_by: &str, at: Timestamp) -> Standing {
        let person = self.person(principal);
        let voice = self.voice(principal, at);
        let mut rights = vec![self.deciding(principal, at)];
        rights.extend(Action::ALL.map(|action| {
            let by = self.reason(action, principal);
            right(action.word(), action.words(), self.may(action, principal), &by)
        }));
        let by = if person.is_some_and(|p| p.has(Role::Owner)) { "owner" } else { "set the policy in force" };
        rights.push(right("own", "change policy and benchmark", self.may_own(principal, set_by), by));
        let others = if self.separation_of_duties { "; not what they submitted" } else { "" };
        let adopt = "adopt a version that already serves as the first champion";
        rights.push(right("adopt", adopt, self.may_own(principal, set_by), &format!("{by}{others}")));
        rights.push(right(
            "skip",
            "skip a stage in an emergency",
            self.may_bypass(principal),
            "emergency: true",
        ));
        Standing {
            person: person.map(|p| p.email.clone()),
            principals: person.map(|p| p.principals.clone()).unwrap_or_default(),
            roles: person.map(|p| p.roles.clone()).unwrap_or_default(),
            decides_for: voice.filter(|v| v.delegated).map(|v| v.of.email.clone()),
            rights,
        }
    }

    fn deciding(&self, principal: &str, at: Timestamp) -> Right {
        let (right, what) = ("decide", "decide at gates");
        let Some(voice) = self.voice(principal, at) else {
            let why = "the policy does not name this principal among the approvers".to_owned();
            return Right { right, what, may: false, why };
        };
        let by = if voice.delegated {
            format!("for {}", voice.of.email)
        } else {
            Role::Approver.as_str().to_owned()
        };
        let own = if self.separation_of_duties {
            "; not to approve what they submitted or started, and with a login"
        } else if self.needs_login() {
            "; with a login"
        } else {
            ""
        };
        Right { right, what, may: true, why: format!("{by}{own}") }
    }

    /// By which role `principal` may do `action`, where they may.
    fn reason(&self, action: Action, principal: &str) -> String {
        let held = self.person(principal).and_then(|p| action.roles().iter().find(|r| p.has(**r)));
        match held {
            Some(role) => role.as_str().to_owned(),
            None => "the policy gives this to nobody, so whoever the API lets in may".to_owned(),
        }
    }

    /// What follows from what the policy leaves open, a sentence each. `set_by` is who set it.
    #[must_use]
    pub fn left_open(&self, set_by: &str) -> Vec<String> {
        let mut notes = Vec::new();
        for action in Action::ALL {
            if self.is_open(action) {
                let role = action.roles().first().map_or("", |r| r.as_str());
                notes.push(format!("nobody is {role}: whoever the API lets in may {}", action.words()));
            }
        }
        if self.with(Role::Owner).next().is_none() {
            notes.push(format!("nobody is owner: {set_by}, who set the policy in force, may change it"));
        }
        notes
    }
}

fn right(right: &'static str, what: &'static str, may: Result<(), Refusal>, by: &str) -> Right {
    let (may, why) = match may {
        Ok(()) => (true, by.to_owned()),
        Err(Refusal::Forbidden { why, .. }) => (false, why),
        Err(other) => (false, other.to_string()),
    };
    Right { right, what, may, why }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::{Approver, Delegation, Person, Policy};

    fn person(email: &str, roles: &[Role], emergency: bool) -> Person {
        Person { email: email.into(), principals: vec![], roles: roles.iter().copied().collect(), emergency }
    }

    fn policy() -> Policy {
        let mut policy = Policy {
            people: vec![
                person("sue@example.com", &[Role::Submitter], false),
                person("olga@example.com", &[Role::Operator], true),
                person("dan@example.com", &[], false),
            ],
            ..Policy::default()
        };
        policy.approval.approvers =
            vec![Approver { email: "ann@example.com".into(), principals: vec!["AROAANN".into()] }];
        policy.approval.delegations = vec![Delegation {
            from: "ann@example.com".into(),
            to: "dan@example.com".into(),
            since: None,
            until: Timestamp::from_second(100).unwrap(),
        }];
        policy
    }

    fn may(policy: &Policy, who: &str, second: i64) -> Vec<&'static str> {
        let at = Timestamp::from_second(second).unwrap();
        let standing = policy.access().standing(who, "owen@example.com", at);
        standing.rights.iter().filter(|r| r.may).map(|r| r.right).collect()
    }

    #[test]
    fn a_standing_says_what_the_rules_would() {
        let policy = policy();
        assert_eq!(may(&policy, "sue@example.com", 0), ["promote"]);
        assert_eq!(
            may(&policy, "olga@example.com", 0),
            ["roll_back", "stop_shadow", "retire", "block", "links", "skip"]
        );
        assert_eq!(may(&policy, "AROAANN", 0), ["decide", "roll_back", "block"]);
        assert_eq!(may(&policy, "dan@example.com", 99), ["decide"], "while it holds");
        assert_eq!(may(&policy, "dan@example.com", 100), Vec::<&str>::new());
        assert_eq!(
            may(&policy, "owen@example.com", 0),
            ["own", "adopt"],
            "who set a policy without an owner"
        );
        let dan = policy.access().standing("dan@example.com", "x", Timestamp::from_second(1).unwrap());
        assert_eq!(dan.decides_for.as_deref(), Some("ann@example.com"));
        let eve = policy.access().standing("eve", "x", Timestamp::UNIX_EPOCH);
        assert!(eve.person.is_none() && eve.rights.iter().all(|r| !r.may && !r.why.is_empty()), "{eve:?}");
    }

    #[test]
    fn what_the_policy_leaves_open_is_said() {
        let mut policy = policy();
        let notes = policy.access().left_open("owen@example.com");
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("owen@example.com"), "{notes:?}");
        policy.people.clear();
        let notes = policy.access().left_open("owen@example.com");
        assert!(notes.iter().any(|n| n.contains("nobody is submitter")), "{notes:?}");
        assert!(!notes.iter().any(|n| n.contains("block")), "blocking is never left open: {notes:?}");
    }
}

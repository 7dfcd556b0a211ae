//! What a promotion lacks under its profile, found before it starts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Profile, Requirement};
use crate::policy::{ApprovalMode, Policy, Role, fairness_metrics, is_address};
use crate::verdict::MetricClass;

/// What is known of a promotion before it starts.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The policy that it would be held to.
    pub policy: &'a Policy,
    /// Whether the model has a benchmark.
    pub benchmark: bool,
    /// Whether the package brings a sample of its training data (`reference.parquet`); none while there is no package.
    pub reference: Option<bool>,
    /// Whether an emergency skips the approval by people.
    pub skips_approval: bool,
}

/// An item that a profile asks for and that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What.
    pub item: Requirement,
    /// The rule that asks for it.
    pub rule: String,
    /// What there is instead.
    pub found: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}; {}", self.item.as_str(), self.rule, self.found, self.fix)
    }
}

/// Several of them as one line.
#[must_use]
pub fn told(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Everything that `profile` asks for and that the facts do not show, in the profile's order.
#[must_use]
pub fn missing(profile: &Profile, facts: &Facts<'_>) -> Vec<Missing> {
    let lacking = |required: &super::Required| {
        let (found, fix) = lacks(required.item, facts)?;
        Some(Missing { item: required.item, rule: required.rule.clone(), found, fix: fix.to_owned() })
    };
    profile.requires.iter().filter_map(lacking).collect()
}

/// What `profile` asks for and a promotion lacks whose approval an emergency skips, whatever else there is.
#[must_use]
pub fn missing_when_skipped(profile: &Profile) -> Vec<Missing> {
    let skipped = |required: &super::Required| {
        let (found, fix) = match required.item {
            Requirement::AccountableApprover => skipped_approver(),
            Requirement::IndependentReview => skipped_review(),
            _ => return None,
        };
        Some(Missing { item: required.item, rule: required.rule.clone(), found, fix: fix.to_owned() })
    };
    profile.requires.iter().filter_map(skipped).collect()
}

fn skipped_approver() -> (String, &'static str) {
    let fix = "have an approver decide at the gate; a rollback needs no approval and is always open";
    ("the approval by people is skipped in an emergency".to_owned(), fix)
}

fn skipped_review() -> (String, &'static str) {
    let found = "the approval by people is skipped in an emergency, so nobody looks but who asks for it";
    (found.to_owned(), "have an approver who did not submit decide at the gate")
}

/// What there is instead of `item`, and what to do; none when it is there.
fn lacks(item: Requirement, facts: &Facts<'_>) -> Option<(String, &'static str)> {
    match item {
        Requirement::Benchmark => benchmark(facts),
        Requirement::FairnessAudit => fairness(facts),
        Requirement::Explanations => explanations(facts),
        Requirement::AccountableApprover => approver(facts),
        Requirement::IndependentReview => review(facts),
        Requirement::InventoryEntry => inventory(facts),
    }
}

fn benchmark(facts: &Facts<'_>) -> Option<(String, &'static str)> {
    (!facts.benchmark).then(|| {
        ("the model has no benchmark".to_owned(), "set one with `seatrial benchmark set MODEL FILE`")
    })
}

fn fairness(facts: &Facts<'_>) -> Option<(String, &'static str)> {
    let policy = facts.policy;
    if policy.protected.is_empty() {
        let found = "the policy names no protected attribute";
        return Some((found.into(), "name the columns in `protected`"));
    }
    let measures = fairness_metrics(policy.task);
    if measures.is_empty() {
        let found = format!("no fairness metric is defined for the task {:?}", policy.task).to_lowercase();
        return Some((found, "fairness is measured of classifiers; hold this model to another profile"));
    }
    let judged = |name: &&str| {
        policy.offline.metrics.get(*name).is_some_and(|rule| rule.class == MetricClass::Guardrail)
    };
    if !measures.iter().any(judged) {
        let found = format!("none of {} is a guardrail in `offline.metrics`", measures.join(", "));
        return Some((found, "give one of them the class guardrail"));
    }
    // Without held-out rows the guardrail has nothing to judge.
    benchmark(facts)
}

fn explanations(facts: &Facts<'_>) -> Option<(String, &'static str)> {
    let Some(explanations) = &facts.policy.explanations else {
        let found = "the policy does not ask for explanations";
        return Some((found.into(), "add `explanations: { class: guardrail }`"));
    };
    if explanations.class != MetricClass::Guardrail {
        let found = format!("`explanations.class` is {:?}", explanations.class).to_lowercase();
        return Some((found, "set it to guardrail, so that a version that cannot be explained is refused"));
    }
    if facts.reference == Some(false) {
        let found = "the package brings no reference.parquet, against which answers are explained";
        return Some((found.into(), "add a sample of the training data and submit again"));
    }
    // Explained are rows of the benchmark.
    benchmark(facts)
}

fn approver(facts: &Facts<'_>) -> Option<(String, &'static str)> {
    if facts.skips_approval {
        return Some(skipped_approver());
    }
    if facts.policy.approval.mode != ApprovalMode::Required {
        let found = "`approval.mode` lets an approval come by itself";
        return Some((found.into(), "set it to required"));
    }
    let access = facts.policy.access();
    let named = access.with(Role::Approver).any(|person| is_address(&person.email));
    (!named).then(|| {
        let fix = "name an approver by mail address, in `approval.approvers` or in `people`";
        ("the policy names no person who approves".to_owned(), fix)
    })
}

fn review(facts: &Facts<'_>) -> Option<(String, &'static str)> {
    if facts.skips_approval {
        return Some(skipped_review());
    }
    (!facts.policy.approval.separation_of_duties).then(|| {
        let found = "`approval.separation_of_duties` is false: who submits may approve";
        (found.to_owned(), "set it to true")
    })
}

fn inventory(facts: &Facts<'_>) -> Option<(String, &'static str)> {
    facts.policy.inventory.is_none().then(|| {
        let fix = "add `inventory` with owner, purpose, intended_use and risk";
        ("the policy has no entry for the inventory".to_owned(), fix)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compliance::ProfileName;
    use crate::policy::{Approver, Explanations, Inventory, Person, Risk, Task};

    /// A policy under which every item is there.
    fn full(profile: ProfileName) -> Policy {
        let mut policy = Policy { profile, protected: vec!["sex".into()], ..Policy::default() };
        policy.explanations = Some(Explanations::default());
        policy.approval.approvers.push(Approver { email: "ann@example.com".into(), principals: vec![] });
        policy.inventory = Some(Inventory {
            owner: "Credit risk".into(),
            purpose: "Estimates the probability of default.".into(),
            intended_use: "Applications of private customers.".into(),
            risk: Risk::High,
            ..Inventory::default()
        });
        assert_eq!(policy.check(), vec![]);
        policy
    }

    const fn facts(policy: &Policy) -> Facts<'_> {
        Facts { policy, benchmark: true, reference: Some(true), skips_approval: false }
    }

    fn items(profile: ProfileName, facts: &Facts<'_>) -> Vec<Requirement> {
        missing(profile.profile(), facts).into_iter().map(|m| m.item).collect()
    }

    #[test]
    fn a_policy_that_has_everything_lacks_nothing_under_any_profile() {
        for profile in ProfileName::ALL {
            assert_eq!(missing(profile.profile(), &facts(&full(profile))), vec![], "{profile}");
        }
    }

    #[test]
    fn the_default_asks_for_nothing_and_the_others_name_all_that_a_bare_policy_lacks() {
        let bare = Policy::default();
        let nothing = Facts { policy: &bare, benchmark: false, reference: Some(false), skips_approval: true };
        for profile in ProfileName::ALL {
            let asked: Vec<_> = profile.profile().requires.iter().map(|r| r.item).collect();
            assert_eq!(items(profile, &nothing), asked, "{profile}");
        }
    }

    #[test]
    fn each_way_to_lack_an_item_says_what_was_found_and_what_to_do() {
        type Change = fn(&mut Policy);
        let cases: [(Requirement, Change, &str); 9] = [
            (Requirement::FairnessAudit, |p| p.protected.clear(), "no protected attribute"),
            (
                Requirement::FairnessAudit,
                |p| {
                    for name in fairness_metrics(Task::Binary) {
                        p.offline.metrics.get_mut(*name).unwrap().class = MetricClass::Signal;
                    }
                },
                "demographic_parity, equalised_odds",
            ),
            (Requirement::FairnessAudit, |p| p.task = Task::Regression, "for the task regression"),
            (Requirement::Explanations, |p| p.explanations = None, "does not ask for"),
            (
                Requirement::Explanations,
                |p| {
                    p.explanations =
                        Some(Explanations { class: MetricClass::Info, ..Explanations::default() });
                },
                "is info",
            ),
            (
                Requirement::AccountableApprover,
                |p| p.approval.mode = ApprovalMode::AutoUnlessBlocked,
                "come by itself",
            ),
            (Requirement::AccountableApprover, |p| p.approval.approvers.clear(), "no person who approves"),
            (Requirement::IndependentReview, |p| p.approval.separation_of_duties = false, "may approve"),
            (Requirement::InventoryEntry, |p| p.inventory = None, "no entry"),
        ];
        for (item, change, found) in cases {
            let asking = ProfileName::ALL.into_iter().filter(|p| p.profile().rule(item).is_some());
            for profile in asking {
                let mut policy = full(profile);
                change(&mut policy);
                let lacking = missing(profile.profile(), &facts(&policy));
                assert_eq!(lacking.len(), 1, "{profile}: {lacking:?}");
                let text = lacking[0].to_string();
                assert!(lacking[0].item == item && text.contains(found), "{text}");
                assert!(text.contains(profile.profile().rule(item).unwrap()), "{text}");
            }
        }
    }

    #[test]
    fn what_the_package_brings_is_asked_for_once_there_is_one() {
        let policy = full(ProfileName::EuAiAct);
        let with = |reference| Facts { reference, ..facts(&policy) };
        assert_eq!(items(ProfileName::EuAiAct, &with(None)), vec![]);
        assert_eq!(items(ProfileName::EuAiAct, &with(Some(false))), vec![Requirement::Explanations]);
    }

    #[test]
    fn fairness_and_explanations_need_rows_to_look_at() {
        let policy = full(ProfileName::RbiFreeAi);
        let without = Facts { benchmark: false, ..facts(&policy) };
        let lacking = items(ProfileName::RbiFreeAi, &without);
        assert_eq!(lacking, vec![Requirement::FairnessAudit, Requirement::Explanations]);
    }

    #[test]
    fn an_approver_by_role_is_as_good_and_an_emergency_is_no_approver() {
        let mut policy = full(ProfileName::Sr262);
        policy.approval.approvers.clear();
        policy.people.push(Person {
            email: "ann@example.com".into(),
            principals: vec![],
            roles: [Role::Approver].into(),
            emergency: false,
        });
        assert_eq!(items(ProfileName::Sr262, &facts(&policy)), vec![]);
        let skipped = Facts { skips_approval: true, ..facts(&policy) };
        assert_eq!(
            items(ProfileName::Sr262, &skipped),
            vec![Requirement::IndependentReview, Requirement::AccountableApprover]
        );
        let profile = ProfileName::Sr262.profile();
        assert_eq!(missing_when_skipped(profile), missing(profile, &skipped));
        assert_eq!(missing_when_skipped(ProfileName::Default.profile()), vec![]);
    }

    proptest! {
        /// More facts never add a missing item, and everything named as missing is asked for by the profile.
        #[test]
        fn more_evidence_never_lacks_more(
            profile in proptest::sample::select(ProfileName::ALL.to_vec()),
            benchmark: bool, reference: bool, skips_approval: bool, stripped in 0_u8..32,
        ) {
            let mut policy = full(profile);
            if stripped & 1 != 0 { policy.protected.clear(); }
            if stripped & 2 != 0 { policy.explanations = None; }
            if stripped & 4 != 0 { policy.approval.separation_of_duties = false; }
            if stripped & 8 != 0 { policy.inventory = None; }
            if stripped & 16 != 0 { policy.approval.mode = ApprovalMode::AutoUnlessBlocked; }
            let given = Facts { policy: &policy, benchmark, reference: Some(reference), skips_approval };
            let lacking = items(profile, &given);
            let whole = full(profile);
            for better in [
                Facts { benchmark: true, ..given },
                Facts { reference: Some(true), ..given },
                Facts { skips_approval: false, ..given },
                Facts { policy: &whole, ..given },
            ] {
                prop_assert!(items(profile, &better).iter().all(|item| lacking.contains(item)));
            }
            prop_assert!(lacking.iter().all(|item| profile.profile().rule(*item).is_some()));
        }
    }
}

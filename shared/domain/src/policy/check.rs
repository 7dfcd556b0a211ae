//! Every defect of a policy, found at once.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    ACCURACY, ApprovalMode, ERROR_RATE, LATENCY_P99, Margin, OFFLINE_METRICS, OUTPUT_DISTRIBUTION, Policy,
    Role, SHADOW_METRICS, Task, applies, mailbox, metrics,
};
use crate::route::Weight;
use crate::verdict::{Direction, MetricClass};

/// The longest shadow and the most steps: executions keep at most 25,000 events, and the canary's steps are part of the
/// promotion's record, which every end of it writes.
const MAX_SHADOW_SECONDS: u32 = 30 * 86_400;
/// The longest canary in seconds, for the same reason: all of its steps at their longest hold.
pub const MAX_CANARY_SECONDS: u64 = 60 * 86_400;
const MAX_STEPS: usize = 50;
/// The longest that a gate waits: the state machine's own limit lies beyond it.
const MAX_WAIT_SECONDS: u32 = 300 * 86_400;
/// The longest that S3 keeps an object under a lock, a hundred years.
pub(super) const MAX_RETENTION_DAYS: u32 = 36_500;
/// The longest note for those who decide, in characters.
const MAX_CONTEXT: usize = 2_000;

/// A defect of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Defect {
    /// The field, for example `canary.steps`.
    pub field: String,
    /// What was found and what was expected.
    pub problem: String,
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl Policy {
    /// Every defect of the policy; none when it can be used.
    #[must_use]
    pub fn check(&self) -> Vec<Defect> {
        let mut found = Vec::new();
        let mut add = |field: &str, problem: String| found.push(Defect { field: field.into(), problem });
        if self.schema != 1 {
            add("schema", format!("{} is not known; expected 1", self.schema));
        }
        let length = self.context.chars().count();
        if length > MAX_CONTEXT {
            add("context", format!("has {length} characters; expected at most {MAX_CONTEXT}"));
        }
        if let Some(c) = self.context.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            add("context", format!("holds the control character {c:?}; expected text"));
        }
        if !matches!(self.task, Task::Binary | Task::Multiclass | Task::Regression) {
            let problem =
                format!("{:?} is not supported; expected binary, multiclass or regression", self.task);
            add("task", problem.to_lowercase());
        }
        if let Some(threshold) = self.decision_threshold
            && !(self.task == Task::Binary && threshold > 0.0 && threshold < 1.0)
        {
            add(
                "decision_threshold",
                format!("{threshold} is not a probability between 0 and 1 of a binary task"),
            );
        }
        if !(0.0..=1.0).contains(&self.labels.max_coverage_gap) {
            add(
                "labels.max_coverage_gap",
                format!("{} is not a fraction from 0 to 1", self.labels.max_coverage_gap),
            );
        }
        self.check_hooks(&mut add);
        for (field, problem) in self.explanations.iter().flat_map(super::Explanations::defects) {
            add(field, problem);
        }
        for (field, problem) in self.inventory.iter().flat_map(super::Inventory::defects) {
            add(field, problem);
        }
        let least = self.profile.profile().retention_days;
        if let Some(days) = self.evidence_retention_days
            && !(least..=MAX_RETENTION_DAYS).contains(&days)
        {
            let problem = format!(
                "{days} is not between {least}, the days of the profile {}, and {MAX_RETENTION_DAYS}",
                self.profile
            );
            add("evidence_retention_days", problem);
        }
        for (name, field, percent) in [
            ("0 to 100", "shadow.sample_percent", self.shadow.sample_percent),
            ("0 to 100", "observations.row_percent", self.observations.row_percent),
        ] {
            if Weight::from_percent(percent).is_err() {
                add(field, format!("{percent} is not a percentage; expected {name}"));
            }
        }
        if self.shadow.enabled && self.shadow.sample_percent > self.observations.row_percent {
            add(
                "shadow.sample_percent",
                format!(
                    "{} is more than observations.row_percent ({}); the shadow can only replay what is reported",
                    self.shadow.sample_percent, self.observations.row_percent
                ),
            );
        }
        if self.shadow.max_seconds < self.shadow.window_seconds {
            add("shadow.max_seconds", "is shorter than shadow.window_seconds".into());
        }
        if self.shadow.max_seconds > MAX_SHADOW_SECONDS {
            add(
                "shadow.max_seconds",
                format!("{} is more than {MAX_SHADOW_SECONDS} (30 days)", self.shadow.max_seconds),
            );
        }
        if !(1..=64).contains(&self.shadow.partitions) {
            add("shadow.partitions", format!("{} is not between 1 and 64", self.shadow.partitions));
        }
        for (field, share) in [
            ("shadow.min_fidelity", self.shadow.min_fidelity),
            ("shadow.abort_error_rate", self.shadow.abort_error_rate),
        ] {
            if !(0.0..=1.0).contains(&share) {
                add(field, format!("{share} is not a fraction from 0 to 1"));
            }
        }
        self.check_canary(&mut add);
        self.check_canary_metrics(&mut add);
        self.check_approval(&mut add);
        self.check_people(&mut add);
        for (field, problem) in self.retention.defects() {
            add(field, problem);
        }
        for (field, problem) in self.when_busy.defect().into_iter().chain(self.length_defect()) {
            add(field, problem);
        }
        for (field, problem) in self.notify.defects() {
            add(field, problem);
        }
        for (field, problem) in self.target.iter().flat_map(super::Target::defects) {
            add(field, problem);
        }
        for (set, rules, known, defaults) in [
            ("offline.metrics", &self.offline.metrics, &OFFLINE_METRICS[..], metrics::offline()),
            ("shadow.metrics", &self.shadow.metrics, &SHADOW_METRICS[..], metrics::shadow()),
        ] {
            for (name, rule) in rules {
                let field = format!("{set}.{name}");
                if !known.contains(&name.as_str()) {
                    add(&field, format!("is not a known metric; expected one of {}", known.join(", ")));
                } else if !applies(name, self.task) && defaults.get(name) != Some(rule) {
                    add(&field, format!("is not defined for the task {:?}", self.task).to_lowercase());
                }
            }
        }
        for name in self.offline.tracked.iter().filter(|n| !self.offline.metrics.contains_key(*n)) {
            add("offline.tracked", format!("{name:?} is not among offline.metrics"));
        }
        for segment in &self.named_segments {
            let column = segment.split_once('=').map(|(column, _)| column);
            if !column.is_some_and(|c| self.segments.iter().chain(&self.protected).any(|s| s == c)) {
                add(
                    "named_segments",
                    format!("{segment:?} is not 'column=value' of a column in segments or protected"),
                );
            }
        }
        found
    }

    fn check_canary(&self, add: &mut impl FnMut(&str, String)) {
        let canary = &self.canary;
        let rising = canary.steps.windows(2).all(|w| w[0] < w[1]);
        if canary.steps.is_empty() || !rising || canary.steps.iter().any(|s| !(*s >= 0.01 && *s < 100.0)) {
            add(
                "canary.steps",
                format!("{:?} must be rising percentages from 0.01 to below 100", canary.steps),
            );
        }
        if canary.steps.len() > MAX_STEPS {
            add("canary.steps", format!("has {} steps; expected at most {MAX_STEPS}", canary.steps.len()));
        }
        if canary.max_hold_seconds < canary.hold_seconds {
            add("canary.max_hold_seconds", "is shorter than canary.hold_seconds".into());
        }
        let longest = canary.steps.len() as u64 * u64::from(canary.max_hold_seconds);
        if longest > MAX_CANARY_SECONDS {
            add(
                "canary.max_hold_seconds",
                format!(
                    "at {} steps makes a canary of up to {longest} seconds; expected at most {MAX_CANARY_SECONDS} (60 days)",
                    canary.steps.len()
                ),
            );
        }
        if !(1..=60).contains(&canary.check_seconds) {
            add("canary.check_seconds", format!("{} is not between 1 and 60", canary.check_seconds));
        }
        if !(canary.alpha > 0.0 && canary.alpha <= 0.5) {
            add("canary.alpha", format!("{} is not between 0 and 0.5", canary.alpha));
        }
        if !(canary.power > 0.0 && canary.power < 1.0) {
            add("canary.power", format!("{} is not between 0 and 1", canary.power));
        }
        if Weight::from_percent(canary.shadow_percent).is_err() {
            add(
                "canary.shadow_percent",
                format!("{} is not a percentage; expected 0 to 100", canary.shadow_percent),
            );
        }
        if !(0.0..=20.0).contains(&canary.holdback_percent) {
            add("canary.holdback_percent", format!("{} is not between 0 and 20", canary.holdback_percent));
        }
    }

    fn check_canary_metrics(&self, add: &mut impl FnMut(&str, String)) {
        for (name, rule) in self.canary.rules() {
            let mut problem = |what: String| add(&format!("canary.metrics.{name}"), what);
            let relative = matches!(rule.margin, Margin::Relative(_));
            let (Margin::Absolute(margin) | Margin::Relative(margin)) = rule.margin;
            // Nothing to spend means a test that can never fire.
            if rule.class == MetricClass::Guardrail && !(rule.weight > 0.0 && rule.weight.is_finite()) {
                problem(format!("weight {} is not above 0; a guardrail needs a part of alpha", rule.weight));
            }
            if rule.detect.is_some_and(|d| !(d > 0.0 && d.is_finite())) {
                problem("detect is not above 0".into());
            }
            match name {
                ERROR_RATE if rule.class != MetricClass::Guardrail => problem("is always a guardrail".into()),
                ERROR_RATE | OUTPUT_DISTRIBUTION if relative || !(margin > 0.0 && margin < 1.0) => {
                    problem(format!("margin {} is not a number between 0 and 1", rule.margin));
                }
                LATENCY_P99 if !relative || margin <= 0.0 => {
                    problem(format!("margin {} is not a share above 0 such as \"50%rel\"", rule.margin));
                }
                _ => {}
            }
            // Both compare classes, and a regression answers none: a guardrail that is never known would end every canary.
            if self.task == Task::Regression
                && [ACCURACY, OUTPUT_DISTRIBUTION].contains(&name)
                && rule.class == MetricClass::Guardrail
            {
                problem("is not defined for the task regression, which answers no classes".into());
            }
            if let Some([low, high]) = rule.bounds
                && !(low.is_finite() && high.is_finite() && low < high)
            {
                problem(format!("bounds {low} and {high} are not two rising numbers"));
            }
            let signal = ![ERROR_RATE, LATENCY_P99, OUTPUT_DISTRIBUTION].contains(&name);
            if name == ACCURACY && rule.direction == Direction::LowerIsBetter {
                problem("direction is lower_is_better; expected higher_is_better".into());
            }
            if rule.within_seconds > 86_400 {
                problem(format!("within_seconds {} is more than a day", rule.within_seconds));
            }
            let settled = rule.settled_after_seconds();
            let longest = self.canary.max_hold_seconds;
            if signal && rule.class == MetricClass::Guardrail && settled >= u64::from(longest) {
                problem(format!(
                    "within_seconds {} has a request judged after {settled} seconds, and canary.max_hold_seconds is {longest}: \
                     the first step could never know it",
                    rule.within_seconds
                ));
            }
            let unbounded = name != ACCURACY && rule.bounds.is_none();
            if signal && rule.class != MetricClass::Info && unbounded {
                problem(
                    "has no bounds; a signal that is judged needs its least and its greatest value".into(),
                );
            }
        }
    }

    fn check_hooks(&self, add: &mut impl FnMut(&str, String)) {
        if self.checks.len() > 20 {
            add("checks", format!("has {} checks; expected at most 20", self.checks.len()));
        }
        for (place, check) in self.checks.iter().enumerate() {
            if let Some(problem) = check.defect() {
                add("checks", problem);
            }
            if self.checks[..place].iter().any(|c| c.name == check.name) {
                add("checks", format!("{:?} stands twice", check.name));
            }
        }
    }

    fn check_approval(&self, add: &mut impl FnMut(&str, String)) {
        let approval = &self.approval;
        let approvers = self.access().with(Role::Approver).count();
        if approval.quorum == 0 || approval.quorum as usize > approvers.max(1) {
            add(
                "approval.quorum",
                format!(
                    "{} of {approvers} approvers can never be reached; expected 1 to the number of approvers",
                    approval.quorum
                ),
            );
        }
        if approvers == 0 {
            add(
                "approval.approvers",
                "is empty: nobody could approve; name at least one {email}, here or in `people` with the role approver".into(),
            );
        }
        if approval.expires_seconds < 5 || approval.expires_seconds > MAX_WAIT_SECONDS {
            add(
                "approval.expires_seconds",
                format!("{} is not between 5 and {MAX_WAIT_SECONDS}", approval.expires_seconds),
            );
        }
        if approval.reminders_seconds.len() > 10 || approval.reminders_seconds.contains(&0) {
            let problem = format!("{:?} must be at most 10 numbers above 0", approval.reminders_seconds);
            add("approval.reminders_seconds", problem);
        }
        if approval.mode == ApprovalMode::AutoUnlessBlocked {
            self.check_automatic(add);
        }
    }

    /// What an approval that comes by itself needs: something that must be better, and people who hear of it in time.
    fn check_automatic(&self, add: &mut impl FnMut(&str, String)) {
        let approval = &self.approval;
        if self.offline.tracked.is_empty() {
            add(
                "offline.tracked",
                "is empty: approval.mode auto_unless_blocked needs at least one metric in which the challenger must be better"
                    .into(),
            );
        }
        if approval.window_seconds < 10 || approval.window_seconds > MAX_WAIT_SECONDS {
            add(
                "approval.window_seconds",
                format!("{} is not between 10 and {MAX_WAIT_SECONDS}", approval.window_seconds),
            );
        }
        if approval.window_seconds >= approval.expires_seconds {
            add(
                "approval.window_seconds",
                format!(
                    "{} is not shorter than approval.expires_seconds ({}): the gate would expire first",
                    approval.window_seconds, approval.expires_seconds
                ),
            );
        }
        if !approval.reminders_seconds.iter().any(|before| *before < approval.window_seconds) {
            add(
                "approval.reminders_seconds",
                format!(
                    "{:?} has none within the window of {} seconds: people must be told shortly before its end",
                    approval.reminders_seconds, approval.window_seconds
                ),
            );
        }
    }

    fn check_people(&self, add: &mut impl FnMut(&str, String)) {
        let mut names: BTreeMap<String, &str> = BTreeMap::new();
        let approvers =
            self.approval.approvers.iter().map(|a| ("approval.approvers", &a.email, &a.principals));
        let people = self.people.iter().map(|p| ("people", &p.email, &p.principals));
        for (field, email, principals) in approvers.chain(people) {
            if !is_address(email) {
                add(field, format!("{email:?} is not a mail address"));
            }
            for principal in principals {
                if let Some(why) = nobodys(principal) {
                    add(
                        field,
                        format!(
                            "{principal:?} of {email} {why}; `seatrial whoami` prints what they log in as"
                        ),
                    );
                }
            }
            // One mailbox or one login under two people would be two voices of one person.
            let boxes = std::iter::once(mailbox(email));
            for name in boxes.chain(principals.iter().cloned()) {
                match names.insert(name.clone(), email) {
                    Some(other) if !other.eq_ignore_ascii_case(email) => {
                        add(
                            field,
                            format!("{name:?} belongs to {other} and to {email}; one person is one entry"),
                        );
                    }
                    _ => {}
                }
            }
        }
        for (place, person) in self.people.iter().enumerate() {
            if self.people[..place].iter().any(|p| p.email.eq_ignore_ascii_case(&person.email)) {
                add("people", format!("{} stands twice", person.email));
            }
            if person.emergency && !person.has(Role::Operator) {
                add("people", format!("{} has emergency without the role operator", person.email));
            }
        }
        let access = self.access();
        for delegation in &self.approval.delegations {
            let mut problem = |what: String| add("approval.delegations", what);
            if !access.person(&delegation.from).is_some_and(|p| p.has(Role::Approver)) {
                problem(format!("{} is no approver and has no right to lend", delegation.from));
            }
            match access.person(&delegation.to) {
                None => problem(format!("{} is not among the people; name them in `people`", delegation.to)),
                Some(to) if to.is(&delegation.from) => {
                    problem(format!("{} lends to themselves", delegation.from));
                }
                Some(_) => {}
            }
            if delegation.since.is_some_and(|since| since >= delegation.until) {
                problem(format!("of {} to {} ends before it begins", delegation.from, delegation.to));
            }
        }
    }
}

pub(crate) fn is_address(email: &str) -> bool {
    let parts: Vec<_> = email.split('@').collect();
    parts.len() == 2 && parts.iter().all(|p| !p.is_empty()) && !email.chars().any(char::is_whitespace)
}

/// Why a principal can never be a person who calls.
fn nobodys(principal: &str) -> Option<&'static str> {
    if principal.trim().is_empty() {
        Some("is empty")
    } else if principal.starts_with("arn:") && principal.contains(":role/") {
        Some("is the ARN of a role, and whoever assumes a role is known by its id (`AROA…`)")
    } else if principal.starts_with("account/") || principal.starts_with("function/") {
        Some("is what the records call an account or a function, and no person")
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::{Approver, Delegation, Margin, MetricRule, Person};

    fn usable() -> Policy {
        let mut policy = Policy::default();
        policy.approval.approvers.push(Approver { email: "ann@example.com".into(), principals: vec![] });
        policy
    }

    #[test]
    fn the_default_lacks_only_approvers() {
        assert_eq!(usable().check(), vec![]);
        let fields: Vec<_> = Policy::default().check().into_iter().map(|d| d.field).collect();
        assert_eq!(fields, ["approval.approvers"]);
    }

    #[test]
    fn every_defect_is_reported_at_once() {
        let mut policy = usable();
        policy.task = Task::Ranking;
        policy.canary.steps = vec![5.0, 5.0, 100.0];
        let mut errors = policy.canary.rule(ERROR_RATE).unwrap();
        errors.weight = 0.0;
        policy.canary.metrics.insert(ERROR_RATE.into(), errors);
        policy.canary.max_hold_seconds = u32::MAX;
        policy.shadow.max_seconds = u32::MAX;
        policy.shadow.sample_percent = f64::NAN;
        policy.approval.quorum = 3;
        policy.named_segments = vec!["age=3".into()];
        let fields: Vec<_> = policy.check().into_iter().map(|d| d.field).collect();
        for field in [
            "task",
            "canary.steps",
            "canary.metrics.error_rate",
            "canary.max_hold_seconds",
            "shadow.max_seconds",
            "shadow.sample_percent",
            "approval.quorum",
            "named_segments",
        ] {
            assert!(fields.iter().any(|f| f == field), "{field} in {fields:?}");
        }
    }

    #[test]
    fn a_guardrail_that_could_never_be_known_is_refused() {
        let mut policy = usable();
        policy.canary.max_hold_seconds = 7_200;
        let guardrail = |rest: &str| {
            serde_json::from_str(&format!(r#"{{ "class": "guardrail", "margin": 0.02, {rest} }}"#)).unwrap()
        };
        let found = |policy: &Policy| policy.check().iter().map(ToString::to_string).collect::<Vec<_>>();
        policy
            .canary
            .metrics
            .insert("returned".into(), guardrail(r#""bounds": [0, 1], "within_seconds": 3595"#));
        let late = found(&policy);
        assert_eq!(late.len(), 1, "{late:?}");
        assert!(
            late[0]
                .starts_with("canary.metrics.returned: within_seconds 3595 has a request judged after 7200"),
            "{late:?}"
        );
        policy.canary.max_hold_seconds = 7_201;
        assert_eq!(found(&policy), Vec::<String>::new());
        policy.canary.metrics.insert(ACCURACY.into(), guardrail(r#""direction": "higher_is_better""#));
        policy.canary.metrics.insert(OUTPUT_DISTRIBUTION.into(), guardrail(r#""weight": 1"#));
        assert_eq!(found(&policy), Vec::<String>::new(), "both are known of classes");
        policy.task = Task::Regression;
        let never = found(&policy);
        assert_eq!(never.len(), 2, "{never:?}");
        assert!(
            never.iter().all(|text| text.contains("task regression, which answers no classes")),
            "{never:?}"
        );
    }

    #[test]
    fn a_note_for_those_who_decide_is_short_text_and_a_policy_without_one_keeps_its_digest() {
        let mut policy = usable();
        assert!(serde_json::to_value(&policy).unwrap().get("context").is_none());
        policy.context = "Decides who gets a loan.\n\nA wrong yes costs about 4,000.".into();
        assert_eq!(policy.check(), vec![]);
        policy.context = format!("{}\u{0}", "x".repeat(2_000));
        let found: Vec<_> = policy.check().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("context: has 2001 characters"), "{found:?}");
    }

    #[test]
    fn one_person_is_one_entry_and_delegations_name_known_people() {
        let mut policy = usable();
        let person = |email: &str, principal: &str| Person {
            email: email.into(),
            principals: vec![principal.into()],
            roles: [Role::Operator].into(),
            emergency: false,
        };
        policy.people = vec![person("op@example.com", "AROAOP"), person("ann+second@example.com", "AROAX")];
        let lent = |from: &str, to: &str| Delegation {
            from: from.into(),
            to: to.into(),
            since: None,
            until: "2026-12-01T00:00:00Z".parse().unwrap(),
        };
        policy.approval.delegations = vec![
            lent("ann@example.com", "op@example.com"),
            lent("op@example.com", "ann@example.com"),
            lent("ann@example.com", "eve@example.com"),
        ];
        let found: Vec<_> = policy.check().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("ann@example.com and to ann+second@example.com"), "{found:?}");
        assert!(found[1].contains("op@example.com is no approver"), "{found:?}");
        assert!(found[2].contains("eve@example.com is not among the people"), "{found:?}");
        policy.people[1] = person("bob@example.com", "AROAOP");
        policy.approval.delegations.clear();
        assert_eq!(policy.check().len(), 1, "one login is not two people");
    }

    #[test]
    fn a_principal_that_nobody_calls_with_is_noticed() {
        let mut policy = usable();
        let with = |policy: &mut Policy, principal: &str| {
            policy.approval.approvers[0].principals = vec![principal.into()];
            policy.check().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for wrong in ["arn:aws:iam::1:role/ops", "account/123456789012", "function/gate", " "] {
            let found = with(&mut policy, wrong);
            assert!(found.len() == 1 && found[0].contains("seatrial whoami"), "{wrong}: {found:?}");
        }
        for right in ["arn:aws:iam::1:user/role/ann", "AROAEXAMPLE", "https://login.example.com#ann"] {
            assert_eq!(with(&mut policy, right), Vec::<String>::new(), "{right}");
        }
    }

    #[test]
    fn an_automatic_approval_needs_a_tracked_metric_and_a_notice_within_its_window() {
        let mut policy = usable();
        policy.approval.mode = ApprovalMode::AutoUnlessBlocked;
        let fields = |p: &Policy| p.check().into_iter().map(|d| d.field).collect::<Vec<_>>();
        assert_eq!(fields(&policy), ["offline.tracked"]);
        policy.offline.tracked.push("accuracy".into());
        assert_eq!(policy.check(), vec![]);
        policy.approval.window_seconds = 3_600;
        assert_eq!(fields(&policy), ["approval.reminders_seconds"]);
        policy.approval.window_seconds = policy.approval.expires_seconds;
        assert_eq!(fields(&policy), ["approval.window_seconds"]);
    }

    #[test]
    fn explanations_are_asked_for_by_being_there_and_leave_other_policies_as_they_were() {
        let mut policy = usable();
        let before = crate::canonical::digest(&policy).unwrap();
        assert!(!serde_json::to_string(&policy).unwrap().contains("explanations"));
        policy.explanations = serde_json::from_str("{}").unwrap();
        assert_eq!(policy.check(), vec![]);
        assert_ne!(crate::canonical::digest(&policy).unwrap(), before);
        policy.explanations = serde_json::from_str(r#"{"rows": 5, "background": 1001}"#).unwrap();
        let fields: Vec<_> = policy.check().into_iter().map(|d| d.field).collect();
        assert_eq!(fields, ["explanations.rows", "explanations.background"]);
        assert!(serde_json::from_str::<Policy>(r#"{"explanations": {"row": 5}}"#).is_err());
    }

    #[test]
    fn evidence_is_kept_at_least_as_long_as_the_profile_says() {
        let mut policy = usable();
        policy.evidence_retention_days = Some(365);
        assert_eq!(policy.check(), vec![]);
        policy.profile = crate::compliance::ProfileName::EuAiAct;
        let found: Vec<_> = policy.check().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("evidence_retention_days: 365 is not between 3653"), "{found:?}");
        policy.evidence_retention_days = Some(36_501);
        assert_eq!(policy.check().len(), 1);
    }

    /// The digest was taken before policies had a profile, an inventory or a time for evidence or versions out of use.
    #[test]
    fn a_policy_that_names_no_profile_keeps_the_digest_it_was_stored_under() {
        let stored = serde_json::to_value(usable()).unwrap();
        for later in ["profile", "inventory", "evidence_retention_days", "retention", "when_busy"] {
            assert_eq!(stored.get(later), None, "{later}");
        }
        let digest = crate::canonical::digest(&usable()).unwrap();
        assert_eq!(
            digest.as_str(),
            "sha256:88eb25028e4a8b60a92034cd13b7ebd49e122ad55359b7d4094d612a7a0a6be4"
        );
    }

    #[test]
    fn margins_read_both_ways_and_unknown_fields_are_refused() {
        let rule: MetricRule =
            serde_json::from_str(r#"{"class":"guardrail","margin":"50%rel","direction":"lower_is_better"}"#)
                .unwrap();
        assert_eq!(rule.margin, Margin::Relative(0.5));
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<MetricRule>(&text).unwrap(), rule);
        assert!(serde_json::from_str::<Policy>(r#"{"canarry":{}}"#).is_err());
        assert!(
            serde_json::from_str::<MetricRule>(
                r#"{"class":"info","margin":-1,"direction":"lower_is_better"}"#
            )
            .is_err()
        );
    }
}

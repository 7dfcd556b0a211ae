//! Every defect of a policy, found at once.

use serde::Serialize;

use super::{
    ACCURACY, ApprovalMode, ERROR_RATE, LATENCY_P99, Margin, OFFLINE_METRICS, OUTPUT_DISTRIBUTION, Policy,
    SHADOW_METRICS, Task, applies, metrics,
};
use crate::route::Weight;
use crate::verdict::{Direction, MetricClass};

/// The longest shadow, the longest canary and the most steps: executions keep at most 25,000 events, and the canary's steps are
/// part of the promotion's record, which every end of it writes.
const MAX_SHADOW_SECONDS: u32 = 30 * 86_400;
const MAX_CANARY_SECONDS: u64 = 60 * 86_400;
const MAX_STEPS: usize = 50;

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
        if approval.mode == ApprovalMode::AutoUnlessBlocked {
            add(
                "approval.mode",
                "auto_unless_blocked is not supported by this release; expected required".into(),
            );
        }
        if approval.quorum == 0 || approval.quorum as usize > approval.approvers.len().max(1) {
            add(
                "approval.quorum",
                format!(
                    "{} of {} approvers can never be reached; expected 1 to the number of approvers",
                    approval.quorum,
                    approval.approvers.len()
                ),
            );
        }
        if approval.approvers.is_empty() {
            add("approval.approvers", "is empty: nobody could approve; name at least one {email}".into());
        }
        for approver in &approval.approvers {
            let parts: Vec<_> = approver.email.split('@').collect();
            if parts.len() != 2
                || parts.iter().any(|p| p.is_empty())
                || approver.email.chars().any(char::is_whitespace)
            {
                add("approval.approvers", format!("{:?} is not a mail address", approver.email));
            }
        }
        if approval.expires_seconds < 5 || approval.expires_seconds > 300 * 86_400 {
            add(
                "approval.expires_seconds",
                format!("{} is not between 5 and 25920000", approval.expires_seconds),
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::{Approver, Margin, MetricRule};

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

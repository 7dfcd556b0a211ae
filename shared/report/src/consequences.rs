//! What a decision does, with the steps and times of the policy.

use seatrial_domain::access::Access;
use seatrial_domain::gate::GateRecord;
use seatrial_domain::policy::{Policy, Target};
use seatrial_domain::promotion::{Bypass, Stage};

use crate::{numbers, times};

/// What happens next, by decision.
pub(crate) struct Consequences {
    /// First sentences about an approval.
    pub(crate) approve: Vec<String>,
    /// The canary's steps, if there is one.
    pub(crate) steps: Vec<String>,
    /// What follows the steps.
    pub(crate) after: Vec<String>,
    pub(crate) reject: String,
    pub(crate) nothing: String,
}

impl Consequences {
    pub(crate) fn new(gate: &GateRecord, policy: &Policy, live: &Access, bypasses: &[Bypass]) -> Self {
        let challenger = gate.challenger.version.to_string();
        let champion = gate.champion.as_ref().map(|c| c.version.to_string());
        let mut view = Self {
            approve: quorum(gate, live),
            steps: vec![],
            after: vec![],
            reject: String::new(),
            nothing: nothing(gate),
        };
        let skipped = bypasses.iter().any(|b| b.stage == Stage::Canary);
        match &champion {
            None => {
                view.approve.push(format!(
                    "{challenger} becomes the champion and serves every caller at once. There is no earlier version to share \
                     traffic with or to roll back to."
                ));
                view.reject =
                    format!("The promotion ends. {challenger} serves nobody, and the model has no champion.");
            }
            Some(champion) => {
                if skipped {
                    view.approve.push(format!(
                        "{challenger} serves every caller at once: its canary was skipped in an emergency. {champion} is kept \
                         ready for a rollback."
                    ));
                } else {
                    canary(&mut view, policy, &challenger, champion);
                }
                view.reject = format!(
                    "The promotion ends. {champion} goes on serving everybody; no caller ever sees {challenger}."
                );
                view.after.extend(split(policy));
            }
        }
        view
    }
}

/// Who splits traffic, where it is somebody else, and how fast a rollback takes effect there.
fn split(policy: &Policy) -> Option<String> {
    let target = policy.target.as_ref()?;
    Some(format!(
        "Callers are split by {}, which follows what is decided here. A rollback takes {}.",
        target.phrase(),
        Target::rollback_takes(Some(target))
    ))
}

fn quorum(gate: &GateRecord, live: &Access) -> Vec<String> {
    let given = seatrial_domain::gate::approvals(gate, live);
    let needed = live.quorum.max(1) as usize;
    let left = needed.saturating_sub(given);
    if left > 1 {
        return vec![format!(
            "{left} more approvals are needed, by different people. With the last of them:"
        )];
    }
    Vec::new()
}

fn canary(view: &mut Consequences, policy: &Policy, challenger: &str, champion: &str) {
    let canary = &policy.canary;
    let (least, most) = (u64::from(canary.hold_seconds), u64::from(canary.max_hold_seconds));
    let steps = canary.steps.len() as u64;
    view.approve.push(format!("{challenger} starts to answer callers, a growing share of them:"));
    let hold = if least == most {
        format!("for {}", times::duration(least))
    } else {
        format!("for {} to {}", times::duration(least), times::duration(most))
    };
    view.steps =
        canary.steps.iter().map(|s| format!("{} of callers, {hold}", numbers::percent(*s))).collect();
    view.after.push(format!(
        "Each step ends as soon as every guardrail is shown to hold. If one is harmed, or it cannot be told in the longest time, \
         everybody is given back to {champion} by itself."
    ));
    let whole = if least == most {
        format!("after {}", times::duration(least * steps))
    } else {
        format!("{} to {} later", times::duration(least * steps), times::duration(most * steps))
    };
    view.after.push(format!("Then, {whole}, {challenger} is the champion{}.", holdback(policy, champion)));
}

fn holdback(policy: &Policy, champion: &str) -> String {
    let canary = &policy.canary;
    let ready = format!(", and {champion} is kept ready for a rollback");
    if canary.holdback_percent > 0.0 && canary.stability_seconds > 0 {
        return format!(
            "; {} of callers stay with {champion} for {} more to compare with{ready}",
            numbers::percent(canary.holdback_percent),
            times::duration(canary.stability_seconds.into())
        );
    }
    ready
}

fn nothing(gate: &GateRecord) -> String {
    match gate.open_window() {
        Some(window) => format!(
            "On {} it is approved by itself, as if somebody had approved it. Until then it can be blocked.",
            times::moment(window.ends_at)
        ),
        None => format!("On {} it ends like a rejection.", times::moment(gate.expires_at)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use seatrial_domain::policy::SagemakerEndpoint;

    #[test]
    fn whoever_decides_reads_how_fast_a_rollback_is_where_somebody_else_splits_traffic() {
        assert_eq!(split(&Policy::default()), None);
        let endpoint = SagemakerEndpoint { endpoint: "fraud".into(), role: None };
        let policy = Policy { target: Some(Target::SagemakerEndpoint(endpoint)), ..Policy::default() };
        let said = split(&policy).unwrap();
        assert!(
            said.contains("the SageMaker endpoint fraud") && said.contains("A rollback takes minutes:"),
            "{said}"
        );
    }
}

//! Settings of a model: its policy and its benchmark. A change is an event of the history like any other.

use serde_json::json;

use super::{Change, Context, Draft, PolicyRecord};
use crate::canonical;
use crate::head::{BenchmarkRef, Head, PolicyRef};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::target;
use crate::version::VersionRecord;

/// By whose right a policy or a benchmark is changed.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a> {
    /// The model's owner's, by the policy in force; anybody's while there is none.
    Owner(Option<&'a PolicyRecord>),
    /// The platform team's, for every model of the deployment: the way back in when a model's owners are gone. The history
    /// says that it was used.
    Platform,
}

impl Right<'_> {
    fn check(&self, context: &Context<'_>) -> Result<(), Refusal> {
        match self {
            Self::Owner(Some(in_force)) => {
                let (who, set_by) = (&context.actor.principal, &in_force.set_by.principal);
                in_force.policy.access().may_own(who, set_by)
            }
            Self::Owner(None) | Self::Platform => Ok(()),
        }
    }

    const fn is_platform(&self) -> bool {
        matches!(self, Self::Platform)
    }
}

/// Sets the policy for promotions that start from now on; a running one keeps the thresholds it started with. Who may decide
/// changes at once.
///
/// # Errors
/// [`Refusal::Invalid`] with every defect of the policy; [`Refusal::Forbidden`] to everybody but the owner.
pub fn set_policy(context: &Context<'_>, policy: Policy, right: &Right<'_>) -> Result<Change, Refusal> {
    right.check(context)?;
    let defects = policy.check();
    if !defects.is_empty() {
        let list: Vec<_> = defects.iter().map(ToString::to_string).collect();
        return Err(Refusal::Invalid {
            why: format!("the policy has {} defects: {}", list.len(), list.join("; ")),
        });
    }
    let digest = canonical::digest(&policy)
        .map_err(|e| Refusal::Invalid { why: format!("the policy has no canonical form: {e}") })?;
    let number = context.head.policy.as_ref().map_or(0, |p| p.number) + 1;
    let reference = PolicyRef { number, digest };
    let mut details = json!({ "from": context.head.policy, "to": reference });
    if right.is_platform() {
        details["by_platform"] = json!(true);
    }
    let mut draft = Draft::new(context, "policy_set", details);
    draft.head.policy = Some(reference.clone());
    draft.change.policy =
        Some(PolicyRecord { reference, policy, set_by: context.actor.clone(), set_at: context.now });
    draft.finish()
}

/// That the traffic may be given into other hands: not while a promotion runs, whose approval and whose canary are about the present
/// ones, and only where what serves is known there. `serving` are the champion and the standby.
///
/// # Errors
/// [`Refusal::Invalid`], with what to do.
pub fn may_change_target(
    head: &Head,
    present: Option<&Policy>,
    policy: &Policy,
    serving: &[VersionRecord],
) -> Result<(), Refusal> {
    if present.and_then(|p| p.target.as_ref()) == policy.target.as_ref() {
        return Ok(());
    }
    if let Some(running) = &head.running {
        let why = format!(
            "the policy's target cannot change while promotion {} runs; wait for it, or end it with a rollback",
            running.promotion
        );
        return Err(Refusal::Invalid { why });
    }
    let Some(target) = &policy.target else { return Ok(()) };
    target::carries(target, serving).map_err(|e| {
        let first = "promote a version that has one under the present target first";
        Refusal::Invalid { why: format!("the policy's target cannot carry what serves: {e}; {first}") }
    })
}

/// Sets the benchmark for promotions that start from now on.
///
/// # Errors
/// [`Refusal::Forbidden`] to everybody but the owner: who submits candidates does not choose what judges them.
pub fn set_benchmark(
    context: &Context<'_>,
    benchmark: BenchmarkRef,
    right: &Right<'_>,
) -> Result<Change, Refusal> {
    right.check(context)?;
    let mut details = json!({ "from": context.head.benchmark, "to": benchmark });
    if right.is_platform() {
        details["by_platform"] = json!(true);
    }
    let mut draft = Draft::new(context, "benchmark_set", details);
    draft.head.benchmark = Some(benchmark);
    draft.finish()
}

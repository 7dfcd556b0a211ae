//! Settings of a model: its policy and its benchmark. A change is an event of the history like any other.

use serde_json::json;

use super::{Change, Context, Draft, PolicyRecord};
use crate::canonical;
use crate::head::{BenchmarkRef, PolicyRef};
use crate::policy::Policy;
use crate::refusal::Refusal;

/// Sets the policy for promotions that start from now on; a running one keeps the thresholds it started with.
///
/// # Errors
/// [`Refusal::Invalid`] with every defect of the policy.
pub fn set_policy(context: &Context<'_>, policy: Policy) -> Result<Change, Refusal> {
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
    let mut draft =
        Draft::new(context, "policy_set", json!({ "from": context.head.policy, "to": reference }));
    draft.head.policy = Some(reference.clone());
    draft.change.policy =
        Some(PolicyRecord { reference, policy, set_by: context.actor.clone(), set_at: context.now });
    draft.finish()
}

/// Sets the benchmark for promotions that start from now on.
///
/// # Errors
/// When the history entry cannot be made.
pub fn set_benchmark(context: &Context<'_>, benchmark: BenchmarkRef) -> Result<Change, Refusal> {
    let details = json!({ "from": context.head.benchmark, "to": benchmark });
    let mut draft = Draft::new(context, "benchmark_set", details);
    draft.head.benchmark = Some(benchmark);
    draft.finish()
}

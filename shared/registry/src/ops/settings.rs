//! A model's policy and benchmark.

use seatrial_domain::head::{BenchmarkRef, PolicyRef};
use seatrial_domain::policy::Policy;
use seatrial_domain::{ModelName, canonical, change};

use super::promoting::missing_record;
use super::{Missing, Next, Ops, Outcome};
use crate::error::OpError;

impl Ops<'_> {
    /// Sets the policy for promotions that start from now on. The policy that is in force already is the outcome.
    ///
    /// # Errors
    /// [`seatrial_domain::Refusal::Invalid`] with every defect of the policy.
    pub async fn set_policy(
        &self,
        model: &ModelName,
        policy: &Policy,
    ) -> Result<Outcome<PolicyRef>, OpError> {
        let digest = canonical::digest(policy).ok();
        let digest = &digest;
        self.transact(model, Missing::Create, |head| {
            Box::pin(async move {
                if let Some(present) = head.policy.as_ref().filter(|p| Some(&p.digest) == digest.as_ref()) {
                    return Ok(Next::Already(present.clone()));
                }
                let change = change::set_policy(&self.context(&head), policy.clone())?;
                match change.head.policy.clone() {
                    Some(set) => Next::commit(change, set),
                    None => Err(missing_record(&change, "a policy")),
                }
            })
        })
        .await
    }

    /// Sets the benchmark for promotions that start from now on. The file that is in force already is the outcome.
    ///
    /// # Errors
    /// [`OpError`] when the table fails or others keep changing the model.
    pub async fn set_benchmark(
        &self,
        model: &ModelName,
        benchmark: &BenchmarkRef,
    ) -> Result<Outcome<BenchmarkRef>, OpError> {
        self.transact(model, Missing::Create, |head| {
            Box::pin(async move {
                let same = |b: &&BenchmarkRef| b.digest == benchmark.digest && b.key == benchmark.key;
                if let Some(present) = head.benchmark.as_ref().filter(same) {
                    return Ok(Next::Already(present.clone()));
                }
                let change = change::set_benchmark(&self.context(&head), benchmark.clone())?;
                Next::commit(change, benchmark.clone())
            })
        })
        .await
    }
}

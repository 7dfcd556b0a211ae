//! A model's policy and benchmark.

use seatrial_domain::change::{PolicyRecord, Right};
use seatrial_domain::head::{BenchmarkRef, Head, PolicyRef};
use seatrial_domain::policy::Policy;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{ModelName, canonical, change};

use super::promoting::missing_record;
use super::{Missing, Next, Ops, Outcome};
use crate::error::OpError;

/// By whose right a setting is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The model's owner's.
    Owner,
    /// The platform team's, which the deployment names.
    Platform,
}

impl By {
    const fn right(self, in_force: Option<&PolicyRecord>) -> Right<'_> {
        match self {
            Self::Owner => Right::Owner(in_force),
            Self::Platform => Right::Platform,
        }
    }
}

impl Ops<'_> {
    /// Sets the policy for promotions that start from now on, as the model's owner. The policy that is in force already is
    /// the outcome.
    ///
    /// # Errors
    /// [`seatrial_domain::Refusal::Invalid`] with every defect of the policy, [`seatrial_domain::Refusal::Forbidden`] to
    /// everybody but the owner.
    pub async fn set_policy(
        &self,
        model: &ModelName,
        policy: &Policy,
    ) -> Result<Outcome<PolicyRef>, OpError> {
        self.set_policy_by(model, policy, By::Owner).await
    }

    /// The same by the right `by`.
    ///
    /// # Errors
    /// As [`Ops::set_policy`].
    pub async fn set_policy_by(
        &self,
        model: &ModelName,
        policy: &Policy,
        by: By,
    ) -> Result<Outcome<PolicyRef>, OpError> {
        let digest = canonical::digest(policy).ok();
        let digest = &digest;
        self.transact(model, Missing::Create, |head| {
            Box::pin(async move {
                if let Some(present) = head.policy.as_ref().filter(|p| Some(&p.digest) == digest.as_ref()) {
                    return Ok(Next::Already(present.clone()));
                }
                let in_force = self.right(&head).await?;
                let serving = self.serving(&head).await?;
                let present = in_force.as_ref().map(|record| &record.policy);
                change::may_change_target(&head, present, policy, &serving)?;
                let right = by.right(in_force.as_ref());
                let change = change::set_policy(&self.context(&head), policy.clone(), &right)?;
                match change.head.policy.clone() {
                    Some(set) => Next::commit(change, set),
                    None => Err(missing_record(&change, "a policy")),
                }
            })
        })
        .await
    }

    /// Sets the benchmark for promotions that start from now on, as the model's owner. The file that is in force already is
    /// the outcome.
    ///
    /// # Errors
    /// [`seatrial_domain::Refusal::Forbidden`] to everybody but the owner.
    pub async fn set_benchmark(
        &self,
        model: &ModelName,
        benchmark: &BenchmarkRef,
    ) -> Result<Outcome<BenchmarkRef>, OpError> {
        self.set_benchmark_by(model, benchmark, By::Owner).await
    }

    /// The champion and the standby.
    pub(super) async fn serving(&self, head: &Head) -> Result<Vec<VersionRecord>, OpError> {
        let mut found = Vec::new();
        for version in head.champion().into_iter().chain(&head.standby) {
            found.extend(self.registry.version(&head.model, version.version).await?);
        }
        Ok(found)
    }

    /// The policy whose owner may change the model's settings; none before the first.
    async fn right(&self, head: &Head) -> Result<Option<PolicyRecord>, OpError> {
        match head.policy {
            Some(_) => self.live_policy(head).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same by the right `by`.
    ///
    /// # Errors
    /// As [`Ops::set_benchmark`].
    pub async fn set_benchmark_by(
        &self,
        model: &ModelName,
        benchmark: &BenchmarkRef,
        by: By,
    ) -> Result<Outcome<BenchmarkRef>, OpError> {
        self.transact(model, Missing::Create, |head| {
            Box::pin(async move {
                let same = |b: &&BenchmarkRef| b.digest == benchmark.digest && b.key == benchmark.key;
                if let Some(present) = head.benchmark.as_ref().filter(same) {
                    return Ok(Next::Already(present.clone()));
                }
                let in_force = self.right(&head).await?;
                let right = by.right(in_force.as_ref());
                let change = change::set_benchmark(&self.context(&head), benchmark.clone(), &right)?;
                Next::commit(change, benchmark.clone())
            })
        })
        .await
    }
}

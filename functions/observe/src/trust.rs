//! Whether an entry may count: its sender is one of the model's, and what it says of itself agrees with the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use seatrial_domain::head::Head;
use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionName};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::route::Arm;
use seatrial_evidence::observation::{Entry, RouteStamp};
use seatrial_registry::Records;
use seatrial_runtime::Failure;

/// What was read about models before. Every write to a model's records moves its head's revision, so at the same revision all
/// of it still holds, and a batch costs one read a model and not its whole past.
#[derive(Debug, Default)]
pub struct Cache(Mutex<BTreeMap<ModelName, Arc<Known>>>);

impl Cache {
    fn at(&self, head: &Head) -> Option<Arc<Known>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&head.model).filter(|k| k.head == *head).cloned()
    }

    fn keep(&self, known: &Arc<Known>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(known.head.model.clone(), Arc::clone(known));
    }
}

/// What the registry knows about the models of a batch.
#[derive(Debug, Default)]
pub struct Trust {
    models: BTreeMap<ModelName, Arc<Known>>,
}

/// What the registry knows about one model.
#[derive(Debug)]
pub struct Known {
    /// Its head.
    pub head: Head,
    /// The policy in force.
    pub policy: Option<Policy>,
    versions: BTreeMap<VersionName, Digest>,
    promotions: BTreeMap<PromotionId, PromotionRecord>,
    /// The promotion of each epoch: a model has many over the years, and each row asks.
    by_epoch: BTreeMap<u64, PromotionId>,
}

impl Trust {
    /// Reads what is known about these models. Unknown ones stay unknown.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub async fn about(
        records: &dyn Records,
        models: BTreeSet<ModelName>,
        cache: &Cache,
    ) -> Result<Self, Failure> {
        let mut trust = Self::default();
        for model in models {
            let Some(head) = records.head(&model).await? else { continue };
            if let Some(known) = cache.at(&head) {
                trust.models.insert(model, known);
                continue;
            }
            let policy = match &head.policy {
                Some(reference) => records.policy(&model, reference.number).await?.map(|p| p.policy),
                None => None,
            };
            let versions =
                records.versions(&model).await?.into_iter().map(|v| (v.version, v.digest)).collect();
            let promotions = records.promotions(&model).await?;
            let known = Arc::new(Known::new(head, policy, versions, promotions));
            cache.keep(&known);
            trust.models.insert(model, known);
        }
        Ok(trust)
    }

    /// What is known about a model.
    #[must_use]
    pub fn known(&self, model: &ModelName) -> Option<&Known> {
        self.models.get(model).map(Arc::as_ref)
    }

    /// Whether the entry counts.
    ///
    /// # Errors
    /// The reason why it does not.
    pub fn accepts(&self, entry: &Entry, sender: Option<&str>) -> Result<(), String> {
        let model = entry.model();
        let known = self.known(model).ok_or_else(|| format!("model {model} is not registered"))?;
        if let Some(policy) = &known.policy
            && !policy.observations.senders.is_empty()
            && !sender.is_some_and(|s| policy.observations.senders.iter().any(|p| p == s))
        {
            let who = sender.unwrap_or("nobody");
            return Err(format!("{who} is not among the senders that the policy of {model} names"));
        }
        match entry {
            Entry::Tally(t) => known.served_lawfully(t.version, &t.digest, t.role, &t.route),
            Entry::Served(s) => known.served_lawfully(s.version, &s.digest, s.role, &s.route),
            Entry::Label(_) | Entry::Signal(_) => Ok(()),
        }
    }
}

impl Known {
    fn new(
        head: Head,
        policy: Option<Policy>,
        versions: BTreeMap<VersionName, Digest>,
        promotions: Vec<PromotionRecord>,
    ) -> Self {
        let by_epoch = promotions.iter().map(|p| (p.epoch, p.id.clone())).collect();
        let promotions = promotions.into_iter().map(|p| (p.id.clone(), p)).collect();
        Self { head, policy, versions, promotions, by_epoch }
    }

    /// Whether this version could have served on this arm under this route.
    fn served_lawfully(
        &self,
        version: VersionName,
        digest: &Digest,
        role: Arm,
        stamp: &RouteStamp,
    ) -> Result<(), String> {
        match self.versions.get(&version) {
            None => return Err(format!("version {version} is not registered")),
            Some(known) if known != digest => {
                return Err(format!("version {version} has another digest than {digest}"));
            }
            Some(_) => {}
        }
        if stamp.epoch > self.head.epoch {
            return Err(format!(
                "epoch {} has not come yet; the model is at {}",
                stamp.epoch, self.head.epoch
            ));
        }
        let by_epoch = || self.by_epoch.get(&stamp.epoch).and_then(|id| self.promotions.get(id));
        let route = Some(&self.head.route).filter(|route| route.epoch == stamp.epoch);
        let lawful = match role {
            Arm::Pinned => true,
            Arm::Challenger => {
                let promotion = stamp.promotion.as_ref().and_then(|p| self.promotions.get(p));
                promotion.is_some_and(|p| p.epoch == stamp.epoch && p.challenger.version == version)
            }
            // The champion of a promotion's own epoch is in its record, and that of the present route in the head. Routes
            // between promotions that are over are in neither: there the registered version has to do.
            Arm::Champion => match (by_epoch(), route) {
                (Some(p), _) => p.champion.as_ref().is_none_or(|c| c.version == version),
                (None, Some(route)) => route.champion.as_ref().is_some_and(|c| c.version == version),
                (None, None) => true,
            },
            // The holdback ends within an epoch, and what is still on its way when it does is lawful.
            Arm::Standby => route.is_none_or(|route| {
                let standby = [route.standby.as_ref(), self.head.standby.as_ref()];
                standby.into_iter().flatten().any(|s| s.version == version)
            }),
        };
        if lawful {
            return Ok(());
        }
        Err(format!("{version} was not the {} of the route at epoch {}", role.as_str(), stamp.epoch))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use seatrial_domain::ids::VersionRef;
    use seatrial_domain::route::Weight;

    use super::*;

    fn version(n: u32) -> VersionRef {
        VersionRef { version: VersionName::new(n), digest: Digest::from_bytes([n as u8; 32]) }
    }

    #[test]
    fn a_version_counts_only_on_the_arm_that_it_had() {
        let mut head = Head::new(ModelName::parse("m").unwrap(), jiff::Timestamp::UNIX_EPOCH);
        (head.epoch, head.route.epoch) = (7, 7);
        head.route.champion = Some(version(1));
        head.standby = Some(version(2));
        let versions = (1..=3).map(|n| (VersionName::new(n), version(n).digest)).collect();
        let known = Known::new(head, None, versions, Vec::new());
        let says = |n: u32, role, epoch| {
            let stamp = RouteStamp { promotion: None, epoch, weight: Weight::ZERO };
            known.served_lawfully(VersionName::new(n), &version(n).digest, role, &stamp)
        };
        assert_eq!(says(1, Arm::Champion, 7), Ok(()));
        assert!(says(3, Arm::Champion, 7).unwrap_err().contains("was not the champion"));
        assert!(says(1, Arm::Challenger, 7).unwrap_err().contains("was not the challenger"));
        assert_eq!(says(2, Arm::Standby, 7), Ok(()), "a holdback that ended just now");
        assert!(says(3, Arm::Standby, 7).is_err());
        assert_eq!(says(3, Arm::Pinned, 7), Ok(()));
        assert!(says(1, Arm::Champion, 8).unwrap_err().contains("has not come yet"));
        assert!(says(4, Arm::Champion, 7).unwrap_err().contains("not registered"));
    }
}

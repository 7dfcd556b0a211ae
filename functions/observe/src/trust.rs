//! Whether an entry may count: its sender is one of the model's, and what it says of itself agrees with the registry.

use std::collections::{BTreeMap, BTreeSet};

use seatrial_domain::head::Head;
use seatrial_domain::ids::{Digest, ModelName, PromotionId, VersionName};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::route::Arm;
use seatrial_evidence::observation::{Entry, RouteStamp};
use seatrial_registry::Records;
use seatrial_runtime::Failure;

/// What the registry knows about the models of a batch.
#[derive(Debug, Default)]
pub struct Trust {
    models: BTreeMap<ModelName, Known>,
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
}

impl Trust {
    /// Reads what is known about these models. Unknown ones stay unknown.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub async fn about(records: &dyn Records, models: BTreeSet<ModelName>) -> Result<Self, Failure> {
        let mut trust = Self::default();
        for model in models {
            let Some(head) = records.head(&model).await? else { continue };
            let policy = match &head.policy {
                Some(reference) => records.policy(&model, reference.number).await?.map(|p| p.policy),
                None => None,
            };
            let versions =
                records.versions(&model).await?.into_iter().map(|v| (v.version, v.digest)).collect();
            let promotions =
                records.promotions(&model).await?.into_iter().map(|p| (p.id.clone(), p)).collect();
            trust.models.insert(model, Known { head, policy, versions, promotions });
        }
        Ok(trust)
    }

    /// What is known about a model.
    #[must_use]
    pub fn known(&self, model: &ModelName) -> Option<&Known> {
        self.models.get(model)
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
        if role != Arm::Challenger {
            return Ok(());
        }
        let promotion = stamp.promotion.as_ref().and_then(|p| self.promotions.get(p));
        match promotion {
            Some(p) if p.epoch == stamp.epoch && p.challenger.version == version => Ok(()),
            _ => Err(format!("{version} was not the challenger of the route at epoch {}", stamp.epoch)),
        }
    }
}

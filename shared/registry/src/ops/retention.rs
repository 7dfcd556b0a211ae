//! Versions that are out of use: retired by the policy, and collected.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use seatrial_domain::head::Head;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::retention::{
    Collecting, Crown, Facts, Fate, Freed, Plan, crowned_by, plan, retirements, staying,
};
use seatrial_domain::version::{VersionRecord, VersionStatus};
use seatrial_domain::{Digest, ModelName, Refusal, VersionName, change};

use super::promoting::written_version;
use super::{Missing, Next, Ops, Outcome, in_force, not_found, pinned_policy};
use crate::error::OpError;
use crate::ports::Registry;

/// Entries of a history that are read at once.
const ENTRIES: u32 = 500;

/// What decides over the versions of a model that are out of use.
#[derive(Debug, Clone)]
pub struct Kept {
    head: Head,
    versions: Vec<VersionRecord>,
    promotions: Vec<PromotionRecord>,
    policy: Policy,
    crown: Option<Crown>,
    retirements: BTreeMap<VersionName, Timestamp>,
}

impl Kept {
    fn facts(&self) -> Facts<'_> {
        Facts {
            head: &self.head,
            versions: &self.versions,
            promotions: &self.promotions,
            policy: &self.policy,
            crown: self.crown,
            retirements: &self.retirements,
        }
    }

    /// What becomes of each version, as of `now`.
    #[must_use]
    pub fn plan(&self, now: Timestamp) -> Plan {
        plan(&self.facts(), now)
    }

    /// The packages whose bytes stay when those of `without` go.
    #[must_use]
    pub fn staying(&self, without: VersionName) -> BTreeSet<Digest> {
        staying(&self.facts(), without)
    }

    /// The head that all of it was read after.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }
}

/// Reads what decides over the versions of `model` that are out of use.
///
/// # Errors
/// [`Refusal::NotFound`] without such a model, or when a policy is gone.
pub async fn kept(registry: &dyn Registry, model: &ModelName) -> Result<Kept, OpError> {
    let head = registry.head(model).await?.ok_or_else(|| not_found(format!("model {model}")))?;
    read(registry, head).await
}

async fn read(registry: &dyn Registry, head: Head) -> Result<Kept, OpError> {
    let model = &head.model;
    let versions = registry.versions(model).await?;
    let promotions = registry.promotions(model).await?;
    let policy = match head.policy {
        Some(_) => in_force(registry, &head).await?.policy,
        None => Policy::default(),
    };
    let crown = crown(registry, &head, &versions, &promotions).await?;
    let undated = versions.iter().any(|v| v.status == VersionStatus::Retired && v.retired_at.is_none());
    let retirements = if undated { by_history(registry, model).await? } else { BTreeMap::new() };
    Ok(Kept { head, versions, promotions, policy, crown, retirements })
}

async fn crown(
    registry: &dyn Registry,
    head: &Head,
    versions: &[VersionRecord],
    promotions: &[PromotionRecord],
) -> Result<Option<Crown>, OpError> {
    match crowned_by(head, versions, promotions) {
        Some(by) => Ok(Crown::of(by, &pinned_policy(registry, by).await?.policy)),
        None => Ok(None),
    }
}

/// Reads the whole history, for records of earlier releases.
async fn by_history(
    registry: &dyn Registry,
    model: &ModelName,
) -> Result<BTreeMap<VersionName, Timestamp>, OpError> {
    let (mut found, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = registry.history(model, after, ENTRIES).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.seq;
        found.extend(retirements(&page));
    }
}

impl Ops<'_> {
    /// The crown that made the present standby.
    pub(super) async fn crown_of_standby(&self, head: &Head) -> Result<Option<Crown>, OpError> {
        if head.standby.is_none() {
            return Ok(None);
        }
        let champion = self.version_of(&head.model, head.champion()).await?;
        let promotion = match champion.as_ref().and_then(|c| c.promotion.as_ref()) {
            Some(id) => self.registry.promotion(&head.model, id).await?,
            None => None,
        };
        let (versions, promotions): (Vec<_>, Vec<_>) =
            (champion.into_iter().collect(), promotion.into_iter().collect());
        crown(self.registry, head, &versions, &promotions).await
    }

    /// Retires the standby when the policy says that it is time. One that is retired is the outcome.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when it is not due.
    pub async fn retire_by_policy(
        &self,
        model: &ModelName,
        version: VersionName,
    ) -> Result<Outcome<VersionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.version(model, version).await?;
                if matches!(record.status, VersionStatus::Retired | VersionStatus::Collected) {
                    return Ok(Next::Already(record));
                }
                let kept = read(self.registry, head).await?;
                let context = self.context(&kept.head);
                let plan = kept.plan(context.now);
                let line = plan.line(version).filter(|l| l.fate == Fate::Retire);
                let line = line.ok_or_else(|| Refusal::Invalid {
                    why: format!("the policy of model {model} does not retire {version} now"),
                })?;
                let reason = format!("by the policy: it {}", line.why);
                let change = change::retire(&context, &record, kept.crown.as_ref(), &reason)?;
                let retired = written_version(&change)?;
                Next::commit(change, retired)
            })
        })
        .await
    }

    /// Collects a version that is due: nobody can load it from here on. `found` is what is to be deleted, by whoever gets this as a
    /// fresh outcome and by nobody else. A collected one is the outcome, with the deletion that is under way.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when it is not due, with what keeps it, or while another collection is not finished.
    pub async fn collect_version(
        &self,
        model: &ModelName,
        version: VersionName,
        found: Freed,
    ) -> Result<Outcome<Option<Collecting>>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.version(model, version).await?;
                if record.loadable().is_err() {
                    let under_way = head.collecting.filter(|c| c.version.version == version);
                    return Ok(Next::Already(under_way));
                }
                let kept = read(self.registry, head).await?;
                let context = self.context(&kept.head);
                let change = change::collect_version(&context, &kept.facts(), version, found)?;
                let begun = change.head.collecting.clone();
                Next::commit(change, begun)
            })
        })
        .await
    }

    /// Takes up the deletion that another run did not come to the end of, once that cannot delete any more. Whoever gets this as a
    /// fresh outcome goes on with it, and nobody else; where nothing is to be taken up, the outcome is what is under way.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without such a model.
    pub async fn resume_collection(&self, model: &ModelName) -> Result<Outcome<Option<Collecting>>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let context = self.context(&head);
                if head.collecting.as_ref().is_none_or(|c| context.now < c.resumes_at()) {
                    return Ok(Next::Already(head.collecting.clone()));
                }
                let change = change::resume_collection(&context)?;
                let resumed = change.head.collecting.clone();
                Next::commit(change, resumed)
            })
        })
        .await
    }

    /// Records that the bytes of a version that is being collected are deleted, by the run that came to the end: `last` is what it
    /// deleted. When another run has taken it up since, or was first, that is the outcome.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without such a model.
    pub async fn finish_collection(
        &self,
        model: &ModelName,
        collecting: &Collecting,
        last: Freed,
    ) -> Result<Outcome<()>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                if head.collecting.as_ref() != Some(collecting) {
                    return Ok(Next::Already(()));
                }
                let change = change::finish_collection(&self.context(&head), last)?;
                Next::commit(change, ())
            })
        })
        .await
    }
}

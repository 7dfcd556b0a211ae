//! Traffic: shifting weight, crowning, ending the holdback.

use jiff::Timestamp;
use seatrial_domain::change;
use seatrial_domain::gate::GateRecord;
use seatrial_domain::ids::VersionRef;
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_domain::route::{Route, Weight};
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{ModelName, PromotionId, Refusal};

use super::{Missing, Next, Ops, Outcome, pinned_policy};
use crate::error::OpError;

/// A canary step that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// The challenger's share.
    pub weight: Weight,
    /// The step, from 0.
    pub step: u32,
    /// How many steps the policy has.
    pub steps: u32,
    /// When the step began.
    pub since: Timestamp,
}

/// A crown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crown {
    /// The new champion.
    pub champion: VersionRef,
    /// The champion before.
    pub standby: Option<VersionRef>,
}

impl Crown {
    fn of(promotion: &PromotionRecord) -> Self {
        Self { champion: promotion.challenger.clone(), standby: promotion.champion.clone() }
    }
}

impl Ops<'_> {
    /// Gives the challenger the share of a canary step (from 0). The step that is taken already is the outcome.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] after a rollback, [`Refusal::NotApproved`] without the approval, [`Refusal::Invalid`] for
    /// a step that is not the next one.
    pub async fn shift(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
        epoch: u64,
        step: u32,
    ) -> Result<Outcome<Shift>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.holding(&head, promotion, epoch).await?;
                let policy = pinned_policy(self.registry, &record).await?.policy;
                let steps = policy.canary.steps.len() as u32;
                if let Some(taken) = record.steps.last()
                    && record.steps.len() == step as usize + 1
                    && head.route.weight == taken.weight
                {
                    return Ok(Next::Already(Shift { weight: taken.weight, step, steps, since: taken.at }));
                }
                let version = self.version(model, record.challenger.version).await?;
                let gate = self.approval_gate(&record).await?;
                let change =
                    change::shift(&self.context(&head), &record, &version, gate.as_ref(), &policy, step)?;
                let route = &change.head.route;
                let taken = Shift { weight: route.weight, step, steps, since: route.since };
                Next::commit(change, taken)
            })
        })
        .await
    }

    /// Makes the challenger champion. A promotion that is crowned already is the outcome.
    ///
    /// # Errors
    /// [`Refusal::Superseded`] after a rollback, [`Refusal::NotApproved`] without the approval, [`Refusal::Invalid`] when
    /// the canary is not through its steps.
    pub async fn crown(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
        epoch: u64,
    ) -> Result<Outcome<Crown>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.promotion(model, promotion).await?;
                if record.epoch != epoch {
                    let found = head.epoch;
                    return Err(Refusal::Superseded { promotion: promotion.clone(), epoch, found }.into());
                }
                if record.status == PromotionStatus::Crowned {
                    return Ok(Next::Already(Crown::of(&record)));
                }
                head.held_by(promotion, epoch)?;
                let policy = pinned_policy(self.registry, &record).await?.policy;
                let challenger = self.version(model, record.challenger.version).await?;
                let champion = self.version_of(model, head.champion()).await?;
                let standby = self.version_of(model, head.standby.as_ref()).await?;
                let gate = self.approval_gate(&record).await?;
                let change = change::crown(
                    &self.context(&head),
                    &record,
                    &challenger,
                    champion.as_ref(),
                    standby.as_ref(),
                    gate.as_ref(),
                    &policy,
                )?;
                let crown =
                    Crown { champion: record.challenger.clone(), standby: change.head.standby.clone() };
                Next::commit(change, crown)
            })
        })
        .await
    }

    /// Ends the holdback after a crown: the champion serves everyone. A model without one is as asked.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without such a model.
    pub async fn end_holdback(&self, model: &ModelName) -> Result<Outcome<Route>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                if head.route.holdback == Weight::ZERO {
                    return Ok(Next::Already(head.route));
                }
                let change = change::end_holdback(&self.context(&head))?;
                let route = change.head.route.clone();
                Next::commit(change, route)
            })
        })
        .await
    }

    async fn approval_gate(&self, promotion: &PromotionRecord) -> Result<Option<GateRecord>, OpError> {
        match &promotion.gate {
            Some(id) => Ok(self.registry.gate(id).await?),
            None => Ok(None),
        }
    }

    /// The record of a version that the head names.
    pub(super) async fn version_of(
        &self,
        model: &ModelName,
        reference: Option<&VersionRef>,
    ) -> Result<Option<VersionRecord>, OpError> {
        match reference {
            Some(reference) => self.version(model, reference.version).await.map(Some),
            None => Ok(None),
        }
    }
}

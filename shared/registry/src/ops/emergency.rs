//! Skipping stages in an emergency.

use seatrial_domain::change;
use seatrial_domain::promotion::{PromotionRecord, Stage};
use seatrial_domain::{ModelName, Refusal};

use super::promoting::commit_promotion;
use super::{Missing, Next, Ops, Outcome};
use crate::error::OpError;

impl Ops<'_> {
    /// Skips a stage of the promotion that runs, as an operator with that right. The same actor's bypass of the same stage
    /// for the same reason is the outcome.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] to whom the policy in force does not give this right, [`Refusal::NotFound`] when no promotion
    /// runs, [`Refusal::Invalid`] without a reason or for a stage that is over.
    pub async fn bypass(
        &self,
        model: &ModelName,
        stage: Stage,
        reason: &str,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let running = head.running.as_ref().map(|r| r.promotion.clone());
                let what = || Refusal::NotFound { what: format!("a running promotion of model {model}") };
                let running = running.ok_or_else(what)?;
                let promotion = self.promotion(model, &running).await?;
                let same = promotion.bypass(stage);
                if same.is_some_and(|b| b.by == self.actor && b.reason == reason.trim()) {
                    return Ok(Next::Already(promotion));
                }
                let version = self.version(model, promotion.challenger.version).await?;
                let gate = match &promotion.gate {
                    Some(gate) => self.registry.gate(gate).await?,
                    None => None,
                };
                let access = self.live_policy(&head).await?.policy.access();
                let context = self.context(&head);
                commit_promotion(change::bypass(
                    &context,
                    &promotion,
                    &version,
                    gate.as_ref(),
                    stage,
                    reason,
                    &access,
                )?)
            })
        })
        .await
    }
}

//! Adopting a version that already serves.

use seatrial_domain::adoption::Adoption;
use seatrial_domain::change;
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_domain::{ModelName, PromotionId, Refusal, VersionName};

use super::promoting::commit_promotion;
use super::{Missing, Next, Ops, Outcome};
use crate::error::OpError;

impl Ops<'_> {
    /// Makes a version that already serves the champion of a model that has none, as a person with the right to it. The adoption of
    /// the version that is champion by one is that one, whoever asks again.
    ///
    /// # Errors
    /// [`Refusal::HasChampion`], [`Refusal::Busy`], [`Refusal::Forbidden`], [`Refusal::NotFound`] without such a model, version or
    /// policy, [`Refusal::Invalid`] for a version that a promotion has judged, for one without a name at the policy's target, or without
    /// a comment.
    pub async fn adopt(
        &self,
        model: &ModelName,
        id: &PromotionId,
        version: VersionName,
        adoption: &Adoption,
        execution: Option<&str>,
    ) -> Result<Outcome<PromotionRecord>, OpError> {
        self.transact(model, Missing::Refuse, |head| {
            Box::pin(async move {
                let record = self.version(model, version).await?;
                let serves = head.champion().is_some_and(|c| c.version == version);
                if let (true, Some(by)) = (serves, &record.promotion) {
                    let known = self.promotion(model, by).await?;
                    if known.status == PromotionStatus::Adopted {
                        return Ok(Next::Already(known));
                    }
                }
                if head.policy.is_none() {
                    let why = format!(
                        "model {model} has no policy, so nobody has a right to adopt; set one with `seatrial policy set {model} FILE`"
                    );
                    return Err(Refusal::Invalid { why }.into());
                }
                let policy = self.live_policy(&head).await?;
                let context = self.context(&head);
                commit_promotion(change::adopt(&context, id, &record, &policy, adoption, execution)?)
            })
        })
        .await
    }
}

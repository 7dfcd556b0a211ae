//! Judges the shadow: is its evidence enough, which objects are the evidence, and what does it say.

mod gather;

use jiff::Timestamp;
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_registry::{Registry, ops};
use seatrial_runtime::Failure;

pub use seatrial_evidence::progress::ShadowProgress;

/// How far the shadow of `promotion` is. Reads the pairs written so far; changes nothing.
///
/// # Errors
/// When registry or data cannot be read.
pub async fn shadow_progress(
    registry: &dyn Registry,
    data: &dyn ObjectStore,
    promotion: &PromotionRecord,
    now: Timestamp,
) -> Result<ShadowProgress, Failure> {
    let policy = ops::pinned_policy(registry, promotion).await?.policy;
    let pairs = gather::pairs_so_far(data, promotion).await?;
    let summary = gather::summary(pairs, Vec::new());
    Ok(seatrial_evidence::progress::progress(promotion, &policy, &summary, now))
}

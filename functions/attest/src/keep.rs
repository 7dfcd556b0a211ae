//! How long evidence is kept.

use jiff::SignedDuration;
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_runtime::Failure;

/// Locks every object of a promotion for as long as its policy's profile asks, counted from the promotion's end. Without a profile the
/// bucket's own retention stands.
pub(crate) async fn keep(
    evidence: &dyn ObjectStore,
    promotion: &PromotionRecord,
    policy: Option<&Policy>,
    prefix: &str,
) -> Result<(), Failure> {
    let profile = policy.map(|p| p.profile).unwrap_or_default();
    let (Some(ended), false) = (promotion.ended_at, profile.is_default()) else { return Ok(()) };
    let days = i64::from(profile.profile().retention_days);
    let until = ended
        .checked_add(SignedDuration::from_hours(24 * days))
        .map_err(|e| Failure::internal("reckoning how long evidence is kept", e))?;
    for object in evidence.list(prefix).await? {
        evidence.keep_until(&object.key, None, until).await?;
    }
    Ok(())
}

//! How long evidence is kept.

use jiff::SignedDuration;
use seatrial_artifacts::store::ObjectStore;
use seatrial_domain::compliance::retention_days;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_runtime::Failure;

/// Locks every object of a promotion for as long as its policy asks, counted from the promotion's end. Where it asks for nothing, the
/// bucket's own retention stands.
pub(crate) async fn keep(
    evidence: &dyn ObjectStore,
    promotion: &PromotionRecord,
    policy: Option<&Policy>,
    prefix: &str,
) -> Result<(), Failure> {
    let (Some(ended), Some(policy)) = (promotion.ended_at, policy) else { return Ok(()) };
    if policy.profile.is_default() && policy.evidence_retention_days.is_none() {
        return Ok(());
    }
    let days = i64::from(retention_days(policy));
    let until = ended
        .checked_add(SignedDuration::from_hours(24 * days))
        .map_err(|e| Failure::internal("reckoning how long evidence is kept", e))?;
    for object in evidence.list(prefix).await? {
        evidence.keep_until(&object.key, None, until).await?;
    }
    Ok(())
}

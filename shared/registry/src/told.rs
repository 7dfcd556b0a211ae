//! Whether people were told of a gate: what an approval that comes by itself depends on.

use seatrial_domain::gate::GateRecord;
use seatrial_domain::notice::Told;

use crate::error::StoreError;
use crate::ports::Attempts;

/// Records that people were told. Again is the same.
///
/// # Errors
/// When the table does not answer.
pub async fn mark_told<A: Attempts + ?Sized>(
    attempts: &A,
    gate: &GateRecord,
    told: Told,
) -> Result<(), StoreError> {
    let mark = told.mark(&gate.id);
    attempts.mark_attempt(&gate.promotion, &mark, gate.expires_at).await?;
    attempts.finish_attempt(&gate.promotion, &mark).await
}

/// Whether people were told.
///
/// # Errors
/// When the table does not answer.
pub async fn was_told<A: Attempts + ?Sized>(
    attempts: &A,
    gate: &GateRecord,
    told: Told,
) -> Result<bool, StoreError> {
    attempts.attempt_finished(&gate.promotion, &told.mark(&gate.id)).await
}

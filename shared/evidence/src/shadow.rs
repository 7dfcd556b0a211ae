//! What `observe` hands to `replay`.

use jiff::Timestamp;
use seatrial_domain::PromotionId;
use serde::{Deserialize, Serialize};

use crate::observation::Served;

/// A served row that the shadow replays. A message of the shadow queue is a JSON array of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The promotion whose challenger answers it too.
    pub promotion: PromotionId,
    /// When the observation queue took it: the evidence clock.
    pub queued_at: Timestamp,
    /// What was served.
    pub row: Served,
}

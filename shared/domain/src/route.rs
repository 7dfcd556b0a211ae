//! How a model's traffic is split, and which side a unit is on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ids::{ModelName, PromotionId, VersionRef};

/// The arm under which `replay` keeps its counts of a shadow.
pub const SHADOW_ARM: &str = "shadow";

/// The arm under which sums of these counts are kept.
pub const SHADOW_SUM_ARM: &str = "shadow-sum";

/// A share of traffic in basis points, 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

/// A share outside 0 to 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a weight of {0} basis points is not between 0 and 10000")]
pub struct InvalidWeight(pub u32);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const FULL: Self = Self(10_000);

    /// This many basis points (hundredths of a percent).
    ///
    /// # Errors
    /// Above 10,000.
    pub const fn from_bps(bps: u16) -> Result<Self, InvalidWeight> {
        if bps <= 10_000 { Ok(Self(bps)) } else { Err(InvalidWeight(bps as u32)) }
    }

    /// This many percent, rounded to basis points.
    ///
    /// # Errors
    /// Outside 0 to 100, or not a number.
    pub fn from_percent(percent: f64) -> Result<Self, InvalidWeight> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Self((percent * 100.0).round() as u16))
        } else {
            Err(InvalidWeight(if percent > 100.0 { (percent * 100.0) as u32 } else { u32::MAX }))
        }
    }

    /// Basis points.
    #[must_use]
    pub const fn bps(self) -> u16 {
        self.0
    }

    /// What is left of this share without `other`.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The share as a fraction from 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = InvalidWeight;
    fn try_from(bps: u16) -> Result<Self, InvalidWeight> {
        Self::from_bps(bps)
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match hundredths {
            0 => write!(f, "{whole} %"),
            h if h % 10 == 0 => write!(f, "{whole}.{} %", h / 10),
            h => write!(f, "{whole}.{h:02} %"),
        }
    }
}

/// The side of the split that answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The version that serves by default.
    Champion,
    /// The challenger, in a canary.
    Challenger,
    /// The previous champion, on the holdback share.
    Standby,
    /// A version that the caller named.
    Pinned,
}

impl Arm {
    /// The word used in keys and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
            Self::Standby => "standby",
            Self::Pinned => "pinned",
        }
    }
}

/// How a model's traffic is split at this moment. It is part of the model's head; every change of it is one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The version that serves by default; none before the first promotion.
    pub champion: Option<VersionRef>,
    /// The challenger. Present from the opening of the shadow, so that servers load it before it gets traffic.
    pub challenger: Option<VersionRef>,
    /// The challenger's share.
    pub weight: Weight,
    /// The previous champion on the holdback share after a crown.
    pub standby: Option<VersionRef>,
    /// The share that stays on `standby`.
    pub holdback: Weight,
    /// The promotion that owns this split.
    pub promotion: Option<PromotionId>,
    /// The model's epoch when the split was made.
    pub epoch: u64,
    /// What bucketing and sampling hash with: each promotion draws anew.
    pub salt: String,
    /// The share of observations that servers report as rows.
    pub rows: Weight,
    /// The share of observations that the shadow replays; 0 when no shadow is open.
    pub shadow: Weight,
    /// When this split was written.
    pub since: Timestamp,
}

impl Route {
    /// The share of the space of hashes that `salt` gives `unit`, in basis points from 0 to 9,999: the first eight bytes
    /// of SHA-256 over the two, modulo 10,000 (the bias of the modulo is below 10⁻¹⁵).
    #[must_use]
    pub fn bucket(salt: &str, unit: &str) -> u16 {
        let mut hash = Sha256::new();
        hash.update((salt.len() as u64).to_be_bytes());
        hash.update(salt.as_bytes());
        hash.update(unit.as_bytes());
        let digest = hash.finalize();
        let mut first = [0_u8; 8];
        first.copy_from_slice(&digest[..8]);
        (u64::from_be_bytes(first) % 10_000) as u16
    }

    /// Which side answers for `unit`, and with which version; `None` when the model has no champion.
    ///
    /// The challenger takes the low buckets and the holdback the high ones, so a unit that is in at 5 % stays in at 25 %.
    #[must_use]
    pub fn choose(&self, unit: &str) -> Option<(Arm, &VersionRef)> {
        let bucket = Self::bucket(&self.salt, unit);
        if let Some(challenger) = &self.challenger
            && bucket < self.weight.bps()
        {
            return Some((Arm::Challenger, challenger));
        }
        if let Some(standby) = &self.standby
            && bucket >= 10_000 - self.holdback.bps()
        {
            return Some((Arm::Standby, standby));
        }
        self.champion.as_ref().map(|champion| (Arm::Champion, champion))
    }

    /// Whether an observation is in a sample of this share. The choice depends on the observation's id alone, so a
    /// redelivered message makes the same one, and a smaller sample lies within a larger.
    #[must_use]
    pub fn samples(&self, share: Weight, observation_id: &str) -> bool {
        Self::bucket(&self.salt, observation_id) < share.bps()
    }

    /// The salt of a promotion's split.
    #[must_use]
    pub fn salt_of(model: &ModelName, promotion: &PromotionId, epoch: u64) -> String {
        crate::canonical::sha256(format!("salt\n{model}\n{promotion}\n{epoch}").as_bytes()).hex()[..32]
            .to_owned()
    }

    /// The versions a server must have loaded to obey this route.
    pub fn versions(&self) -> impl Iterator<Item = &VersionRef> {
        [self.champion.as_ref(), self.challenger.as_ref(), self.standby.as_ref()].into_iter().flatten()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ids::{Digest, VersionName};
    use proptest::prelude::*;

    fn version(n: u32) -> VersionRef {
        VersionRef { version: VersionName::new(n), digest: Digest::from_bytes([n as u8; 32]) }
    }

    fn route(weight: u16, holdback: u16) -> Route {
        Route {
            champion: Some(version(1)),
            challenger: Some(version(2)),
            weight: Weight::from_bps(weight).unwrap(),
            standby: Some(version(3)),
            holdback: Weight::from_bps(holdback).unwrap(),
            promotion: None,
            epoch: 1,
            salt: "salt".into(),
            rows: Weight::FULL,
            shadow: Weight::ZERO,
            since: Timestamp::UNIX_EPOCH,
        }
    }

    proptest! {
        #[test]
        fn who_is_in_at_a_small_weight_stays_in_at_a_larger(unit in ".{0,20}", a in 0_u16..=10_000, b in 0_u16..=10_000) {
            let (small, large) = (a.min(b), a.max(b));
            if route(small, 0).choose(&unit).unwrap().0 == Arm::Challenger {
                prop_assert_eq!(route(large, 0).choose(&unit).unwrap().0, Arm::Challenger);
            }
        }

        #[test]
        fn no_weight_means_no_caller_and_full_weight_means_all(unit in ".{0,20}") {
            prop_assert_eq!(route(0, 0).choose(&unit).unwrap().0, Arm::Champion);
            prop_assert_eq!(route(10_000, 0).choose(&unit).unwrap().0, Arm::Challenger);
        }
    }

    #[test]
    fn shares_come_out_as_asked_and_salts_draw_anew() {
        let r = route(500, 100);
        let mut counts = [0_u32; 3];
        let mut moved = 0;
        for n in 0..100_000 {
            let unit = format!("unit-{n}");
            match r.choose(&unit).unwrap().0 {
                Arm::Challenger => counts[0] += 1,
                Arm::Standby => counts[1] += 1,
                _ => counts[2] += 1,
            }
            let other = Route { salt: "other".into(), ..r.clone() };
            moved += u32::from(other.choose(&unit).unwrap().0 != r.choose(&unit).unwrap().0);
        }
        assert!((4_700..5_300).contains(&counts[0]), "{counts:?}");
        assert!((850..1_150).contains(&counts[1]), "{counts:?}");
        assert!(moved > 8_000, "{moved}");
    }

    #[test]
    fn weights_read_as_people_write_them() {
        assert_eq!(Weight::from_percent(5.0).unwrap().to_string(), "5 %");
        assert_eq!(Weight::from_percent(0.25).unwrap().to_string(), "0.25 %");
        assert_eq!(Weight::from_percent(12.5).unwrap().to_string(), "12.5 %");
        assert!(Weight::from_percent(100.1).is_err());
        assert!(Weight::from_percent(f64::NAN).is_err());
    }
}

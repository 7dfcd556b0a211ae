//! A version's life, as one pure transition function.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::ids::{Auth, Digest, ModelName, PromotionId, VersionName, VersionRef};
use crate::package::PackageSummary;
use crate::refusal::Refusal;

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionStatus {
    /// Its bytes are stored and named; it answers at its pinned endpoint only.
    Packaged,
    /// A promotion runs its smoke test and benchmark.
    Evaluating,
    /// It sees sampled traffic, and nobody sees its answers.
    Shadowing,
    /// The evidence is frozen and being compared, or a gate waits for people.
    InReview,
    /// People approved it; no caller has seen it yet.
    Approved,
    /// It answers a share of the callers.
    Canary,
    /// It serves by default.
    Champion,
    /// The previous champion, kept ready.
    Standby,
    /// A promotion ended before any caller saw it.
    Rejected,
    /// It served callers and was taken back.
    RolledBack,
    /// It was displaced from standby and no longer is a rollback target.
    Superseded,
    /// Taken out of use for good.
    Retired,
    /// Retired, and its bytes are given up: nobody can load it any more. Its records and its evidence stay.
    Collected,
}

impl VersionStatus {
    /// The word in records and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Packaged => "packaged",
            Self::Evaluating => "evaluating",
            Self::Shadowing => "shadowing",
            Self::InReview => "in_review",
            Self::Approved => "approved",
            Self::Canary => "canary",
            Self::Champion => "champion",
            Self::Standby => "standby",
            Self::Rejected => "rejected",
            Self::RolledBack => "rolled_back",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
            Self::Collected => "collected",
        }
    }
}

/// What can happen to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionEvent {
    /// A promotion takes it up.
    StartPromotion,
    /// Its evaluation is done and sampled traffic begins.
    OpenShadow,
    /// The shadow is over (or there was none) and its evidence goes to review.
    StartReview,
    /// The approval gate was decided in its favour.
    Approve,
    /// Its first non-zero weight.
    StartCanary,
    /// It becomes champion.
    Crown,
    /// It serves already, and becomes champion of a model that has none.
    Adopt,
    /// Its promotion ended without success.
    Abort,
    /// It is champion and is displaced by a crown: it becomes standby.
    Displace,
    /// It is champion and is taken back by a rollback.
    TakeBack,
    /// It is standby and becomes champion again by a rollback.
    Reinstate,
    /// It is standby and another takes that place.
    Supersede,
    /// It is taken out of use.
    Retire,
    /// Its bytes are given up.
    Collect,
}

/// The status after `event`, or the refusal of it.
///
/// # Errors
/// [`Refusal::IllegalTransition`] for every pair that is not listed here.
pub fn transition(status: VersionStatus, event: VersionEvent) -> Result<VersionStatus, Refusal> {
    use VersionEvent as E;
    use VersionStatus as S;
    match (status, event) {
        // A version whose promotion ended may be tried again: its bytes did not change.
        (S::Packaged | S::Rejected | S::RolledBack | S::Superseded, E::StartPromotion) => Ok(S::Evaluating),
        (S::Evaluating, E::OpenShadow) => Ok(S::Shadowing),
        (S::Shadowing, E::StartReview) => Ok(S::InReview),
        (S::InReview, E::Approve) => Ok(S::Approved),
        (S::Approved, E::StartCanary) => Ok(S::Canary),
        // Approved → Champion is the first version's way: there is no champion to share traffic with.
        (S::Approved | S::Canary, E::Crown) => Ok(S::Champion),
        // What a promotion has judged is not adopted: that would be a way around a rejection.
        (S::Packaged, E::Adopt) => Ok(S::Champion),
        (S::Evaluating | S::Shadowing | S::InReview | S::Approved, E::Abort) => Ok(S::Rejected),
        (S::Canary, E::Abort) => Ok(S::RolledBack),
        (S::Champion, E::Displace) => Ok(S::Standby),
        (S::Champion, E::TakeBack) => Ok(S::RolledBack),
        (S::Standby, E::Reinstate) => Ok(S::Champion),
        (S::Standby, E::Supersede) => Ok(S::Superseded),
        (S::Packaged | S::Rejected | S::RolledBack | S::Superseded | S::Standby, E::Retire) => Ok(S::Retired),
        (S::Retired, E::Collect) => Ok(S::Collected),
        (status, event) => Err(Refusal::IllegalTransition { status, event }),
    }
}

/// What the registry keeps about a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The model.
    pub model: ModelName,
    /// The name for people.
    pub version: VersionName,
    /// The digest of its OCI image manifest: the name for machines.
    pub digest: Digest,
    /// Where it is in its life.
    pub status: VersionStatus,
    /// What the package says of itself.
    pub package: PackageSummary,
    /// Who submitted it.
    pub submitted_by: String,
    /// How they were authenticated when they announced it; none for a submission of nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_auth: Option<Auth>,
    /// The artifact of training it was unpacked from, and where that comes from; none where its files were uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactRef>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// The promotion that works on it, or the last one that did.
    pub promotion: Option<PromotionId>,
    /// When it was retired. Records of earlier releases do not say: the history does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    /// When its bytes were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<Timestamp>,
}

impl VersionRecord {
    /// Both names.
    #[must_use]
    pub fn reference(&self) -> VersionRef {
        VersionRef { version: self.version, digest: self.digest.clone() }
    }

    /// The record after `event`.
    ///
    /// # Errors
    /// As [`transition`]; [`Refusal::Collected`] for whatever would use bytes that are given up.
    pub fn apply(&self, event: VersionEvent) -> Result<Self, Refusal> {
        self.loadable()?;
        Ok(Self { status: transition(self.status, event)?, ..self.clone() })
    }

    /// That its bytes are kept.
    ///
    /// # Errors
    /// [`Refusal::Collected`], with what can be done, when they are given up.
    pub fn loadable(&self) -> Result<(), Refusal> {
        if self.status != VersionStatus::Collected {
            return Ok(());
        }
        Err(Refusal::Collected {
            model: self.model.clone(),
            version: self.version,
            digest: self.digest.clone(),
            at: self.collected_at,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use VersionEvent as E;
    use VersionStatus as S;

    const STATUSES: [S; 13] = [
        S::Packaged,
        S::Evaluating,
        S::Shadowing,
        S::InReview,
        S::Approved,
        S::Canary,
        S::Champion,
        S::Standby,
        S::Rejected,
        S::RolledBack,
        S::Superseded,
        S::Retired,
        S::Collected,
    ];
    const EVENTS: [E; 14] = [
        E::StartPromotion,
        E::OpenShadow,
        E::StartReview,
        E::Approve,
        E::StartCanary,
        E::Crown,
        E::Adopt,
        E::Abort,
        E::Displace,
        E::TakeBack,
        E::Reinstate,
        E::Supersede,
        E::Retire,
        E::Collect,
    ];

    #[test]
    fn nothing_becomes_champion_but_by_crown_reinstatement_of_the_standby_or_adoption_of_what_nobody_judged()
    {
        for status in STATUSES {
            for event in EVENTS {
                if transition(status, event) == Ok(S::Champion) {
                    assert!(
                        matches!(
                            (status, event),
                            (S::Approved | S::Canary, E::Crown)
                                | (S::Standby, E::Reinstate)
                                | (S::Packaged, E::Adopt)
                        ),
                        "{status:?} {event:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn callers_meet_a_version_only_after_approval() {
        for status in STATUSES {
            if transition(status, E::StartCanary).is_ok() {
                assert_eq!(status, S::Approved);
            }
            if transition(status, E::Approve).is_ok() {
                assert_eq!(status, S::InReview);
            }
        }
    }

    #[test]
    fn retirement_is_final_and_never_hits_what_serves_or_runs() {
        for event in EVENTS {
            assert_eq!(transition(S::Retired, event).is_ok(), event == E::Collect, "{event:?}");
            assert!(transition(S::Collected, event).is_err(), "{event:?}");
        }
        for status in [S::Champion, S::Canary, S::Approved, S::InReview, S::Shadowing, S::Evaluating] {
            assert!(transition(status, E::Retire).is_err(), "{status:?}");
        }
    }

    #[test]
    fn bytes_are_given_up_of_what_is_retired_alone() {
        for status in STATUSES {
            assert_eq!(transition(status, E::Collect).is_ok(), status == S::Retired, "{status:?}");
        }
    }

    #[test]
    fn every_running_stage_can_be_aborted() {
        for status in [S::Evaluating, S::Shadowing, S::InReview, S::Approved, S::Canary] {
            assert!(transition(status, E::Abort).is_ok(), "{status:?}");
        }
    }
}

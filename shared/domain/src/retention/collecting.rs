//! The time in which the bytes of a collected version are deleted, and nothing is registered.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Freed, after};
use crate::ids::{ModelName, VersionRef};
use crate::refusal::Refusal;

/// Deletion has its turn once in so many seconds.
const HOUR: i64 = 3_600;
/// How many seconds of them it has.
const DELETING: i64 = 120;
/// How far clocks may differ, in seconds.
const SKEW: i64 = 60;

/// A version whose bytes are being deleted; part of the head, so that it is fenced like every change.
///
/// A version that is registered meanwhile could need a blob that was found there a moment ago and is deleted in the next:
///
/// ```text
/// package: finds blob b there ──────────────────────────► registers v7, which needs b
/// sweep:              v3 is collected, b is v3's alone → deletes b
/// ```
/// So nothing is registered while something may be deleted, and `package` looks again for every blob once it has registered. A
/// collection that does not come to its end must not keep submissions out for long: deletion has the first two minutes of each hour
/// since its beginning, and registration the rest, less a minute on each side for clocks that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collecting {
    /// The version.
    pub version: VersionRef,
    /// When it was collected.
    pub since: Timestamp,
    /// What was found to be deleted then.
    pub freed: Freed,
}

impl Collecting {
    /// Whether objects may be deleted now.
    #[must_use]
    pub fn deletes_at(&self, now: Timestamp) -> bool {
        let passed = now.as_second() - self.since.as_second();
        passed >= 0 && passed % HOUR < DELETING
    }

    /// That nobody may be deleting now, so that a version may be registered.
    ///
    /// # Errors
    /// [`Refusal::Collecting`], with when that is over.
    pub fn registers_nothing_at(&self, model: &ModelName, now: Timestamp) -> Result<(), Refusal> {
        // A clock that is behind has not seen the beginning yet.
        let passed = (now.as_second() - self.since.as_second()).max(0);
        let into = passed % HOUR;
        if (DELETING + SKEW..HOUR - SKEW).contains(&into) {
            return Ok(());
        }
        let hours = passed / HOUR + i64::from(into >= HOUR - SKEW);
        let until = after(self.since, SignedDuration::from_secs(hours * HOUR + DELETING + SKEW));
        Err(Refusal::Collecting {
            model: model.clone(),
            version: self.version.version,
            until: until.unwrap_or(Timestamp::MAX),
        })
    }
}

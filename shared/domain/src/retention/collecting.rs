//! The time in which the bytes of a collected version are deleted, and nothing is registered.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Freed, after};
use crate::ids::{ModelName, VersionRef};
use crate::refusal::Refusal;

/// How long one run may delete, in seconds.
const LEASE: i64 = 120;
/// How long after its end a deletion that was sent may still arrive, with clocks that differ, in seconds.
const GRACE: i64 = 60;
/// How long nobody goes on with what was gone on with before, in seconds.
const PAUSE: i64 = 3_600;

/// A version whose bytes are being deleted; part of the head, so that it is fenced like every change.
///
/// A version that is registered meanwhile could need a blob that was found there a moment ago and is deleted in the next:
///
/// ```text
/// package: finds blob b there ──────────────────────────► registers v7, which needs b
/// sweep:              v3 is collected, b is v3's alone → deletes b
/// ```
/// So nothing is registered while something may be deleted, and `package` looks again for every blob once it has registered. One run
/// deletes, the one whose transaction began it or took it up, and for two minutes at most. What it does not come to the end of keeps
/// submissions out for no longer: another run takes it up at once, and if that dies too, once an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collecting {
    /// The version.
    pub version: VersionRef,
    /// When it was collected.
    pub since: Timestamp,
    /// What was found to be deleted then.
    pub freed: Freed,
    /// Which run deletes, from 1.
    pub run: u32,
    /// Until when that run may delete.
    pub until: Timestamp,
}

impl Collecting {
    /// The first run of a collection that begins now.
    #[must_use]
    pub fn begin(version: VersionRef, freed: Freed, now: Timestamp) -> Self {
        Self { version, since: now, freed, run: 1, until: later(now, LEASE) }
    }

    /// Whether its run may delete now.
    #[must_use]
    pub fn deletes_at(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// That nobody may be deleting now, so that a version may be registered.
    ///
    /// # Errors
    /// [`Refusal::Collecting`], with when that is over.
    pub fn registers_nothing_at(&self, model: &ModelName, now: Timestamp) -> Result<(), Refusal> {
        let until = later(self.until, GRACE);
        if now >= until {
            return Ok(());
        }
        Err(Refusal::Collecting { model: model.clone(), version: self.version.version, until })
    }

    /// When another run may take it up.
    #[must_use]
    pub fn resumes_at(&self) -> Timestamp {
        let pause = if self.run == 1 { 0 } else { PAUSE };
        later(self.until, GRACE + pause)
    }

    /// The run that takes it up now.
    #[must_use]
    pub fn resume(&self, now: Timestamp) -> Self {
        Self { run: self.run.saturating_add(1), until: later(now, LEASE), ..self.clone() }
    }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    after(at, SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

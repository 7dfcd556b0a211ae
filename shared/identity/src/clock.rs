//! The time, handed in so that tests own it.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

/// What time it is, and how much of it passes.
pub trait Clock: Send + Sync {
    /// The time of day: what a token's own times are compared with.
    fn now(&self) -> Timestamp;
    /// The time since a fixed moment: what the age of the issuer's keys is measured with.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    steady: Instant,
    wall: SystemTime,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        // A Lambda process is frozen between requests, and whether the steady clock counts that time depends on how. The
        // wall clock does; set backward, it is outvoted.
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

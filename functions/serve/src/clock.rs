//! Time that also passes while the process is frozen.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A point in time for measuring ages.
///
/// Between two requests a Lambda process may be frozen for minutes, and whether the steady clock counts them depends on
/// how the platform froze it. So an age is the larger of what the steady clock and the wall clock say. A wall clock that
/// was set forward makes something look older, which costs one early read; set backward it is outvoted.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// How long ago it was.
    #[must_use]
    pub fn age(self) -> Duration {
        self.until(Self::now())
    }

    /// How long it was before `later`.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        let steady = later.steady.saturating_duration_since(self.steady);
        steady.max(later.wall.duration_since(self.wall).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_that_the_steady_clock_sleeps_through_counts() {
        let before = Moment::now();
        let minute = Duration::from_secs(60);
        let thawed = Moment { steady: before.steady + Duration::from_millis(3), wall: before.wall + minute };
        assert_eq!(before.until(thawed), minute);
    }

    #[test]
    fn a_wall_clock_set_back_does_not_make_things_young() {
        let before = Moment::now();
        let second = Duration::from_secs(1);
        let later = Moment { steady: before.steady + second, wall: before.wall - Duration::from_secs(3600) };
        assert_eq!(before.until(later), second);
    }
}

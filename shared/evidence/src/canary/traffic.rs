//! Whether there is traffic to judge, and how long until there is enough.

use jiff::Timestamp;
use seatrial_domain::promotion::CanaryStep;
use serde::{Deserialize, Serialize};

use super::counts::{CANARY, CHAMPION};
use super::words::{count, duration, rate};

/// How much older than its lateness the watermark may be, in seconds, before nothing is concluded from it.
const OLD_SECONDS: i64 = 120;

/// The traffic of the present step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// What there is.
    pub state: TrafficState,
    /// The champion's requests a second.
    pub champion_per_second: f64,
    /// The challenger's requests a second.
    pub challenger_per_second: f64,
    /// Seconds of the step that are counted.
    pub seconds: u64,
    /// One sentence.
    pub why: String,
}

/// What traffic there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrafficState {
    /// Both arms get requests.
    Flowing,
    /// Nothing of this step is reported yet.
    Unreported,
    /// What servers report is counted only up to long ago.
    Late,
    /// Neither arm got a request.
    None,
    /// One arm got all requests.
    OneSided,
}

impl Traffic {
    pub(super) fn of(
        step: &CanaryStep,
        requests: [u64; 2],
        now: Timestamp,
        watermark: Option<Timestamp>,
        lateness_seconds: u32,
    ) -> Self {
        let counted = watermark.map_or(0, |to| to.as_second() - step.at.as_second()).max(0) as u64;
        let per_second = |n: u64| if counted == 0 { 0.0 } else { n as f64 / counted as f64 };
        let behind = watermark.map(|to| now.as_second() - to.as_second());
        let [champion, canary] = requests;
        let weight = step.weight;
        let upto = watermark.map_or_else(String::new, |to| to.strftime("%H:%M:%S").to_string());
        let (state, why) = match behind {
            None => (
                TrafficState::Unreported,
                "nothing is reported yet: the queue of observations was not read up to any time".to_owned(),
            ),
            Some(behind) if behind > i64::from(lateness_seconds) + OLD_SECONDS => (
                TrafficState::Late,
                format!(
                    "late: what servers report is counted only up to {upto}, {} ago; the queue of observations is not \
                     worked off",
                    duration(behind.max(0) as u64)
                ),
            ),
            Some(_) if champion + canary == 0 && counted == 0 => (
                TrafficState::Unreported,
                format!("nothing is reported yet: counted up to {upto}, before the step began"),
            ),
            Some(_) if champion + canary == 0 => (
                TrafficState::None,
                format!(
                    "no traffic: neither version got a request at {weight} in {} up to {upto}",
                    duration(counted)
                ),
            ),
            Some(_) if champion == 0 || canary == 0 => {
                let (some, n, none) = if canary == 0 {
                    ("champion", champion, "challenger")
                } else {
                    ("challenger", canary, "champion")
                };
                (
                    TrafficState::OneSided,
                    format!(
                        "one-sided: {} requests of the {some} and none of the {none} at {weight} in {} up to {upto}",
                        count(n),
                        duration(counted)
                    ),
                )
            }
            Some(_) => (
                TrafficState::Flowing,
                format!(
                    "{} of the challenger and {} of the champion up to {upto}",
                    rate(per_second(canary)),
                    rate(per_second(champion))
                ),
            ),
        };
        Self {
            state,
            champion_per_second: per_second(requests[CHAMPION]),
            challenger_per_second: per_second(requests[CANARY]),
            seconds: counted,
            why,
        }
    }

    /// Requests a second of both arms.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.champion_per_second + self.challenger_per_second
    }

    /// Seconds until `needed` of something are there, of which `seen` came so far in the counted time; none at no rate.
    #[must_use]
    pub fn seconds_until(&self, seen: u64, needed: u64) -> Option<u64> {
        let left = needed.saturating_sub(seen);
        if left == 0 {
            return Some(0);
        }
        if seen == 0 || self.seconds == 0 {
            return None;
        }
        let seconds = left as f64 * self.seconds as f64 / seen as f64;
        (seconds < 1e12).then_some(seconds.ceil() as u64)
    }

    /// "412 of 900 …, at this rate 30 s more".
    pub(super) fn progress(&self, seen: u64, needed: u64, of: &str) -> String {
        let so_far = format!("{} of {} {of} seen", count(seen), count(needed));
        match self.seconds_until(seen, needed) {
            Some(0) => so_far,
            Some(seconds) => format!("{so_far}, at this rate {} more", duration(seconds)),
            None => format!("{so_far}, and no rate to tell when"),
        }
    }
}

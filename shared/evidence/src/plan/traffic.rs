//! The traffic before the canary.

use jiff::Timestamp;
use seatrial_domain::policy::Canary;
use seatrial_domain::route::Weight;
use seatrial_stats::Merge;
use seatrial_stats::exceedance::Thresholds;
use seatrial_stats::sketch::LatencySketch;
use serde::{Deserialize, Serialize};

use crate::canary::{Counts, longer};
use crate::observation::Tally;

/// What the champion served while nobody met the challenger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Over how many seconds.
    pub seconds: f64,
    /// The champion's requests.
    pub requests: u64,
    /// Those that failed because of it.
    pub errors: u64,
    /// How long its answers took.
    pub latency: LatencySketch,
    /// How many classes it answered; 0 for a model that answers none.
    pub classes: u32,
}

impl Traffic {
    /// What tallies of the promotion's epoch say of the time from `from` to `to` (the shadow's), in which the champion served
    /// everyone. Seconds by producers' clocks outside that time do not count.
    #[must_use]
    pub fn of(tallies: Vec<Tally>, from: Timestamp, to: Timestamp) -> Self {
        let (from, to) = (from.as_second(), to.as_second());
        let within: Vec<Tally> = tallies
            .into_iter()
            .filter(|tally| tally.route.weight == Weight::ZERO && (from..to).contains(&tally.second))
            .collect();
        let counts = Counts::of(
            within,
            to,
            &Canary { unit: seatrial_domain::policy::Unit::Request, ..Canary::default() },
        );
        let [champion, _] = counts.arms(Weight::ZERO);
        Self {
            seconds: (to - from).max(0) as f64,
            requests: champion.requests,
            errors: champion.errors.min(champion.requests),
            classes: champion.classes.len() as u32,
            latency: champion.latency,
        }
    }

    /// Requests a second; 0 without a time.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.requests as f64 / self.seconds } else { 0.0 }
    }

    /// The share of requests that failed; 0 without requests.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        if self.requests > 0 { self.errors as f64 / self.requests as f64 } else { 0.0 }
    }

    /// The thresholds that the canary's latency will be compared with, if the champion goes on as it is.
    pub(super) fn thresholds(&self, margin: f64) -> Option<Thresholds> {
        longer(&self.latency, margin)
    }

    /// The shares of answers beyond both thresholds, as they are and if all took longer by `detect`.
    pub(super) fn latency_shares(&self, margin: f64, detect: f64) -> Option<[(f64, f64); 2]> {
        self.thresholds(margin)?.shares(&self.latency, 1.0 + detect)
    }
}

/// The traffic of two times that do not overlap.
impl Merge for Traffic {
    fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.requests += other.requests;
        self.errors += other.errors;
        self.latency.merge(&other.latency);
        self.classes = self.classes.max(other.classes);
    }
}

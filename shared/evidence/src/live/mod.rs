//! What became known about the requests a canary served: signals that people and programs sent, and labels.
//!
//! The serving log says which arm served a request, a signal names the request, and the two are joined here into the means of
//! units. A unit enters the count once in a whole canary, on the arm, at the weight and in the time slice of its first request,
//! and with what became known within a fixed time ([`CanaryMetric::within_seconds`](seatrial_domain::policy::CanaryMetric::within_seconds)): whoever looks, and
//! however often, sees the same slices in the same order, which is what tests that hold at every look need.

mod join;
mod read;

use std::collections::BTreeMap;

use seatrial_domain::route::Weight;
use seatrial_domain::target::Met;
use serde::{Deserialize, Serialize};

use crate::columnar::ids;

pub use join::{Window, join};
pub use read::{read_inputs, read_labels, read_served, read_signals};
pub use seatrial_domain::policy::SLICE_SECONDS;

/// The name of a request or a unit: the first 128 bits of the SHA-256 of its text. Names may be chosen by callers, so nothing
/// weaker keeps two of them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u128);

impl Key {
    /// The key of a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(ids::Key::of(name.as_bytes()).bits())
    }
}

/// Which arm of a canary served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The champion.
    Champion,
    /// The challenger.
    Canary,
}

/// A row of the serving log, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedRow {
    /// The observation.
    pub observation: Key,
    /// The caller's own name of it.
    pub client: Option<Key>,
    /// What was randomised.
    pub unit: Key,
    /// The arm.
    pub side: Side,
    /// The route's epoch.
    pub epoch: u64,
    /// The challenger's share in force.
    pub weight: Weight,
    /// When the queue took it, in Unix seconds.
    pub queued_at: i64,
    /// The class that was answered.
    pub label: Option<Box<str>>,
}

/// Something that became known about a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The observation it names.
    pub observation: Option<Key>,
    /// Or the caller's own name of it.
    pub client: Option<Key>,
    /// What.
    pub what: What,
    /// When the queue took it, in Unix seconds.
    pub queued_at: i64,
    /// When it was said, by the producer, in microseconds: of several, the last one counts.
    pub at: i64,
}

/// What became known.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A signal's name and value.
    Signal(Box<str>, f64),
    /// The true class.
    Label(Box<str>),
}

/// The signals of a canary: for each name and each weight the slices in order of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignalCounts {
    /// By name, then by weight.
    pub by_name: BTreeMap<String, BTreeMap<Weight, Vec<Slice>>>,
    /// Signals and labels that name no request of the serving log, or one that another arm's request shares its name with.
    pub unmatched: u64,
    /// Signals and labels that came after their time.
    pub late: u64,
}

impl SignalCounts {
    /// Without the units of slices in which callers did not meet their weight yet.
    #[must_use]
    pub fn met(&self, met: &Met) -> Self {
        let mut counts = self.clone();
        for by_weight in counts.by_name.values_mut() {
            for (weight, slices) in by_weight.iter_mut() {
                slices.retain(|slice| met.holds(*weight, slice.from));
            }
        }
        counts
    }
}

/// The units whose first request fell into one slice of time, and whose time for signals is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its beginning, in Unix seconds.
    pub from: i64,
    /// The champion's units.
    pub champion: UnitMoments,
    /// The canary's units.
    pub canary: UnitMoments,
}

/// Sums over the means of units, each within the metric's bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitMoments {
    /// Units.
    pub n: u64,
    /// The sum of their means.
    pub sum: f64,
    /// The sum of the squares of their means.
    pub sum_squares: f64,
    /// Units whose value lay outside the bounds and was clipped.
    pub clipped: u64,
}

impl UnitMoments {
    pub(crate) fn add(&mut self, mean: f64, bounds: Option<[f64; 2]>) {
        let kept = bounds.map_or(mean, |[low, high]| mean.clamp(low, high));
        self.n += 1;
        self.sum += kept;
        self.sum_squares += kept * kept;
        self.clipped += u64::from(kept != mean);
    }
}

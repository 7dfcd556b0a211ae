//! Metrics, sketches, intervals and sequential tests: what every verdict rests on.
//!
//! Three habits run through the crate.
//!
//! * **Pure.** No clock, no environment, no AWS, no randomness of its own: seeds, times and levels are arguments.
//! * **Mergeable, exactly.** Every accumulator is a commutative monoid ([`Merge`] and [`Default`]) whose sums are
//!   integers or exact, so that any order and any split of the observations give the same bits.
//! * **No data is never a number.** A statistic that its definition leaves undefined (an absent class, an empty group,
//!   `n = 0`) is `None`; no function returns NaN. Values that cannot be counted (NaN, infinite, out of range) are
//!   refused and counted as `invalid`, never dropped in silence.
//!
//! Proportions, rates and deltas are fractions (`0.01` is one point); latencies are microseconds; a delta is always
//! challenger minus champion.

pub mod agreement;
pub mod auc;
pub mod bootstrap;
pub mod calibration;
mod cells;
pub mod confseq;
pub mod confusion;
pub mod crossing;
pub mod distance;
pub mod drift;
pub mod effect;
pub mod eprocess;
pub mod exact;
pub mod exceedance;
pub mod fairness;
pub mod intervals;
pub mod jackknife;
pub mod joint;
pub mod losses;
pub mod margin;
pub mod multilabel;
pub mod multinomial;
pub mod multiplicity;
pub mod noninferiority;
pub mod numeric;
pub mod paired;
pub mod planner;
pub mod quantiles;
pub mod ranking;
pub mod regression;
pub mod reuse;
pub mod sampling;
pub mod segments;
pub mod selftest;
pub mod shap;
pub mod signal;
pub mod sketch;
pub mod srm;
pub mod strata;
pub mod text;
pub mod weighted;

use serde::{Deserialize, Serialize};

/// A commutative monoid together with [`Default`]: merging with the default changes nothing, and neither order nor
/// grouping of merges shows in the result, bit for bit.
pub trait Merge {
    /// Adds what `other` has seen to `self`.
    fn merge(&mut self, other: &Self);
}

/// A two-sided interval in the unit of its estimate, `low <= high`, both finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// The interval from `low` to `high`, or `None` if an end is not finite or they are out of order.
    #[must_use]
    pub fn new(low: f64, high: f64) -> Option<Self> {
        (low.is_finite() && high.is_finite() && low <= high).then_some(Self { low, high })
    }

    /// Whether `value` lies in the interval, ends included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// The interval cut to `[low, high]`, e.g. `[-1, 1]` for a difference of proportions.
    #[must_use]
    pub fn clamped(self, low: f64, high: f64) -> Self {
        Self { low: self.low.clamp(low, high), high: self.high.clamp(low, high) }
    }
}

/// The two versions that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The version that serves by default.
    Champion,
    /// The candidate.
    Challenger,
}

/// `numerator / denominator`, or `None` when nothing was counted.
pub(crate) fn share(numerator: u64, denominator: u64) -> Option<f64> {
    (denominator > 0).then(|| numerator as f64 / denominator as f64)
}

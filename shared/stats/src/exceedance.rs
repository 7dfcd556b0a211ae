//! Canary latency, reduced to the error test: requests slower than a quantile of the champion, counted in both arms.
//!
//! The thresholds of a window are frozen from the champion's *previous* window (Howard & Ramdas 2022 for quantiles; the
//! reduction to counts keeps the e-process). Taken from the same window they would depend on the events they judge. Two
//! thresholds are watched, since growth far above the 99th percentile changes no count at the 99th percentile.

use crate::{
    Merge,
    eprocess::ArmEProcess,
    sketch::{LatencySketch, bin_ceiling_us},
};
use serde::{Deserialize, Serialize};

/// Fewest champion requests a threshold may be frozen from: 10 of them lie above a 99th percentile.
pub const MIN_REFERENCE: u64 = 1_000;

/// The thresholds of one window, in microseconds, rounded up to a bin edge so that counting is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The champion's 99th percentile.
    pub p99_us: u64,
    /// One and a half times that.
    pub far_us: u64,
}

impl Thresholds {
    /// Freezes the thresholds from the champion's previous window; `None` with fewer than [`MIN_REFERENCE`] requests.
    #[must_use]
    pub fn freeze(champion_previous: &LatencySketch) -> Option<Self> {
        if champion_previous.n() < MIN_REFERENCE {
            return None;
        }
        let p99 = champion_previous.quantile_us(0.99)?;
        Some(Self { p99_us: bin_ceiling_us(p99 as u64), far_us: bin_ceiling_us((1.5 * p99) as u64) })
    }
}

/// E-processes of exceedances at both thresholds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyEProcess {
    /// At the champion's 99th percentile.
    pub p99: ArmEProcess,
    /// At one and a half times that.
    pub far: ArmEProcess,
}

impl LatencyEProcess {
    /// Counts a window's exceedances in both arms under one weight, against thresholds frozen before the window.
    /// Returns whether the weight was informative.
    pub fn observe_window(
        &mut self,
        canary: &LatencySketch,
        champion: &LatencySketch,
        weight: f64,
        thresholds: Thresholds,
    ) -> bool {
        let Thresholds { p99_us, far_us } = thresholds;
        let at_p99 =
            self.p99.observe_counts(canary.count_above(p99_us), champion.count_above(p99_us), weight);
        let far = self.far.observe_counts(canary.count_above(far_us), champion.count_above(far_us), weight);
        at_p99 && far
    }

    /// Whether either threshold rejects, each at half of `alpha`.
    #[must_use]
    pub fn rejects(&self, alpha: f64) -> bool {
        self.p99.rejects(alpha / 2.0) || self.far.rejects(alpha / 2.0)
    }

    /// Logarithm of one e-value for both: their mean (also a valid e-value, for display; [`LatencyEProcess::rejects`]
    /// is at least as strong).
    #[must_use]
    pub fn log_e(&self) -> f64 {
        let (a, b) = (self.p99.log_e(), self.far.log_e());
        let most = a.max(b);
        most + (((a - most).exp() + (b - most).exp()) / 2.0).ln()
    }
}

impl Merge for LatencyEProcess {
    fn merge(&mut self, other: &Self) {
        self.p99.merge(&other.p99);
        self.far.merge(&other.far);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn window(n: u64, scale: u64) -> LatencySketch {
        let mut sketch = LatencySketch::default();
        (0..n).for_each(|i| sketch.observe(scale * (1_000 + (i * 7_919) % 10_000) / 100));
        sketch
    }

    #[test]
    fn too_small_a_reference_freezes_nothing() {
        assert_eq!(Thresholds::freeze(&window(999, 100)), None);
        let thresholds = Thresholds::freeze(&window(10_000, 100)).unwrap();
        assert!((10_800..11_100).contains(&thresholds.p99_us) && thresholds.far_us > 16_000);
    }

    #[test]
    fn a_slower_canary_is_found_and_an_equal_one_is_not() {
        let thresholds = Thresholds::freeze(&window(10_000, 100)).unwrap();
        let (mut equal, mut slower) = (LatencyEProcess::default(), LatencyEProcess::default());
        for _ in 0..10 {
            equal.observe_window(&window(500, 100), &window(9_500, 100), 0.05, thresholds);
            slower.observe_window(&window(500, 150), &window(9_500, 100), 0.05, thresholds);
        }
        assert!(!equal.rejects(0.0125), "{}", equal.log_e());
        assert!(slower.rejects(1e-6));
    }
}

//! Canary latency, reduced to the error test: requests slower than a quantile of the champion, counted in both arms.
//!
//! The thresholds of a window are frozen from the champion's *previous* window (Howard & Ramdas 2022 for quantiles; the
//! reduction to counts keeps the e-process). Taken from the same window they would depend on the events they judge. Two
//! thresholds are watched, since growth far above the 99th percentile changes no count at the 99th percentile.

use crate::{
    Merge,
    eprocess::{ArmEProcess, log_mean_exp},
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

    /// The shares of requests beyond the lower and the far threshold, `(as these latencies are, if all were longer by the
    /// factor growth)`: what a plan for the detection of that growth needs. `None` without requests or for a growth below 1.
    #[must_use]
    pub fn shares(&self, champion: &LatencySketch, growth: f64) -> Option<[(f64, f64); 2]> {
        if !(growth >= 1.0 && growth.is_finite()) {
            return None;
        }
        let beyond = |us: u64| crate::share(champion.count_above(us), champion.n());
        let both = |us: u64| beyond(us).zip(beyond((us as f64 / growth) as u64));
        Some([both(self.p99_us)?, both(self.far_us)?])
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

    /// The same for one slice of time in which the canary's share of the *requests* stands for the weight: for traffic of which
    /// few units send most, so that the requests do not follow the route's weight. Given both arms' requests this is the 2×2
    /// block e-variable of Turner, Ly & Grünwald (2024), so it is valid for slices whose ends do not depend on what is in them, each
    /// counted once; never for a window that grows from look to look. Returns `false` if an arm has no request.
    pub fn observe_slice(
        &mut self,
        canary: &LatencySketch,
        champion: &LatencySketch,
        thresholds: Thresholds,
    ) -> bool {
        let (one, other) = (canary.n() as f64, champion.n() as f64);
        one > 0.0 && other > 0.0 && self.observe_window(canary, champion, one / (one + other), thresholds)
    }

    /// Whether "the canary is not slower" is rejected at `alpha`: the mean of both thresholds' e-values has reached 1/α.
    /// Never for an `alpha` outside (0, 1).
    #[must_use]
    pub fn rejects(&self, alpha: f64) -> bool {
        let open = alpha > 0.0 && alpha < 1.0;
        let at_most = || log_mean_exp([self.p99.log_e_at_most(), self.far.log_e_at_most()].into_iter());
        open && at_most() >= -alpha.ln() && self.log_e() >= -alpha.ln()
    }

    /// Logarithm of one e-value for both thresholds: their mean. Given the past and that a request is beyond a threshold,
    /// its arm is the canary's with the weight's probability, for either threshold alike: both are martingales of the
    /// same stream, however much they depend on each other, and so is their mean (Vovk & Wang 2021). It rejects whenever
    /// one of them would at α/2, and sometimes when both together are strong.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        log_mean_exp([self.p99.log_e(), self.far.log_e()].into_iter())
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
        assert!(!slower.rejects(0.0) && !slower.rejects(f64::NAN));
    }

    #[test]
    fn a_slice_is_judged_by_its_own_requests() {
        let thresholds = Thresholds::freeze(&window(10_000, 100)).unwrap();
        let (mut by_share, mut by_weight) = (LatencyEProcess::default(), LatencyEProcess::default());
        // The route says 5 %, but the canary's units send a third of the requests; both arms are equally slow.
        for _ in 0..10 {
            let (canary, champion) = (window(5_000, 101), window(10_000, 101));
            assert!(by_share.observe_slice(&canary, &champion, thresholds));
            by_weight.observe_window(&canary, &champion, 0.05, thresholds);
        }
        assert!(by_share.p99.totals().canary > 20);
        assert!(!by_share.rejects(0.05) && by_weight.rejects(0.001));
        assert!(!by_share.observe_slice(&LatencySketch::default(), &window(10, 100), thresholds));
    }

    #[test]
    fn both_thresholds_together_reject_no_later_than_one_at_half_of_alpha() {
        for (p99, far) in [((9, 60), (2, 3)), ((4, 30), (4, 3)), ((8, 70), (5, 9)), ((0, 5), (5, 0))] {
            let mut process = LatencyEProcess::default();
            process.p99.observe_counts(p99.0, p99.1, 0.05);
            process.far.observe_counts(far.0, far.1, 0.05);
            for alpha in [0.2, 0.05, 0.0125, 0.001] {
                let either = process.p99.rejects(alpha / 2.0) || process.far.rejects(alpha / 2.0);
                assert!(process.rejects(alpha) || !either);
            }
        }
    }

    #[test]
    fn a_plan_is_told_the_shares_beyond_both_thresholds() {
        let mut champion = LatencySketch::default();
        // Exponential quantiles of mean 20 ms: 1 % lie beyond 92 ms, a tenth of a per cent beyond one and a half times that.
        (0..20_000)
            .for_each(|i| champion.observe((-20_000.0 * ((f64::from(i) + 0.5) / 20_000.0).ln()) as u64));
        let thresholds = Thresholds::freeze(&champion).unwrap();
        let [(now, grown), (far_now, far_grown)] = thresholds.shares(&champion, 1.5).unwrap();
        assert!((0.008..0.0101).contains(&now) && (0.04..0.05).contains(&grown), "{now} {grown}");
        assert!(
            (0.0007..0.0012).contains(&far_now) && (far_grown - now).abs() < 0.001,
            "{far_now} {far_grown}"
        );
        assert_eq!(thresholds.shares(&LatencySketch::default(), 1.5), None);
        assert_eq!(thresholds.shares(&champion, 0.5), None);
    }
}

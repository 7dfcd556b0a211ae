//! Sample ratio: did the canary get the share of units that the route says?
//!
//! Every unit falls to the canary with the probability `w` in force. The test is the sequential multinomial test of
//! Lindon & Malek (2022) for two arms: the beta-binomial likelihood over the null's, by weight, multiplied over weights,
//! and averaged over four concentrations of the alternative, so that small imbalances are found with many units and
//! gross ones with few.
//! It may be looked at as often as one likes. Recompute the buckets exactly first; this catches what that cannot see
//! (units lost on one side before they are reported).

use crate::{
    Merge,
    eprocess::log_mean_exp,
    strata::{ArmCounts, Strata},
};
use serde::{Deserialize, Serialize};
use statrs::function::beta::ln_beta;

/// How closely the alternatives stand around the null, in units of prior knowledge.
const CONCENTRATIONS: [f64; 4] = [10.0, 100.0, 1_000.0, 10_000.0];

/// Distinct units of both arms by weight in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleRatio {
    units: Strata,
}

impl SampleRatio {
    /// Counts distinct units seen under a weight. Returns `false` at weights 0 and 1, which have no ratio to check.
    pub fn observe_counts(&mut self, canary_units: u64, champion_units: u64, weight: f64) -> bool {
        self.units.add(canary_units, champion_units, weight)
    }

    /// Units of both arms over all weights.
    #[must_use]
    pub fn totals(&self) -> ArmCounts {
        self.units.totals()
    }

    /// Canary units expected over all weights, given how many came under each.
    #[must_use]
    pub fn expected_canary(&self) -> f64 {
        self.units.iter().map(|(weight, counts)| weight * (counts.canary + counts.champion) as f64).sum()
    }

    /// Logarithm of the e-value against "the split is the route's"; 0 without units.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        let logs = CONCENTRATIONS.map(|c| self.units.iter().map(|stratum| log_e_of(stratum, c)).sum::<f64>());
        log_mean_exp(logs.iter().copied())
    }

    /// Whether the split contradicts the route at `alpha`. .001 is usual: a mismatch voids every comparison, so it
    /// should not be cried lightly.
    #[must_use]
    pub fn rejects(&self, alpha: f64) -> bool {
        let open = alpha > 0.0 && alpha < 1.0;
        // Most looks end at the bound, which is cheap.
        open && self.units.log_ratio_at_most(true, true) >= -alpha.ln() && self.log_e() >= -alpha.ln()
    }
}

/// Beta-binomial over binomial likelihood of one weight's units.
fn log_e_of((weight, counts): (f64, ArmCounts), concentration: f64) -> f64 {
    let (canary, champion) = (counts.canary as f64, counts.champion as f64);
    let (a, b) = (concentration * weight, concentration * (1.0 - weight));
    ln_beta(a + canary, b + champion) - ln_beta(a, b) - canary * weight.ln() - champion * (-weight).ln_1p()
}

impl Merge for SampleRatio {
    fn merge(&mut self, other: &Self) {
        self.units.merge(&other.units);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn ratio(canary: u64, champion: u64, weight: f64) -> SampleRatio {
        let mut ratio = SampleRatio::default();
        ratio.observe_counts(canary, champion, weight);
        ratio
    }

    #[test]
    fn a_fair_split_passes_and_a_lossy_one_does_not() {
        assert_eq!(SampleRatio::default().log_e(), 0.0);
        assert!(!ratio(5_030, 94_970, 0.05).rejects(0.001));
        assert!(ratio(4_500, 95_500, 0.05).rejects(0.001));
        assert!(ratio(0, 400, 0.05).rejects(0.001), "a canary that reports nothing");
        assert!(!SampleRatio::default().observe_counts(10, 0, 1.0));
    }

    #[test]
    fn one_unit_is_fair_under_the_null() {
        for (canary, champion) in [(0, 0), (3, 40), (40, 500)] {
            let e = |a, b| ratio(a, b, 0.05).log_e().exp();
            let next = 0.05 * e(canary + 1, champion) + 0.95 * e(canary, champion + 1);
            let now = e(canary, champion);
            assert!((next / now - 1.0).abs() < 1e-7, "{canary} {champion}: {now} {next}");
        }
    }
}

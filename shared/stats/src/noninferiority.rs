//! "Healthy" needs more than "not rejected": upper bounds for the canary's excess rate, and the sample it takes.

use crate::{
    eprocess::{ArmEProcess, Mixture, log_mean_exp},
    intervals::newcombe_independent,
    quantiles::normal_cdf,
};
use serde::{Deserialize, Serialize};
use statrs::function::{beta::ln_beta, gamma::ln_gamma};

/// Requests (or units) and events of both arms *under one weight*. Counts pooled over several weights must not come
/// here: the arms would then have seen different times of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmRates {
    /// Events of the canary.
    pub canary_errors: u64,
    /// Requests of the canary.
    pub canary_n: u64,
    /// Events of the champion.
    pub champion_errors: u64,
    /// Requests of the champion.
    pub champion_n: u64,
}

impl ArmRates {
    fn valid(&self) -> bool {
        let enough = self.canary_n > 0 && self.champion_n > 0;
        enough && self.canary_errors <= self.canary_n && self.champion_errors <= self.champion_n
    }

    /// Canary rate minus champion rate; `None` if an arm has no request.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        let rate = |errors: u64, n: u64| errors as f64 / n as f64;
        self.valid()
            .then(|| rate(self.canary_errors, self.canary_n) - rate(self.champion_errors, self.champion_n))
    }
}

/// Upper bound at level `1 − alpha` for canary rate minus champion rate, by Newcombe's hybrid score interval (1998b,
/// method 10). Valid at **one** look at a sample size fixed beforehand (the planned n), not at every look. `None` if an
/// arm has no request, counts contradict each other, or alpha is not in (0, ½).
#[must_use]
pub fn rate_difference_upper(
    canary_errors: u64,
    canary_n: u64,
    champion_errors: u64,
    champion_n: u64,
    alpha: f64,
) -> Option<f64> {
    newcombe_independent(champion_errors, champion_n, canary_errors, canary_n, 1.0 - 2.0 * alpha)
        .map(|i| i.high)
}

/// Upper bound at level `1 − alpha` for canary rate minus champion rate that holds at every look.
///
/// The smaller of two bounds, each at α/2:
/// * by the ratio: the champion's rate is at most `p`, the rate ratio over all steps at most `R`
///   ([`ArmEProcess::ratio_upper`]), each at α/4, hence the difference at most `p·(R − 1)`;
/// * by the arms: the canary's rate is at most its upper, the champion's at least its lower bound, each at α/4.
///
/// Bounds of one rate come from the beta-binomial mixture martingale with Jeffreys' prior (Robbins 1970; Howard et al.
/// 2021); they assume a rate that is constant within the step. `None` as in [`rate_difference_upper`].
#[must_use]
pub fn rate_difference_upper_anytime(process: &ArmEProcess, step: &ArmRates, alpha: f64) -> Option<f64> {
    if !(step.valid() && alpha > 0.0 && alpha < 0.5) {
        return None;
    }
    let (champion_low, champion_high) =
        rate_bounds_anytime(step.champion_errors, step.champion_n, alpha / 4.0)?;
    let (_, canary_high) = rate_bounds_anytime(step.canary_errors, step.canary_n, alpha / 4.0)?;
    let by_arms = canary_high - champion_low;
    // A ratio below one makes the difference largest where the champion's rate is smallest.
    let by_ratio = process.ratio_upper(alpha / 4.0).map_or(1.0, |ratio| {
        let excess = ratio - 1.0;
        if excess > 0.0 { champion_high * excess } else { champion_low * excess }
    });
    Some(by_arms.min(by_ratio).min(1.0))
}

/// Bounds for a rate that hold at every look: `(lower, upper)`, each side at level `1 − alpha`.
pub fn rate_bounds_anytime(events: u64, n: u64, alpha: f64) -> Option<(f64, f64)> {
    if n == 0 || events > n {
        return None;
    }
    let (x, rest) = (events as f64, (n - events) as f64);
    let marginal = ln_beta(0.5 + x, 0.5 + rest) - ln_beta(0.5, 0.5);
    let log_e = |p: f64| {
        let hits = if x > 0.0 { x * p.ln() } else { 0.0 };
        let misses = if rest > 0.0 { rest * (-p).ln_1p() } else { 0.0 };
        marginal - hits - misses
    };
    let seen = x / n as f64;
    // The e-value rises away from the observed share on both sides.
    let search = |mut inside: f64, mut outside: f64| {
        if log_e(outside) < -alpha.ln() {
            return outside;
        }
        for _ in 0..200 {
            let middle = f64::midpoint(inside, outside);
            *(if log_e(middle) >= -alpha.ln() { &mut outside } else { &mut inside }) = middle;
        }
        outside
    };
    Some((search(seen, 0.0), search(seen, 1.0)))
}

/// Requests over both arms after which the e-process rejects at `alpha` with probability at least `power`, if the
/// champion's rate is `baseline` and the canary's is `detect` while the canary has `weight` of the traffic.
///
/// Computed, not simulated: the events of both arms are Poisson, and the probability counts rejection at that last look
/// only, so a canary that is watched all the time is caught at least as often. `None` if an argument is out of range
/// (`0 ≤ baseline < detect ≤ 1`, the rest in (0, 1)) or even 10¹⁰ requests would not do.
#[must_use]
pub fn planned_n(baseline: f64, detect: f64, weight: f64, alpha: f64, power: f64) -> Option<u64> {
    planned_n_with(Mixture::harm(), baseline, detect, weight, alpha, power)
}

/// The same for another mixture of rate ratios above one.
pub(crate) fn planned_n_with(
    mixture: Mixture,
    baseline: f64,
    detect: f64,
    weight: f64,
    alpha: f64,
    power: f64,
) -> Option<u64> {
    let open = |x: f64| x > 0.0 && x < 1.0;
    if !(baseline >= 0.0 && baseline < detect && detect <= 1.0 && open(weight) && open(alpha) && open(power))
    {
        return None;
    }
    let factors = mixture.log_factors(weight);
    let reached = |n: u64| {
        let n = n as f64;
        power_at(n * weight * detect, n * (1.0 - weight) * baseline, &factors, alpha) >= power
    };
    let mut enough = 16_u64;
    while !reached(enough) {
        enough *= 2;
        if enough > 10_000_000_000 {
            return None;
        }
    }
    let mut too_few = if enough == 16 { 0 } else { enough / 2 };
    // One part in a thousand is exact enough for a plan and keeps the search short.
    while enough - too_few > 1 + enough / 1000 {
        let middle = u64::midpoint(too_few, enough);
        *(if reached(middle) { &mut enough } else { &mut too_few }) = middle;
    }
    Some(enough)
}

/// Probability of rejection with Poisson numbers of canary and champion events of these means; `factors` are those of
/// the mixture at the weight.
fn power_at(canary_mean: f64, champion_mean: f64, factors: &[(f64, f64)], alpha: f64) -> f64 {
    let rejects = |canary: u64, champion: u64| {
        let logs = factors.iter().map(|(a, b)| canary as f64 * a + champion as f64 * b);
        log_mean_exp(logs) >= -alpha.ln()
    };
    let (first, last) = poisson_range(champion_mean);
    // For long ranges some evenly spaced points of the smooth sum are enough.
    let stride = ((last - first) / 80).max(1);
    let mut needed = 0;
    let (mut hit, mut mass) = (0.0, 0.0);
    for champion in (first..=last).step_by(stride as usize) {
        needed = smallest_from(needed, |canary| rejects(canary, champion));
        let probability = poisson_log_mass(champion, champion_mean).exp();
        mass += probability;
        hit += probability * poisson_at_least(needed, canary_mean);
    }
    if mass > 0.0 { hit / mass } else { 0.0 }
}

/// Smallest number from `start` on that satisfies a monotone condition.
fn smallest_from(start: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut below, mut step) = (start, 1);
    if holds(start) {
        return start;
    }
    while !holds(below + step) {
        below += step;
        step *= 2;
    }
    let mut above = below + step;
    while above - below > 1 {
        let middle = u64::midpoint(below, above);
        *(if holds(middle) { &mut above } else { &mut below }) = middle;
    }
    above
}

/// The values that hold all but about 1e-12 of a Poisson distribution.
fn poisson_range(mean: f64) -> (u64, u64) {
    let reach = 7.5 * mean.sqrt() + 25.0;
    ((mean - reach).max(0.0) as u64, if mean > 0.0 { (mean + reach).ceil() as u64 } else { 0 })
}

fn poisson_log_mass(k: u64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return if k == 0 { 0.0 } else { f64::NEG_INFINITY };
    }
    k as f64 * mean.ln() - mean - ln_gamma(k as f64 + 1.0)
}

fn poisson_at_least(k: u64, mean: f64) -> f64 {
    let (first, last) = poisson_range(mean);
    if k <= first {
        return 1.0;
    }
    if mean > 1_000.0 {
        // Wilson & Hilferty (1931): the cube root of the k-th waiting time is nearly normal; off by less than 1e-4 here.
        let k = k as f64;
        let spread = 1.0 / (9.0 * k);
        return normal_cdf(((mean / k).cbrt() - (1.0 - spread)) / spread.sqrt());
    }
    (k..=last.max(k)).map(|i| poisson_log_mass(i, mean).exp()).sum::<f64>().min(1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn plans_match_the_waiting_time_of_the_acceptance_counts() {
        // Without champion errors two canary errors reject at 1 %: the 90th percentile of the second arrival of a
        // Poisson process of rate 1e-4 is at 38,897 requests.
        let n = planned_n(0.0, 0.01, 0.01, 0.0125, 0.9).unwrap();
        assert!((38_800..39_000).contains(&n), "{n}");
        let more = planned_n(0.001, 0.005, 0.05, 0.0125, 0.9).unwrap();
        assert!((50_000..90_000).contains(&more), "{more}");
    }

    #[test]
    fn impossible_plans_are_refused() {
        assert_eq!(planned_n(0.01, 0.01, 0.05, 0.0125, 0.9), None);
        assert_eq!(planned_n(0.01, 0.02, 0.0, 0.0125, 0.9), None);
        assert_eq!(planned_n(0.01, 0.02, 0.05, 0.0125, 1.0), None);
        assert_eq!(planned_n(f64::NAN, 0.02, 0.05, 0.0125, 0.9), None);
    }

    #[test]
    fn bounds_need_both_arms() {
        assert_eq!(rate_difference_upper(0, 0, 1, 10, 0.05), None);
        assert_eq!(rate_difference_upper(3, 2, 1, 10, 0.05), None);
        let none = ArmRates::default();
        assert_eq!(rate_difference_upper_anytime(&ArmEProcess::default(), &none, 0.05), None);
    }

    #[test]
    fn an_error_free_canary_becomes_non_inferior() {
        let step = ArmRates { canary_n: 5_000, champion_n: 95_000, ..ArmRates::default() };
        let fixed = rate_difference_upper(0, 5_000, 0, 95_000, 0.05).unwrap();
        let anytime = rate_difference_upper_anytime(&ArmEProcess::default(), &step, 0.05).unwrap();
        assert!(fixed < 0.001 && fixed < anytime && anytime < 0.005, "{fixed} {anytime}");
    }

    #[test]
    fn the_anytime_bound_never_falls_below_the_estimate() {
        for (a, n, b, m) in [(0, 10, 5, 10), (3, 100, 30, 1000), (50, 1000, 950, 19_000), (200, 200, 1, 400)]
        {
            let mut process = ArmEProcess::default();
            process.observe_counts(a, b, 0.05);
            let step = ArmRates { canary_errors: a, canary_n: n, champion_errors: b, champion_n: m };
            let upper = rate_difference_upper_anytime(&process, &step, 0.05).unwrap();
            assert!(upper >= step.difference().unwrap() && upper <= 1.0);
        }
    }
}

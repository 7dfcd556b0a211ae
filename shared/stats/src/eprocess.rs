//! The conditional-arm e-process: is the canary's event rate higher than the champion's?
//!
//! Given that an event (an error, or a latency above a frozen threshold) happens while the canary has the weight `w`,
//! it is the canary's with probability `w` if both versions are alike, and with probability `r·w / (r·w + 1 − w)` if the
//! canary's rate is `r` times the champion's. One event therefore multiplies the likelihood ratio of `r` by
//!
//! * `r / (r·w + 1 − w)` if it is the canary's,
//! * `1 / (r·w + 1 − w)` if it is the champion's.
//!
//! For each `r` the product over all events is a non-negative martingale under the null, whatever the overall rate does
//! (a diurnal pattern, an outage of a dependency hits both arms), since only the arm of each event is compared. Mixed
//! over `r > 1` it stays one, and by Ville's inequality it ever exceeds `1/α` with probability at most `α`: it may be
//! looked at after every event, over all steps, and nothing is spent on looks. The mixture stands *outside* the product
//! over steps: what one step learns about `r` is kept in the next. (Lindon & Malek, *Anytime-valid inference for
//! multinomial count data*, 2022.)
//!
//! The guarantee is per independent event. If one unit can cause many, count its first one only.
//!
//! **The mixture.** [`Mixture::harm`] is log-uniform over rate ratios from 1 to 100, at the midpoints of 64 cells. Its
//! mean is 21.5, so that one single error can never reject at α = .0125 (1/α = 80) at any weight, and with no champion
//! error the errors of the canary that reject are 2 at weights of 1 % and 5 %, 3 at 10 %, 4 at 25 %, 8 at 50 % and 48
//! at 90 %. Narrower mixtures need 3 at 5 %; wider ones only lose power where the ratio is small.

use crate::{
    Merge,
    strata::{ArmCounts, Strata},
};
use serde::{Deserialize, Serialize};

/// A log-uniform prior over rate ratios (canary rate / champion rate), discretised at the midpoints of equal cells of
/// the logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    low: f64,
    high: f64,
    components: u32,
}

impl Mixture {
    /// The mixture for harm: ratios from 1 to 100, 64 components.
    #[must_use]
    pub const fn harm() -> Self {
        Self { low: 1.0, high: 100.0, components: 64 }
    }

    /// Its mirror image, ratios from 1/100 to 1: evidence that the canary's rate is lower.
    #[must_use]
    pub const fn relief() -> Self {
        Self { low: 0.01, high: 1.0, components: 64 }
    }

    /// A log-uniform mixture of at most 4,096 components over `[low, high]`; `None` unless `0 < low < high`, both
    /// finite, and there is a component.
    #[must_use]
    pub fn log_uniform(low: f64, high: f64, components: u32) -> Option<Self> {
        let valid = low > 0.0 && low < high && high.is_finite() && (1..=4096).contains(&components);
        valid.then_some(Self { low, high, components })
    }

    /// The ratios, all with the same prior probability.
    pub fn ratios(&self) -> impl Iterator<Item = f64> {
        let (low, span, cells) = (self.low, (self.high / self.low).ln(), f64::from(self.components));
        (0..self.components).map(move |i| low * (span * (f64::from(i) + 0.5) / cells).exp())
    }

    /// The components' log factors (canary event, champion event) at one weight, for repeated evaluation.
    pub(crate) fn log_factors(&self, weight: f64) -> Vec<(f64, f64)> {
        self.ratios().map(|r| log_factors(r, weight)).collect()
    }
}

/// The e-process. Its state is the event counts by weight, which determine every component's likelihood: integers, so
/// merging is exact and evidence carries over steps, restarts and workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmEProcess {
    mixture: Mixture,
    events: Strata,
    /// Events seen while one arm had all the traffic.
    uninformative: u64,
}

impl Default for ArmEProcess {
    fn default() -> Self {
        Self::new(Mixture::harm())
    }
}

impl ArmEProcess {
    /// An e-process that has seen nothing: `e = 1`.
    #[must_use]
    pub fn new(mixture: Mixture) -> Self {
        Self { mixture, events: Strata::default(), uninformative: 0 }
    }

    /// Counts one event of the canary (`true`) or the champion, with the canary's weight (a fraction of the traffic)
    /// then in force. Returns whether it was informative: at weights 0 and 1 it is only counted as such.
    pub fn observe(&mut self, canary: bool, weight: f64) -> bool {
        self.observe_counts(u64::from(canary), u64::from(!canary), weight)
    }

    /// Counts events of both arms that happened under one weight.
    pub fn observe_counts(&mut self, canary_events: u64, champion_events: u64, weight: f64) -> bool {
        let informative = self.events.add(canary_events, champion_events, weight);
        if !informative {
            self.uninformative += canary_events + champion_events;
        }
        informative
    }

    /// The events by weight.
    #[must_use]
    pub fn events(&self) -> &Strata {
        &self.events
    }

    /// Events counted over all weights.
    #[must_use]
    pub fn totals(&self) -> ArmCounts {
        self.events.totals()
    }

    /// Events that said nothing because one arm had all the traffic.
    #[must_use]
    pub fn uninformative(&self) -> u64 {
        self.uninformative
    }

    /// Natural logarithm of the e-value against "both rates are equal". Always finite; 0 without events.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        log_e_against(&self.events, 1.0, self.mixture)
    }

    /// Whether the null is rejected at `alpha`: `e ≥ 1/α`. Never for an `alpha` outside (0, 1).
    #[must_use]
    pub fn rejects(&self, alpha: f64) -> bool {
        let open = alpha > 0.0 && alpha < 1.0;
        open && self.log_e_at_most() >= -alpha.ln() && self.log_e() >= -alpha.ln()
    }

    /// A bound that [`ArmEProcess::log_e`] cannot exceed, much cheaper than it: no rate ratio makes a stratum more likely than
    /// the share of canary events seen in it does. Most looks end here.
    #[must_use]
    pub fn log_e_at_most(&self) -> f64 {
        self.events.log_ratio_at_most(self.mixture.high > 1.0, self.mixture.low < 1.0)
    }

    /// Always-valid upper bound for the rate ratio at level `1 − alpha`: the smallest ratio `r0` such that "the ratio
    /// is `r0` or more" is rejected. `None` while the events exclude nothing (too few champion events).
    #[must_use]
    pub fn ratio_upper(&self, alpha: f64) -> Option<f64> {
        bound(alpha, |r0| log_e_against(&self.events, r0, Mixture::relief()), Search::Upwards)
    }

    /// Always-valid lower bound for the rate ratio at level `1 − alpha`; `None` while the events exclude nothing.
    #[must_use]
    pub fn ratio_lower(&self, alpha: f64) -> Option<f64> {
        bound(alpha, |r0| log_e_against(&self.events, r0, Mixture::harm()), Search::Downwards)
    }

    /// Canary events that would reject at `alpha` under one weight without any champion event, for plans and
    /// explanations; `None` if 100,000 would not do, or for a weight or alpha outside (0, 1).
    #[must_use]
    pub fn events_to_reject(mixture: Mixture, weight: f64, alpha: f64) -> Option<u64> {
        let rejects = |events| {
            let mut process = Self::new(mixture);
            process.observe_counts(events, 0, weight) && process.rejects(alpha)
        };
        const MOST: u64 = 100_000;
        if !rejects(MOST) {
            return None;
        }
        // Every further canary event multiplies each component by at least one: the answer is monotone.
        let (mut too_few, mut enough) = (0, MOST);
        while enough - too_few > 1 {
            let middle = u64::midpoint(too_few, enough);
            *(if rejects(middle) { &mut enough } else { &mut too_few }) = middle;
        }
        Some(enough)
    }
}

/// Merging needs the same mixture; the first one's is kept.
impl Merge for ArmEProcess {
    fn merge(&mut self, other: &Self) {
        debug_assert!(self.mixture == other.mixture, "e-processes of different mixtures");
        self.events.merge(&other.events);
        self.uninformative += other.uninformative;
    }
}

/// `ln Σ_j π_j L(r0·s_j) / L(r0)` over the mixture's ratios `s_j`: the e-value against the rate ratio `r0`.
fn log_e_against(events: &Strata, r0: f64, mixture: Mixture) -> f64 {
    let base = log_likelihood(events, r0);
    let logs: Vec<f64> = mixture.ratios().map(|s| log_likelihood(events, r0 * s) - base).collect();
    log_mean_exp(logs.iter().copied())
}

/// Logarithm of the mean of exponentials, without overflow; minus infinity of nothing.
pub(crate) fn log_mean_exp(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    let (sum, n) = logs.fold((0.0, 0.0), |(sum, n), log| (sum + (log - most).exp(), n + 1.0));
    if n > 0.0 { most + (sum / n).ln() } else { most }
}

/// Logarithm of the probability of the events' arms under rate ratio `r`, up to a constant.
fn log_likelihood(events: &Strata, r: f64) -> f64 {
    let mut canary = 0.0;
    let mut spread = 0.0;
    for (weight, counts) in events.iter() {
        canary += counts.canary as f64;
        spread += (counts.canary + counts.champion) as f64 * log_spread(r, weight);
    }
    canary * r.ln() - spread
}

/// `ln(r·w + 1 − w)`, written so that it stays exact for r near 1.
fn log_spread(r: f64, weight: f64) -> f64 {
    ((r - 1.0) * weight).ln_1p()
}

/// Logarithms of what one canary event and one champion event multiply the likelihood ratio of `r` by.
fn log_factors(r: f64, weight: f64) -> (f64, f64) {
    let spread = log_spread(r, weight);
    (r.ln() - spread, -spread)
}

#[derive(Clone, Copy, PartialEq)]
enum Search {
    Upwards,
    Downwards,
}

/// The ratio nearest the data that is rejected, by bisection of its logarithm in [1e-9, 1e9]. Against mixtures on one
/// side of `r0` the e-value is monotone in `r0`: each event's factor is.
fn bound(alpha: f64, log_e: impl Fn(f64) -> f64, search: Search) -> Option<f64> {
    if !(alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let limit = 1e9_f64.ln();
    let (mut inside, mut outside) = if search == Search::Upwards { (-limit, limit) } else { (limit, -limit) };
    let rejected = |log_ratio: f64| log_e(log_ratio.exp()) >= -alpha.ln();
    if !rejected(outside) || rejected(inside) {
        return None;
    }
    while (outside - inside).abs() > 1e-10 {
        let middle = f64::midpoint(inside, outside);
        *(if rejected(middle) { &mut outside } else { &mut inside }) = middle;
    }
    Some(outside.exp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALPHA: f64 = 0.0125;

    #[test]
    fn acceptance_counts_without_champion_errors() {
        let need = |weight| ArmEProcess::events_to_reject(Mixture::harm(), weight, ALPHA).unwrap();
        let counts = [0.01, 0.05, 0.10, 0.25, 0.50, 0.90].map(need);
        assert_eq!(counts, [2, 2, 3, 4, 8, 48]);
    }

    #[test]
    fn one_error_never_rejects_at_any_weight() {
        for weight in [1e-6, 1e-4, 0.001, 0.01, 0.5] {
            assert!(ArmEProcess::events_to_reject(Mixture::harm(), weight, ALPHA).unwrap() > 1);
        }
    }

    #[test]
    fn nothing_seen_and_one_armed_traffic_say_nothing() {
        let mut process = ArmEProcess::default();
        assert_eq!(process.log_e(), 0.0);
        for weight in [0.0, 1.0, -0.1, 1.1, f64::NAN] {
            assert!(!process.observe(true, weight));
        }
        assert_eq!((process.log_e(), process.uninformative(), process.totals().canary), (0.0, 5, 0));
        assert_eq!((process.ratio_upper(0.05), process.ratio_lower(0.05)), (None, None));
        assert!(!process.rejects(ALPHA) && !process.rejects(0.0) && !process.rejects(f64::NAN));
    }

    #[test]
    fn evidence_carries_over_steps_with_the_mixture_outside_the_product() {
        let mut whole = ArmEProcess::default();
        let (mut first, mut second) = (ArmEProcess::default(), ArmEProcess::default());
        whole.observe_counts(3, 4, 0.05);
        first.observe_counts(3, 4, 0.05);
        whole.observe_counts(6, 2, 0.25);
        second.observe_counts(6, 2, 0.25);
        let product_of_mixtures = first.log_e() + second.log_e();
        first.merge(&second);
        assert_eq!(first, whole);
        let by_hand: f64 = Mixture::harm()
            .ratios()
            .map(|r| {
                (r / (0.05 * r + 0.95)).powi(3)
                    * (1.0 / (0.05 * r + 0.95)).powi(4)
                    * (r / (0.25 * r + 0.75)).powi(6)
                    * (1.0 / (0.25 * r + 0.75)).powi(2)
            })
            .sum::<f64>()
            / 64.0;
        assert!((whole.log_e() - by_hand.ln()).abs() < 1e-12);
        assert!((whole.log_e() - product_of_mixtures).abs() > 0.1);
    }

    #[test]
    fn millions_of_events_stay_finite() {
        let mut process = ArmEProcess::default();
        process.observe_counts(50_000_000, 50_000_000, 0.5);
        assert!(process.log_e().is_finite() && !process.rejects(ALPHA));
        process.observe_counts(60_000_000, 40_000_000, 0.5);
        assert!(process.log_e().is_finite() && process.rejects(1e-9));
    }

    #[test]
    fn ratio_bounds_enclose_the_truth_and_shrink() {
        let mut few = ArmEProcess::default();
        few.observe_counts(10, 190, 0.05);
        let mut many = ArmEProcess::default();
        many.observe_counts(1000, 19_000, 0.05);
        let (low, high) = (many.ratio_lower(0.05).unwrap(), many.ratio_upper(0.05).unwrap());
        assert!(0.85 < low && low < 1.0 && 1.0 < high && high < 1.15, "{low} {high}");
        assert!(few.ratio_upper(0.05).unwrap() > high && few.ratio_lower(0.05).unwrap() < low);
    }

    proptest! {
        #[test]
        fn order_does_not_show(events in prop::collection::vec((any::<bool>(), 1u32..99), 0..60), cut in 0usize..60) {
            let of = |events: &[(bool, u32)]| {
                let mut p = ArmEProcess::default();
                for &(canary, percent) in events { p.observe(canary, f64::from(percent) / 100.0); }
                p
            };
            let cut = cut.min(events.len());
            let mut right = of(&events[cut..]);
            right.merge(&of(&events[..cut]));
            right.merge(&ArmEProcess::default());
            let whole = of(&events);
            prop_assert_eq!(right.log_e().to_bits(), whole.log_e().to_bits());
            let text = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<ArmEProcess>(&text).unwrap(), whole);
        }

        #[test]
        fn the_cheap_bound_is_a_bound(
            strata in prop::collection::vec((0u64..60, 0u64..200, 1u32..99), 0..5), relief in any::<bool>(),
        ) {
            let mut p = ArmEProcess::new(if relief { Mixture::relief() } else { Mixture::harm() });
            for (canary, champion, percent) in strata { p.observe_counts(canary, champion, f64::from(percent) / 100.0); }
            prop_assert!(p.log_e() <= p.log_e_at_most(), "{} {}", p.log_e(), p.log_e_at_most());
        }

        #[test]
        fn one_event_is_fair_under_the_null(percent in 1u32..100, canary in 0u64..20, champion in 0u64..20) {
            let weight = f64::from(percent) / 100.0;
            let e = |a, b| {
                let mut p = ArmEProcess::default();
                p.observe_counts(a, b, weight);
                p.log_e().exp()
            };
            let now = e(canary, champion);
            let next = weight * e(canary + 1, champion) + (1.0 - weight) * e(canary, champion + 1);
            prop_assert!((next - now).abs() <= 1e-9 * now.max(1.0), "{} {}", now, next);
        }
    }
}

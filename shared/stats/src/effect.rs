//! The canary's effect on a value, from the randomisation alone: design-based sequences that carry over steps.
//!
//! Every unit falls to the canary (`Z = 1`) with the probability `w` then in force, whatever its value `h`. So
//!
//! `ζ = (h − c)·(Z − w)`, with a centre `c` fixed beforehand,
//!
//! has mean `w(1 − w)·τ`, where `τ` is what the canary does to that unit's value: no assumption on how values move through
//! the day, on their distribution, or that both steps are alike (Ham, Bojinov, Lindon & Tingley, *Design-based confidence
//! sequences*, 2022, with `ζ` their inverse-probability estimator times `w(1 − w)`, which weighs steps by how much they tell).
//! Under "the canary's values are not higher" the bet
//!
//! `exp(κζ − ψ(κb)·ζ²/b²)`, `ψ(x) = −ln(1 − x) − x`, `ζ ≥ −b`,
//!
//! is at most `1 + κζ` and so has mean at most one (Fan, Grama & Liu 2015; Waudby-Smith & Ramdas 2024); its product over
//! all units of all steps is an e-process, and so is the mixture over `κ`. Only counts, sums and sums of squares by slice of
//! time are needed. Values without bounds get the asymptotic form of the same sum ([`AsymptoticEffect`]).
//!
//! **A unit counts once**, in one slice: a unit stays on its side, so its second value would not be randomised anew.

use crate::{
    confseq::{Moments, half_normal_limit, log_half_normal},
    eprocess::log_mean_exp,
};
use serde::{Deserialize, Serialize};

/// Units that must have been seen before bets are made, unless the expected mean was given: bets around a centre far from
/// the mean only lose.
pub const MIN_KNOWN: u64 = 30;

/// Bets of the mixture, log-uniform over the useful range of κ for values scaled to `[0, 1]`.
const BETS: u32 = 24;
const SMALLEST: f64 = 1e-3;
const LARGEST: f64 = 64.0;

fn bets() -> impl Iterator<Item = f64> {
    let span = (LARGEST / SMALLEST).ln();
    (0..BETS).map(move |i| SMALLEST * (span * f64::from(i) / f64::from(BETS - 1)).exp())
}

/// What each bet has won in one direction: gains, costs, and what a unit of effect would have been worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ledger(Vec<[f64; 3]>);

impl Default for Ledger {
    fn default() -> Self {
        Self(vec![[0.0; 3]; BETS as usize])
    }
}

impl Ledger {
    /// `sum` and `squares` of ζ in this direction, `floor` the most it can be below zero, `worth` = Σ w(1 − w).
    fn add(&mut self, sum: f64, squares: f64, floor: f64, worth: f64) {
        for (row, bet) in self.0.iter_mut().zip(bets()) {
            let bet = bet.min(0.9 / floor);
            let risk = bet * floor;
            row[0] += bet * sum;
            row[1] += (-(-risk).ln_1p() - risk) * squares / (floor * floor);
            row[2] += bet * worth;
        }
    }

    /// Logarithm of the e-value against "the effect in this direction is at most `effect`".
    fn log_e(&self, effect: f64) -> f64 {
        log_mean_exp(self.0.iter().map(|[gain, cost, worth]| gain - cost - effect * worth))
    }

    /// The largest effect that is rejected at `alpha`: the bound from below, at most 1 in size.
    fn lower(&self, alpha: f64) -> f64 {
        let rejected = |effect| self.log_e(effect) >= -f64::ln(alpha);
        if !rejected(-1.0) {
            return -1.0;
        }
        let (mut out, mut inside) = (-1.0, 1.0);
        for _ in 0..60 {
            let middle = f64::midpoint(out, inside);
            *(if rejected(middle) { &mut out } else { &mut inside }) = middle;
        }
        out
    }
}

/// The effect on values within declared bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundedEffect {
    low: f64,
    high: f64,
    expected: Option<f64>,
    seen: Moments,
    informative: u64,
    higher: Ledger,
    lower: Ledger,
}

impl BoundedEffect {
    /// An effect of which nothing is known, on values in `[low, high]`. `expected` is the mean known beforehand (from the
    /// shadow), in the values' own unit. `None` unless `low < high`, both finite.
    #[must_use]
    pub fn new(low: f64, high: f64, expected: Option<f64>) -> Option<Self> {
        let valid = low < high && (high - low).is_finite();
        valid.then(|| Self {
            low,
            high,
            expected: expected.filter(|e| e.is_finite()).map(|e| ((e - low) / (high - low)).clamp(0.0, 1.0)),
            seen: Moments::default(),
            informative: 0,
            higher: Ledger::default(),
            lower: Ledger::default(),
        })
    }

    /// Takes the next slice of time: the new units' values in both arms under one weight. Returns whether bets were
    /// made: not at weights 0 and 1 nor before [`MIN_KNOWN`] units are known, though such a slice informs the centre.
    /// Moments that contradict the bounds are refused.
    pub fn push(&mut self, weight: f64, canary: &Moments, champion: &Moments) -> bool {
        if !(canary.within(self.low, self.high) && champion.within(self.low, self.high)) {
            return false;
        }
        let scale = self.high - self.low;
        let (canary, champion) =
            (canary.standardised(self.low, scale), champion.standardised(self.low, scale));
        let units = canary.n + champion.n;
        let centre = self.centre();
        self.seen = self.seen.plus(canary).plus(champion);
        let (Some(centre), true) = (centre, weight > 0.0 && weight < 1.0 && units > 0) else { return false };
        let (one, other) = (canary.standardised(centre, 1.0), champion.standardised(centre, 1.0));
        let sum = (1.0 - weight) * one.sum - weight * other.sum;
        let squares = (1.0 - weight).powi(2) * one.squares + weight.powi(2) * other.squares;
        let worth = weight * (1.0 - weight) * units as f64;
        let down = (centre * (1.0 - weight)).max((1.0 - centre) * weight);
        let up = ((1.0 - centre) * (1.0 - weight)).max(centre * weight);
        self.higher.add(sum, squares, down, worth);
        self.lower.add(-sum, squares, up, worth);
        self.informative += units;
        true
    }

    fn centre(&self) -> Option<f64> {
        let known = if self.seen.n >= MIN_KNOWN { self.seen.mean() } else { None };
        known.or(self.expected).map(|centre| centre.clamp(0.0, 1.0))
    }

    /// Units on which bets were made.
    #[must_use]
    pub fn informative(&self) -> u64 {
        self.informative
    }

    /// Logarithm of the e-value against "the canary's values are not higher"; 0 without bets.
    #[must_use]
    pub fn log_e_higher(&self) -> f64 {
        self.higher.log_e(0.0)
    }

    /// Logarithm of the e-value against "the canary's values are not lower".
    #[must_use]
    pub fn log_e_lower(&self) -> f64 {
        self.lower.log_e(0.0)
    }

    /// Bounds of the effect in the values' own unit, each side at level `1 − alpha`, that hold at every look; `None` before
    /// bets are made or for an alpha outside (0, 1).
    #[must_use]
    pub fn bounds(&self, alpha: f64) -> Option<(f64, f64)> {
        if self.informative == 0 || !(alpha > 0.0 && alpha < 1.0) {
            return None;
        }
        let scale = self.high - self.low;
        Some((scale * self.higher.lower(alpha), -scale * self.lower.lower(alpha)))
    }
}

/// Canary units an asymptotic effect needs before it says anything.
pub const MIN_UNITS: u64 = 100;
/// Units of an even split at which the asymptotic sequence is tuned to be shortest.
const TUNED_AT: f64 = 2_000.0;

/// The effect on values without bounds (revenue): the asymptotic confidence sequence of Waudby-Smith et al. (2024) for the
/// same sum of `ζ`, under any drift (their Proposition 2.5, for martingales whose means move). Its level holds in the limit of many
/// units, not for few heavy-tailed ones: declare bounds where there are any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AsymptoticEffect {
    seen: Moments,
    canary_units: u64,
    sum: f64,
    squares: f64,
    worth: f64,
}

impl AsymptoticEffect {
    /// Takes the next slice of time, as [`BoundedEffect::push`].
    pub fn push(&mut self, weight: f64, canary: &Moments, champion: &Moments) -> bool {
        if !(canary.squares.is_finite() && champion.squares.is_finite()) {
            return false;
        }
        let centre = if self.seen.n >= MIN_KNOWN { self.seen.mean() } else { None };
        self.seen = self.seen.plus(*canary).plus(*champion);
        let (Some(centre), true) = (centre, weight > 0.0 && weight < 1.0) else { return false };
        let (one, other) = (canary.standardised(centre, 1.0), champion.standardised(centre, 1.0));
        self.sum += (1.0 - weight) * one.sum - weight * other.sum;
        self.squares += (1.0 - weight).powi(2) * one.squares + weight.powi(2) * other.squares;
        self.worth += weight * (1.0 - weight) * (one.n + other.n) as f64;
        self.canary_units += one.n;
        true
    }

    /// Deviations from no effect, and the information.
    fn state(&self) -> Option<(f64, f64)> {
        let enough = self.canary_units >= MIN_UNITS && self.squares > 0.0;
        // An even split of n units is worth n/4. 11.6 = −2 ln .005 + 1 sets ρ² for small alphas; any value is valid.
        enough.then(|| (self.sum / self.squares.sqrt(), 4.0 * self.worth * 11.6 / TUNED_AT))
    }

    /// Logarithm of the asymptotic e-value against "the canary's values are not higher"; 0 before [`MIN_UNITS`].
    #[must_use]
    pub fn log_e_higher(&self) -> f64 {
        self.state().map_or(0.0, |(deviations, t)| log_half_normal(deviations, t))
    }

    /// The same against "not lower".
    #[must_use]
    pub fn log_e_lower(&self) -> f64 {
        self.state().map_or(0.0, |(deviations, t)| log_half_normal(-deviations, t))
    }

    /// Bounds of the effect, each side at level `1 − alpha`; `None` before [`MIN_UNITS`] or for an alpha outside (0, 1).
    #[must_use]
    pub fn bounds(&self, alpha: f64) -> Option<(f64, f64)> {
        let (_, t) = self.state().filter(|_| alpha > 0.0 && alpha < 1.0)?;
        let reach = half_normal_limit(-alpha.ln(), t) * self.squares.sqrt();
        Some(((self.sum - reach) / self.worth, (self.sum + reach) / self.worth))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::sampling::Sampler;

    /// A slice of `n` units whose values are a beta-like variable around `mean`, the canary's `effect` higher.
    fn slice(random: &mut Sampler, n: u64, weight: f64, mean: f64, effect: f64) -> (Moments, Moments) {
        let (mut canary, mut champion) = (Moments::default(), Moments::default());
        for _ in 0..n {
            let value = (mean + 0.2 * (random.uniform() - 0.5)).clamp(0.0, 1.0);
            if random.chance(weight) {
                canary.add((value + effect).clamp(0.0, 1.0));
            } else {
                champion.add(value);
            }
        }
        (canary, champion)
    }

    #[test]
    fn nothing_is_said_before_enough_is_known() {
        let mut effect = BoundedEffect::new(0.0, 1.0, None).unwrap();
        assert_eq!((effect.log_e_higher(), effect.bounds(0.05)), (0.0, None));
        assert!(!effect.push(0.05, &Moments::of(&[0.5]), &Moments::of(&[0.5; 10])));
        assert!(!effect.push(0.0, &Moments::default(), &Moments::of(&[0.5; 50])));
        assert!(effect.push(0.05, &Moments::of(&[0.5]), &Moments::of(&[0.5; 10])));
        assert!(!effect.push(0.05, &Moments::of(&[2.0]), &Moments::of(&[0.5; 10])), "outside the bounds");
        assert_eq!(effect.informative(), 11);
        let mut told = BoundedEffect::new(0.0, 1.0, Some(0.5)).unwrap();
        assert!(told.push(0.5, &Moments::of(&[0.5]), &Moments::default()));
        assert_eq!(BoundedEffect::new(1.0, 0.0, None), None);
        assert_eq!(AsymptoticEffect::default().bounds(0.05), None);
    }

    #[test]
    fn bounds_enclose_the_effect_through_drift_and_steps() {
        let mut random = Sampler::new(81);
        let (mut bounded, mut loose) =
            (BoundedEffect::new(0.0, 1.0, None).unwrap(), AsymptoticEffect::default());
        for look in 0..80_u32 {
            let weight = [0.05, 0.10, 0.25, 0.50][look as usize / 20];
            let mean = 0.3 + 0.3 * f64::from(look) / 80.0;
            let (canary, champion) = slice(&mut random, 400, weight, mean, 0.05);
            bounded.push(weight, &canary, &champion);
            loose.push(weight, &canary, &champion);
        }
        for (low, high) in [bounded.bounds(0.05).unwrap(), loose.bounds(0.05).unwrap()] {
            assert!(0.03 < low && low < 0.05 && 0.05 < high && high < 0.08, "{low} {high}");
        }
        assert!(bounded.log_e_higher() > 10.0 && bounded.log_e_lower() < 0.0);
        assert!(loose.log_e_higher() > 10.0 && loose.log_e_lower() < 0.0);
    }

    #[test]
    fn the_bet_is_fair_or_worse_in_expectation_whatever_the_value() {
        // One unit of any value under the null: the mean over its two arms never exceeds one.
        for weight in [0.01, 0.3, 0.9] {
            for value in [0.0, 0.02, 0.5, 1.0] {
                let e = |canary: bool, of: fn(&BoundedEffect) -> f64| {
                    let mut effect = BoundedEffect::new(0.0, 1.0, Some(0.1)).unwrap();
                    let (one, none) = (Moments::of(&[value]), Moments::default());
                    let (c, h) = if canary { (one, none) } else { (none, one) };
                    effect.push(weight, &c, &h);
                    of(&effect).exp()
                };
                for of in [BoundedEffect::log_e_higher, BoundedEffect::log_e_lower] {
                    let mean = weight * e(true, of) + (1.0 - weight) * e(false, of);
                    assert!(mean <= 1.0 + 1e-12, "{weight} {value}: {mean}");
                }
            }
        }
    }

    #[test]
    fn harmless_canaries_pass_every_look_with_drift_and_skew() {
        let mut random = Sampler::new(83);
        let (mut bounded_fired, mut loose_fired) = (0, 0);
        const RUNS: usize = 1_000;
        for _ in 0..RUNS {
            let (mut bounded, mut loose) =
                (BoundedEffect::new(0.0, 1.0, None).unwrap(), AsymptoticEffect::default());
            let (mut bounded_out, mut loose_out) = (false, false);
            for look in 0..60_u32 {
                let weight = [0.05, 0.25, 0.50][look as usize / 20];
                let power = 2.0 + f64::from(look) / 10.0;
                let (mut canary, mut champion) = (Moments::default(), Moments::default());
                for _ in 0..60 {
                    let arm = if random.chance(weight) { &mut canary } else { &mut champion };
                    arm.add(random.uniform().powf(power));
                }
                bounded.push(weight, &canary, &champion);
                loose.push(weight, &canary, &champion);
                bounded_out |= bounded.log_e_higher() >= 20_f64.ln();
                loose_out |= loose.log_e_higher() >= 20_f64.ln();
            }
            bounded_fired += usize::from(bounded_out);
            loose_fired += usize::from(loose_out);
        }
        println!("A/A at .05: bounded {bounded_fired}, asymptotic {loose_fired} of {RUNS}");
        assert!(bounded_fired <= RUNS / 20 && loose_fired <= RUNS / 20);
    }
}

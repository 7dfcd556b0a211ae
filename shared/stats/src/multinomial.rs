//! Do the canary's answers have the distribution that the challenger's own concurrent shadow answers have?
//!
//! Both samples come from the same version at the same time, one from requests it really served, one from replayed
//! requests of the champion's side; so the null is that two multinomials are equal, whatever they are and however they move
//! through the day. (A better model *should* differ from the champion: that is an effect size, not a null.)
//!
//! Each slice of time with `n` canary and `m` shadow answers is a block. With class shares `p` and `q` guessed from *earlier*
//! slices, and `s = (n·p + m·q)/(n + m)`, the block's factor
//!
//! `∏ p(x)/s(x)` over canary answers × `∏ q(y)/s(y)` over shadow answers
//!
//! has mean at most one if both samples have the same shares, since that mean is `A^n·B^m` with `(n·A + m·B)/(n + m) = 1`
//! (Turner, Ly & Grünwald, *Generic e-variables for exact sequential k-sample tests*, 2024, Theorem 1: any outcome space).
//! The product over slices is an e-process. Unlike the conditional multinomial test with known odds (Lindon & Malek 2022) it
//! needs neither the weight nor the replayed share, and a shadow that loses or delays replays does not break it.
//!
//! The guesses are each sample's earlier counts, drawn towards the pooled shares by a Dirichlet prior; several strengths of
//! the prior are mixed. Classes not seen in earlier slices count as one class "other", with the same share in both guesses.
//!
//! **A unit answers once**: the first answer of each unit, or requests where the request is the unit.

use crate::eprocess::log_mean_exp;
use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;
use std::collections::BTreeMap;

/// Answers by class.
pub type Classes = BTreeMap<String, u64>;

/// Strengths of the prior, in answers.
const STRENGTHS: [f64; 4] = [2.0, 20.0, 200.0, 2_000.0];

/// What the two samples showed so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnswerSequence {
    /// Answers of (canary, shadow) over all slices: what guesses are made from.
    seen: BTreeMap<String, [u64; 2]>,
    log_factors: [f64; STRENGTHS.len()],
    step: u32,
    /// The same within the last step: what effects are measured on.
    in_step: BTreeMap<String, [u64; 2]>,
}

/// What the answers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// "The same distribution" is rejected and the distance is beyond the margin.
    Different,
    /// The distance is within the margin.
    Alike,
    /// Neither.
    NotYetKnown,
}

/// The judgement of the canary's answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What they say.
    pub state: State,
    /// Logarithm of the e-value against "the same distribution", over all steps; it rejects at `−ln α`.
    pub log_e: f64,
    /// Total-variation distance of the two samples in the last step: the largest difference of any set of classes' shares.
    pub distance: Option<f64>,
    /// That distance less what two samples of these sizes from one distribution would show on average, not below zero.
    pub corrected: Option<f64>,
    /// Upper bound of the true distance in the last step at level `1 − α`, valid at every look while the shares stay.
    pub upper: Option<f64>,
    /// Canary answers in the last step.
    pub canary_n: u64,
    /// Shadow answers in the last step.
    pub shadow_n: u64,
}

impl AnswerSequence {
    /// Takes the next slice of time: new answers of both samples at one step of the canary.
    pub fn push(&mut self, step: u32, canary: &Classes, shadow: &Classes) {
        let (n, m) = (total(canary) as f64, total(shadow) as f64);
        if n > 0.0 && m > 0.0 && !self.seen.is_empty() {
            let factors: Vec<f64> =
                self.guesses(n, m).iter().map(|guess| guess.log_factor(canary, shadow)).collect();
            self.log_factors.iter_mut().zip(factors).for_each(|(log_factor, factor)| *log_factor += factor);
        }
        if step != self.step {
            self.step = step;
            self.in_step.clear();
        }
        for counts in [&mut self.seen, &mut self.in_step] {
            add(counts, 0, canary);
            add(counts, 1, shadow);
        }
    }

    fn guesses(&self, n: f64, m: f64) -> Vec<Guess<'_>> {
        STRENGTHS.iter().map(|&strength| Guess::of(&self.seen, strength, n, m)).collect()
    }

    /// Logarithm of the e-value against "the same distribution"; 0 until a slice follows one with answers.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        log_mean_exp(self.log_factors.iter().copied())
    }

    /// The judgement at this look. `None` for an alpha outside (0, ½) or a margin that is negative or not finite.
    #[must_use]
    pub fn judgement(&self, margin: f64, alpha: f64) -> Option<Judgement> {
        if !(alpha > 0.0 && alpha < 0.5 && margin >= 0.0 && margin.is_finite()) {
            return None;
        }
        let [canary_n, shadow_n] = [0, 1].map(|side| self.in_step.values().map(|c| c[side]).sum::<u64>());
        let log_e = self.log_e();
        let known = canary_n > 0 && shadow_n > 0;
        let distance = known.then(|| self.distance(canary_n as f64, shadow_n as f64));
        let corrected = distance.map(|d| (d - self.noise(canary_n as f64, shadow_n as f64)).max(0.0));
        let upper = distance.map(|d| (d + self.reach(canary_n as f64, shadow_n as f64, alpha)).min(1.0));
        let state = if log_e >= -alpha.ln() && corrected.is_some_and(|d| d > margin) {
            State::Different
        } else if upper.is_some_and(|d| d <= margin) {
            State::Alike
        } else {
            State::NotYetKnown
        };
        Some(Judgement { state, log_e, distance, corrected, upper, canary_n, shadow_n })
    }

    fn distance(&self, n: f64, m: f64) -> f64 {
        self.in_step.values().map(|c| (c[0] as f64 / n - c[1] as f64 / m).abs()).sum::<f64>() / 2.0
    }

    /// Mean distance of two samples of these sizes from the pooled shares (half-normal means).
    fn noise(&self, n: f64, m: f64) -> f64 {
        let deviation = |c: &[u64; 2]| {
            let share = (c[0] + c[1]) as f64 / (n + m);
            (share * (1.0 - share) * (1.0 / n + 1.0 / m)).sqrt()
        };
        let half_normal_mean = std::f64::consts::FRAC_2_PI.sqrt();
        half_normal_mean * self.in_step.values().map(deviation).sum::<f64>() / 2.0
    }

    /// How far the true distance may be from the seen one. The Dirichlet-mixture confidence sequence (Lindon & Malek 2022) of
    /// both samples bounds `n·KL(p̂ ‖ p) + m·KL(q̂ ‖ q)` by `ln(1/α)` and the two regrets; Pinsker's and Cauchy's inequality
    /// turn it into a distance.
    fn reach(&self, n: f64, m: f64, alpha: f64) -> f64 {
        let classes = self.seen.len();
        let regrets: f64 =
            [0, 1].map(|side| regret(self.in_step.values().map(|c| c[side]), classes)).iter().sum();
        ((regrets - alpha.ln()) / 2.0 * (1.0 / n + 1.0 / m)).sqrt()
    }
}

/// The class shares guessed for both samples, and their mean weighted by the block's sizes, as log ratios.
struct Guess<'a> {
    ratios: BTreeMap<&'a str, (f64, f64)>,
}

impl<'a> Guess<'a> {
    fn of(seen: &'a BTreeMap<String, [u64; 2]>, strength: f64, n: f64, m: f64) -> Self {
        let sums = seen.values().fold([0.0; 2], |s, c| [s[0] + c[0] as f64, s[1] + c[1] as f64]);
        let pooled_n = sums[0] + sums[1] + 0.5 * seen.len() as f64;
        let ratio = |c: &[u64; 2]| {
            let pooled = ((c[0] + c[1]) as f64 + 0.5) / pooled_n;
            let share = |side: usize| (c[side] as f64 + strength * pooled) / (sums[side] + strength);
            let (p, q) = (share(0), share(1));
            let mean = (n * p + m * q) / (n + m);
            ((p / mean).ln(), (q / mean).ln())
        };
        // "Other" takes the same small share from both guesses, so that every ratio of known classes stays as it is.
        Self { ratios: seen.iter().map(|(class, counts)| (class.as_str(), ratio(counts))).collect() }
    }

    fn log_factor(&self, canary: &Classes, shadow: &Classes) -> f64 {
        let of = |class: &String| self.ratios.get(class.as_str()).copied().unwrap_or((0.0, 0.0));
        let by_canary: f64 = canary.iter().map(|(class, &count)| count as f64 * of(class).0).sum();
        let by_shadow: f64 = shadow.iter().map(|(class, &count)| count as f64 * of(class).1).sum();
        by_canary + by_shadow
    }
}

fn total(classes: &Classes) -> u64 {
    classes.values().sum()
}

fn add(counts: &mut BTreeMap<String, [u64; 2]>, side: usize, classes: &Classes) {
    for (class, &count) in classes.iter().filter(|(_, count)| **count > 0) {
        counts.entry(class.clone()).or_default()[side] += count;
    }
}

/// Greatest log likelihood less the log of the Dirichlet(½)-mixture likelihood of these class counts, over all classes that
/// were ever seen.
fn regret(counts: impl Iterator<Item = u64> + Clone, classes: usize) -> f64 {
    let classes = classes as f64;
    let n: f64 = counts.clone().map(|c| c as f64).sum();
    let best: f64 = counts.clone().filter(|c| *c > 0).map(|c| c as f64 * (c as f64 / n).ln()).sum();
    let mixed: f64 = counts.map(|c| ln_gamma(c as f64 + 0.5) - ln_gamma(0.5)).sum();
    best - (mixed + ln_gamma(classes / 2.0) - ln_gamma(n + classes / 2.0))
}

/// Canary answers in one step after which alike answers are known to be within `margin` at `alpha`, with `shadow_per_canary`
/// shadow answers for each and this many classes of equal shares (the worst case); `None` if an argument is out of range or
/// a billion would not do.
#[must_use]
pub fn planned_answers(classes: u32, margin: f64, alpha: f64, shadow_per_canary: f64) -> Option<u64> {
    let valid = classes >= 2
        && margin > 0.0
        && margin < 1.0
        && alpha > 0.0
        && alpha < 0.5
        && shadow_per_canary > 0.0
        && shadow_per_canary.is_finite();
    let enough = |n: u64| {
        let (n, m) = (n as f64, (n as f64 * shadow_per_canary).max(1.0));
        let classes = f64::from(classes);
        // Regret of a Dirichlet(½) mixture on even counts, by Stirling's formula.
        let regret = |n: f64| {
            (classes - 1.0) / 2.0 * (n / std::f64::consts::TAU).ln().max(0.0)
                + classes / 2.0 * std::f64::consts::PI.ln()
                - ln_gamma(classes / 2.0)
        };
        let spread = 1.0 / n + 1.0 / m;
        let reach = ((regret(n) + regret(m) - alpha.ln()) / 2.0 * spread).sqrt();
        let noise = std::f64::consts::FRAC_2_PI.sqrt() * ((classes - 1.0) * spread).sqrt() / 2.0;
        // Two deviations of the distance beyond its mean: nearly every alike pair is known by then.
        reach + noise + spread.sqrt() <= margin
    };
    if valid { crate::planner::smallest(1_000_000_000, enough) } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::sampling::Sampler;

    fn classes(random: &mut Sampler, n: u64, shares: &[f64]) -> Classes {
        let mut counts = vec![0; shares.len()];
        random.multinomial(n, shares, &mut counts);
        counts.iter().enumerate().map(|(i, &count)| (format!("c{i}"), count)).collect()
    }

    /// A rollout of `looks` slices; `drift` moves both samples alike.
    fn rollout(
        random: &mut Sampler,
        looks: u32,
        canary: &[f64],
        shadow: &[f64],
        drift: f64,
    ) -> (AnswerSequence, bool) {
        let mut sequence = AnswerSequence::default();
        let mut fired = false;
        for look in 0..looks {
            let weight = [0.05, 0.25, 0.5][(look * 3 / looks) as usize];
            let moved = |shares: &[f64]| -> Vec<f64> {
                let by = drift * f64::from(look) / f64::from(looks);
                let mut shares = shares.to_vec();
                shares[0] -= by;
                shares[1] += by;
                shares
            };
            let (n, m) = (random.poisson(400.0 * weight), random.poisson(400.0 * (1.0 - weight) * 0.1));
            let (c, s) = (classes(random, n, &moved(canary)), classes(random, m, &moved(shadow)));
            sequence.push(look * 3 / looks, &c, &s);
            fired |= sequence.log_e() >= 80_f64.ln();
        }
        (sequence, fired)
    }

    #[test]
    fn a_block_is_fair_or_worse_under_any_common_distribution() {
        // Exact: all outcomes of two canary and three shadow answers of two classes, after some history.
        for history in [[(3, 9), (7, 1)], [(0, 5), (5, 0)], [(40, 41), (60, 59)]] {
            for share in [0.0, 0.03, 0.5, 0.8] {
                let mut start = AnswerSequence::default();
                let of = |a: u64, b: u64| Classes::from([("a".into(), a), ("b".into(), b)]);
                start.push(0, &of(history[0].0, history[1].0), &of(history[0].1, history[1].1));
                let choose =
                    |n: u64, k: u64| [[1.0, 2.0, 1.0, 0.0], [1.0, 3.0, 3.0, 1.0]][n as usize - 2][k as usize];
                let mass = |n: u64, k: u64| {
                    choose(n, k) * f64::powi(share, k as i32) * f64::powi(1.0 - share, (n - k) as i32)
                };
                let mut mean = 0.0;
                for k in 0..=2 {
                    for j in 0..=3 {
                        let mut next = start.clone();
                        next.push(0, &of(k, 2 - k), &of(j, 3 - j));
                        mean += mass(2, k) * mass(3, j) * next.log_e().exp();
                    }
                }
                assert!(mean <= 1.0 + 1e-9, "{history:?} {share}: {mean}");
            }
        }
    }

    #[test]
    fn alike_answers_pass_every_look_and_different_ones_are_found() {
        let mut random = Sampler::new(101);
        let shares = [0.6, 0.25, 0.1, 0.05];
        let mut fired = |canary: &[f64], drift: f64, runs: usize| {
            (0..runs).filter(|_| rollout(&mut random, 90, canary, &shares, drift).1).count()
        };
        let (still, moving) = (fired(&shares, 0.0, 800), fired(&shares, 0.3, 800));
        let found = fired(&[0.5, 0.35, 0.1, 0.05], 0.0, 200);
        println!("A/A at .0125: {still} and, with drift, {moving} of 800; ten points moved: {found} of 200");
        assert!(still <= 10 && moving <= 10 && found >= 190, "{still} {moving} {found}");
    }

    #[test]
    fn a_class_only_the_canary_has_is_found() {
        let mut random = Sampler::new(103);
        let (sequence, fired) = rollout(&mut random, 60, &[0.6, 0.3, 0.1], &[0.65, 0.35], 0.0);
        assert!(fired);
        let judged = sequence.judgement(0.05, 0.0125).unwrap();
        assert_eq!(judged.state, State::Different);
        assert!(
            (0.06..0.14).contains(&judged.distance.unwrap()) && judged.upper.unwrap() > 0.1,
            "{judged:?}"
        );
    }

    #[test]
    fn the_distance_is_corrected_and_bounded() {
        let mut random = Sampler::new(105);
        let shares = [0.25; 4];
        let (sequence, _) = rollout(&mut random, 90, &shares, &shares, 0.0);
        let judged = sequence.judgement(0.2, 0.0125).unwrap();
        assert!(judged.corrected.unwrap() < 0.02 && judged.upper.unwrap() < 0.2, "{judged:?}");
        assert_eq!(judged.state, State::Alike);
        assert_eq!(sequence.judgement(0.01, 0.0125).unwrap().state, State::NotYetKnown);
    }

    #[test]
    fn one_sided_or_no_answers_are_not_known() {
        let mut sequence = AnswerSequence::default();
        let none = sequence.judgement(0.1, 0.05).unwrap();
        assert_eq!((none.state, none.log_e, none.distance), (State::NotYetKnown, 0.0, None));
        let some = Classes::from([("a".into(), 50)]);
        (0..3).for_each(|_| sequence.push(0, &some, &Classes::new()));
        let judged = sequence.judgement(0.1, 0.05).unwrap();
        assert_eq!((judged.state, judged.log_e, judged.upper), (State::NotYetKnown, 0.0, None));
        assert_eq!(sequence.judgement(0.1, 0.5), None);
    }

    #[test]
    fn the_planned_answers_are_enough() {
        let planned = planned_answers(4, 0.1, 0.0125, 0.5).unwrap();
        let mut random = Sampler::new(107);
        let known = (0..100)
            .filter(|_| {
                let mut sequence = AnswerSequence::default();
                let (c, s) = (
                    classes(&mut random, planned, &[0.25; 4]),
                    classes(&mut random, planned / 2, &[0.25; 4]),
                );
                sequence.push(0, &c, &s);
                sequence.judgement(0.1, 0.0125).unwrap().state == State::Alike
            })
            .count();
        println!("{planned} planned: {known} of 100 alike");
        assert!(known >= 90);
        assert_eq!(planned_answers(1, 0.1, 0.05, 1.0), None);
    }
}

//! Confidence sequences: intervals that hold at every look.
//!
//! * [`MeanSequence`]: the mean of one arm's bounded unit values, by betting. The predictable plug-in empirical-Bernstein
//!   sequence of Waudby-Smith & Ramdas (*Estimating means of bounded random variables by betting*, JRSS-B 2024,
//!   Theorem 2). Its bets are fixed before each batch, so that a batch's count, sum and sum of squares are enough.
//! * [`difference`]: two arms, each at α/2.
//! * [`asymptotic`]: any mean with a finite variance, from count, mean and variance alone: interim reports of the shadow,
//!   and values without bounds (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, *Time-uniform central limit theory and
//!   asymptotic confidence sequences*, Annals of Statistics 2024).

use crate::{Interval, quantiles::normal_cdf};
use serde::{Deserialize, Serialize};

/// Count, sum and sum of squares of unit values: what one arm reported in one slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Units.
    pub n: u64,
    /// Sum of their values.
    pub sum: f64,
    /// Sum of the squares of their values.
    pub squares: f64,
}

impl Moments {
    /// The moments of these values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut moments = Self::default();
        values.iter().for_each(|&value| moments.add(value));
        moments
    }

    /// The moments of `n` units of which `events` have the value 1 and the others 0.
    #[must_use]
    pub fn of_events(events: u64, n: u64) -> Self {
        Self { n, sum: events as f64, squares: events as f64 }
    }

    /// Adds one unit's value.
    pub fn add(&mut self, value: f64) {
        self.n += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// Adds units whose value is zero (served, and no signal came).
    #[must_use]
    pub fn with_zeros(self, zeros: u64) -> Self {
        Self { n: self.n + zeros, ..self }
    }

    /// These units and `other`'s.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { n: self.n + other.n, sum: self.sum + other.sum, squares: self.squares + other.squares }
    }

    /// The mean; `None` without units.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    /// The sample variance; `None` with fewer than two units.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        let n = self.n as f64;
        (self.n > 1).then(|| ((self.squares - self.sum * self.sum / n) / (n - 1.0)).max(0.0))
    }

    /// The moments of `(value − shift) / scale`.
    #[must_use]
    pub(crate) fn standardised(&self, shift: f64, scale: f64) -> Self {
        let n = self.n as f64;
        Self {
            n: self.n,
            sum: (self.sum - n * shift) / scale,
            squares: ((self.squares - 2.0 * shift * self.sum + n * shift * shift) / (scale * scale)).max(0.0),
        }
    }

    /// Whether no value can be outside `[low, high]` as far as the moments tell, and all is finite.
    #[must_use]
    pub(crate) fn within(&self, low: f64, high: f64) -> bool {
        let n = self.n as f64;
        let slack = 1e-9 * n * (high - low).max(low.abs()).max(high.abs());
        let most_square = low.abs().max(high.abs()).powi(2);
        self.sum.is_finite()
            && self.squares.is_finite()
            && self.sum >= n * low - slack
            && self.sum <= n * high + slack
            && self.squares <= n * most_square + slack * low.abs().max(high.abs()).max(1.0)
    }
}

/// A confidence sequence for the mean of values in `[low, high]`, from batches in the order of time.
///
/// Each batch's size must not depend on its values, and given the past each value's mean must be the same; if it moves,
/// [`MeanSequence::latest`] covers the average mean, weighted by the bets, and the running intersection covers nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanSequence {
    low: f64,
    high: f64,
    alpha: f64,
    /// Units so far, scaled to `[0, 1]`.
    seen: Moments,
    stakes: f64,
    staked_sum: f64,
    cost: f64,
    best_low: f64,
    best_high: f64,
}

/// The largest bet: the fraction of what could be lost that is staked on one value.
const LARGEST_BET: f64 = 0.75;

impl MeanSequence {
    /// An empty sequence at level `1 − alpha` (two-sided) for values in `[low, high]`; `None` unless `low < high`, both
    /// finite, and alpha is in (0, 1).
    #[must_use]
    pub fn new(low: f64, high: f64, alpha: f64) -> Option<Self> {
        let valid = low < high && (high - low).is_finite() && alpha > 0.0 && alpha < 1.0;
        valid.then(|| Self {
            low,
            high,
            alpha,
            seen: Moments::default(),
            stakes: 0.0,
            staked_sum: 0.0,
            cost: 0.0,
            best_low: 0.0,
            best_high: 1.0,
        })
    }

    /// Takes the next batch. Returns `false`, taking nothing, if it is empty or contradicts the bounds.
    pub fn push(&mut self, batch: &Moments) -> bool {
        if batch.n == 0 || !batch.within(self.low, self.high) {
            return false;
        }
        let batch = batch.standardised(self.low, self.high - self.low);
        // The bet and the centre are fixed by what came before the batch.
        let before = self.seen.n as f64;
        let centre = (0.5 + self.seen.sum) / (before + 1.0);
        let spread = (0.25 + self.seen.standardised(centre, 1.0).squares.min(before)) / (before + 1.0);
        let after = before + batch.n as f64;
        let bet = (2.0 * (2.0 / self.alpha).ln() / (spread * after * after.ln_1p())).sqrt().min(LARGEST_BET);
        self.stakes += bet * batch.n as f64;
        self.staked_sum += bet * batch.sum;
        self.cost += (-(-bet).ln_1p() - bet) * batch.standardised(centre, 1.0).squares;
        self.seen = self.seen.plus(batch);
        let (low, high) = self.ends();
        self.best_low = self.best_low.max(low);
        self.best_high = self.best_high.min(high);
        true
    }

    /// Units so far.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.seen.n
    }

    /// The mean of what was seen, in the values' own unit; `None` without units.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.seen.mean().map(|mean| self.low + mean * (self.high - self.low))
    }

    /// The interval of the present look. `None` without units.
    #[must_use]
    pub fn latest(&self) -> Option<Interval> {
        (self.seen.n > 0).then(|| self.ends()).and_then(|(low, high)| self.unscaled(low, high))
    }

    /// The intersection of the intervals of all looks. `None` without units, or if they have no point in common: the mean
    /// has moved.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        (self.seen.n > 0).then(|| self.unscaled(self.best_low, self.best_high)).flatten()
    }

    fn ends(&self) -> (f64, f64) {
        let centre = self.staked_sum / self.stakes;
        let reach = ((2.0 / self.alpha).ln() + self.cost) / self.stakes;
        ((centre - reach).max(0.0), (centre + reach).min(1.0))
    }

    fn unscaled(&self, low: f64, high: f64) -> Option<Interval> {
        let scale = self.high - self.low;
        Interval::new(self.low + low * scale, self.low + high * scale)
    }
}

/// The difference `second − first` of two means from their sequences: at level `1 − α` if each is at `1 − α/2`. Uses the
/// present look's intervals, so a mean that moves alike in both arms misleads only as far as their weights differ.
#[must_use]
pub fn difference(first: &MeanSequence, second: &MeanSequence) -> Option<Interval> {
    let (one, two) = (first.latest()?, second.latest()?);
    Interval::new(two.low - one.high, two.high - one.low)
}

/// Fewest values for an asymptotic sequence: with fewer the normal approximation is not to be trusted.
pub const MIN_ASYMPTOTIC: u64 = 30;

/// Asymptotic confidence sequence for a mean, two-sided at level `1 − alpha`, from the count, the mean and the variance of
/// independent values (of paired differences, for a paired comparison): Theorem 2.2 of the paper,
/// `mean ± s·√(2(nρ²+1)/(n²ρ²)·ln(√(nρ²+1)/α))` with ρ tuned to be shortest near `tuned_at` values. `None` with fewer than
/// [`MIN_ASYMPTOTIC`] values, a variance that is negative or not finite, or an alpha outside (0, 1).
#[must_use]
pub fn asymptotic(n: u64, mean: f64, variance: f64, alpha: f64, tuned_at: u64) -> Option<Interval> {
    let valid = n >= MIN_ASYMPTOTIC && variance >= 0.0 && alpha > 0.0 && alpha < 1.0;
    if !valid {
        return None;
    }
    let t = n as f64 * rho_squared(alpha, tuned_at.max(MIN_ASYMPTOTIC) as f64);
    let deviations = (2.0 * (t + 1.0) / t * ((t + 1.0).sqrt() / alpha).ln()).sqrt();
    let reach = deviations * (variance / n as f64).sqrt();
    Interval::new(mean - reach, mean + reach)
}

/// The same for a difference `second − first` of the means of two independent samples. The sequence runs on the units of
/// both arms; the variance is that of the difference. `None` if an arm has fewer than [`MIN_ASYMPTOTIC`] values.
#[must_use]
pub fn asymptotic_difference(
    first: &Moments,
    second: &Moments,
    alpha: f64,
    tuned_at: u64,
) -> Option<Interval> {
    if first.n.min(second.n) < MIN_ASYMPTOTIC {
        return None;
    }
    let n = first.n + second.n;
    let squared_error = first.variance()? / first.n as f64 + second.variance()? / second.n as f64;
    asymptotic(n, second.mean()? - first.mean()?, squared_error * n as f64, alpha, tuned_at)
}

/// ρ² with which the two-sided normal mixture is shortest at `n` values (Waudby-Smith et al. 2024, appendix).
fn rho_squared(alpha: f64, n: f64) -> f64 {
    let twice = -2.0 * alpha.ln();
    (twice + (twice + 1.0).ln()) / n
}

/// Logarithm of the one-sided normal mixture martingale at `deviations` standard errors after information `t = nρ²`: the
/// e-value of "the mean is not positive" (Robbins 1970; Howard et al. 2021, Proposition 6, a half-normal mixture).
pub(crate) fn log_half_normal(deviations: f64, t: f64) -> f64 {
    let x = deviations * (t / (1.0 + t)).sqrt();
    // Far below zero the distribution function underflows; nothing is decided there.
    let tail = (2.0 * normal_cdf(x.max(-35.0))).ln();
    tail + x.max(-35.0).powi(2) / 2.0 - t.ln_1p() / 2.0
}

/// The deviations at which [`log_half_normal`] reaches `log_e`.
pub(crate) fn half_normal_limit(log_e: f64, t: f64) -> f64 {
    let (mut below, mut above) = (-35.0, 1.0);
    while log_half_normal(above, t) < log_e {
        above *= 2.0;
    }
    for _ in 0..80 {
        let middle = f64::midpoint(below, above);
        *(if log_half_normal(middle, t) >= log_e { &mut above } else { &mut below }) = middle;
    }
    above
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::sampling::Sampler;
    use proptest::prelude::*;

    #[test]
    fn too_little_is_nothing() {
        let empty = MeanSequence::new(0.0, 1.0, 0.05).unwrap();
        assert_eq!((empty.latest(), empty.interval(), empty.mean()), (None, None, None));
        assert_eq!((MeanSequence::new(1.0, 1.0, 0.05), MeanSequence::new(0.0, 1.0, 0.0)), (None, None));
        assert_eq!(asymptotic(29, 0.0, 1.0, 0.05, 100), None);
        assert_eq!(asymptotic(100, 0.0, f64::NAN, 0.05, 100), None);
        assert_eq!(asymptotic(100, 0.0, 1.0, 1.0, 100), None);
        let mut sequence = empty;
        assert!(!sequence.push(&Moments::default()) && !sequence.push(&Moments::of(&[1.5])));
        assert_eq!(sequence.n(), 0);
    }

    #[test]
    fn the_asymptotic_radius_is_the_papers() {
        // n = 1,000, s = 1, alpha = .05, rho² tuned at 1,000, computed apart.
        let rho2: f64 = (-2.0 * 0.05_f64.ln() + (1.0 - 2.0 * 0.05_f64.ln()).ln()) / 1_000.0;
        let t = 1_000.0 * rho2;
        let radius = ((2.0 * (t + 1.0) / (1e6 * rho2)) * ((t + 1.0).sqrt() / 0.05).ln()).sqrt();
        let interval = asymptotic(1_000, 0.0, 1.0, 0.05, 1_000).unwrap();
        assert!((interval.high - radius).abs() < 1e-12 && (interval.low + radius).abs() < 1e-12);
        // Wider than a fixed-n interval, by about half there.
        let fixed = 1.959_964 / 1_000_f64.sqrt();
        assert!((1.3..1.7).contains(&(radius / fixed)), "{}", radius / fixed);
    }

    #[test]
    fn the_half_normal_limit_inverts_its_mixture_and_is_close_to_the_closed_form() {
        for (alpha, t) in [(0.05, 9.0), (0.0125, 0.5), (0.001, 200.0)] {
            let log = -f64::ln(alpha);
            let limit = half_normal_limit(log, t);
            assert!((log_half_normal(limit, t) - log).abs() < 1e-9);
            // Howard et al. 2021: a closed form that is never shorter.
            let closed = (2.0 * (t + 1.0) / t * (1.0 + (t + 1.0_f64).sqrt() / (2.0 * alpha)).ln()).sqrt();
            assert!(limit <= closed && limit > 0.97 * closed, "{limit} {closed}");
        }
    }

    #[test]
    fn sequences_cover_at_every_look_and_shrink() {
        let mut random = Sampler::new(71);
        let (mut betting, mut asymptotic_missed) = (0, 0);
        const RUNS: usize = 600;
        for _ in 0..RUNS {
            let mut sequence = MeanSequence::new(0.0, 10.0, 0.1).unwrap();
            let mut total = Moments::default();
            let (mut out, mut asymptotic_out) = (false, false);
            for _ in 0..60 {
                // Skewed: 10·u³ has mean 2.5.
                let values: Vec<f64> = (0..20).map(|_| 10.0 * random.uniform().powi(3)).collect();
                let batch = Moments::of(&values);
                assert!(sequence.push(&batch));
                total = total.plus(batch);
                out |= sequence.interval().is_none_or(|i| !i.contains(2.5));
                let interval =
                    asymptotic(total.n, total.sum / total.n as f64, total.variance().unwrap(), 0.1, 600);
                asymptotic_out |= interval.is_some_and(|i| !i.contains(2.5));
            }
            let last = sequence.latest().unwrap();
            assert!(last.high - last.low < 1.5, "{last:?}");
            betting += usize::from(out);
            asymptotic_missed += usize::from(asymptotic_out);
        }
        println!(
            "missed at some look of 60, nominal 10 %: betting {betting}, asymptotic {asymptotic_missed} of {RUNS}"
        );
        assert!(betting <= RUNS / 10 && asymptotic_missed <= RUNS / 10);
    }

    #[test]
    fn a_difference_of_means_needs_both_arms() {
        let one = Moments::of_events(200, 2_000);
        assert_eq!(asymptotic_difference(&one, &Moments::of_events(1, 29), 0.05, 1_000), None);
        let interval = asymptotic_difference(&one, &Moments::of_events(80, 400), 0.05, 1_000).unwrap();
        assert!(interval.contains(0.1) && interval.low > 0.0, "{interval:?}");
        let (mut a, mut b) =
            (MeanSequence::new(0.0, 1.0, 0.025).unwrap(), MeanSequence::new(0.0, 1.0, 0.025).unwrap());
        assert_eq!(difference(&a, &b), None);
        for _ in 0..40 {
            a.push(&Moments::of_events(50, 500));
            b.push(&Moments::of_events(20, 100));
        }
        let by_betting = difference(&a, &b).unwrap();
        assert!(by_betting.contains(0.1) && by_betting.low > 0.0, "{by_betting:?}");
    }

    proptest! {
        #[test]
        fn scaling_the_values_scales_the_interval(
            values in prop::collection::vec(0.0f64..1.0, 1..50), shift in -10.0f64..10.0, scale in 0.5f64..50.0,
        ) {
            let mut plain = MeanSequence::new(0.0, 1.0, 0.05).unwrap();
            let mut moved = MeanSequence::new(shift, shift + scale, 0.05).unwrap();
            for chunk in values.chunks(7) {
                plain.push(&Moments::of(chunk));
                let other: Vec<f64> = chunk.iter().map(|v| shift + scale * v).collect();
                prop_assert!(moved.push(&Moments::of(&other)));
            }
            let (a, b) = (plain.latest().unwrap(), moved.latest().unwrap());
            prop_assert!((shift + scale * a.low - b.low).abs() < 1e-6 * (1.0 + scale));
            prop_assert!((shift + scale * a.high - b.high).abs() < 1e-6 * (1.0 + scale));
            prop_assert!(a.contains(plain.mean().unwrap()) || plain.n() > 1);
        }
    }
}

//! Intervals for proportions and for differences of proportions.

use crate::{
    Interval,
    quantiles::{normal_quantile, t_quantile},
    share,
};
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, Discrete, DiscreteCDF};

/// z of a two-sided interval; `None` unless `confidence` is in (0, 1).
fn two_sided_z(confidence: f64) -> Option<f64> {
    (confidence > 0.0 && confidence < 1.0).then(|| normal_quantile(0.5 + confidence / 2.0)).flatten()
}

/// Wilson's score interval for a proportion (1927). `None` for `n = 0`, more successes than trials, or a confidence
/// outside (0, 1).
#[must_use]
pub fn wilson(successes: u64, n: u64, confidence: f64) -> Option<Interval> {
    wilson_at(successes, n, two_sided_z(confidence)?)
}

/// Wilson's interval of `z` standard errors.
fn wilson_at(successes: u64, n: u64, z: f64) -> Option<Interval> {
    let p = share(successes, n).filter(|&p| p <= 1.0)?;
    let n = n as f64;
    let centre = p + z * z / (2.0 * n);
    let reach = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    // The ends are exactly 0 and 1 at the borders, which rounding would miss.
    let low = if p == 0.0 { 0.0 } else { (centre - reach) / scale };
    let high = if p == 1.0 { 1.0 } else { (centre + reach) / scale };
    Interval::new(low, high)
}

/// Newcombe's hybrid score interval for `x2/n2 − x1/n1`, independent samples (1998b, method 10). `None` if a sample is
/// empty or has more successes than trials.
#[must_use]
pub fn newcombe_independent(x1: u64, n1: u64, x2: u64, n2: u64, confidence: f64) -> Option<Interval> {
    let z = two_sided_z(confidence)?;
    let (first, second) = (Score::at(x1, n1, z)?, Score::at(x2, n2, z)?);
    let delta = second.p - first.p;
    Interval::new(
        delta - root_sum_of_squares(second.below, first.above),
        delta + root_sum_of_squares(second.above, first.below),
    )
}

/// `√(a² + b²)` without the care that `f64::hypot` takes of extreme values: nothing here comes near them, and its symbol in glibc
/// 2.35 is newer than what Amazon Linux 2023 has.
#[must_use]
pub fn root_sum_of_squares(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}

/// A proportion with the distances to its Wilson limits.
struct Score {
    p: f64,
    below: f64,
    above: f64,
}

impl Score {
    fn at(successes: u64, n: u64, z: f64) -> Option<Self> {
        let interval = wilson_at(successes, n, z)?;
        let p = share(successes, n)?;
        Some(Self { p, below: p - interval.low, above: interval.high - p })
    }
}

/// Pairs by which of the two versions was right (or said yes, or agreed: any binary outcome).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedCounts {
    /// Both.
    pub both: u64,
    /// The champion only.
    pub champion_only: u64,
    /// The challenger only.
    pub challenger_only: u64,
    /// Neither.
    pub neither: u64,
}

impl crate::Merge for PairedCounts {
    fn merge(&mut self, other: &Self) {
        self.both += other.both;
        self.champion_only += other.champion_only;
        self.challenger_only += other.challenger_only;
        self.neither += other.neither;
    }
}

/// A difference of paired proportions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedProportions {
    /// Pairs.
    pub n: u64,
    /// Pairs on which the versions differ: all the information about the delta.
    pub discordant: u64,
    /// The champion's proportion.
    pub champion: f64,
    /// The challenger's proportion.
    pub challenger: f64,
    /// Challenger minus champion.
    pub delta: f64,
    /// Newcombe's interval for the delta.
    pub interval: Interval,
    /// Two-sided mid-p McNemar p-value for "no difference", valid with few discordant pairs too.
    pub p_value: f64,
}

impl PairedCounts {
    /// Counts one pair.
    pub fn observe(&mut self, champion: bool, challenger: bool) {
        *match (champion, challenger) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.champion_only,
            (false, true) => &mut self.challenger_only,
            (false, false) => &mut self.neither,
        } += 1;
    }

    /// Pairs counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.both + self.champion_only + self.challenger_only + self.neither
    }

    /// Difference with Newcombe's interval for paired proportions (1998a, method 10: Wilson limits combined with the
    /// continuity-corrected phi coefficient), which behaves with few or no discordant pairs too. `None` without pairs or
    /// for a confidence outside (0, 1).
    #[must_use]
    pub fn difference(&self, confidence: f64) -> Option<PairedProportions> {
        let n = self.n();
        let interval = self.newcombe_at(two_sided_z(confidence)?)?;
        Some(PairedProportions {
            n,
            discordant: self.champion_only + self.challenger_only,
            champion: share(self.both + self.champion_only, n)?,
            challenger: share(self.both + self.challenger_only, n)?,
            delta: self.delta()?,
            interval,
            p_value: self.mcnemar_mid_p(),
        })
    }

    /// Challenger's proportion minus the champion's; `None` without pairs.
    pub(crate) fn delta(&self) -> Option<f64> {
        let n = self.n();
        (n > 0).then(|| (self.challenger_only as f64 - self.champion_only as f64) / n as f64)
    }

    /// Newcombe's interval of `z` standard errors.
    pub(crate) fn newcombe_at(&self, z: f64) -> Option<Interval> {
        let (n, delta, phi) = (self.n(), self.delta()?, self.phi());
        let challenger = Score::at(self.both + self.challenger_only, n, z)?;
        let champion = Score::at(self.both + self.champion_only, n, z)?;
        let combined = |a: f64, b: f64| (a * a - 2.0 * phi * a * b + b * b).max(0.0).sqrt();
        Interval::new(
            delta - combined(challenger.below, champion.above),
            delta + combined(challenger.above, champion.below),
        )
    }

    /// Correlation of the two outcomes, its numerator lowered by n/2 towards (not beyond) zero when positive.
    fn phi(&self) -> f64 {
        let [a, b, c, d] =
            [self.both, self.challenger_only, self.champion_only, self.neither].map(|x| x as f64);
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        let numerator = a * d - b * c;
        let corrected =
            if numerator > 0.0 { (numerator - (a + b + c + d) / 2.0).max(0.0) } else { numerator };
        if margins > 0.0 { corrected / margins.sqrt() } else { 0.0 }
    }

    /// Two-sided exact McNemar p-value (binomial test of the discordant pairs); 1 without any.
    #[must_use]
    pub fn mcnemar_exact(&self) -> f64 {
        self.discordant_test(|tail, _| 2.0 * tail)
    }

    /// Two-sided mid-p McNemar p-value (Fagerland et al. 2013): near its nominal level with few discordant pairs, where
    /// the exact test is conservative; 1 without any.
    #[must_use]
    pub fn mcnemar_mid_p(&self) -> f64 {
        self.discordant_test(|tail, point| 2.0 * tail - point)
    }

    fn discordant_test(&self, p_value: impl Fn(f64, f64) -> f64) -> f64 {
        let discordant = self.champion_only + self.challenger_only;
        let fewer = self.champion_only.min(self.challenger_only);
        let Ok(coin) = Binomial::new(0.5, discordant) else { return 1.0 };
        if discordant == 0 {
            return 1.0;
        }
        p_value(coin.cdf(fewer), coin.pmf(fewer)).clamp(0.0, 1.0)
    }
}

/// Student's t interval for a mean with an estimated standard error; `None` unless the degrees of freedom are positive
/// and all is finite.
#[must_use]
pub fn t_interval(estimate: f64, standard_error: f64, freedom: f64, confidence: f64) -> Option<Interval> {
    let valid = confidence > 0.0 && confidence < 1.0 && standard_error >= 0.0;
    let t = valid.then(|| t_quantile(0.5 + confidence / 2.0, freedom)).flatten()?;
    Interval::new(estimate - t * standard_error, estimate + t * standard_error)
}

/// Normal interval for an estimate with a known standard error.
#[must_use]
pub fn normal_interval(estimate: f64, standard_error: f64, confidence: f64) -> Option<Interval> {
    let reach = two_sided_z(confidence)? * standard_error;
    Interval::new(estimate - reach, estimate + reach)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_trials_no_interval() {
        assert_eq!((wilson(0, 0, 0.95), wilson(2, 1, 0.95), wilson(1, 2, 1.0)), (None, None, None));
        assert_eq!(PairedCounts::default().difference(0.95), None);
        assert_eq!(
            (PairedCounts::default().mcnemar_exact(), PairedCounts::default().mcnemar_mid_p()),
            (1.0, 1.0)
        );
        assert_eq!(newcombe_independent(0, 0, 1, 2, 0.95), None);
    }

    #[test]
    fn full_agreement_still_has_a_width() {
        let same = PairedCounts { both: 80, neither: 20, ..PairedCounts::default() };
        let row = same.difference(0.95).unwrap();
        assert_eq!((row.delta, row.discordant, row.p_value), (0.0, 0, 1.0));
        assert!(row.interval.low < -0.005 && row.interval.high > 0.005, "{row:?}");
    }

    proptest! {
        #[test]
        fn the_interval_encloses_the_delta(a in 0u64..200, b in 0u64..60, c in 0u64..60, d in 0u64..200) {
            let counts = PairedCounts { both: a, champion_only: b, challenger_only: c, neither: d };
            if let Some(row) = counts.difference(0.95) {
                prop_assert!(row.interval.contains(row.delta));
                prop_assert!(row.interval.low >= -1.0 - 1e-12 && row.interval.high <= 1.0 + 1e-12);
                let mirrored = PairedCounts { both: a, champion_only: c, challenger_only: b, neither: d };
                let other = mirrored.difference(0.95).unwrap();
                prop_assert!((other.interval.low + row.interval.high).abs() < 1e-12);
            }
        }
    }
}

//! Seeded random numbers for simulations: the planner, the gate's self-test and the benches.
//!
//! ChaCha8 and software logarithms (`libm`) give the same streams on every machine. Nothing here seeds itself.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A stream of random numbers that its seed determines.
#[derive(Clone, Debug)]
pub struct Sampler(ChaCha8Rng);

impl Sampler {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Stream number `stream` of this seed: independent streams for parallel runs, the same however they are shared out.
    #[must_use]
    pub fn of_stream(seed: u64, stream: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self(random)
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// `true` with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Exponential of mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.uniform())
    }

    /// Standard normal (Box & Muller 1958; one of the pair is not used).
    pub fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Pareto with least value 1 and this tail index: the share of values above `x` is `x^-index`.
    pub fn pareto(&mut self, index: f64) -> f64 {
        libm::pow(1.0 - self.uniform(), -1.0 / index)
    }

    /// The index of a category, given shares that add up to one.
    pub fn category(&mut self, shares: &[f64]) -> usize {
        let mut left = self.uniform();
        let found = shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        found.unwrap_or(shares.len().saturating_sub(1))
    }

    /// A Poisson number: by multiplication below a mean of 10, by transformed rejection (Hörmann 1993, PTRS) above. Zero
    /// unless the mean is positive and finite.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if !(mean > 0.0 && mean.is_finite()) {
            return 0;
        }
        if mean >= 10.0 {
            return self.poisson_by_rejection(mean);
        }
        let limit = libm::exp(-mean);
        let (mut product, mut count) = (self.uniform(), 0);
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    fn poisson_by_rejection(&mut self, mean: f64) -> u64 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let sure = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let edge = 0.5 - u.abs();
            let k = ((2.0 * a / edge + b) * u + mean + 0.43).floor();
            if edge >= 0.07 && v <= sure {
                return k as u64;
            }
            if k < 0.0 || (edge < 0.013 && v > edge) {
                continue;
            }
            let accepted = k * libm::log(mean) - mean - libm::lgamma(k + 1.0);
            if libm::log(v * inverse_alpha / (a / (edge * edge) + b)) <= accepted {
                return k as u64;
            }
        }
    }

    /// A binomial number: successes among `n` trials. By geometric gaps while few successes are expected, by transformed
    /// rejection (Hörmann 1993, BTRS) else. A probability outside `[0, 1]` counts as the nearer end.
    pub fn binomial(&mut self, n: u64, probability: f64) -> u64 {
        if probability.is_nan() || probability <= 0.0 || n == 0 {
            return 0;
        }
        if probability >= 1.0 {
            return n;
        }
        if probability > 0.5 {
            return n - self.binomial(n, 1.0 - probability);
        }
        if n as f64 * probability < 10.0 {
            return self.binomial_by_gaps(n, probability);
        }
        self.binomial_by_rejection(n, probability)
    }

    fn binomial_by_gaps(&mut self, n: u64, probability: f64) -> u64 {
        let rate = libm::log1p(-probability);
        let (mut at, mut successes) = (0.0, 0);
        loop {
            at += (libm::log(1.0 - self.uniform()) / rate).floor() + 1.0;
            if at > n as f64 {
                return successes;
            }
            successes += 1;
        }
    }

    fn binomial_by_rejection(&mut self, n: u64, p: f64) -> u64 {
        let trials = n as f64;
        let spread = (trials * p * (1.0 - p)).sqrt();
        let b = 1.15 + 2.53 * spread;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let centre = trials * p + 0.5;
        let alpha = (2.83 + 5.1 / b) * spread;
        let sure = 0.92 - 4.2 / b;
        let odds = libm::log(p / (1.0 - p));
        let mode = ((trials + 1.0) * p).floor();
        let at_mode = libm::lgamma(mode + 1.0) + libm::lgamma(trials - mode + 1.0);
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let edge = 0.5 - u.abs();
            let k = ((2.0 * a / edge + b) * u + centre).floor();
            if k < 0.0 || k > trials {
                continue;
            }
            if edge >= 0.07 && v <= sure {
                return k as u64;
            }
            let height = libm::log(v * alpha / (a / (edge * edge) + b));
            let accepted =
                at_mode - libm::lgamma(k + 1.0) - libm::lgamma(trials - k + 1.0) + (k - mode) * odds;
            if height <= accepted {
                return k as u64;
            }
        }
    }

    /// Adds a multinomial sample of `n` to `counts`, by conditional binomials; shares add up to one.
    pub fn multinomial(&mut self, n: u64, shares: &[f64], counts: &mut [u64]) {
        let (mut left, mut mass) = (n, 1.0);
        for (count, share) in counts.iter_mut().zip(shares) {
            let drawn = if mass > 0.0 { self.binomial(left, (share / mass).min(1.0)) } else { 0 };
            *count += drawn;
            left -= drawn;
            mass -= share;
        }
        // Rounding of the shares may leave a few.
        if let Some(last) = counts.last_mut() {
            *last += left;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn moments(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let n = 40_000.0;
        let draws: Vec<f64> = (0..40_000).map(|_| draw()).collect();
        let mean = draws.iter().sum::<f64>() / n;
        (mean, draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn counts_have_their_mean_and_variance() {
        let mut random = Sampler::new(5);
        for mean in [0.3, 4.0, 9.9, 10.0, 37.5, 2_000.0] {
            let (average, variance) = moments(|| random.poisson(mean) as f64);
            assert!((average - mean).abs() < 5.0 * (mean / 40_000.0).sqrt(), "{mean}: {average}");
            assert!((variance / mean - 1.0).abs() < 0.06, "{mean}: {variance}");
        }
        for (n, p) in [(20_u64, 0.02), (1_000, 0.005), (300, 0.3), (300, 0.7), (5_000_000, 0.01), (40, 0.5)] {
            let (mean, spread) = (n as f64 * p, n as f64 * p * (1.0 - p));
            let (average, variance) = moments(|| random.binomial(n, p) as f64);
            assert!((average - mean).abs() < 5.0 * (spread / 40_000.0).sqrt(), "{n} {p}: {average}");
            assert!((variance / spread - 1.0).abs() < 0.06, "{n} {p}: {variance}");
        }
        let (mean, variance) = moments(|| random.normal());
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04);
    }

    #[test]
    fn borders_and_sums() {
        let mut random = Sampler::new(6);
        assert_eq!((random.poisson(0.0), random.poisson(f64::NAN), random.poisson(-1.0)), (0, 0, 0));
        assert_eq!(
            (random.binomial(7, 1.5), random.binomial(7, f64::NAN), random.binomial(0, 0.5)),
            (7, 0, 0)
        );
        let mut counts = [0; 3];
        (0..100).for_each(|_| random.multinomial(50, &[0.7, 0.2, 0.1], &mut counts));
        assert_eq!(counts.iter().sum::<u64>(), 5_000);
        assert!((3_400..3_600).contains(&counts[0]) && (420..580).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream| Sampler::of_stream(seed, stream).uniform();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert!(draw(1, 2) != draw(1, 3) && draw(1, 2) != draw(2, 2));
    }
}

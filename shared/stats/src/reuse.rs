//! What repeated use of one benchmark does to its scores.
//!
//! The best of many candidates judged on the same rows looks better than it is. Two answers: a bound on that optimism for the
//! report, and the Ladder (Blum & Hardt 2015), which lets a score through only where it beats the best so far by more than
//! noise.

use crate::paired::Difference;
use serde::{Deserialize, Serialize};

/// How much better than its true value the best of `candidates` scores in `[0, 1]` may look on `n` rows, except with
/// probability `delta`: `√(ln(candidates/delta) / 2n)` (Hoeffding, over all candidates). It holds for candidates that were not
/// chosen in view of earlier scores; chosen so, they can do worse, which is what [`ladder`] is for. `None` without candidates
/// or rows, or for a `delta` outside (0, 1).
#[must_use]
pub fn optimism(candidates: u64, n: u64, delta: f64) -> Option<f64> {
    (candidates > 0 && n > 0 && delta > 0.0 && delta < 1.0)
        .then(|| ((candidates as f64 / delta).ln() / (2.0 * n as f64)).sqrt())
}

/// What the Ladder lets through.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LadderStep {
    /// Whether the candidate beat the best so far by more than the step.
    pub improved: bool,
    /// The best loss so far, after the candidate: the candidate's own, rounded to `1/n`, if it improved, else as before.
    pub best: f64,
    /// The step it had to beat: the standard error of the paired difference of losses.
    pub step: f64,
}

/// One step of the parameter-free Ladder. `difference` compares the best so far (as champion) with the candidate (as
/// challenger) by mean loss on the same rows, lower being better.
#[must_use]
pub fn ladder(difference: &Difference) -> LadderStep {
    let step = difference.standard_error;
    let improved = difference.delta < -step;
    let n = difference.n as f64;
    let best = if improved { (difference.challenger * n).round() / n } else { difference.champion };
    LadderStep { improved, best, step }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::paired::PairedMoments;
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng, SeedableRng},
    };

    #[test]
    fn the_best_of_many_coins_stays_within_its_optimism() {
        let mut random = ChaCha8Rng::seed_from_u64(91);
        let (candidates, n) = (40, 500);
        let bound = optimism(candidates, n, 0.05).unwrap();
        let mut beyond = 0;
        for _ in 0..400 {
            let score = |_| {
                let hits: u32 = (0..n).map(|_| random.next_u32() & 1).sum();
                f64::from(hits) / n as f64
            };
            let best = (0..candidates).map(score).fold(0.0, f64::max);
            beyond += u32::from(best - 0.5 > bound);
        }
        assert!(beyond <= 20, "{beyond} of 400 beyond {bound}");
        assert_eq!(optimism(0, 9, 0.05).or(optimism(9, 0, 0.05)).or(optimism(1, 1, 0.0)), None);
        assert!(optimism(1, 500, 0.05).unwrap() < bound);
    }

    #[test]
    fn noise_does_not_climb_the_ladder() {
        let of = |gain: f64| {
            let mut moments = PairedMoments::default();
            for i in 0..400_u32 {
                let loss = f64::from(i % 10) / 10.0;
                moments.observe(loss, loss - gain + f64::from(i % 7) / 70.0 - 0.043);
            }
            ladder(&moments.mean_difference(0.95).unwrap())
        };
        let (noise, gain) = (of(0.0), of(0.02));
        assert_eq!((noise.improved, gain.improved), (false, true));
        assert!((noise.best - 0.45).abs() < 1e-12 && (gain.best - 0.43).abs() < 0.003, "{noise:?} {gain:?}");
        assert!((gain.best * 400.0).fract().abs() < 1e-9 && gain.step > 0.0);
    }
}

//! Calibration slope and intercept: how a model's probabilities must be stretched and shifted to be right.
//!
//! Cox (1958) regresses the truth on the logit of the predicted probability: `logit P(truth) = intercept + slope · logit(p)`.
//! A calibrated model has intercept 0 and slope 1; a slope below 1 says that its probabilities are too extreme. Fitted by
//! Newton's method with the maximum-likelihood standard errors of a logistic regression.

use crate::{Interval, auc::AUC_BINS, auc::AucHistogram, intervals::normal_interval};
use serde::{Deserialize, Serialize};

/// Probabilities are cut to `[1e-6, 1 − 1e-6]` before the logit: a tree that says 0 or 1 would else decide the line alone.
pub const LOGIT_CLIP: f64 = 1e-6;

const MAX_STEPS: usize = 60;

/// A fitted calibration line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationLine {
    /// Rows.
    pub n: u64,
    /// Intercept with the slope free; 0 is ideal.
    pub intercept: f64,
    /// Its standard error.
    pub intercept_standard_error: f64,
    /// Slope; 1 is ideal.
    pub slope: f64,
    /// Its standard error.
    pub slope_standard_error: f64,
    /// Intercept with the slope fixed at 1 (calibration in the large): above 0, the truth is more often positive than the
    /// model says.
    pub in_the_large: f64,
    /// Its standard error.
    pub in_the_large_standard_error: f64,
    /// How far binning may have moved intercept and slope; zeros where rows were used one by one. `None` if the bins are
    /// too coarse for these scores to give a bound.
    pub bound: Option<LineBound>,
}

/// The line of the rows themselves lies within this of the binned one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineBound {
    /// For the intercept.
    pub intercept: f64,
    /// For the slope.
    pub slope: f64,
}

impl CalibrationLine {
    /// Normal interval of the slope, widened by its bound; `None` without a bound or for a confidence outside (0, 1).
    #[must_use]
    pub fn slope_interval(&self, confidence: f64) -> Option<Interval> {
        widened(self.slope, self.slope_standard_error, confidence, self.bound?.slope)
    }

    /// Normal interval of the intercept, widened by its bound; `None` likewise.
    #[must_use]
    pub fn intercept_interval(&self, confidence: f64) -> Option<Interval> {
        widened(self.intercept, self.intercept_standard_error, confidence, self.bound?.intercept)
    }
}

fn widened(estimate: f64, standard_error: f64, confidence: f64, bound: f64) -> Option<Interval> {
    let Interval { low, high } = normal_interval(estimate, standard_error, confidence)?;
    Interval::new(low - bound, high + bound)
}

/// The line through rows. `None` if the lengths differ, a probability is outside `[0, 1]`, a class is absent, all
/// probabilities are equal, or the classes are separated by the score (no finite line fits best then).
#[must_use]
pub fn calibration_line(truths: &[bool], probabilities: &[f64]) -> Option<CalibrationLine> {
    if truths.len() != probabilities.len() || !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let point = |(&truth, &p): (&bool, &f64)| Point { x: logit(p), n: 1.0, hits: f64::from(u8::from(truth)) };
    let points: Vec<Point> = truths.iter().zip(probabilities).map(point).collect();
    let (line, _) = fit(&points)?;
    Some(CalibrationLine { bound: Some(LineBound { intercept: 0.0, slope: 0.0 }), ..line })
}

/// The line through a score histogram, each row at the logit of its bin's middle: streaming and mergeable, with the bound
/// of what that can change. `None` as for [`calibration_line`].
#[must_use]
pub fn binned_calibration_line(histogram: &AucHistogram) -> Option<CalibrationLine> {
    let bins: Vec<(usize, u64, u64)> = histogram.bins().collect();
    let point = |&(bin, negatives, positives): &(usize, u64, u64)| Point {
        x: logit((bin as f64 + 0.5) / AUC_BINS as f64),
        n: (negatives + positives) as f64,
        hits: positives as f64,
    };
    let points: Vec<Point> = bins.iter().map(point).collect();
    let (line, information) = fit(&points)?;
    let edge = |bin: usize| logit(bin as f64 / AUC_BINS as f64);
    let edges: Vec<(f64, f64)> = bins.iter().map(|&(bin, ..)| (edge(bin), edge(bin + 1))).collect();
    Some(CalibrationLine { bound: bound(&line, &information, &points, &edges), ..line })
}

/// Rows at one logit.
struct Point {
    x: f64,
    n: f64,
    hits: f64,
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(LOGIT_CLIP, 1.0 - LOGIT_CLIP);
    libm::log(p / (1.0 - p))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// Gradient of the log-likelihood and the information matrix at a line.
#[derive(Default)]
struct Newton {
    gradient: [f64; 2],
    information: [f64; 3],
}

impl Newton {
    fn at(points: &[Point], intercept: f64, slope: f64) -> Self {
        let mut sums = Self::default();
        for Point { x, n, hits } in points {
            let p = sigmoid(intercept + slope * x);
            let (miss, weight) = (hits - n * p, n * p * (1.0 - p));
            sums.gradient[0] += miss;
            sums.gradient[1] += miss * x;
            sums.information[0] += weight;
            sums.information[1] += weight * x;
            sums.information[2] += weight * x * x;
        }
        sums
    }
}

/// Inverse of the symmetric matrix `[[a, b], [b, c]]` as `[a, b, c]`; `None` if it is (nearly) singular.
fn inverse([a, b, c]: [f64; 3]) -> Option<[f64; 3]> {
    let determinant = a * c - b * b;
    (determinant > 1e-12 * a * c && determinant.is_finite())
        .then(|| [c / determinant, -b / determinant, a / determinant])
}

/// Maximum likelihood from (0, 1), the calibrated line; also the information there.
fn fit(points: &[Point]) -> Option<(CalibrationLine, [f64; 3])> {
    let (n, hits) = points.iter().fold((0.0, 0.0), |(n, hits), point| (n + point.n, hits + point.hits));
    if hits <= 0.0 || hits >= n {
        return None;
    }
    let likelihood = |intercept: f64, slope: f64| -> f64 {
        let term = |point: &Point| {
            let z = intercept + slope * point.x;
            point.hits * z - point.n * (z.max(0.0) + libm::log1p(libm::exp(-z.abs())))
        };
        points.iter().map(term).sum()
    };
    let (mut intercept, mut slope) = (0.0, 1.0);
    let mut best = likelihood(intercept, slope);
    for _ in 0..MAX_STEPS {
        let newton = Newton::at(points, intercept, slope);
        let [a, b, c] = inverse(newton.information)?;
        let [g0, g1] = newton.gradient;
        let (step_0, step_1) = (a * g0 + b * g1, b * g0 + c * g1);
        // Halved while it leads down: far from the maximum a whole step can overshoot.
        let mut scale = 1.0;
        while scale > 1e-6
            && likelihood(intercept + scale * step_0, slope + scale * step_1) < best - 1e-9 * best.abs()
        {
            scale /= 2.0;
        }
        intercept += scale * step_0;
        slope += scale * step_1;
        best = likelihood(intercept, slope);
        if step_0.abs().max(step_1.abs()) <= 1e-11 * (1.0 + intercept.abs().max(slope.abs())) {
            let information = Newton::at(points, intercept, slope).information;
            let [a, _, c] = inverse(information)?;
            let (in_the_large, in_the_large_standard_error) = in_the_large(points)?;
            let line = CalibrationLine {
                n: n as u64,
                intercept,
                intercept_standard_error: a.sqrt(),
                slope,
                slope_standard_error: c.sqrt(),
                in_the_large,
                in_the_large_standard_error,
                bound: None,
            };
            return Some((line, information));
        }
    }
    None
}

/// The intercept with slope 1, and its standard error. One-dimensional and concave; steps are cut to 2 for safety.
fn in_the_large(points: &[Point]) -> Option<(f64, f64)> {
    let mut intercept = 0.0;
    for _ in 0..4 * MAX_STEPS {
        let Newton { gradient, information } = Newton::at(points, intercept, 1.0);
        let step = (gradient[0] / information[0]).clamp(-2.0, 2.0);
        intercept += step;
        if step.abs() <= 1e-11 * (1.0 + f64::abs(intercept)) {
            let weight = Newton::at(points, intercept, 1.0).information[0];
            return (weight > 0.0).then(|| (intercept, weight.sqrt().recip()));
        }
    }
    None
}

/// How far the line of the rows can be from the binned one. A row anywhere in its bin changes the gradient by no more than
/// `e`; the maximum then moves by at most `2·√(eᵀ·I⁻¹·e)` in the metric of the information `I` (Bach 2010, *Self-concordant
/// analysis for logistic regression*, proposition 10), if that move is small, which is checked.
fn bound(
    line: &CalibrationLine,
    information: &[f64; 3],
    points: &[Point],
    edges: &[(f64, f64)],
) -> Option<LineBound> {
    let at = |x: f64| sigmoid(line.intercept + line.slope * x);
    let (mut shift, mut tilt, mut farthest) = (0.0, 0.0, 0.0_f64);
    for (point, &(low, high)) in points.iter().zip(edges) {
        let p = at(point.x);
        let change = (at(low) - p).abs().max((at(high) - p).abs());
        let width = (point.x - low).max(high - point.x);
        let reach = low.abs().max(high.abs());
        // x·σ(x) − x·y differs by (x' − x)·(σ(x) − y) + x'·(σ(x') − σ(x)).
        let misses = point.hits * (1.0 - p) + (point.n - point.hits) * p;
        shift += point.n * change;
        tilt += width * misses + point.n * reach * change;
        farthest = farthest.max(reach);
    }
    let [a, b, c] = inverse(*information)?;
    let decrement = (shift * shift * a + tilt * tilt * c + 2.0 * shift * tilt * b.abs()).sqrt();
    let [p, q, r] = *information;
    let smallest = (p + r) / 2.0 - ((p - r) * (p - r) / 4.0 + q * q).sqrt();
    let small_enough = (1.0 + farthest * farthest).sqrt() * decrement <= 0.5 * smallest.max(0.0).sqrt();
    small_enough
        .then(|| LineBound { intercept: 2.0 * decrement * a.sqrt(), slope: 2.0 * decrement * c.sqrt() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng, SeedableRng},
    };

    /// Rows whose true line has this intercept and slope; probabilities are `uniform^power`.
    fn rows(n: usize, intercept: f64, slope: f64, power: i32, seed: u64) -> (Vec<bool>, Vec<f64>) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = || (random.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0;
        let mut row = |_| {
            let p = uniform().powi(power);
            (uniform() < sigmoid(intercept + slope * logit(p)), p)
        };
        (0..n).map(&mut row).unzip()
    }

    fn binned(truths: &[bool], probabilities: &[f64]) -> AucHistogram {
        let mut histogram = AucHistogram::default();
        truths.iter().zip(probabilities).for_each(|(&truth, &p)| assert!(histogram.observe(truth, p)));
        histogram
    }

    #[test]
    fn the_true_line_is_found() {
        for (intercept, slope) in [(0.0, 1.0), (0.4, 0.7), (-1.0, 1.5)] {
            let (truths, probabilities) = rows(40_000, intercept, slope, 1, 11);
            let line = calibration_line(&truths, &probabilities).unwrap();
            assert!(line.slope_interval(0.999).unwrap().contains(slope), "{line:?}");
            assert!(line.intercept_interval(0.999).unwrap().contains(intercept), "{line:?}");
            assert_eq!(line.n, 40_000);
        }
    }

    #[test]
    fn a_model_that_is_too_low_everywhere_shows_in_the_large() {
        let (truths, probabilities) = rows(20_000, 0.5, 1.0, 1, 12);
        let line = calibration_line(&truths, &probabilities).unwrap();
        assert!((line.in_the_large - 0.5).abs() < 4.0 * line.in_the_large_standard_error, "{line:?}");
    }

    #[test]
    fn where_no_line_fits_best_there_is_none() {
        assert_eq!(calibration_line(&[], &[]), None);
        assert_eq!(calibration_line(&[true], &[0.2, 0.3]), None);
        assert_eq!(calibration_line(&[true, false], &[0.2, f64::NAN]), None);
        assert_eq!(calibration_line(&[true; 3], &[0.2, 0.3, 0.4]), None, "one class");
        assert_eq!(calibration_line(&[true, false, true], &[0.2; 3]), None, "constant scores");
        let (truths, scores): (Vec<bool>, Vec<f64>) =
            (1..100).map(|i| (i > 50, f64::from(i) / 100.0)).unzip();
        assert_eq!(calibration_line(&truths, &scores), None, "separated");
        assert_eq!(binned_calibration_line(&binned(&truths, &scores)), None, "separated");
        assert_eq!(binned_calibration_line(&AucHistogram::default()), None);
    }

    #[test]
    fn certain_scores_are_cut_and_do_not_rule() {
        let (mut truths, mut probabilities) = rows(5_000, 0.0, 1.0, 1, 13);
        let before = calibration_line(&truths, &probabilities).unwrap();
        truths.push(true);
        probabilities.push(0.0);
        let after = calibration_line(&truths, &probabilities).unwrap();
        assert!(after.slope.is_finite() && (after.slope - before.slope).abs() < 0.05, "{after:?}");
    }

    #[test]
    fn scores_crowded_in_one_bin_have_no_bound() {
        let truths: Vec<bool> = (0..2_000).map(|i| i % 400 == 0).collect();
        let scores: Vec<f64> = (0..2_000).map(|i| 1e-6 * f64::from(1 + i % 37)).collect();
        let line = binned_calibration_line(&binned(&truths, &scores));
        assert!(
            line.is_none_or(|line| line.bound.is_none() && line.slope_interval(0.95).is_none()),
            "{line:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        #[test]
        fn the_bound_of_binning_holds(
            intercept in -1.0f64..1.0, slope in 0.5f64..1.6, power in 1i32..4, seed in any::<u64>(),
        ) {
            let (truths, probabilities) = rows(1_500, intercept, slope, power, seed);
            let exact = calibration_line(&truths, &probabilities).unwrap();
            let ours = binned_calibration_line(&binned(&truths, &probabilities)).unwrap();
            if let Some(bound) = ours.bound {
                prop_assert!((ours.slope - exact.slope).abs() <= bound.slope, "{:?} {:?}", ours, exact);
                prop_assert!((ours.intercept - exact.intercept).abs() <= bound.intercept);
            }
            // The bound allows for every row at its bin's edge; really it is far less.
            prop_assert!((ours.slope - exact.slope).abs() < 1e-2);
            prop_assert!(power > 1 || ours.bound.unwrap().slope < 0.01, "{:?}", ours);
        }
    }
}

//! Wasserstein distance of a numeric feature on the reference's bins: how far its values have moved, in their own unit.

use super::Drift;
use crate::{Interval, quantiles::normal_cdf, quantiles::normal_quantile};
use std::f64::consts::PI;

/// First Wasserstein distance between two samples by the same ordered bins, each at a representative position (the mean of
/// the reference's values in it, say, divided by the reference's standard deviation to have no unit). Unlike the divergences it
/// knows that a neighbouring bin is near. Missing values have no position and are not counted here.
///
/// The distance is the sum over gaps between positions of gap times `|F − G|`, with F and G the shares at or below it. Each
/// term is biased upwards by noise as the size of a normal variable is; that is taken off at the noise-corrected estimate of
/// the term. The interval adds the variance without drift to that of the delta method.
///
/// `None` if a sample is empty, positions do not rise strictly or are fewer than the bins, or the confidence is not in (0, 1).
#[must_use]
pub fn wasserstein_bins(
    positions: &[f64],
    reference: &[u64],
    current: &[u64],
    confidence: f64,
) -> Option<Drift> {
    let bins = reference.len().max(current.len());
    let rising = positions.windows(2).all(|w| w[0] < w[1]) && positions.iter().all(|x| x.is_finite());
    let count = |counts: &[u64], bin: usize| counts.get(bin).copied().unwrap_or(0);
    let (n, m) = (reference.iter().sum::<u64>(), current.iter().sum::<u64>());
    if !rising || positions.len() < bins || n == 0 || m == 0 || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let (n_f, m_f) = (n as f64, m as f64);
    let (mut below, mut value, mut bias, mut noise) = ((0, 0), 0.0, 0.0, 0.0);
    // Gap times the direction in which the current sample moved, for the delta method.
    let mut pull = vec![0.0; bins];
    for bin in 0..bins.saturating_sub(1) {
        below = (below.0 + count(reference, bin), below.1 + count(current, bin));
        let gap = positions[bin + 1] - positions[bin];
        let difference = below.1 as f64 / m_f - below.0 as f64 / n_f;
        let both = (below.0 + below.1) as f64 / (n_f + m_f);
        let error = (both * (1.0 - both) * (1.0 / n_f + 1.0 / m_f)).sqrt();
        value += gap * difference.abs();
        bias += gap * size_bias(difference.abs(), error);
        noise += gap * error;
        pull[bin] = gap * difference.signum();
    }
    // A value adds to every gap at or above its bin.
    let mut influence = pull;
    for bin in (0..bins.saturating_sub(1)).rev() {
        influence[bin] += influence[bin + 1];
    }
    let variance_of = |counts: &[u64], total: f64| {
        let moment = |power: i32| -> f64 {
            (0..bins).map(|bin| count(counts, bin) as f64 / total * influence[bin].powi(power)).sum()
        };
        (moment(2) - moment(1).powi(2)).max(0.0) / total
    };
    let without_drift = noise * noise * (1.0 - 2.0 / PI);
    let variance = variance_of(reference, n_f) + variance_of(current, m_f) + without_drift;
    let corrected = value - bias;
    let reach = normal_quantile(0.5 + confidence / 2.0)? * variance.sqrt();
    let held = (0..bins).filter(|&bin| count(reference, bin) + count(current, bin) > 0).count();
    Some(Drift {
        reference_n: n,
        current_n: m,
        bins: held as u64,
        value,
        corrected: corrected.max(0.0),
        interval: Interval::new((corrected - reach).max(0.0), (corrected + reach).max(0.0))?,
    })
}

/// How much larger than its mean's size the size of a normal variable is, on average; its mean estimated from one value.
fn size_bias(observed: f64, error: f64) -> f64 {
    if error <= 0.0 {
        return 0.0;
    }
    let mean = (observed * observed - error * error).max(0.0).sqrt();
    let z = mean / error;
    error * (2.0 / PI).sqrt() * (-z * z / 2.0).exp() + mean * (1.0 - 2.0 * normal_cdf(-z)) - mean
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::distance::weighted_wasserstein;

    #[test]
    fn the_plug_in_value_is_the_distance_of_the_positions() {
        let positions = [0.0, 1.0, 2.5, 7.0];
        let (reference, current) = ([50, 30, 15, 5], [20, 30, 30, 20]);
        let drift = wasserstein_bins(&positions, &reference, &current, 0.95).unwrap();
        let weights = |counts: [u64; 4]| counts.map(|n| n as f64);
        let exact =
            weighted_wasserstein(&positions, &weights(reference), &positions, &weights(current)).unwrap();
        assert!((drift.value - exact).abs() < 1e-14, "{drift:?} {exact}");
        assert!(drift.corrected < drift.value && drift.interval.contains(drift.corrected) && drift.bins == 4);
    }

    #[test]
    fn what_cannot_be_measured_is_nothing() {
        let of = |positions: &[f64], reference: &[u64], current: &[u64], confidence| {
            wasserstein_bins(positions, reference, current, confidence)
        };
        assert_eq!(of(&[0.0, 1.0], &[1, 1], &[0, 0], 0.95), None);
        assert_eq!(of(&[0.0, 0.0], &[1, 1], &[1, 1], 0.95), None);
        assert_eq!(of(&[0.0, f64::NAN], &[1, 1], &[1, 1], 0.95), None);
        assert_eq!(of(&[0.0], &[1, 1], &[1, 1], 0.95), None);
        assert_eq!(of(&[0.0, 1.0], &[1, 1], &[1, 1], 1.0), None);
        let one_bin = of(&[3.0], &[5], &[9], 0.95).unwrap();
        assert_eq!((one_bin.value, one_bin.interval.high), (0.0, 0.0));
    }
}

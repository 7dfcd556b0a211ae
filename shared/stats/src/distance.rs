//! Distances between two samples: Kolmogorov–Smirnov and Wasserstein, on values and on counts by bin.

use serde::{Deserialize, Serialize};

/// Two-sample Kolmogorov–Smirnov statistic, the largest distance between the empirical distribution functions (scipy's
/// `ks_2samp(...).statistic`), computed in integers. `None` if a sample is empty or has a NaN.
#[must_use]
pub fn kolmogorov_smirnov(one: &[f64], two: &[f64]) -> Option<f64> {
    let (one, two) = (sorted(one)?, sorted(two)?);
    let (n, m) = (one.len() as i128, two.len() as i128);
    let (mut i, mut j, mut largest) = (0, 0, 0_i128);
    while i < one.len() && j < two.len() {
        let at = one[i].min(two[j]);
        while i < one.len() && one[i] <= at {
            i += 1;
        }
        while j < two.len() && two[j] <= at {
            j += 1;
        }
        largest = largest.max((i as i128 * m - j as i128 * n).abs());
    }
    Some(largest as f64 / (n * m) as f64)
}

/// A Kolmogorov–Smirnov statistic from binned values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BinnedKs {
    /// The largest distance at the bins' edges: never above the statistic of the values.
    pub statistic: f64,
    /// The statistic of the values is at most this much larger.
    pub bound: f64,
}

/// The statistic from counts by the same ordered bins; a bin missing at a slice's end is empty. `None` if a sample is empty.
///
/// Inside a bin neither function is known, but both rise: at most one reaches its end before the other has left its start.
#[must_use]
pub fn binned_kolmogorov_smirnov(one: &[u64], two: &[u64]) -> Option<BinnedKs> {
    let total = |counts: &[u64]| counts.iter().map(|&n| i128::from(n)).sum::<i128>();
    let (n, m) = (total(one), total(two));
    if n == 0 || m == 0 {
        return None;
    }
    let (mut before, mut at_edges, mut inside) = ((0, 0), 0_i128, 0_i128);
    for bin in 0..one.len().max(two.len()) {
        let count = |counts: &[u64]| counts.get(bin).map_or(0, |&n| i128::from(n));
        let after = (before.0 + count(one), before.1 + count(two));
        at_edges = at_edges.max((after.0 * m - after.1 * n).abs());
        inside = inside.max((after.0 * m - before.1 * n).abs()).max((before.0 * m - after.1 * n).abs());
        before = after;
    }
    let pairs = (n * m) as f64;
    Some(BinnedKs {
        statistic: at_edges as f64 / pairs,
        bound: (inside.max(at_edges) - at_edges) as f64 / pairs,
    })
}

/// First Wasserstein distance, the area between the two distribution functions, in the values' unit (scipy's
/// `wasserstein_distance`). `None` if a sample is empty or a value is not finite.
#[must_use]
pub fn wasserstein(one: &[f64], two: &[f64]) -> Option<f64> {
    weighted_wasserstein(one, &vec![1.0; one.len()], two, &vec![1.0; two.len()])
}

/// The same with weights (scipy's `u_weights` and `v_weights`): of values with counts, or of bins at representative values.
/// With every value of a bin represented by one within `h` of it, the distance is within `2h` of that of the values. `None`
/// if lengths differ, a value is not finite, a weight is negative or not finite, or a sample has no weight.
#[must_use]
pub fn weighted_wasserstein(
    one: &[f64],
    one_weights: &[f64],
    two: &[f64],
    two_weights: &[f64],
) -> Option<f64> {
    let total = |values: &[f64], weights: &[f64]| {
        let valid = values.len() == weights.len()
            && values.iter().all(|x| x.is_finite())
            && weights.iter().all(|w| w.is_finite() && *w >= 0.0);
        Some(weights.iter().sum::<f64>()).filter(|&sum| valid && sum > 0.0 && sum.is_finite())
    };
    let (one_total, two_total) = (total(one, one_weights)?, total(two, two_weights)?);
    let steps = |values: &[f64], weights: &[f64], total: f64| -> Vec<(f64, f64)> {
        values.iter().zip(weights).map(|(&x, w)| (x, w / total)).collect()
    };
    let mut jumps = steps(one, one_weights, one_total);
    jumps.extend(steps(two, two_weights, -two_total));
    jumps.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut between = 0.0;
    let area = |pair: &[(f64, f64)]| {
        between += pair[0].1;
        f64::abs(between) * (pair[1].0 - pair[0].0)
    };
    Some(jumps.windows(2).map(area).sum())
}

fn sorted(values: &[f64]) -> Option<Vec<f64>> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    (!sorted.is_empty() && !sorted.iter().any(|x| x.is_nan())).then_some(sorted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_are_defined() {
        assert_eq!((kolmogorov_smirnov(&[], &[1.0]), kolmogorov_smirnov(&[f64::NAN], &[1.0])), (None, None));
        assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[3.0]), Some(1.0));
        assert_eq!(kolmogorov_smirnov(&[5.0; 3], &[5.0; 7]), Some(0.0));
        assert_eq!(kolmogorov_smirnov(&[f64::NEG_INFINITY, 0.0], &[-0.0, f64::INFINITY]), Some(0.5));
        assert_eq!((binned_kolmogorov_smirnov(&[], &[1]), wasserstein(&[], &[1.0])), (None, None));
        assert_eq!(wasserstein(&[1.0, f64::INFINITY], &[1.0]), None);
        assert_eq!(weighted_wasserstein(&[1.0], &[0.0], &[1.0], &[1.0]), None);
        assert_eq!(weighted_wasserstein(&[1.0, 4.0], &[1.0, 2.0], &[1.0], &[5.0]), Some(2.0));
    }

    proptest! {
        #[test]
        fn the_bound_of_binning_holds(
            one in prop::collection::vec(0.0f64..10.0, 1..60), two in prop::collection::vec(0.0f64..10.0, 1..60), bins in 1usize..30,
        ) {
            let counts = |values: &[f64]| {
                let mut counts = vec![0_u64; bins];
                values.iter().for_each(|x| counts[((x / 10.0 * bins as f64) as usize).min(bins - 1)] += 1);
                counts
            };
            let exact = kolmogorov_smirnov(&one, &two).unwrap();
            let binned = binned_kolmogorov_smirnov(&counts(&one), &counts(&two)).unwrap();
            prop_assert!(binned.statistic <= exact + 1e-12 && exact <= binned.statistic + binned.bound + 1e-12);
            let middles: Vec<f64> = (0..bins).map(|b| (b as f64 + 0.5) * 10.0 / bins as f64).collect();
            let weights = |values: &[f64]| counts(values).iter().map(|&n| n as f64).collect::<Vec<_>>();
            let rough = weighted_wasserstein(&middles, &weights(&one), &middles, &weights(&two)).unwrap();
            prop_assert!((rough - wasserstein(&one, &two).unwrap()).abs() <= 10.0 / bins as f64 + 1e-9);
        }
    }
}

//! Drift of a feature or a score: how far the current distribution has moved from the reference.
//!
//! Bins are fixed by the reference. All measures are biased upwards (with no drift at all, PSI over 10 bins at n = 100
//! averages about .1), so each comes with its bias taken off and an interval on the effect (Yurdakul & Naranjo 2020).

mod wasserstein;

pub use wasserstein::wasserstein_bins;

use crate::{Interval, Merge, quantiles::normal_quantile};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Bins of a numeric feature, by the reference's quantiles, and one more for missing values (NaN).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumericBins {
    /// Inner edges, strictly rising; bin `i` holds the values in `(edge[i-1], edge[i]]`.
    edges: Vec<f64>,
}

impl NumericBins {
    /// Edges at the reference's `1/bins … (bins−1)/bins` quantiles (order statistics, so they are values of the
    /// reference), equal ones joined. Missing values do not count. `None` without a finite value or with no bins.
    #[must_use]
    pub fn from_reference(reference: &[f64], bins: usize) -> Option<Self> {
        let mut sorted: Vec<f64> = reference.iter().copied().filter(|x| x.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let mut edges: Vec<f64> =
            (1..bins.max(1)).map(|i| sorted[(i * sorted.len() / bins).min(last)]).collect();
        edges.dedup();
        (bins > 0).then_some(Self { edges })
    }

    /// Number of bins, the one for missing values included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edges.len() + 2
    }

    /// Always false: there are bins for every value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// A position for each bin but that of missing values: the mean of the reference's finite values in it, for
    /// [`wasserstein_bins`]. `None` if a bin has no value of this reference.
    #[must_use]
    pub fn positions(&self, reference: &[f64]) -> Option<Vec<f64>> {
        let mut sums = vec![(0.0, 0_u64); self.edges.len() + 1];
        for &value in reference.iter().filter(|value| value.is_finite()) {
            let (sum, n) = &mut sums[self.bin(value)];
            *sum += value;
            *n += 1;
        }
        sums.into_iter().map(|(sum, n)| (n > 0).then(|| sum / n as f64)).collect()
    }

    /// The bin of a value; missing values have the last.
    #[must_use]
    pub fn bin(&self, value: f64) -> usize {
        if value.is_nan() { self.edges.len() + 1 } else { self.edges.partition_point(|&edge| edge < value) }
    }
}

/// Bins of a categorical feature: the reference's categories, one for values the reference never had, one for missing
/// values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryBins {
    categories: BTreeMap<String, usize>,
}

impl CategoryBins {
    /// A bin for each different value of the reference.
    pub fn from_reference<'a>(reference: impl IntoIterator<Item = &'a str>) -> Self {
        Self::most_frequent(reference, usize::MAX)
    }

    /// A bin for each of the reference's `most` most frequent values (of equally frequent ones the first by name), and one
    /// for all its other values: bins that hardly anything falls into add noise and no information.
    pub fn most_frequent<'a>(reference: impl IntoIterator<Item = &'a str>, most: usize) -> Self {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        reference.into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
        let mut by_frequency: Vec<(&str, u64)> = counts.into_iter().collect();
        by_frequency.sort_by_key(|&(name, n)| (std::cmp::Reverse(n), name));
        let kept: BTreeSet<&str> = by_frequency.iter().take(most).map(|&(name, _)| name).collect();
        let rank: BTreeMap<&str, usize> = kept.iter().enumerate().map(|(i, &name)| (name, i)).collect();
        let bin = |name: &str| (name.to_owned(), rank.get(name).copied().unwrap_or(kept.len()));
        Self { categories: by_frequency.iter().map(|(name, _)| bin(name)).collect() }
    }

    /// Bins of the reference's own values.
    fn known(&self) -> usize {
        self.categories.values().max().map_or(0, |last| last + 1)
    }

    /// Number of bins, those for unseen and for missing values included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known() + 2
    }

    /// Always false: there are bins for every value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bin of a value: values the reference never had share the last but one, missing values have the last.
    #[must_use]
    pub fn bin(&self, value: Option<&str>) -> usize {
        let missing = self.known() + 1;
        value.map_or(missing, |value| self.categories.get(value).copied().unwrap_or(missing - 1))
    }
}

/// Counts by bin; grows as bins are seen, so that the empty one is the neutral element of merging.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinCounts {
    counts: Vec<u64>,
}

impl BinCounts {
    /// Counts one value's bin.
    pub fn observe(&mut self, bin: usize) {
        if self.counts.len() <= bin {
            self.counts.resize(bin + 1, 0);
        }
        self.counts[bin] += 1;
    }

    /// The counts, up to the last bin seen.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }
}

impl Merge for BinCounts {
    fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// How far two distributions are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Values in the reference.
    pub reference_n: u64,
    /// Values now.
    pub current_n: u64,
    /// Bins that hold a value of either.
    pub bins: u64,
    /// The plug-in value, biased upwards.
    pub value: f64,
    /// The value less its bias under no drift, not below zero.
    pub corrected: f64,
    /// Interval of the effect, not below zero.
    pub interval: Interval,
}

/// What an effect says against the limit of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftJudgement {
    /// The whole interval is at or below the limit.
    Stable,
    /// The whole interval is above the limit.
    Drifted,
    /// The interval contains the limit, or there is no interval: too little data to say.
    NotKnown,
}

/// Judges an effect by its interval alone, so that more data of the same kind can turn `not known` into an answer but
/// noise cannot make drift, nor hide it. A limit that is negative or not a number judges nothing.
#[must_use]
pub fn judge(effect: Option<&Drift>, limit: f64) -> DriftJudgement {
    match effect.map(|drift| drift.interval) {
        Some(interval) if limit >= 0.0 && interval.low > limit => DriftJudgement::Drifted,
        Some(interval) if limit >= 0.0 && interval.high <= limit => DriftJudgement::Stable,
        _ => DriftJudgement::NotKnown,
    }
}

/// Population stability index `Σ (q − p)·ln(q / p)` in nats, `p` the reference's and `q` the current shares. If a bin is
/// empty in one of the samples only, half an observation is added to every bin of both. An emptied or a new bin makes the
/// index itself infinite, and what the half observation makes of it grows with the logarithm of the number of rows: where
/// effects of different sample sizes are compared, [`jensen_shannon`] is the one that keeps its size. `None` if a sample is
/// empty or the confidence is not in (0, 1). Counts missing at a slice's end are zero.
#[must_use]
pub fn psi(reference: &[u64], current: &[u64], confidence: f64) -> Option<Drift> {
    let bins = paired_bins(reference, current);
    let pseudo = if bins.iter().any(|&(a, b)| a == 0 || b == 0) { 0.5 } else { 0.0 };
    let value = |p: f64, q: f64| (q - p) * (q / p).ln();
    let slopes = |p: f64, q: f64| (1.0 - q / p - (q / p).ln(), 1.0 - p / q + (q / p).ln());
    measure(&bins, pseudo, confidence, 1.0, value, slopes)
}

/// Jensen–Shannon divergence in nats, from 0 to ln 2. Needs no smoothing. scipy's `jensenshannon` is the *distance*, the
/// square root of the divergence, to a base of choice: see [`jensen_shannon_distance`].
/// `None` if a sample is empty or the confidence is not in (0, 1).
#[must_use]
pub fn jensen_shannon(reference: &[u64], current: &[u64], confidence: f64) -> Option<Drift> {
    // ½·ln(p / mean), and its product with p; an empty bin contributes nothing to either.
    let slope = |p: f64, q: f64| if p > 0.0 { 0.5 * (2.0 * p / (p + q)).ln() } else { 0.0 };
    let value = |p: f64, q: f64| p * slope(p, q) + q * slope(q, p);
    measure(&paired_bins(reference, current), 0.0, confidence, 0.125, value, |p, q| {
        (slope(p, q), slope(q, p))
    })
}

/// scipy's `jensenshannon(p, q, base)` from a divergence in nats: the root of the divergence in units of `base` (2 for bits;
/// Euler's number for nats). `None` unless the divergence is not negative and the base above 1.
#[must_use]
pub fn jensen_shannon_distance(divergence: f64, base: f64) -> Option<f64> {
    (divergence >= 0.0 && base > 1.0).then(|| (divergence / base.ln()).sqrt())
}

/// The bins that hold a value of either sample.
fn paired_bins(reference: &[u64], current: &[u64]) -> Vec<(u64, u64)> {
    let count = |counts: &[u64], i: usize| counts.get(i).copied().unwrap_or(0);
    let all = (0..reference.len().max(current.len())).map(|i| (count(reference, i), count(current, i)));
    all.filter(|&(a, b)| a + b > 0).collect()
}

/// Sums a divergence over bins. Without drift it is `scale·(1/n + 1/m)` times a chi-squared variable of `bins − 1`
/// degrees of freedom, which gives the bias and the variance then; the delta method gives the variance under drift, and
/// both together the interval.
fn measure(
    bins: &[(u64, u64)],
    pseudo: f64,
    confidence: f64,
    scale: f64,
    value: impl Fn(f64, f64) -> f64,
    slopes: impl Fn(f64, f64) -> (f64, f64),
) -> Option<Drift> {
    let (reference_n, current_n) = bins.iter().fold((0, 0), |(n, m), &(a, b)| (n + a, m + b));
    if reference_n == 0 || current_n == 0 || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let added = pseudo * bins.len() as f64;
    let shares = || {
        bins.iter().map(|&(a, b)| {
            (
                (a as f64 + pseudo) / (reference_n as f64 + added),
                (b as f64 + pseudo) / (current_n as f64 + added),
            )
        })
    };
    let total: f64 = shares().map(|(p, q)| value(p, q)).sum::<f64>().max(0.0);
    let variance_of = |moments: (f64, f64), n: u64| (moments.1 - moments.0 * moments.0).max(0.0) / n as f64;
    let (mut by_reference, mut by_current) = ((0.0, 0.0), (0.0, 0.0));
    for (p, q) in shares() {
        let (of_p, of_q) = slopes(p, q);
        by_reference = (by_reference.0 + p * of_p, by_reference.1 + p * of_p * of_p);
        by_current = (by_current.0 + q * of_q, by_current.1 + q * of_q * of_q);
    }
    let unit = scale * (1.0 / reference_n as f64 + 1.0 / current_n as f64);
    let freedom = (bins.len() - 1) as f64;
    let corrected = total - freedom * unit;
    let variance = variance_of(by_reference, reference_n)
        + variance_of(by_current, current_n)
        + 2.0 * freedom * unit * unit;
    let reach = normal_quantile(0.5 + confidence / 2.0)? * variance.sqrt();
    let interval = Interval::new((corrected - reach).max(0.0), (corrected + reach).max(0.0))?;
    Some(Drift {
        reference_n,
        current_n,
        bins: bins.len() as u64,
        value: total,
        corrected: corrected.max(0.0),
        interval,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn empty_samples_have_no_drift() {
        assert_eq!((psi(&[], &[1], 0.95), jensen_shannon(&[0, 0], &[1], 0.95)), (None, None));
        let same = psi(&[50, 50], &[50, 50], 0.95).unwrap();
        assert_eq!((same.value, same.corrected, same.interval.low), (0.0, 0.0, 0.0));
    }

    #[test]
    fn disjoint_samples_are_finite() {
        let apart = psi(&[100, 0], &[0, 100], 0.95).unwrap();
        assert!(apart.value > 5.0 && apart.value.is_finite() && apart.interval.low > 1.0);
        let js = jensen_shannon(&[100, 0], &[0, 100], 0.95).unwrap();
        assert!((js.value - std::f64::consts::LN_2).abs() < 1e-15);
    }

    #[test]
    fn every_value_has_a_bin() {
        let bins = NumericBins::from_reference(&[1.0, 2.0, 2.0, 2.0, 3.0, f64::NAN], 4).unwrap();
        assert_eq!(
            [f64::NEG_INFINITY, 2.0, 2.5, f64::INFINITY, f64::NAN].map(|x| bins.bin(x)),
            [0, 0, 1, 1, 2]
        );
        assert_eq!(NumericBins::from_reference(&[f64::NAN], 4), None);
        assert_eq!(bins.positions(&[1.0, 2.0, f64::NAN, 5.0, 7.0]), Some(vec![1.5, 6.0]));
        assert_eq!(bins.positions(&[1.0]), None);
        let categories = CategoryBins::from_reference(["b", "a", "b"]);
        assert_eq!([Some("a"), Some("b"), Some("new"), None].map(|c| categories.bin(c)), [0, 1, 2, 3]);
    }

    #[test]
    fn rare_categories_share_a_bin_and_are_not_unseen() {
        let bins = CategoryBins::most_frequent(["c", "a", "a", "b", "c", "d"], 2);
        let of = [Some("a"), Some("c"), Some("b"), Some("d"), Some("new"), None].map(|c| bins.bin(c));
        assert_eq!((of, bins.len()), ([0, 1, 2, 2, 3, 4], 5));
        let nothing = CategoryBins::from_reference([]);
        assert_eq!((nothing.bin(Some("new")), nothing.bin(None), nothing.len()), (0, 1, 2));
    }

    #[test]
    fn an_effect_is_judged_by_its_interval() {
        let of = |current: [u64; 2]| psi(&[5_000, 5_000], &current, 0.95).unwrap();
        assert_eq!(judge(Some(&of([5_000, 5_000])), 0.1), DriftJudgement::Stable);
        assert_eq!(judge(Some(&of([2_000, 8_000])), 0.1), DriftJudgement::Drifted);
        assert_eq!(judge(Some(&of([2, 8])), 0.1), DriftJudgement::NotKnown);
        for limit in [f64::NAN, -1.0] {
            assert_eq!(judge(Some(&of([2_000, 8_000])), limit), DriftJudgement::NotKnown);
        }
        assert_eq!(judge(None, 0.1), DriftJudgement::NotKnown);
        assert_eq!(jensen_shannon_distance(-0.1, 2.0).or(jensen_shannon_distance(0.1, 1.0)), None);
    }

    #[test]
    fn counts_merge() {
        let of = |bins: &[usize]| {
            let mut c = BinCounts::default();
            bins.iter().for_each(|&b| c.observe(b));
            c
        };
        let mut right = of(&[7, 1]);
        right.merge(&of(&[0, 1]));
        right.merge(&BinCounts::default());
        assert_eq!(right, of(&[0, 1, 1, 7]));
    }
}

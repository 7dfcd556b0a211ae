//! Answers that are rankings: quality by NDCG, agreement by Kendall's tau-b and rank-biased overlap.

use crate::{Merge, losses::MeanLoss, share};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Normalised discounted cumulative gain at `k`, with linear gains and the discount `1 / log2(rank + 1)` (scikit-learn's
/// `ndcg_score` without ties): `ranked` are the relevances in the order of the answer, `all` those of every item that could
/// have been ranked. `None` if a relevance is negative or not finite, `k` is 0, or nothing is relevant (scikit-learn says 0
/// there).
#[must_use]
pub fn ndcg(ranked: &[f64], all: &[f64], k: usize) -> Option<f64> {
    let valid = |relevance: &f64| relevance.is_finite() && *relevance >= 0.0;
    if !ranked.iter().chain(all).all(valid) {
        return None;
    }
    let gain = |relevances: &[f64]| -> f64 {
        let discounted = |(i, relevance): (usize, &f64)| relevance / libm::log2(i as f64 + 2.0);
        relevances.iter().take(k).enumerate().map(discounted).sum()
    };
    let mut ideal = all.to_vec();
    ideal.sort_unstable_by(|a, b| b.total_cmp(a));
    let best = gain(&ideal);
    (best > 0.0).then(|| gain(ranked) / best)
}

/// Kendall's tau-b of two lists of values for the same items, from −1 (reversed) to 1 (same order); ties are allowed for
/// (scipy's `kendalltau`). In O(n log n) by Knight (1966). `None` if the lengths differ, a value is NaN, or either list is
/// constant or shorter than two.
#[must_use]
pub fn kendall_tau_b(one: &[f64], two: &[f64]) -> Option<f64> {
    if one.len() != two.len() || one.iter().chain(two).any(|x| x.is_nan()) {
        return None;
    }
    let mut pairs: Vec<(f64, f64)> = one.iter().zip(two).map(|(a, b)| (a + 0.0, b + 0.0)).collect();
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let tied_one = tied_pairs(&pairs, |p| p.0.to_bits());
    let tied_both = tied_pairs(&pairs, |p| (p.0.to_bits(), p.1.to_bits()));
    let mut seconds: Vec<f64> = pairs.iter().map(|p| p.1).collect();
    let discordant = inversions(&mut seconds);
    // Sorted now: ties of the second list lie together.
    let tied_two = tied_pairs(&seconds, |x| x.to_bits());
    let n = one.len() as i128;
    let all = n * (n - 1) / 2;
    let (free_one, free_two) = (all - tied_one, all - tied_two);
    let difference = all - tied_one - tied_two + tied_both - 2 * discordant;
    let scale = (free_one as f64).sqrt() * (free_two as f64).sqrt();
    (scale > 0.0).then(|| (difference as f64 / scale).clamp(-1.0, 1.0))
}

/// Pairs of equal neighbours' keys in a sorted list.
fn tied_pairs<T, K: PartialEq>(sorted: &[T], key: impl Fn(&T) -> K) -> i128 {
    sorted
        .chunk_by(|a, b| key(a) == key(b))
        .map(|tied| (tied.len() as i128) * (tied.len() as i128 - 1) / 2)
        .sum()
}

/// Sorts by merging, and counts the pairs that stood in the wrong order.
fn inversions(values: &mut [f64]) -> i128 {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let mut count = inversions(&mut values[..middle]) + inversions(&mut values[middle..]);
    let (left, right) = (values[..middle].to_vec(), values[middle..].to_vec());
    let (mut i, mut j) = (0, 0);
    for slot in values.iter_mut() {
        if j == right.len() || (i < left.len() && left[i] <= right[j]) {
            *slot = left[i];
            i += 1;
        } else {
            *slot = right[j];
            j += 1;
            count += (left.len() - i) as i128;
        }
    }
    count
}

/// Tau-b of the order in which two rankings have their common items; `None` with fewer than two. An item named twice has its
/// first place.
#[must_use]
pub fn rank_correlation<S: AsRef<str>>(one: &[S], two: &[S]) -> Option<f64> {
    let places = places(two);
    let mut seen = BTreeMap::new();
    for (place, item) in one.iter().enumerate() {
        if let Some(&other) = places.get(item.as_ref()) {
            seen.entry(item.as_ref()).or_insert((place as f64, other as f64));
        }
    }
    let (one, two): (Vec<f64>, Vec<f64>) = seen.into_values().unzip();
    kendall_tau_b(&one, &two)
}

fn places<S: AsRef<str>>(ranking: &[S]) -> BTreeMap<&str, usize> {
    let mut places = BTreeMap::new();
    ranking.iter().enumerate().for_each(|(place, item)| {
        places.entry(item.as_ref()).or_insert(place);
    });
    places
}

/// Rank-biased overlap (Webber, Moffat & Zobel 2010, extrapolated, equation 32): agreement that weighs the top most, from 0
/// (nothing in common) to 1 (equal). `persistence`, in (0, 1), is the chance of looking one place further; at .9 the first
/// ten places have 86 % of the weight. Lists may differ in length and in items. `None` if a list is empty, names an item
/// twice, or the persistence is outside (0, 1).
#[must_use]
pub fn rank_biased_overlap<S: AsRef<str>>(one: &[S], two: &[S], persistence: f64) -> Option<f64> {
    let (short, long) = if one.len() <= two.len() { (one, two) } else { (two, one) };
    let (in_short, in_long) = (places(short), places(long));
    let valid = persistence > 0.0 && persistence < 1.0 && !short.is_empty();
    if !valid || in_short.len() < short.len() || in_long.len() < long.len() {
        return None;
    }
    // Items that both have seen by each depth.
    let mut arrivals = vec![0_u64; long.len()];
    for (item, &place) in &in_short {
        if let Some(&other) = in_long.get(item) {
            arrivals[place.max(other)] += 1;
        }
    }
    let (s, l) = (short.len() as f64, long.len() as f64);
    let common_short: u64 = arrivals[..short.len()].iter().sum();
    let (mut common, mut sum, mut power) = (0_u64, 0.0, 1.0);
    for (i, &arrived) in arrivals.iter().enumerate() {
        let depth = (i + 1) as f64;
        common += arrived;
        power *= persistence;
        sum += common as f64 / depth * power;
        if i >= short.len() {
            sum += common_short as f64 * (depth - s) / (s * depth) * power;
        }
    }
    let rest = (common as f64 - common_short as f64) / l + common_short as f64 / s;
    Some(((1.0 - persistence) / persistence * sum + rest * power).clamp(0.0, 1.0))
}

/// Agreement of two versions' rankings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankingAgreement {
    n: u64,
    equal: u64,
    same_first: u64,
    overlap: MeanLoss,
    correlation: MeanLoss,
}

/// The persistence of the rank-biased overlap in [`RankingAgreement`].
pub const PERSISTENCE: f64 = 0.9;

impl RankingAgreement {
    /// Counts a pair of rankings, best first. Two empty rankings are equal.
    pub fn observe<S: AsRef<str>>(&mut self, champion: &[S], challenger: &[S]) {
        let equal = champion.iter().map(S::as_ref).eq(challenger.iter().map(S::as_ref));
        self.n += 1;
        self.equal += u64::from(equal);
        self.same_first += u64::from(champion.first().map(S::as_ref) == challenger.first().map(S::as_ref));
        let overlap = rank_biased_overlap(champion, challenger, PERSISTENCE);
        // One list empty and the other not: nothing in common.
        let one_empty = champion.is_empty() != challenger.is_empty();
        self.overlap.observe(overlap.or(equal.then_some(1.0)).or(one_empty.then_some(0.0)));
        self.correlation.observe(rank_correlation(champion, challenger));
    }

    /// Pairs counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Share of equal rankings; `None` without pairs.
    #[must_use]
    pub fn equal(&self) -> Option<f64> {
        share(self.equal, self.n)
    }

    /// Share with the same first item; `None` without pairs.
    #[must_use]
    pub fn same_first(&self) -> Option<f64> {
        share(self.same_first, self.n)
    }

    /// Mean rank-biased overlap at [`PERSISTENCE`], over pairs for which it is defined; `None` without such.
    #[must_use]
    pub fn overlap(&self) -> Option<f64> {
        self.overlap.mean()
    }

    /// Mean tau-b of common items, over pairs that have two or more; `None` without such.
    #[must_use]
    pub fn correlation(&self) -> Option<f64> {
        self.correlation.mean()
    }

    /// Pairs without a rank-biased overlap: a ranking names an item twice.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.overlap.invalid()
    }
}

impl Merge for RankingAgreement {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.equal += other.equal;
        self.same_first += other.same_first;
        self.overlap.merge(&other.overlap);
        self.correlation.merge(&other.correlation);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gains_have_their_edges() {
        assert_eq!(ndcg(&[3.0, 2.0, 0.0], &[0.0, 2.0, 3.0], 3), Some(1.0));
        assert_eq!(
            (ndcg(&[0.0], &[0.0], 5), ndcg(&[1.0], &[1.0], 0), ndcg(&[-1.0], &[1.0], 1)),
            (None, None, None)
        );
        assert_eq!(ndcg(&[], &[1.0], 5), Some(0.0));
        assert!(ndcg(&[0.0, 1.0], &[1.0, 0.0], 1) == Some(0.0));
    }

    #[test]
    fn overlap_and_correlation_have_their_edges() {
        let (forward, backward, other) = (["a", "b", "c"], ["c", "b", "a"], ["x", "y", "z"]);
        assert!((rank_biased_overlap(&forward, &forward, 0.9).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(rank_biased_overlap(&forward, &other, 0.9), Some(0.0));
        assert_eq!(rank_biased_overlap(&["a", "a"], &["a", "b"], 0.9), None);
        assert_eq!(
            rank_biased_overlap(&forward, &forward, 1.0).or(rank_biased_overlap::<&str>(&[], &[], 0.5)),
            None
        );
        assert_eq!(
            (rank_correlation(&forward, &backward), rank_correlation(&forward, &other)),
            (Some(-1.0), None)
        );
        assert_eq!(
            (kendall_tau_b(&[1.0; 4], &[1.0, 2.0, 3.0, 4.0]), kendall_tau_b(&[1.0], &[1.0])),
            (None, None)
        );
        assert_eq!(kendall_tau_b(&[1.0, f64::NAN], &[1.0, 2.0]), None);
    }

    #[test]
    fn agreement_counts_what_it_cannot_compare() {
        let mut agreement = RankingAgreement::default();
        assert_eq!((agreement.equal(), agreement.overlap(), agreement.correlation()), (None, None, None));
        agreement.observe(&["a", "b"], &["a", "b"]);
        agreement.observe(&["a", "b"], &["b", "a"]);
        agreement.observe(&["a", "a"], &["b", "a"]);
        agreement.observe::<&str>(&[], &[]);
        agreement.observe(&["a"], &[]);
        assert_eq!((agreement.n(), agreement.invalid()), (5, 1));
        assert_eq!((agreement.equal(), agreement.same_first()), (Some(0.4), Some(0.4)));
        assert_eq!(agreement.correlation(), Some(0.0));
    }

    proptest! {
        #[test]
        fn tau_is_that_of_all_pairs(rows in prop::collection::vec((0i32..6, 0i32..6), 2..40)) {
            let (one, two): (Vec<f64>, Vec<f64>) = rows.iter().map(|&(a, b)| (f64::from(a), f64::from(b))).unzip();
            let (mut balance, mut free_one, mut free_two) = (0_i64, 0_i64, 0_i64);
            for i in 0..rows.len() {
                for j in 0..i {
                    let (a, b) = ((rows[i].0 - rows[j].0).signum(), (rows[i].1 - rows[j].1).signum());
                    balance += i64::from(a * b);
                    free_one += i64::from(a.abs());
                    free_two += i64::from(b.abs());
                }
            }
            match kendall_tau_b(&one, &two) {
                Some(tau) => prop_assert!((tau - balance as f64 / ((free_one * free_two) as f64).sqrt()).abs() < 1e-12),
                None => prop_assert!(free_one * free_two == 0),
            }
        }
    }
}

//! Latency sketch: quantiles to 1 %, exact merging, exact exceedance counts at bin edges.
//!
//! **Why our own.** DDSketch (Masson et al. 2019) as published in crates has no rank query (the canary counts how many
//! requests exceed a threshold), keeps its sum in `f64` (so merges depend on order) and may collapse bins (so they do
//! not merge exactly). A log-linear histogram in the manner of HdrHistogram does all three with integers only: values
//! below 128 µs have a bin each, and every octave above has 64 equal bins. A bin is never wider than 1/64 of its lower
//! edge, so its midpoint is within 1/128 (0.78 %) of every value in it.

use crate::Merge;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::collections::BTreeMap;

/// Largest relative error of a quantile: half a bin, 1/128.
pub const RELATIVE_ERROR: f64 = 1.0 / 128.0;

const SUB_BITS: u32 = 6;
const EXACT_BELOW: u64 = 2 << SUB_BITS;

/// Counts of latencies in microseconds. Serialises compactly as a list of `bin, count` with the bins as differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencySketch {
    bins: BTreeMap<u32, u64>,
    sum_us: u64,
    min_us: u64,
    max_us: u64,
}

impl LatencySketch {
    /// Counts one latency.
    pub fn observe(&mut self, latency_us: u64) {
        self.observe_n(latency_us, 1);
    }

    /// Counts `n` equal latencies.
    pub fn observe_n(&mut self, latency_us: u64, n: u64) {
        if n == 0 {
            return;
        }
        (self.min_us, self.max_us) = if self.is_empty() {
            (latency_us, latency_us)
        } else {
            (self.min_us.min(latency_us), self.max_us.max(latency_us))
        };
        *self.bins.entry(bin_of(latency_us)).or_default() += n;
        self.sum_us = self.sum_us.saturating_add(latency_us.saturating_mul(n));
    }

    /// Latencies counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.bins.values().sum()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// Mean in microseconds, exact; `None` if empty.
    #[must_use]
    pub fn mean_us(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum_us as f64 / self.n() as f64)
    }

    /// Smallest and largest latency, exact; `None` if empty.
    #[must_use]
    pub fn range_us(&self) -> Option<(u64, u64)> {
        (!self.is_empty()).then_some((self.min_us, self.max_us))
    }

    /// The `q`-quantile in microseconds, within [`RELATIVE_ERROR`] of the order statistic of rank `⌊q·(n − 1)⌋`
    /// (numpy's `method="lower"`); exact below 128 µs and at `q` 0 and 1. `None` if empty or `q` is not in `[0, 1]`.
    #[must_use]
    pub fn quantile_us(&self, q: f64) -> Option<f64> {
        let n = self.n();
        if n == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * (n - 1) as f64) as u64).min(n - 1);
        let mut seen = 0;
        let bin = self.bins.iter().find_map(|(&bin, &count)| {
            seen += count;
            (rank < seen).then_some(bin)
        })?;
        if rank == 0 || rank == n - 1 {
            return Some(if rank == 0 { self.min_us } else { self.max_us } as f64);
        }
        let (low, high) = edges(bin);
        Some((low as f64 + (high - 1) as f64) / 2.0).map(|x| x.clamp(self.min_us as f64, self.max_us as f64))
    }

    /// How many latencies exceed `threshold_us`: exact if the threshold is the largest value of its bin (as
    /// [`bin_ceiling_us`] gives it); otherwise those of the threshold's own bin are not counted, which equals counting
    /// against a threshold at most 1/64 higher.
    #[must_use]
    pub fn count_above(&self, threshold_us: u64) -> u64 {
        self.bins.range(bin_of(threshold_us) + 1..).map(|(_, count)| count).sum()
    }

    /// The non-empty bins as `(lowest value, highest value, count)` in microseconds, for charts.
    pub fn bins_us(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.bins.iter().map(|(&bin, &count)| {
            let (low, high) = edges(bin);
            (low, high - 1, count)
        })
    }
}

/// An accumulator for many latencies that ends as a [`LatencySketch`]: an array instead of a tree, a few nanoseconds each.
#[derive(Clone, Debug)]
pub struct DenseSketch {
    bins: Vec<u64>,
    sum_us: u64,
    min_us: u64,
    max_us: u64,
}

impl Default for DenseSketch {
    fn default() -> Self {
        Self { bins: vec![0; LAST_BIN as usize + 1], sum_us: 0, min_us: u64::MAX, max_us: 0 }
    }
}

impl DenseSketch {
    /// Counts one latency.
    #[inline]
    pub fn observe(&mut self, latency_us: u64) {
        self.bins[bin_of(latency_us) as usize] += 1;
        self.sum_us = self.sum_us.saturating_add(latency_us);
        self.min_us = self.min_us.min(latency_us);
        self.max_us = self.max_us.max(latency_us);
    }

    /// The sketch of the latencies counted: equal to one that counted them itself.
    #[must_use]
    pub fn finish(self) -> LatencySketch {
        let bins: BTreeMap<u32, u64> = self
            .bins
            .into_iter()
            .enumerate()
            .filter(|(_, n)| *n > 0)
            .map(|(bin, n)| (bin as u32, n))
            .collect();
        if bins.is_empty() {
            return LatencySketch::default();
        }
        LatencySketch { bins, sum_us: self.sum_us, min_us: self.min_us, max_us: self.max_us }
    }
}

/// The largest value that shares the bin of `latency_us`: a threshold at which [`LatencySketch::count_above`] is exact.
#[must_use]
pub fn bin_ceiling_us(latency_us: u64) -> u64 {
    edges(bin_of(latency_us)).1 - 1
}

/// Bin of a value: the value itself below 128, then 64 bins an octave. Values of 2⁶³ and more share the last bin of
/// 2⁶³ − 1.
fn bin_of(value: u64) -> u32 {
    let value = value.min(i64::MAX as u64);
    if value < EXACT_BELOW {
        return value as u32;
    }
    let shift = value.ilog2() - SUB_BITS;
    (shift << SUB_BITS) + (value >> shift) as u32
}

/// Lowest value of a bin, and of the next one.
fn edges(bin: u32) -> (u64, u64) {
    if u64::from(bin) < EXACT_BELOW {
        return (u64::from(bin), u64::from(bin) + 1);
    }
    let shift = (bin >> SUB_BITS) - 1;
    let top = u64::from(bin - (shift << SUB_BITS));
    (top << shift, (top + 1) << shift)
}

/// The bin of the largest value.
const LAST_BIN: u32 = ((62 - SUB_BITS) << SUB_BITS) + EXACT_BELOW as u32 - 1;

impl Merge for LatencySketch {
    fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        (self.min_us, self.max_us) = if self.is_empty() {
            (other.min_us, other.max_us)
        } else {
            (self.min_us.min(other.min_us), self.max_us.max(other.max_us))
        };
        for (&bin, count) in &other.bins {
            *self.bins.entry(bin).or_default() += count;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

#[derive(Serialize, Deserialize)]
struct Compact {
    sum_us: u64,
    min_us: u64,
    max_us: u64,
    bins: Vec<u64>,
}

impl Serialize for LatencySketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut previous = 0;
        let mut bins = Vec::with_capacity(2 * self.bins.len());
        for (&bin, &count) in &self.bins {
            bins.extend([u64::from(bin - previous), count]);
            previous = bin;
        }
        Compact { sum_us: self.sum_us, min_us: self.min_us, max_us: self.max_us, bins }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LatencySketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Compact { sum_us, min_us, max_us, bins: pairs } = Compact::deserialize(deserializer)?;
        if pairs.len() % 2 != 0 {
            return Err(D::Error::custom("`bins` must alternate bin differences and counts"));
        }
        let (mut bins, mut bin, mut n) = (BTreeMap::new(), 0_u64, 0_u64);
        for (i, pair) in pairs.chunks_exact(2).enumerate() {
            bin = bin.saturating_add(pair[0]);
            let out_of_order = i > 0 && pair[0] == 0;
            if out_of_order || bin > u64::from(LAST_BIN) || pair[1] == 0 {
                return Err(D::Error::custom(format!(
                    "`bins`: entry {i} is repeated, beyond {LAST_BIN}, or empty"
                )));
            }
            n = n
                .checked_add(pair[1])
                .ok_or_else(|| D::Error::custom("`bins`: the counts overflow 64 bits"))?;
            bins.insert(bin as u32, pair[1]);
        }
        let fits = match (bins.first_key_value(), bins.last_key_value()) {
            (Some((&first, _)), Some((&last, _))) => {
                bin_of(min_us) == first && bin_of(max_us) == last && min_us <= max_us
            }
            _ => (sum_us, min_us, max_us) == (0, 0, 0),
        };
        if !fits {
            return Err(D::Error::custom("`min_us` and `max_us` must lie in the first and the last bin"));
        }
        Ok(Self { bins, sum_us, min_us, max_us })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> LatencySketch {
        let mut sketch = LatencySketch::default();
        values.iter().for_each(|&v| sketch.observe(v));
        sketch
    }

    #[test]
    fn bins_tile_the_line() {
        let mut next = 0;
        for bin in 0..=LAST_BIN {
            let (low, high) = edges(bin);
            assert_eq!((low, bin_of(low), bin_of(high - 1)), (next, bin, bin));
            assert!(low < EXACT_BELOW || (high - 1 - low) as f64 <= low as f64 / 64.0);
            next = high;
        }
        assert_eq!(next, 1 << 63);
        assert_eq!(bin_of(u64::MAX), LAST_BIN);
    }

    #[test]
    fn an_empty_sketch_has_no_quantile() {
        let empty = LatencySketch::default();
        assert_eq!((empty.quantile_us(0.5), empty.mean_us(), empty.count_above(0)), (None, None, 0));
        assert_eq!(of(&[5]).quantile_us(f64::NAN), None);
    }

    #[test]
    fn malformed_sketches_are_refused() {
        let read = |bins: &str, min: u64, max: u64| {
            let text = format!(r#"{{"sum_us":1,"min_us":{min},"max_us":{max},"bins":{bins}}}"#);
            serde_json::from_str::<LatencySketch>(&text)
        };
        assert!(read("[3,1]", 3, 3).is_ok());
        for bins in ["[3]", "[3,0]", "[3,1,0,1]", "[999999,1]", "[3,18446744073709551615,1,1]"] {
            assert!(read(bins, 3, 3).is_err(), "{bins}");
        }
        assert!(read("[3,1]", 3, 900).is_err());
    }

    #[test]
    fn a_typical_sketch_is_small() {
        let values: Vec<u64> = (0..10_000).map(|i| 2_000 + (i * i) % 90_000).collect();
        assert!(serde_json::to_vec(&of(&values)).unwrap().len() < 4_000);
    }

    proptest! {
        #[test]
        fn quantiles_keep_their_bound(mut values in prop::collection::vec(0u64..1 << 40, 1..300), q in 0.0f64..=1.0) {
            let sketch = of(&values);
            values.sort_unstable();
            let exact = values[(q * (values.len() - 1) as f64) as usize] as f64;
            let estimate = sketch.quantile_us(q).unwrap();
            prop_assert!((estimate - exact).abs() <= exact * RELATIVE_ERROR, "{} {}", estimate, exact);
        }

        #[test]
        fn exceedances_at_a_ceiling_are_exact(values in prop::collection::vec(0u64..1 << 30, 0..200), at in 0u64..1 << 30) {
            let ceiling = bin_ceiling_us(at);
            prop_assert!(ceiling >= at && (ceiling - at) as f64 <= at as f64 / 64.0);
            prop_assert_eq!(of(&values).count_above(ceiling), values.iter().filter(|&&v| v > ceiling).count() as u64);
            prop_assert_eq!(of(&values).count_above(at), of(&values).count_above(ceiling));
        }

        #[test]
        fn merging_forms_a_monoid(values in prop::collection::vec(any::<u64>(), 0..80), cut in 0usize..80) {
            let cut = cut.min(values.len());
            let mut right = of(&values[cut..]);
            right.merge(&of(&values[..cut]));
            right.merge(&LatencySketch::default());
            prop_assert_eq!(&right, &of(&values));
            let text = serde_json::to_string(&right).unwrap();
            prop_assert_eq!(serde_json::from_str::<LatencySketch>(&text).unwrap(), right);
        }
    }

    #[test]
    fn the_dense_accumulator_ends_as_the_same_sketch() {
        let (mut dense, mut sketch) = (DenseSketch::default(), LatencySketch::default());
        assert_eq!(dense.clone().finish(), sketch);
        for n in 0..5_000_u64 {
            for us in [n * n, n * 37 % 1_000, u64::MAX >> (n % 64)] {
                dense.observe(us);
                sketch.observe(us);
            }
        }
        assert_eq!(dense.finish(), sketch);
    }
}

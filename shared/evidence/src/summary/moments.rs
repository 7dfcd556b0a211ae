//! Sums over pairs as integers, and the jackknife over groups of units.

use seatrial_stats::intervals::t_interval;
use seatrial_stats::jackknife::MIN_GROUPS;
use seatrial_stats::{Interval, Merge};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::rows::Estimate;

/// Groups of units.
pub const GROUPS: usize = seatrial_stats::jackknife::GROUPS;

/// A 128-bit integer that is written as decimal text, since readers of JSON lose large integers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wide(pub i128);

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| de::Error::custom(format!("{text:?} is not a 128-bit integer")))
    }
}

/// Losses below 2⁷ (a clipped log loss is at most 36.05) in units of 2⁻⁵²: each rounds by at most 1.2e-16.
const FINE: f64 = 4_503_599_627_370_496.0;
/// Differences in units of 2⁻³⁶, so that a square has 88 bits and a sum of them room for 2³⁹ pairs.
const COARSE: f64 = 68_719_476_736.0;

/// A bounded loss of both versions over pairs: means, and the variance of the paired difference. Integers, so that any order
/// and any split give the same bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedLoss {
    n: u64,
    champion: Wide,
    challenger: Wide,
    squares: Wide,
}

impl PairedLoss {
    /// Counts one pair's losses, which must be finite, not negative and below 128.
    #[inline]
    pub fn observe(&mut self, champion: f64, challenger: f64) {
        debug_assert!((0.0..128.0).contains(&champion) && (0.0..128.0).contains(&challenger));
        let (x, y) = ((champion * FINE) as i64, (challenger * FINE) as i64);
        let difference = ((challenger - champion) * COARSE) as i64;
        self.n += 1;
        self.champion.0 += i128::from(x);
        self.challenger.0 += i128::from(y);
        self.squares.0 += i128::from(difference) * i128::from(difference);
    }

    /// Pairs counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Both means; none without pairs.
    #[must_use]
    pub fn means(&self) -> Option<(f64, f64)> {
        let mean = |sum: Wide| sum.0 as f64 / FINE / self.n as f64;
        (self.n > 0).then(|| (mean(self.champion), mean(self.challenger)))
    }

    /// The mean difference; none without pairs.
    #[must_use]
    pub fn delta(&self) -> Option<f64> {
        (self.n > 0).then(|| (self.challenger.0 - self.champion.0) as f64 / FINE / self.n as f64)
    }

    /// The mean difference with its t interval, pairs taken as independent.
    #[must_use]
    pub fn estimate(&self, confidence: f64) -> Option<Estimate> {
        let (champion, challenger) = self.means()?;
        let delta = self.delta()?;
        let n = self.n as f64;
        let mean_square = self.squares.0 as f64 / COARSE / COARSE / n;
        let variance = (mean_square - delta * delta).max(0.0) * n / (n - 1.0);
        let interval =
            if self.n > 1 { t_interval(delta, (variance / n).sqrt(), n - 1.0, confidence) } else { None };
        Some(Estimate {
            how: "paired t",
            n: self.n,
            champion: Some(champion),
            challenger: Some(challenger),
            delta: Some(delta),
            interval,
            own: None,
        })
    }
}

impl Merge for PairedLoss {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.champion.0 += other.champion.0;
        self.challenger.0 += other.challenger.0;
        self.squares.0 += other.squares.0;
    }
}

/// Equal-width bins of a reliability diagram over `[0, 1]`, the last one closed.
pub const RELIABILITY_BINS: usize = seatrial_stats::calibration::BINS;
/// Confidences in units of 2⁻⁵³.
const CONFIDENCE_UNIT: f64 = 9_007_199_254_740_992.0;

/// How often a score is right, by its size: of one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reliability {
    bins: [ReliabilityBin; RELIABILITY_BINS],
}

/// One bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Rows.
    pub n: u64,
    /// Rows that were what the score spoke for.
    pub hits: u64,
    sum: Wide,
}

impl ReliabilityBin {
    /// The mean score of the bin's rows.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum.0 as f64 / CONFIDENCE_UNIT / self.n as f64)
    }
}

impl Reliability {
    /// Counts a row; `confidence` must be in `[0, 1]`.
    #[inline]
    pub fn observe(&mut self, confidence: f64, hit: bool) {
        let bin = ((confidence * RELIABILITY_BINS as f64) as usize).min(RELIABILITY_BINS - 1);
        let bin = &mut self.bins[bin];
        bin.n += 1;
        bin.hits += u64::from(hit);
        bin.sum.0 += i128::from((confidence * CONFIDENCE_UNIT) as i64);
    }

    /// Rows counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.bins.iter().map(|bin| bin.n).sum()
    }

    /// The bins, empty ones included.
    #[must_use]
    pub fn bins(&self) -> &[ReliabilityBin] {
        &self.bins
    }

    /// Expected calibration error, `Σ n_b/n · |hits_b/n_b − score_b|`; none without rows.
    #[must_use]
    pub fn ece(&self) -> Option<f64> {
        let n = self.n();
        let part = |bin: &ReliabilityBin| {
            bin.score().map_or(0.0, |score| bin.n as f64 * (bin.hits as f64 / bin.n as f64 - score).abs())
        };
        (n > 0).then(|| self.bins.iter().map(part).sum::<f64>() / n as f64)
    }
}

impl Merge for Reliability {
    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            mine.n += theirs.n;
            mine.hits += theirs.hits;
            mine.sum.0 += theirs.sum.0;
        }
    }
}

/// The reliability of both versions on the same rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedReliability {
    /// The champion.
    pub champion: Reliability,
    /// The challenger.
    pub challenger: Reliability,
}

impl Merge for PairedReliability {
    fn merge(&mut self, other: &Self) {
        self.champion.merge(&other.champion);
        self.challenger.merge(&other.challenger);
    }
}

/// One accumulator for each group of units; empty while nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups<T>(Vec<T>);

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Merge + Default + Clone + PartialEq> Groups<T> {
    /// The accumulator of a group, taken modulo their number.
    #[inline]
    pub fn of(&mut self, group: u8) -> &mut T {
        if self.0.is_empty() {
            self.0.resize(GROUPS, T::default());
        }
        &mut self.0[usize::from(group) % GROUPS]
    }

    /// The groups; none while nothing was counted.
    #[must_use]
    pub fn groups(&self) -> &[T] {
        &self.0
    }

    /// All groups together.
    #[must_use]
    pub fn total(&self) -> T {
        let mut total = T::default();
        self.0.iter().for_each(|group| total.merge(group));
        total
    }

    /// The delete-a-group jackknife's interval of a statistic (Kott 2001), for units that repeat.
    pub fn jackknife(&self, confidence: f64, statistic: impl Fn(&T) -> Option<f64>) -> Option<Interval> {
        jackknife(&self.0, confidence, statistic)
    }
}

impl<T: Merge + Clone> Merge for Groups<T> {
    fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| mine.merge(theirs));
    }
}

/// The delete-a-group jackknife's interval of a statistic over groups of units (Kott 2001). None if it is undefined on all
/// groups or without one of them, or with too few of them.
pub fn jackknife<T: Merge + Default + Clone + PartialEq>(
    groups: &[T],
    confidence: f64,
    statistic: impl Fn(&T) -> Option<f64>,
) -> Option<Interval> {
    let empty = T::default();
    let groups: Vec<&T> = groups.iter().filter(|group| **group != empty).collect();
    if groups.len() < MIN_GROUPS {
        return None;
    }
    let merged = |mut one: T, other: &T| {
        one.merge(other);
        one
    };
    // after[i] merges the groups from i on; with a running prefix each leave-one-out sum costs one merge.
    let mut after = vec![T::default(); groups.len() + 1];
    for i in (0..groups.len()).rev() {
        after[i] = merged(after[i + 1].clone(), groups[i]);
    }
    let estimate = statistic(&after[0])?;
    let (mut before, mut squares) = (T::default(), 0.0);
    for (i, group) in groups.iter().enumerate() {
        let without = statistic(&merged(before.clone(), &after[i + 1]))? - estimate;
        squares += without * without;
        before.merge(group);
    }
    let n = groups.len() as f64;
    t_interval(estimate, (squares * (n - 1.0) / n).sqrt(), n - 1.0, confidence)
}

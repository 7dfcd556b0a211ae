//! The paired difference of two AUCs at scale: two fine histograms for the values, and coarse ones by group of units for
//! the standard error.

use super::{
    histogram::{AucHistogram, is_probability},
    interval_without_variance,
};
use crate::{Interval, Merge, intervals::t_interval, jackknife};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Bins of a group's coarse histogram.
pub const COARSE_BINS: usize = 1_024;

/// Cells of a group: bin, arm (champion first), class (negative first).
const PER_GROUP: usize = COARSE_BINS * 4;
const CELLS: usize = jackknife::GROUPS * PER_GROUP;

/// Both versions' scores of the same rows: AUC, bound and grouped-jackknife interval of their difference.
///
/// Memory: two [`AucHistogram`]s (1 MiB each) and [`jackknife::GROUPS`] × [`COARSE_BINS`] × 2 versions × 2 classes counts
/// of 32 bits (1 MiB), allocated with the first row and the same for any number of rows. The coarse bins are narrow where
/// scores crowd, near 0 and near 1: each octave of `min(p, 1 − p)` down to 2⁻¹⁷ has 32. They serve the standard error
/// alone, in which a tie more or less hardly shows; values and bounds come from the fine histograms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedAucHistogram {
    champion: AucHistogram,
    challenger: AucHistogram,
    groups: Coarse,
    invalid: u64,
}

/// Two AUCs of binned scores on the same rows, and their difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedAucAtScale {
    /// Positive rows.
    pub positives: u64,
    /// Negative rows.
    pub negatives: u64,
    /// The champion's AUC.
    pub champion: f64,
    /// The challenger's AUC.
    pub challenger: f64,
    /// Challenger minus champion.
    pub delta: f64,
    /// The exact delta lies within this of `delta`: the sum of both versions' bounds.
    pub bound: f64,
    /// Standard error of the delta by the delete-a-group jackknife (Kott 2001); `None` with fewer than
    /// [`jackknife::MIN_GROUPS`] groups of units, or if a class is in one group only.
    pub standard_error: Option<f64>,
    /// t interval of the delta, widened by `bound` on both sides; `None` without a standard error. Where that is zero though
    /// the scores differ, the interval of [`super::PairedAuc::interval`].
    pub interval: Option<Interval>,
    /// Groups that have rows.
    pub groups: usize,
}

impl PairedAucHistogram {
    /// Counts a row with both versions' probability of the positive class. `group` is the unit's, of
    /// [`jackknife::GROUPS`] (see [`jackknife::group_of`]; taken modulo their number). A row with a score outside `[0, 1]`
    /// is counted as invalid, in neither version; returns whether it was valid.
    #[inline]
    pub fn observe(&mut self, truth: bool, champion: f64, challenger: f64, group: usize) -> bool {
        let valid = is_probability(champion) && is_probability(challenger);
        if valid {
            self.champion.observe(truth, champion);
            self.challenger.observe(truth, challenger);
            self.groups.observe(truth, champion, challenger, group);
        } else {
            self.invalid += 1;
        }
        valid
    }

    /// Rows refused because a score was no probability.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// The champion's histogram.
    #[must_use]
    pub fn champion(&self) -> &AucHistogram {
        &self.champion
    }

    /// The challenger's histogram, of the same rows.
    #[must_use]
    pub fn challenger(&self) -> &AucHistogram {
        &self.challenger
    }

    /// The difference with its bound and interval; `None` if a class is absent or the confidence is not in (0, 1).
    #[must_use]
    pub fn difference(&self, confidence: f64) -> Option<PairedAucAtScale> {
        let (champion, challenger) = (self.champion.auc()?, self.challenger.auc()?);
        if !(confidence > 0.0 && confidence < 1.0) {
            return None;
        }
        let (delta, bound) = (challenger.auc - champion.auc, challenger.bound + champion.bound);
        let (groups, standard_error) = self.groups.standard_error();
        let interval = standard_error
            .and_then(|error| {
                if error > 0.0 || self.champion == self.challenger {
                    return t_interval(delta, error, (groups - 1) as f64, confidence);
                }
                let classes = [champion.positives, champion.negatives];
                interval_without_variance(classes, [champion.auc, challenger.auc], confidence)
            })
            .and_then(|i| Interval::new(i.low - bound, i.high + bound))
            .map(|i| i.clamped(-1.0, 1.0));
        Some(PairedAucAtScale {
            positives: champion.positives,
            negatives: champion.negatives,
            champion: champion.auc,
            challenger: challenger.auc,
            delta,
            bound,
            standard_error,
            interval,
            groups,
        })
    }
}

impl Merge for PairedAucHistogram {
    fn merge(&mut self, other: &Self) {
        self.champion.merge(&other.champion);
        self.challenger.merge(&other.challenger);
        self.groups.merge(&other.groups);
        self.invalid += other.invalid;
    }
}

/// Counts by group, coarse bin, version and class. They saturate at 2³² − 1, which one cell of one group reaches after some
/// 270 billion rows of one and the same score.
#[derive(Clone, Debug, Default)]
struct Coarse {
    cells: Vec<u32>,
}

/// Order-preserving: the octave of `min(p, 1 − p)` and five bits of its fraction, counted from both ends. Exponents below
/// 2⁻¹⁷ share the outermost bin.
#[inline]
fn coarse_bin(score: f64) -> usize {
    const HALF: usize = COARSE_BINS / 2;
    // Exponent and five bits of fraction of 2⁻¹⁷, the smallest size that has a bin of its own.
    const FIRST: u64 = (1023 - 17) << 5;
    let upper = score >= 0.5;
    let tail = if upper { 1.0 - score } else { score.abs() }; // a zero may be negative
    let rank = ((tail.to_bits() >> 47).saturating_sub(FIRST) as usize).min(HALF - 1);
    if upper { COARSE_BINS - 1 - rank } else { rank }
}

impl Coarse {
    #[inline]
    fn observe(&mut self, truth: bool, champion: f64, challenger: f64, group: usize) {
        if self.cells.is_empty() {
            self.allocate();
        }
        let base = (group % jackknife::GROUPS) * PER_GROUP + usize::from(truth);
        for (score, arm) in [(champion, 0), (challenger, 2)] {
            let cell = &mut self.cells[base + 4 * coarse_bin(score) + arm];
            *cell = cell.saturating_add(1);
        }
    }

    #[cold]
    fn allocate(&mut self) {
        self.cells = vec![0; CELLS];
    }

    /// Groups with rows, and the jackknife's standard error of the difference of both areas.
    fn standard_error(&self) -> (usize, Option<f64>) {
        let mut total = vec![0_u64; PER_GROUP];
        let groups: Vec<&[u32]> =
            self.cells.chunks_exact(PER_GROUP).filter(|group| group.iter().any(|&n| n > 0)).collect();
        for group in &groups {
            total.iter_mut().zip(*group).for_each(|(sum, &n)| *sum += u64::from(n));
        }
        (
            groups.len(),
            (groups.len() >= jackknife::MIN_GROUPS).then(|| leave_each_out(&total, &groups)).flatten(),
        )
    }

    fn occupied(&self) -> impl Iterator<Item = (usize, u32)> {
        self.cells.iter().enumerate().filter(|(_, n)| **n > 0).map(|(cell, &n)| (cell, n))
    }
}

/// Standard error over the differences that leave out one group each. `None` if a class is absent without some group.
fn leave_each_out(total: &[u64], groups: &[&[u32]]) -> Option<f64> {
    let count = groups.len() as f64;
    let bins = || total.chunks_exact(4).map(|bin| [bin[0], bin[1], bin[2], bin[3]]);
    let without = |group: &&[u32]| {
        let own = group.chunks_exact(4);
        delta(bins().zip(own).map(|(bin, own)| std::array::from_fn(|cell| bin[cell] - u64::from(own[cell]))))
    };
    let deltas: Vec<f64> = groups.iter().map(without).collect::<Option<_>>()?;
    let estimate = delta(bins())?;
    let squares: f64 = deltas.iter().map(|d| (d - estimate).powi(2)).sum();
    Some((squares * (count - 1.0) / count).sqrt())
}

/// The challenger's area less the champion's, from each bin's `[champion's negatives, champion's positives, challenger's
/// negatives, challenger's positives]`; rows of one bin tie.
fn delta(bins: impl Iterator<Item = [u64; 4]>) -> Option<f64> {
    let (mut positives, mut negatives, mut twice_wins) = (0_u64, [0_u64; 2], [0_i128; 2]);
    for bin in bins {
        for arm in [0, 1] {
            let (negative, positive) = (bin[2 * arm], bin[2 * arm + 1]);
            twice_wins[arm] += i128::from(positive) * (2 * i128::from(negatives[arm]) + i128::from(negative));
            negatives[arm] += negative;
        }
        positives += bin[1];
    }
    let pairs = 2.0 * positives as f64 * negatives[0] as f64;
    (pairs > 0.0).then(|| (twice_wins[1] - twice_wins[0]) as f64 / pairs)
}

impl PartialEq for Coarse {
    fn eq(&self, other: &Self) -> bool {
        self.occupied().eq(other.occupied())
    }
}
impl Eq for Coarse {}

impl Merge for Coarse {
    fn merge(&mut self, other: &Self) {
        if self.cells.is_empty() {
            self.cells.clone_from(&other.cells);
            return;
        }
        self.cells
            .iter_mut()
            .zip(&other.cells)
            .for_each(|(mine, theirs)| *mine = mine.saturating_add(*theirs));
    }
}

/// As a flat list of `distance from the previous cell, count`.
impl Serialize for Coarse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut previous = 0;
        serializer.collect_seq(self.occupied().flat_map(|(cell, n)| {
            let distance = (cell - previous) as u32;
            previous = cell;
            [distance, n]
        }))
    }
}

impl<'de> Deserialize<'de> for Coarse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<u32>::deserialize(deserializer)?;
        let mut coarse = Self::default();
        let mut cell = 0_usize;
        for (i, pair) in list.chunks(2).enumerate() {
            let &[distance, n] = pair else {
                return Err(D::Error::custom("`groups` must alternate cell distances and counts"));
            };
            cell = cell.saturating_add(distance as usize);
            if (i > 0 && distance == 0) || cell >= CELLS || n == 0 {
                return Err(D::Error::custom(format!(
                    "`groups`: entry {i} is repeated, beyond cell {}, or empty",
                    CELLS - 1
                )));
            }
            if coarse.cells.is_empty() {
                coarse.allocate();
            }
            coarse.cells[cell] = n;
        }
        Ok(coarse)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::{auc::delong, jackknife::group_of};
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng, SeedableRng},
    };

    /// Truth and both scores of `n` units; the challenger's score carries less noise.
    fn rows(n: u32, seed: u64) -> Vec<(bool, f64, f64, usize)> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = || (random.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0;
        let mut row = |i: u32| {
            let truth = uniform() < 0.3;
            let signal = f64::from(u8::from(truth)) * 0.25 + 0.75 * uniform();
            let champion = (signal + 0.5 * (uniform() - 0.5)).clamp(0.0, 1.0);
            let challenger = (signal + 0.2 * (uniform() - 0.5)).clamp(0.0, 1.0);
            (truth, champion, challenger, group_of(&i.to_string(), jackknife::GROUPS))
        };
        (0..n).map(&mut row).collect()
    }

    fn of(rows: &[(bool, f64, f64, usize)]) -> PairedAucHistogram {
        let mut paired = PairedAucHistogram::default();
        rows.iter().for_each(|&(truth, a, b, group)| assert!(paired.observe(truth, a, b, group)));
        paired
    }

    #[test]
    fn coarse_bins_follow_the_order_of_scores() {
        let scores: Vec<f64> = (0..=200_000).map(|i| f64::from(i) / 200_000.0).collect();
        let bins: Vec<usize> = scores.iter().map(|&s| coarse_bin(s)).collect();
        assert!(bins.windows(2).all(|w| w[0] <= w[1]));
        assert_eq!((bins[0], bins[200_000], coarse_bin(-0.0)), (0, COARSE_BINS - 1, 0));
        assert!(coarse_bin(0.001) < coarse_bin(0.001_05) && coarse_bin(0.999) < coarse_bin(0.999_05));
    }

    #[test]
    fn with_units_of_one_row_the_interval_is_delongs() {
        let rows = rows(20_000, 3);
        let ours = of(&rows).difference(0.95).unwrap();
        let truths: Vec<bool> = rows.iter().map(|r| r.0).collect();
        let (champion, challenger): (Vec<f64>, Vec<f64>) = rows.iter().map(|r| (r.1, r.2)).unzip();
        let exact = delong(&truths, &champion, &challenger).unwrap();
        assert!((ours.delta - exact.delta).abs() <= ours.bound, "{ours:?} {exact:?}");
        assert!(ours.bound < 5e-5, "{ours:?}");
        let ratio = ours.standard_error.unwrap() / exact.variance.sqrt();
        assert!((0.75..1.25).contains(&ratio), "{ratio}");
        assert!(ours.interval.unwrap().contains(exact.delta) && ours.groups == jackknife::GROUPS);
    }

    #[test]
    fn repeated_units_widen_the_interval() {
        let once = rows(2_000, 9);
        let repeated: Vec<_> = once.iter().flat_map(|row| [*row; 10]).collect();
        let (one, ten) = (of(&once).difference(0.95).unwrap(), of(&repeated).difference(0.95).unwrap());
        assert!((one.standard_error.unwrap() - ten.standard_error.unwrap()).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        let mut paired = PairedAucHistogram::default();
        assert_eq!(paired.difference(0.95), None);
        assert!(!paired.observe(true, f64::NAN, 0.5, 0) && !paired.observe(true, 0.5, 7.0, 0));
        (0..50).for_each(|i| assert!(paired.observe(true, 0.5, 0.5, i)));
        assert_eq!((paired.difference(0.95), paired.invalid(), paired.champion().n()), (None, 2, 50));
        assert!(paired.observe(false, 0.5, 0.5, 3));
        // The only negative is in one group: without it there is no area.
        let row = paired.difference(0.95).unwrap();
        assert_eq!((row.delta, row.bound, row.standard_error, row.interval), (0.0, 1.0, None, None));
        assert_eq!(paired.difference(1.0), None);
        assert_eq!(of(&rows(9, 1)).difference(0.95).and_then(|row| row.interval), None);
    }

    #[test]
    fn equal_scores_differ_by_exactly_nothing() {
        let same: Vec<_> = rows(500, 4).into_iter().map(|(t, a, _, g)| (t, a, a, g)).collect();
        let row = of(&same).difference(0.95).unwrap();
        assert_eq!((row.delta, row.standard_error), (0.0, Some(0.0)));
        assert!(row.interval.unwrap().high <= row.bound);
        // Different, but both without an error on 60 rows: not the same thing.
        let row = |i: u32| (i >= 30, f64::from(i) / 60.0, f64::from(i * i) / 3600.0, i as usize);
        let perfect: Vec<_> = (0..60).map(row).collect();
        let row = of(&perfect).difference(0.95).unwrap();
        assert_eq!((row.champion, row.challenger, row.standard_error), (1.0, 1.0, Some(0.0)));
        assert!(row.interval.unwrap().high > 0.1, "{row:?}");
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let paired = of(&rows(300, 5));
        let text = serde_json::to_string(&paired).unwrap();
        assert_eq!(serde_json::from_str::<PairedAucHistogram>(&text).unwrap(), paired);
        assert!(text.len() < 20_000, "{}", text.len());
        for groups in ["[1]", "[5,0]", "[5,1,0,1]", "[262144,1]"] {
            assert!(serde_json::from_str::<Coarse>(groups).is_err(), "{groups}");
        }
    }
}

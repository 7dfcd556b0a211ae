//! The area under the ROC curve of any number of rows, from counts by score bin.

use crate::{Merge, share};
use serde::{Deserialize, Serialize};

/// Bins of [`AucHistogram`], of equal width over `[0, 1]`.
pub const AUC_BINS: usize = 65_536;

/// Where rows are counted whose score is no probability: behind the bins, so that counting needs no decision.
const INVALID: usize = 2 * AUC_BINS;

/// Counts of both classes by score bin: a mergeable AUC for any number of rows in one megabyte, allocated with the first
/// row. Serialises sparsely as `[bin, positives, negatives]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Sparse", into = "Sparse")]
pub struct AucHistogram {
    /// Empty, or at `2·bin` the bin's negatives, at `2·bin + 1` its positives, and last the invalid rows.
    cells: Vec<u64>,
}

/// An AUC from binned scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BinnedAuc {
    /// Area with scores of one bin counted as ties.
    pub auc: f64,
    /// The exact area lies within this of `auc`: ½·Σ pos·neg / (P·N), since only pairs that share a bin are unknown, and
    /// each of those is counted as one half. Large where the scores crowd into few bins.
    pub bound: f64,
    /// Positive rows.
    pub positives: u64,
    /// Negative rows.
    pub negatives: u64,
}

impl AucHistogram {
    /// Counts a row; `score` is the probability of the positive class. A score outside `[0, 1]` (NaN too) is counted as
    /// invalid; returns whether it was valid. No allocation but the first, no branch on the data.
    #[inline]
    pub fn observe(&mut self, truth: bool, score: f64) -> bool {
        if self.cells.is_empty() {
            self.allocate();
        }
        let valid = is_probability(score);
        // The cast saturates: a NaN becomes 0 and is then sent to the invalid cell like all else.
        let bin = ((score * AUC_BINS as f64) as usize).min(AUC_BINS - 1);
        let cell = 2 * bin + usize::from(truth);
        self.cells[if valid { cell } else { INVALID }] += 1;
        valid
    }

    #[cold]
    fn allocate(&mut self) {
        self.cells = vec![0; INVALID + 1];
    }

    /// Rows refused because their score was no probability.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.cells.get(INVALID).copied().unwrap_or(0)
    }

    /// Rows counted.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.bins().map(|(_, negatives, positives)| negatives + positives).sum()
    }

    /// The non-empty bins as `(bin, negatives, positives)`, by rising score; bin `i` is `[i, i + 1) / 65536`, the last
    /// one closed.
    pub fn bins(&self) -> impl Iterator<Item = (usize, u64, u64)> {
        let pairs = self.cells.chunks_exact(2).enumerate();
        pairs.filter(|(_, pair)| pair[0] + pair[1] > 0).map(|(bin, pair)| (bin, pair[0], pair[1]))
    }

    /// The area and its bound; `None` if a class is absent.
    #[must_use]
    pub fn auc(&self) -> Option<BinnedAuc> {
        let (mut positives, mut negatives, mut wins, mut ties) = (0_u64, 0_u64, 0_u128, 0_u128);
        for (_, negative, positive) in self.bins() {
            wins += u128::from(positive) * u128::from(negatives);
            ties += u128::from(positive) * u128::from(negative);
            positives += positive;
            negatives += negative;
        }
        share(positives, negatives).filter(|&odds| odds > 0.0)?;
        let pairs = (2 * u128::from(positives) * u128::from(negatives)) as f64;
        Some(BinnedAuc {
            auc: (2 * wins + ties) as f64 / pairs,
            bound: ties as f64 / pairs,
            positives,
            negatives,
        })
    }

    /// The non-empty cells, the one for invalid rows included.
    fn occupied(&self) -> impl Iterator<Item = (usize, u64)> {
        self.cells.iter().enumerate().filter(|(_, n)| **n > 0).map(|(cell, &n)| (cell, n))
    }
}

/// Whether a score is in `[0, 1]`; a NaN is not.
#[inline]
pub(super) fn is_probability(score: f64) -> bool {
    (0.0..=1.0).contains(&score)
}

/// Equal counts are equal, whether the memory was allocated or not.
impl PartialEq for AucHistogram {
    fn eq(&self, other: &Self) -> bool {
        self.occupied().eq(other.occupied())
    }
}
impl Eq for AucHistogram {}

impl Merge for AucHistogram {
    fn merge(&mut self, other: &Self) {
        if self.cells.is_empty() {
            self.cells.clone_from(&other.cells);
            return;
        }
        self.cells.iter_mut().zip(&other.cells).for_each(|(mine, theirs)| *mine += theirs);
    }
}

#[derive(Serialize, Deserialize)]
struct Sparse {
    invalid: u64,
    bins: Vec<(u16, u64, u64)>,
}

impl From<Sparse> for AucHistogram {
    fn from(sparse: Sparse) -> Self {
        let mut histogram = Self::default();
        if sparse.invalid > 0 || !sparse.bins.is_empty() {
            histogram.allocate();
            histogram.cells[INVALID] = sparse.invalid;
        }
        for (bin, positives, negatives) in sparse.bins {
            let at = 2 * usize::from(bin);
            histogram.cells[at] = histogram.cells[at].saturating_add(negatives);
            histogram.cells[at + 1] = histogram.cells[at + 1].saturating_add(positives);
        }
        histogram
    }
}

impl From<AucHistogram> for Sparse {
    fn from(histogram: AucHistogram) -> Self {
        let bins = histogram.bins().map(|(bin, negatives, positives)| (bin as u16, positives, negatives));
        Self { invalid: histogram.invalid(), bins: bins.collect() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::auc::auc;
    use proptest::prelude::*;

    #[test]
    fn ends_belong_to_the_outer_bins_and_nonsense_is_counted_apart() {
        let mut histogram = AucHistogram::default();
        assert_eq!((histogram.auc(), histogram.n(), histogram.invalid()), (None, 0, 0));
        assert!(
            histogram.observe(false, 0.0) && histogram.observe(true, 1.0) && histogram.observe(true, -0.0)
        );
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1.0 + f64::EPSILON] {
            assert!(!histogram.observe(true, nonsense));
        }
        assert_eq!(histogram.bins().collect::<Vec<_>>(), [(0, 1, 1), (AUC_BINS - 1, 0, 1)]);
        assert_eq!((histogram.n(), histogram.invalid()), (3, 5));
    }

    #[test]
    fn one_class_has_no_area_and_constant_scores_are_one_tie() {
        let mut histogram = AucHistogram::default();
        (0..5).for_each(|_| assert!(histogram.observe(true, 0.5)));
        assert_eq!(histogram.auc(), None);
        (0..3).for_each(|_| assert!(histogram.observe(false, 0.5)));
        let area = histogram.auc().unwrap();
        assert_eq!((area.auc, area.bound, area.positives, area.negatives), (0.5, 0.5, 5, 3));
    }

    proptest! {
        #[test]
        fn the_bound_holds(rows in prop::collection::vec((any::<bool>(), 0.0f64..=1.0), 2..200), crowd in 0.0001f64..1.0) {
            // Crowded scores put many rows into few bins.
            let truths: Vec<bool> = rows.iter().map(|r| r.0).collect();
            let scores: Vec<f64> = rows.iter().map(|r| r.1 * crowd * 0.01).collect();
            let mut histogram = AucHistogram::default();
            for (&t, &s) in truths.iter().zip(&scores) { histogram.observe(t, s); }
            match (auc(&truths, &scores), histogram.auc()) {
                (Some(exact), Some(binned)) => prop_assert!((exact - binned.auc).abs() <= binned.bound + 1e-12),
                (exact, binned) => prop_assert!(exact.is_none() && binned.is_none()),
            }
        }
    }
}

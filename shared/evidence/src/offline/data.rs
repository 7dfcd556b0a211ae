//! A benchmark, and what both versions answered to it.

use std::collections::BTreeMap;

use seatrial_stats::sketch::LatencySketch;

/// What stands for the answer of a version that failed.
pub const FAILED: &str = "(failed)";

/// What a version answered to one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The class.
    pub label: Option<String>,
    /// The probabilities, in the order of the version's classes.
    pub scores: Option<Vec<f64>>,
    /// The number.
    pub value: Option<f64>,
}

/// What one version answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    /// The classes in the order of its scores; none for numbers.
    pub classes: Vec<String>,
    /// The answer to each row, or the kind of its error.
    pub rows: Vec<Result<Answer, String>>,
    /// Latencies of single calls.
    pub latency: LatencySketch,
}

/// What is true of each row.
#[derive(Debug, Clone, PartialEq)]
pub enum Truths {
    /// A class.
    Classes(Vec<String>),
    /// A finite number.
    Numbers(Vec<f64>),
}

impl Default for Truths {
    fn default() -> Self {
        Self::Classes(Vec::new())
    }
}

impl Truths {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(rows) => rows.len(),
            Self::Numbers(rows) => rows.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A benchmark with everything the metrics need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// What is true of each row.
    pub truths: Truths,
    /// How much each row counts (finite, zero or more), where the benchmark says so.
    pub weights: Option<Vec<f64>>,
    /// The unit of each row, where the benchmark names units.
    pub units: Option<Vec<String>>,
    /// The values of each segment column.
    pub segments: BTreeMap<String, Vec<Option<String>>>,
    /// The positive class, for two classes.
    pub positive: Option<String>,
    /// The champion's answers.
    pub champion: Option<Answers>,
    /// The challenger's.
    pub challenger: Answers,
    /// The seed of every resampling.
    pub seed: u64,
}

impl Judged {
    /// How many rows of equal weight would be worth as much: (Σw)²/Σw² (Kish 1965). The number of rows without weights.
    #[must_use]
    pub fn effective_rows(&self) -> f64 {
        let Some(weights) = &self.weights else { return self.truths.len() as f64 };
        let (sum, squares) = weights.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
        if squares > 0.0 { sum * sum / squares } else { 0.0 }
    }
}

impl Answers {
    pub(super) fn label(&self, row: usize) -> &str {
        self.answer(row).and_then(|a| a.label.as_deref()).unwrap_or(FAILED)
    }

    fn answer(&self, row: usize) -> Option<&Answer> {
        self.rows.get(row).and_then(|r| r.as_ref().ok())
    }

    /// Whether it gave no answer of the kind that is asked for.
    pub(super) fn failed(&self, row: usize) -> bool {
        self.answer(row).is_none_or(|a| a.label.is_none() && a.value.is_none())
    }

    pub(super) fn value(&self, row: usize) -> Option<f64> {
        self.answer(row)?.value.filter(|v| v.is_finite())
    }

    fn probability(&self, row: usize, class: &str) -> Option<f64> {
        let place = self.classes.iter().position(|c| c == class)?;
        self.answer(row)?.scores.as_ref()?.get(place).copied()
    }

    /// The probability of the truth; 0 for a failure. `None` when the version gives no scores.
    pub(super) fn of_truth(&self, row: usize, truth: &str) -> Option<f64> {
        if self.failed(row) { Some(0.0) } else { Some(self.probability(row, truth)?.clamp(0.0, 1.0)) }
    }

    /// The score of `positive`; a failure scores as wrong as can be.
    pub(super) fn positive(&self, row: usize, truth: bool, positive: &str) -> Option<f64> {
        if self.failed(row) { Some(f64::from(u8::from(!truth))) } else { self.probability(row, positive) }
    }

    /// The score of `positive` that was really given.
    pub(super) fn given(&self, row: usize, positive: &str) -> Option<f64> {
        if self.failed(row) { None } else { self.probability(row, positive) }
    }

    /// The confidence in the answer and whether it was right, for calibration: of the positive class where there is one.
    pub(super) fn confidence(&self, row: usize, truth: &str, positive: Option<&str>) -> Option<(f64, bool)> {
        if self.failed(row) {
            return Some((1.0, false));
        }
        let class = positive.unwrap_or_else(|| self.label(row));
        Some((self.probability(row, class)?.clamp(0.0, 1.0), truth == class))
    }
}

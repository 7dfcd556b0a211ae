//! What is asked of the pairs.

use jiff::Timestamp;
use seatrial_domain::policy::{Margin, Policy, Task};
use serde::{Deserialize, Serialize};

/// What is counted over pairs, and how: all of it from the pinned policy and the frozen list, so that every worker counts
/// alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// How many partitions the pairs are written to.
    pub partitions: u16,
    /// Whether answers are numbers rather than classes.
    pub numbers: bool,
    /// Whether all probabilities of an answer are read, for a log loss over more than two classes.
    pub all_scores: bool,
    /// The columns whose values are counted apart.
    pub columns: Vec<String>,
    /// `column=value` that are counted apart even where a column has too many values.
    pub named: Vec<String>,
    /// The class that scores are about, where the policy says it; else the files say it.
    pub positive: Option<String>,
    /// The score at which the application acts.
    pub threshold: Option<f64>,
    /// How far two numbers may be apart and still agree.
    pub tolerance: Margin,
    /// Label metrics count pairs that the queue took before this time, in microseconds since 1970.
    pub mature_before_us: i64,
}

impl Spec {
    /// What this policy asks of pairs, for a list that was frozen at `at`.
    #[must_use]
    pub fn of(policy: &Policy, at: Timestamp) -> Self {
        let maturity = i64::from(policy.labels.maturity_seconds).saturating_mul(1_000_000);
        Self {
            partitions: policy.shadow.partitions.max(1),
            numbers: policy.task == Task::Regression,
            all_scores: policy.task == Task::Multiclass,
            columns: policy.segment_columns(),
            named: policy.named_segments.clone(),
            positive: (policy.task == Task::Binary).then(|| policy.positive_class.clone()).flatten(),
            threshold: policy.decision_threshold,
            tolerance: policy.tolerance,
            // Without a maturity every pair is old enough, also one whose queue's clock was ahead of the freeze.
            mature_before_us: if maturity == 0 {
                i64::MAX
            } else {
                at.as_microsecond().saturating_sub(maturity)
            },
        }
    }

    /// Whether two numbers agree.
    #[must_use]
    pub fn agrees(&self, champion: f64, challenger: f64) -> bool {
        let reach = match self.tolerance {
            Margin::Absolute(m) => m,
            Margin::Relative(m) => m * champion.abs(),
        };
        (champion - challenger).abs() <= reach
    }
}

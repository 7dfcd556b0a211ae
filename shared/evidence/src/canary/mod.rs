//! Is a canary healthy, degraded, or not yet known. Pure: tallies, signals and a policy in, a judgement out.
//!
//! Harm is rejected by sequential tests over all steps that hold at every look: given an error, it is the canary's with the
//! weight then in force, and so is an answer beyond a latency that was frozen before. Evidence over steps is one product; counts
//! of different weights are never pooled. Being healthy needs more than not being rejected: each guardrail is non-inferior
//! within its margin *in this step*, or was given the n that detects what the policy names. No data is never healthy.

mod answers;
mod chart;
mod counts;
mod errors;
mod history;
mod judge;
mod latency;
mod ratio;
mod row;
mod signals;
mod traffic;
mod words;

pub(crate) use errors::rejects as error_rate_rejects;
pub(crate) use latency::{longer, rejects as latency_rejects, slow_beyond_doubt};
pub(crate) use row::{Watched, watched};
pub(crate) use words::{count, duration, percent, rate};

pub use counts::{ArmTally, AtWeight, Counts, GRACE_SECONDS};
pub use history::{Classes, History, Slot, SlotArm};
pub use judge::{Facts, Judgement, StepCounts, judge};
pub use latency::Frozen;
pub use ratio::{RATIO_ALPHA, SAMPLE_RATIO, Split};
pub use row::{CanaryRow, RowState};
pub use traffic::{Traffic, TrafficState};

//! Pairs: the champion's and the challenger's answers to the same request, side by side.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::observation::Output;

/// One replayed request. The table of all pairs of a promotion is `shadow_predictions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The served row.
    pub observation_id: String,
    /// The caller's own id of it.
    pub client_id: Option<String>,
    /// What was randomised.
    pub unit: String,
    /// When it was served, by the producer.
    pub at: Timestamp,
    /// When the queue took it: the evidence clock.
    pub queued_at: Timestamp,
    /// The version that really answered.
    pub served_version: String,
    /// What it really answered.
    pub served_label: Option<String>,
    /// The probability of the positive (binary) or of the answered class it really gave.
    pub served_score: Option<f64>,
    /// The number it really answered, where answers are numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_value: Option<f64>,
    /// Whether the real request failed because of the model.
    pub served_error: bool,
    /// The champion, replayed.
    pub champion: Replayed,
    /// The challenger, replayed.
    pub challenger: Replayed,
    /// Whether the replayed champion answers what the champion really answered; unknown when another version did.
    pub faithful: Option<bool>,
    /// Segments and protected attributes by column.
    pub segments: BTreeMap<String, String>,
}

/// What a version answered in the replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// The class.
    pub label: Option<String>,
    /// The probability of the positive (binary) or of the answered class.
    pub score: Option<f64>,
    /// All probabilities, in the order of the version's classes.
    pub scores: Option<Vec<f64>>,
    /// The number, where answers are numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Time to answer in microseconds; of both versions in the same process, in random order.
    pub latency_us: u64,
    /// The kind of error, if it failed: `crash` when the replay did not survive it.
    pub error: Option<String>,
}

/// The note in a file of pairs that holds a [`ClassesNote`] as JSON.
pub const CLASSES_NOTE: &str = "seatrial.classes";

/// What a file of pairs says of the classes its scores are about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassesNote {
    /// The champion's classes in the order of its probabilities.
    pub champion: Vec<String>,
    /// The challenger's.
    pub challenger: Vec<String>,
    /// The class that scores are about, for a binary model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
}

impl Replayed {
    /// Whether there is an answer that can be compared.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.error.is_none() && (self.label.is_some() || self.value.is_some())
    }
}

impl Pair {
    /// Whether challenger and champion agree: a pair in which the challenger fails is a disagreement.
    ///
    /// Agreement is with the answer really served when the champion served it, else with the replayed champion's.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let reference = match (self.faithful, &self.served_label) {
            (Some(_), Some(label)) => Some(label),
            _ => self.champion.label.as_ref(),
        };
        self.challenger.error.is_none() && reference.is_some() && self.challenger.label.as_ref() == reference
    }
}

/// The score that is kept of an output: the positive class's probability, else that of the answered class (the largest).
#[must_use]
pub fn score_of(output: &Output, positive_index: Option<usize>) -> Option<f64> {
    let scores = output.scores.as_ref()?;
    match positive_index {
        Some(i) => scores.get(i).copied(),
        None => scores.iter().copied().reduce(f64::max),
    }
}

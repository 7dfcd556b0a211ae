//! From a sampled row and what both versions answered to a pair. Pure.

use std::collections::BTreeMap;

use seatrial_domain::ids::VersionName;
use seatrial_evidence::observation::{Served, Side};
use seatrial_evidence::pair::{Pair, Replayed, score_of};
use seatrial_evidence::shadow::Sample;
use serde_json::Value;

use crate::child::Outcome;

/// How far a replayed score may be from the served one: engines differ in the last bits of a 32-bit float.
const SCORE_TOLERANCE: f64 = 1e-5;

/// The pair of a sampled row.
#[must_use]
pub fn pair(
    sample: &Sample,
    champion: VersionName,
    columns: &[String],
    positive: Option<usize>,
    outcome: Outcome,
) -> Pair {
    let row = &sample.row;
    let (champion_answer, challenger_answer) = match outcome {
        Outcome::Both { champion, challenger } => (champion, challenger),
        // What really was served shows that the champion survives this row, so the crash is the challenger's.
        Outcome::Died(how) => {
            (Replayed::default(), Replayed { error: Some(how.to_owned()), ..Replayed::default() })
        }
    };
    let served_score = score_of(&row.output, positive);
    let served_by_champion = row.version == champion && row.error.is_none() && champion_answer.answered();
    let faithful = served_by_champion.then(|| {
        champion_answer.label == row.output.label
            && near(served_score, champion_answer.score)
            && same_number(row.output.value, champion_answer.value)
    });
    Pair {
        observation_id: row.observation_id.clone(),
        client_id: row.client_id.clone(),
        unit: row.unit_or_request().to_owned(),
        at: row.at,
        queued_at: sample.queued_at,
        served_version: row.version.to_string(),
        served_label: row.output.label.clone(),
        served_score,
        served_value: row.output.value,
        served_error: row.error.as_ref().is_some_and(|e| e.side == Side::Model),
        champion: champion_answer,
        challenger: challenger_answer,
        faithful,
        segments: segments(row, columns),
    }
}

fn near(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= SCORE_TOLERANCE,
        (a, b) => a.is_none() == b.is_none(),
    }
}

/// Numbers have no scale that is known here: what counts is how far apart they are beside their own size.
fn same_number(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= SCORE_TOLERANCE * a.abs().max(b.abs()).max(1.0),
        (a, b) => a.is_none() == b.is_none(),
    }
}

/// The values of the segment columns: what the caller named, else the input of that name.
fn segments(row: &Served, columns: &[String]) -> BTreeMap<String, String> {
    columns
        .iter()
        .filter_map(|column| {
            let named = row.protected.get(column).or_else(|| row.segments.get(column)).cloned();
            let value = named.or_else(|| match row.inputs.get(column)? {
                Value::String(s) => Some(s.clone()),
                Value::Number(n) => Some(n.to_string()),
                Value::Bool(b) => Some(b.to_string()),
                _ => None,
            })?;
            Some((column.clone(), value))
        })
        .collect()
}

/// Whether the challenger goes first on this row: even by the id, so that neither version is always the warm one.
#[must_use]
pub fn challenger_first(observation_id: &str) -> bool {
    seatrial_evidence::keys::partition(observation_id, 2) == 0
}

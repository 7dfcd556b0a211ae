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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    /// A row of a regression that version 1 answered with `value`.
    fn sample(value: f64) -> Sample {
        serde_json::from_value(serde_json::json!({
            "promotion": "pr_0123456789abcdef01234567",
            "queued_at": "2026-01-01T00:00:00Z",
            "row": {
                "schema": 1, "observation_id": "o1", "model": "m", "version": "v1",
                "digest": format!("sha256:{}", "a".repeat(64)), "role": "champion",
                "route": { "epoch": 1, "weight": 0 }, "at": "2026-01-01T00:00:00Z",
                "inputs": { "site": "east" }, "output": { "value": value }, "latency_us": 10,
            },
        }))
        .unwrap()
    }

    fn answered(value: f64) -> Replayed {
        Replayed { value: Some(value), latency_us: 5, ..Replayed::default() }
    }

    fn replayed(served: f64, champion: f64) -> Pair {
        let outcome = Outcome::Both { champion: answered(champion), challenger: answered(7.0) };
        pair(&sample(served), VersionName::new(1), &["site".into()], None, outcome)
    }

    #[test]
    fn numbers_are_carried_and_the_replay_is_held_to_what_was_served() {
        let pair = replayed(123.4567, 123.456_701);
        assert_eq!(
            (pair.served_value, pair.champion.value, pair.challenger.value),
            (Some(123.4567), Some(123.456_701), Some(7.0))
        );
        assert_eq!(pair.faithful, Some(true));
        assert_eq!(pair.segments["site"], "east");
        assert_eq!(replayed(123.4567, 123.5).faithful, Some(false));
        // Beside their own size: the last bits of a 32-bit float of a large number are worth more than 1e-5.
        assert_eq!(replayed(1.0e9, 1.0e9 + 64.0).faithful, Some(true));
    }

    #[test]
    fn a_champion_that_fails_in_the_replay_says_nothing_about_fidelity() {
        let failed = Replayed { error: Some("not-finite".into()), ..Replayed::default() };
        let outcome = Outcome::Both { champion: failed, challenger: answered(1.0) };
        assert_eq!(pair(&sample(1.0), VersionName::new(1), &[], None, outcome).faithful, None);
        let died = pair(&sample(1.0), VersionName::new(1), &[], None, Outcome::Died("crash"));
        assert_eq!((died.challenger.error.as_deref(), died.faithful), (Some("crash"), None));
    }
}

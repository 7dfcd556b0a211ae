//! One marked stream through everything: entries as servers send them, counted and judged by the canary's own judge. Streams by
//! the thousand only pass the tests; this shows that what lies around them fires too.

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::policy::{Canary, NotYetKnown, Unit};
use seatrial_domain::promotion::CanaryStep;
use seatrial_domain::route::Weight;
use seatrial_domain::task::HealthState;
use serde_json::{Value, json};

use crate::canary::{Counts, Facts, judge};
use crate::live::SignalCounts;
use crate::observation::{Entry, SCHEMA, Tally};

/// Requests of the challenger in the stream, all of which fail.
const REQUESTS: u64 = 200;

/// What the judge says of a challenger that fails on every request at the first step, and of one that nobody asked anything.
#[must_use]
pub fn judged(rules: &Canary) -> Option<[HealthState; 2]> {
    // The hold is the shortest there is, since only what is found matters.
    let rules = Canary {
        hold_seconds: 0,
        not_yet_known: NotYetKnown::Rollback,
        unit: Unit::Request,
        ..rules.clone()
    };
    let weight = Weight::from_percent(*rules.steps.first()?).ok()?;
    let champion = (REQUESTS as f64 * (1.0 - weight.fraction()) / weight.fraction()).round() as u64;
    let begun = Timestamp::UNIX_EPOCH;
    let tallies = vec![
        entry(&json!("challenger"), weight, REQUESTS, REQUESTS)?,
        entry(&json!("champion"), weight, champion.min(1_000_000), 0)?,
    ];
    let look = begun.checked_add(SignedDuration::from_secs(60)).ok()?;
    let of = |tallies: Vec<Tally>| {
        let counts = Counts::of(tallies, look.as_second(), &rules);
        let facts = Facts {
            rules: &rules,
            steps: &[CanaryStep { weight, at: begun }],
            counts: &counts,
            signals: &SignalCounts::default(),
            now: look,
            watermark: Some(look),
            lateness_seconds: 0,
        };
        judge(&facts).map(|judgement| judgement.state)
    };
    Some([of(tallies)?, of(Vec::new())?])
}

/// A tally as it comes from the queue.
fn entry(role: &Value, weight: Weight, assigned: u64, errors: u64) -> Option<Tally> {
    let text = json!({
        "kind": "tally", "schema": SCHEMA, "tally_id": format!("self-test-{role}"), "model": "self-test", "version": "v1",
        "digest": format!("sha256:{}", "0".repeat(64)), "role": role, "route": { "epoch": 1, "weight": weight },
        "second": 1, "assigned": assigned, "answered": assigned - errors, "errors": errors, "client_errors": 0, "latency": null,
    });
    match serde_json::from_value(text).ok()? {
        Entry::Tally(tally) => Some(tally),
        _ => None,
    }
}

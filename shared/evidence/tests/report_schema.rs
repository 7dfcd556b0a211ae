//! The published JSON Schemas of the comparison report and of explanations are those the code has, and a report holds to its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use seatrial_evidence::explanations::Explanations;
use seatrial_evidence::report::ComparisonReport;
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(ComparisonReport)).unwrap()
}

fn report() -> Value {
    let digest = format!("sha256:{}", "7".repeat(64));
    json!({
        "schema": 1, "model": "credit-risk", "promotion": format!("pr_{}", "0".repeat(24)), "epoch": 3,
        "challenger": { "version": "v2", "digest": digest }, "champion": null,
        "created_at": "2026-11-21T10:00:00Z", "verdict": "inconclusive", "why": "too few pairs",
        "rows": [{
            "group": "shadow", "name": "latency_p99", "unit": "microseconds", "champion": 900.0, "challenger": 1000.0,
            "delta": 100.0, "interval": [-20.0, 220.0], "confidence": 0.95, "n": 40, "n_needed": 200, "margin": "50%rel",
            "direction": "lower_is_better", "class": "signal", "verdict": "inconclusive", "why": "40 pairs of 200",
        }],
        "shadow": { "opened_at": "2026-11-21T09:00:00Z", "closed_at": null, "pairs": 40, "agreement": 1.0,
            "fidelity": { "n": 40, "share": 1.0 }, "cause_of_full_agreement": "one_sided_traffic",
            "disagreement": [{ "champion": "0", "challenger": null, "n": 1 }] },
        "policy": digest, "notes": ["a note"], "added_by_a_later_release": true,
    })
}

/// `UPDATE_SCHEMAS=1 cargo test -p seatrial-evidence --test report_schema` writes the files anew.
#[expect(clippy::disallowed_methods, reason = "a test's switch, not a function's setting")]
fn is_published(file: &str, schema: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas").join(file);
    let text = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
    if std::env::var("UPDATE_SCHEMAS").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == text,
        "{} is not what the code says; write it anew with UPDATE_SCHEMAS=1",
        path.display()
    );
}

#[test]
fn the_published_schemas_are_the_codes() {
    is_published("comparison-report.schema.json", &schema());
    let explanations = serde_json::to_value(schemars::schema_for!(Explanations)).unwrap();
    is_published("explanations.schema.json", &explanations);
}

#[test]
fn explanations_hold_to_their_schema() {
    let digest = format!("sha256:{}", "7".repeat(64));
    let version = |method: Value, errors: Value| {
        json!({
            "version": { "version": "v2", "digest": digest }, "method": method, "scale": "margin", "outputs": [">50K"],
            "columns": ["age", "sex"], "expected": [-1.5], "importance": [[0.5, 0.25]], "importance_error": [[0.1, 0.1]],
            "rows": [{ "output": [-1.25], "values": [[0.5, -0.25]], "errors": errors }],
        })
    };
    let sampled = json!({ "name": "permutations", "orders": 100, "seed": "0".repeat(16), "why": "its graph has no trees" });
    let document = json!({
        "schema": 1, "model": "credit-risk", "promotion": format!("pr_{}", "0".repeat(24)),
        "background": { "digest": digest, "of": 2_000, "rows": [0, 20] }, "sample": { "digest": digest, "of": 8_000, "rows": [0] },
        "champion": version(sampled, json!([[0.01, 0.02]])), "challenger": version(json!({ "name": "trees" }), Value::Null),
    });
    let read: Explanations = serde_json::from_value(document).unwrap();
    let written = serde_json::to_value(&read).unwrap();
    let schema = serde_json::to_value(schemars::schema_for!(Explanations)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&written).map(|e| e.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(serde_json::from_value::<Explanations>(written.clone()).unwrap(), read);
    let mut broken = written;
    broken["challenger"]["method"]["name"] = "guessed".into();
    assert!(!validator.is_valid(&broken));
}

#[test]
fn a_report_holds_to_the_schema_and_reads_back_as_it_was_written() {
    let read: ComparisonReport = serde_json::from_value(report()).unwrap();
    let written = serde_json::to_value(&read).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&written).map(|e| e.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert!(validator.is_valid(&report()), "what a later release adds is passed over");
    assert_eq!(serde_json::from_value::<ComparisonReport>(written).unwrap(), read);
}

#[test]
fn the_schema_refuses_what_the_code_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (pointer, wrong) in [
        ("/verdict", json!("maybe")),
        ("/rows/0/direction", json!("up")),
        ("/rows/0/class", json!("warning")),
        ("/challenger/version", json!("2")),
        ("/rows/0/interval", json!([1.0])),
        ("/rows", json!(null)),
    ] {
        let mut broken = report();
        *broken.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&broken), "{pointer}");
        assert!(serde_json::from_value::<ComparisonReport>(broken).is_err(), "{pointer}");
    }
}

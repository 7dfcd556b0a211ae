//! The inventory on paper.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::Timestamp;
use seatrial_domain::inventory::Line;
use serde_json::{Value, json};

fn line(model: &str, version: &str, change: impl Fn(&mut Value)) -> Line {
    let mut line = json!({
        "model": model, "version": version, "digest": format!("sha256:{}", "7".repeat(64)), "state": "champion",
        "task": "binary", "owner": "Credit risk", "purpose": "Estimates default.", "intended_use": "Private customers.",
        "risk": "high", "profile": "rbi_free_ai", "review_by": "2026-11-01", "review_overdue": true,
        "submitted_by": "sue@example.com", "registered_at": "2026-11-20T08:00:00Z",
        "crowned_at": "2026-11-22T09:30:00Z", "crowned_by": { "principal": "function/crown", "auth": "system" },
        "serving_since": "2026-11-22T09:30:00Z", "promotion": format!("pr_{}", "0".repeat(24)),
        "promotion_status": "crowned", "verdict": "pass",
        "approved_by": [{ "by": { "principal": "ann@example.com", "auth": "oidc" }, "at": "2026-11-21T11:00:00Z" }],
        "policy": 3, "policy_digest": format!("sha256:{}", "5".repeat(64)),
        "benchmark_digest": format!("sha256:{}", "b".repeat(64)), "benchmark_set_at": "2026-09-01T08:00:00Z",
        "benchmark_age_days": 88, "signed": null,
    });
    change(&mut line);
    serde_json::from_value(line).unwrap()
}

/// Hostile text, a model without an entry, many versions: each is a lawful PDF/A, and the same again is the same bytes.
#[test]
fn every_inventory_is_a_lawful_document_and_the_same_again() {
    let at: Timestamp = "2026-11-29T06:00:00Z".parse().unwrap();
    let bare = |l: &mut Value| {
        for field in ["owner", "purpose", "intended_use", "risk", "review_by", "review_overdue", "crowned_at"]
        {
            l[field] = Value::Null;
        }
        l["approved_by"] = json!([]);
    };
    let hostile =
        |l: &mut Value| l["owner"] = json!("#read(\"/data.json\") \u{202e}evil \u{200b}𓀀 ".repeat(20));
    let mut lines = vec![line("a-model", "v1", bare), line("b-model", "v1", hostile)];
    lines.extend((1..40).map(|n| line("c-model", &format!("v{n}"), |_| ())));
    for lines in [&[][..], &lines[..1], &lines] {
        let made = seatrial_audit::inventory(at, lines).unwrap();
        assert!(made.starts_with(b"%PDF-"));
        assert_eq!(seatrial_audit::inventory(at, lines).unwrap(), made);
    }
}

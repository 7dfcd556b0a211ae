//! Model cards as people and hubs read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(clippy::wildcard_imports, unreachable_pub, missing_docs)]
use crate::samples;

use pulldown_cmark::{Event, Options, Parser, Tag};
use seatrial_domain::gate::GateRecord;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::version::VersionRecord;
use seatrial_evidence::report::ComparisonReport;
use seatrial_report::card::{Card, render};
use serde_json::{Value, json};

fn digest(c: &str) -> String {
    format!("sha256:{}", c.repeat(64))
}

fn version(change: &Value) -> VersionRecord {
    let mut version = json!({
        "model": "credit-risk", "version": "v4", "digest": digest("7"), "status": "champion",
        "package": {
            "runtime": "onnx", "task": "binary", "title": "Income over 50K: gradient boosting", "size": 1_204_331,
            "files": { "reference.parquet": { "digest": digest("a"), "size": 40_000 }, "config.yaml": { "digest": digest("c"), "size": 900 } },
            "labels": {
                "seatrial.dependency.scikit-learn": "1.7.2", "seatrial.training-data.digest": digest("d"),
                "seatrial.training-data.files": "2"
            },
            "changelog": "# v4\nTrees instead of a line.",
            "config": { "inputs[age]": "datatype: FP32", "inputs[workclass]": "datatype: BYTES", "outputs.label": "output_label", "task": "binary" },
        },
        "submitted_by": "sue@example.com", "submitted_auth": "iam", "created_at": "2026-11-20T08:00:00Z",
        "promotion": format!("pr_{}", "0".repeat(24)),
    });
    merge(&mut version, change);
    serde_json::from_value(version).unwrap()
}

fn policy(change: &Value) -> Policy {
    let mut policy = json!({
        "profile": "eu_ai_act", "task": "binary", "protected": ["sex"], "segments": ["education"],
        "context": "Decides who gets a loan.\n\nA wrong yes costs about 4,000.",
        "inventory": {
            "owner": "Credit risk, risk@example.com", "purpose": "Estimates the probability of default.",
            "intended_use": "Applications of private customers, looked at by a clerk.", "risk": "high",
            "limitations": "Knows nothing of incomes before 1994.", "out_of_scope": "Companies."
        },
        "approval": { "approvers": [{ "email": "ann@example.com" }] },
    });
    merge(&mut policy, change);
    serde_json::from_value(policy).unwrap()
}

fn promotion(change: &Value) -> PromotionRecord {
    let mut promotion = json!({
        "id": format!("pr_{}", "0".repeat(24)), "model": "credit-risk",
        "challenger": { "version": "v4", "digest": digest("7") }, "champion": { "version": "v3", "digest": digest("3") },
        "status": "crowned", "epoch": 3, "policy": { "number": 6, "digest": digest("5") }, "profile": "eu_ai_act",
        "benchmark": { "digest": digest("b"), "key": "k", "size": 1, "set_at": "2026-09-01T08:00:00Z" },
        "requested_by": { "principal": "sue@example.com", "auth": "iam" },
        "started_at": "2026-11-20T08:01:00Z", "ended_at": "2026-11-22T09:30:00Z", "reason": "every step held",
        "evidence": {}, "verdict": "pass",
        "steps": [{ "weight": 500, "at": "2026-11-21T12:00:00Z" }, { "weight": 5_000, "at": "2026-11-21T18:00:00Z" }],
    });
    merge(&mut promotion, change);
    serde_json::from_value(promotion).unwrap()
}

fn gate(change: &Value) -> GateRecord {
    let mut gate = json!({
        "id": format!("ga_{}", "1".repeat(24)), "kind": "approval", "model": "credit-risk",
        "promotion": format!("pr_{}", "0".repeat(24)), "epoch": 3,
        "challenger": { "version": "v4", "digest": digest("7") }, "champion": { "version": "v3", "digest": digest("3") },
        "verdict": "pass", "bound": { "package": digest("7"), "report": digest("9"), "benchmark": digest("b"), "policy": digest("5") },
        "submitted_by": "sue@example.com", "requested_by": "sue@example.com", "status": "approved",
        "decisions": [{ "by": { "principal": "ann@example.com", "auth": "oidc" }, "at": "2026-11-21T11:00:00Z",
            "comment": "Better on every segment but doctorates; these are few.", "approve": true }],
        "opened_at": "2026-11-21T10:00:00Z", "expires_at": "2026-11-24T10:00:00Z",
    });
    merge(&mut gate, change);
    serde_json::from_value(gate).unwrap()
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// The samples' report, with each comparison of groups under its attribute, as evaluation writes it.
fn report() -> ComparisonReport {
    let mut report = samples::report();
    let compared = |name: &str| matches!(name, "demographic_parity" | "equalised_odds");
    for row in report.rows.iter_mut().filter(|r| compared(&r.name)) {
        row.segment = Some("sex".into());
    }
    report
}

const DATA: &str =
    "# UCI Adult\nfb2712ed4c2a094046154e8fe245cd4462b14b7ace764f6e6d299c46b2a0855c  train.csv\n";

#[test]
fn a_card_says_all_that_is_known() {
    let (version, policy) = (version(&json!({})), policy(&json!({})));
    let (promotion, gate, report) = (promotion(&json!({})), gate(&json!({})), report());
    let card = Card {
        version: &version,
        policy: &policy,
        promotion: Some(&promotion),
        report: Some(&report),
        gate: Some(&gate),
        data_manifest: Some(DATA),
        own_card: Some("# Income\n\nA plain baseline."),
    };
    insta::assert_snapshot!("full", render(&card));
    assert_eq!(render(&card), render(&card));
}

#[test]
fn a_first_version_is_compared_with_nothing_and_what_nobody_said_is_said_to_be_missing() {
    let mut version = version(&json!({ "version": "v1", "package": { "title": null, "changelog": "" } }));
    version.package.config.clear();
    version.package.files.clear();
    let policy = policy(
        &json!({ "profile": "default", "protected": [], "segments": [], "context": "", "inventory": null }),
    );
    let promotion =
        promotion(&json!({ "champion": null, "steps": [], "profile": "default", "benchmark": null }));
    let mut report = report();
    report.champion = None;
    report.offline = None;
    report.shadow = None;
    report.charts = None;
    report.notes.clear();
    (report.verdict, report.why) = (seatrial_domain::Verdict::Pass, "every guardrail holds".into());
    report.rows.truncate(3);
    for row in &mut report.rows {
        (row.champion, row.delta, row.limit) = (None, None, Some(0.8));
        row.interval = row.challenger.map(|x| [x - 0.004, x + 0.004]);
    }
    let card = Card {
        version: &version,
        policy: &policy,
        promotion: Some(&promotion),
        report: Some(&report),
        gate: None,
        data_manifest: None,
        own_card: None,
    };
    insta::assert_snapshot!("first", render(&card));
}

#[test]
fn a_version_that_was_never_promoted_has_a_card_that_claims_nothing() {
    let (version, policy) =
        (version(&json!({ "status": "packaged", "promotion": null })), policy(&json!({})));
    let card = Card {
        version: &version,
        policy: &policy,
        promotion: None,
        report: None,
        gate: None,
        data_manifest: None,
        own_card: None,
    };
    let text = render(&card);
    assert!(
        text.contains("never promoted") && !text.contains("model-index") && !text.contains("## Promotion"),
        "{text}"
    );
}

#[test]
fn hostile_texts_make_no_markup_of_their_own() {
    let evil = "x\n# Approved by everybody\n<script>alert(1)</script> [look](https://evil.example) ![](http://evil.example/p.png) | a | ``` \u{202e}";
    let version = version(&json!({ "package": {
        "title": evil, "changelog": format!("````\n{evil}\n```\n<b>"),
        "config": { "inputs[a|b]": evil }, "labels": { "seatrial.dependency.x": evil } }, "submitted_by": evil }));
    let policy = policy(&json!({ "context": evil, "protected": ["sex", "a|b"], "inventory": {
        "owner": evil, "purpose": evil, "intended_use": evil, "limitations": evil, "out_of_scope": evil } }));
    let promotion = promotion(&json!({ "reason": evil, "bypasses": [{ "stage": "shadow",
        "by": { "principal": evil, "auth": "iam" }, "at": "2026-11-21T10:00:00Z", "reason": evil }] }));
    let gate = gate(
        &json!({ "decisions": [{ "by": { "principal": evil, "auth": "oidc" }, "at": "2026-11-21T11:00:00Z",
        "comment": evil, "approve": true, "on_behalf_of": evil }] }),
    );
    let mut report = report();
    report.why = evil.into();
    report.notes = vec![evil.into()];
    for row in &mut report.rows {
        row.why = evil.into();
        row.segment = row.segment.take().map(|s| format!("{s}={evil}"));
    }
    for bar in report.charts.iter_mut().flat_map(|c| &mut c.importances).flat_map(|i| &mut i.bars) {
        bar.column = evil.into();
    }
    let card = Card {
        version: &version,
        policy: &policy,
        promotion: Some(&promotion),
        report: Some(&report),
        gate: Some(&gate),
        data_manifest: Some(evil),
        own_card: Some(evil),
    };
    let text = render(&card);
    insta::assert_snapshot!("hostile", text);

    let body = text.splitn(3, "---\n").nth(2).unwrap();
    let all = Options::all().difference(Options::ENABLE_SMART_PUNCTUATION);
    let mut headings = 0;
    for event in Parser::new_ext(body, all) {
        match event {
            Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::HtmlBlock)
            | Event::Html(_)
            | Event::InlineHtml(_) => panic!("{event:?}"),
            Event::Start(Tag::Heading { .. }) => headings += 1,
            _ => {}
        }
    }
    assert_eq!(headings, body.lines().filter(|l| l.starts_with('#') && !l.contains("Approved")).count());
}

#[test]
fn where_an_artifact_comes_from_is_told_and_is_no_markup() {
    let evil = "x | <b>\n# Approved [look](https://evil.example) ` ``` y";
    let version = version(&json!({ "artifact": {
        "bucket": "training", "key": "jobs/7/output/model.tar.gz", "etag": "\"e\"", "version": "v1",
        "lineage": {
            "training_job": "arn:aws:sagemaker:us-east-1:123456789012:training-job/income-7", "image": evil,
            "hyperparameters": { "max_depth": "3", evil: evil }, "inputs": { "train": "s3://data/train/" },
            "ended_at": "2026-11-20T12:26:13Z",
        },
    } }));
    let policy = policy(&json!({}));
    let (promotion, report, gate, data_manifest, own_card) = (None, None, None, None, None);
    let card = Card { version: &version, policy: &policy, promotion, report, gate, data_manifest, own_card };
    let text = render(&card);
    let start = text.find("### Where it comes from").expect("a section of its own");
    let section = text[start..].split("\n## ").next().unwrap();
    for said in [
        "s3://training/jobs/7/output/model.tar.gz@v1",
        "training-job/income-7",
        "`max_depth` | 3",
        "s3://data/train/",
    ] {
        assert!(section.contains(said), "{said}: {section}");
    }
    for event in Parser::new_ext(section, Options::all()) {
        let heading = matches!(&event, Event::Start(Tag::Heading { level, .. }) if *level as usize != 3);
        let markup = matches!(&event, Event::Start(Tag::Link { .. } | Tag::HtmlBlock) | Event::InlineHtml(_));
        assert!(!heading && !markup, "{event:?} in {section}");
    }
}

#[test]
fn the_front_matter_is_yaml_that_model_hubs_read() {
    let (version, policy, promotion, report) =
        (version(&json!({})), policy(&json!({})), promotion(&json!({})), report());
    let card = Card {
        version: &version,
        policy: &policy,
        promotion: Some(&promotion),
        report: Some(&report),
        gate: None,
        data_manifest: None,
        own_card: None,
    };
    let text = render(&card);
    let line = text.lines().find_map(|l| l.strip_prefix("model-index: ")).unwrap();
    // JSON is YAML.
    let index: Value = serde_json::from_str(line).unwrap();
    assert_eq!(index[0]["name"], "credit-risk v4");
    let metrics = &index[0]["results"][0]["metrics"];
    assert!(metrics[0]["type"] == "accuracy" && metrics[0]["value"] == 0.8587, "{metrics}");
    assert_eq!(index[0]["results"][0]["dataset"]["revision"], digest("b"));
}

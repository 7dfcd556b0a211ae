//! A model that serves already comes under Seatrial on the running stack, and its next version is tried against it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, PromotionStatus};
use seatrial_domain::{PromotionId, VersionName};
use seatrial_registry::Records;
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, request};
use serde_json::{Value, json};

const COMMENT: &str = "in use since May; its figures are in RISK-112";

fn folder(fixture: &str) -> String {
    repository("tests/fixtures/submissions").join(fixture).display().to_string()
}

/// The record of an adoption that a command printed, as the registry has it once it is attested.
async fn attested(model: &Model<'_>, printed: &Value) -> PromotionRecord {
    let id = PromotionId::parse(printed["id"].as_str().expect("a record's name")).expect("its name");
    let record = model.stack.registry.promotion(&model.name, &id).await.expect("the registry");
    let record = model.ended(&record.expect("the record")).await;
    assert_eq!(record.status, PromotionStatus::Adopted);
    record
}

#[tokio::test]
async fn a_model_that_serves_is_adopted_and_the_next_version_is_tried_against_it() {
    let stack = Stack::connect().await;
    let solo = json!({ "approval": { "separation_of_duties": false } });
    let model = Model::new(&stack, "adopt", &solo).await.with_benchmark().await;
    let name = model.name.as_str();
    let since = "2026-05-04T00:00:00Z";
    let adopt = ["adopt", name, &folder("v1"), "--comment", COMMENT, "--serving-since", since];
    let printed = stack.cli(&adopt).await.json();
    assert_eq!(
        (&printed["status"], &printed["challenger"]["version"]),
        (&json!("adopted"), &json!("v1")),
        "{printed}"
    );
    assert_eq!(printed["adoption"], json!({ "comment": COMMENT, "serving_since": since }));

    let head = model.head().await;
    assert_eq!(head.champion().expect("a champion").version, VersionName::new(1));
    assert!(head.running.is_none() && head.route.weight.bps() == 0);
    let record = attested(&model, &printed).await;
    assert_eq!(model.events().await[..3].join(" "), "policy_set benchmark_set version_packaged");
    let history = model.history().await;
    let entry = history.iter().find(|e| e.event == "adopted").expect("the adoption");
    assert_eq!(entry.actor.principal, stack.principal());
    assert_eq!(entry.details["comment"], COMMENT);
    assert!(!history.iter().any(|e| e.event.starts_with("gate_") || e.event == "promotion_started"));

    // The document says what it is, and verifies.
    let document = &record.evidence[&EvidenceKind::Document];
    assert!(stack.object("EvidenceBucket", &document.key).await.starts_with(b"%PDF"));
    let audit = model.folder().join("audit");
    let made =
        ["audit", "--model", name, "--from", "first", "--to", "v1", "--dir", &audit.display().to_string()];
    let made = stack.cli(&made).await.json();
    assert_eq!((&made["same"], &made["doubt"]), (&json!(true), &Value::Null), "{made}");
    let card = stack.run(&["card", name, "v1"]).await;
    assert!(card.out.contains("no comparison was made"), "{}", card.out);

    // It serves.
    let server = stack.serve(&model.folder()).await;
    let live = std::fs::read_to_string(repository("tests/fixtures/live.jsonl")).unwrap();
    let row: Value = serde_json::from_str(live.lines().next().unwrap()).unwrap();
    let url = format!("{}/v2/models/{name}/infer", server.base);
    let answer = reqwest::Client::new().post(&url).json(&request(&row)).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["model_version"], "v1", "{answer}");

    // The same again is the same adoption; another version is not adopted any more.
    let before = model.history().await.len();
    assert_eq!(stack.cli(&adopt).await.json()["id"], printed["id"]);
    let again = stack.cli(&["adopt", name, "v1", "--comment", "again"]).await.json();
    assert_eq!((&again["id"], &again["adoption"]["comment"]), (&printed["id"], &json!(COMMENT)));
    let other = stack.cli(&["adopt", name, &folder("v2"), "--comment", COMMENT]).await.error(5);
    assert_eq!(other["code"], "has_champion", "{other}");
    assert_eq!(model.history().await.len(), before, "nothing was written");

    // The next version is shadowed, compared, approved and shifted in against it, like against any champion.
    let _load = server.load(name);
    let promotion = model.submit("v2").await;
    assert_eq!(promotion.champion.as_ref().expect("a champion").version, VersionName::new(1));
    model.decide(&promotion, "approve").await;
    let ended = model.ended(&promotion).await;
    assert_eq!(ended.status, PromotionStatus::Crowned, "{:?}", ended.reason);
    assert!(!ended.steps.is_empty(), "it went through a canary");
    let reference = &ended.evidence[&EvidenceKind::Report];
    let report: Value =
        serde_json::from_slice(&stack.object("EvidenceBucket", &reference.key).await).unwrap();
    assert_eq!(report["champion"]["version"], "v1");
    assert!(report["shadow"]["pairs"].as_u64().is_some_and(|n| n > 0), "{}", report["shadow"]);
    assert_eq!(model.head().await.standby.expect("a standby").version, VersionName::new(1));
    let back = stack.cli(&["rollback", name, "--champion", "--reason", "the adopted one again"]).await.json();
    assert_eq!(back["champion"]["version"], "v1", "{back}");
}

#[tokio::test]
async fn where_duties_are_separated_whoever_handed_a_model_in_does_not_adopt_it() {
    let stack = Stack::connect().await;
    let separated = json!({ "approval": { "separation_of_duties": true } });
    let model = Model::new(&stack, "adopt-alone", &separated).await;
    let name = model.name.as_str();
    let refused = stack.cli(&["adopt", name, &folder("v1"), "--comment", COMMENT]).await.error(5);
    let words = refused["message"].as_str().expect("words");
    assert!(words.contains("v1 is packaged, but") && words.contains("another owner adopts it"), "{words}");
    let by_version = stack.cli(&["adopt", name, "v1", "--comment", COMMENT]).await.error(6);
    assert_eq!(by_version["code"], "forbidden", "{by_version}");
    assert!(model.head().await.champion().is_none());
    assert!(!model.events().await.contains(&"adopted".to_owned()));
}

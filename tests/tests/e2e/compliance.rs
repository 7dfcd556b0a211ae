//! Compliance profiles on the running stack: what is missing refuses before anything is there, and the inventory tells of the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, until};
use serde_json::{Value, json};

#[tokio::test]
async fn a_promotion_without_what_its_profile_asks_for_is_refused_before_anything_is_published() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "profile", &json!({ "profile": "rbi_free_ai" })).await;
    let name = model.name.as_str();
    let status = stack.cli(&["status", name]).await.json();
    assert_eq!(status["profile"], "rbi_free_ai");
    let notices = status["notices"].to_string();
    assert!(notices.contains("inventory_entry") && notices.contains("IS REFUSED"), "{notices}");

    let folder = repository("tests/fixtures/submissions/v1").display().to_string();
    let _ = stack.cli(&["package", &folder, "--model", name]).await.json();
    let place = format!("refused/{name}/");
    let key = until("the refusal", 60, async || stack.keys("EvidenceBucket", &place).await.pop()).await;
    let document: Value = serde_json::from_slice(&stack.object("EvidenceBucket", &key).await).unwrap();
    let items: Vec<&str> =
        document["defects"].as_array().unwrap().iter().filter_map(|d| d["file"].as_str()).collect();
    assert_eq!(items, ["fairness_audit", "explanations", "inventory_entry"]);
    assert!(document["defects"].to_string().contains("AI inventory"), "the rule is named: {document}");

    let head = model.head().await;
    assert!(head.running.is_none() && head.next_version == 1 && model.promotions().await.is_empty());
    assert_eq!(stack.keys("ModelsBucket", &format!("{name}/")).await, Vec::<String>::new());

    let inventory = stack.cli(&["inventory", "--format", "json"]).await.json();
    let lines = inventory["versions"].as_array().unwrap();
    assert!(lines.iter().all(|l| l["model"] != name), "a refused submission is no version");
}

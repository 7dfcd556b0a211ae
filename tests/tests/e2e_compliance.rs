//! Compliance profiles on the running stack: what is missing refuses before anything is there, and the inventory tells of the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack};
use serde_json::json;

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
    let told = stack.cli(&["package", &folder, "--model", name, "--wait"]).await;
    assert!(told.code != 0, "{}", told.out);
    for item in ["fairness_audit", "explanations", "inventory_entry"] {
        assert!(told.err.contains(item), "{item}: {}", told.err);
    }
    assert!(model.promotions().await.is_empty());
    let refused = stack.keys("EvidenceBucket", &format!("refused/{name}/")).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(stack.keys("ModelsBucket", &format!("{name}/blobs/")).await, Vec::<String>::new());

    let inventory = stack.cli(&["inventory", "--format", "json"]).await.json();
    let lines = inventory["versions"].as_array().unwrap();
    assert!(lines.iter().all(|l| l["model"] != name), "a refused submission is no version");
}

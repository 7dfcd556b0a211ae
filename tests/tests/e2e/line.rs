//! A second promotion of a model whose policy lets it wait.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::GateKind;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::{PromotionId, VersionName};
use seatrial_registry::Records as _;
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, until};
use serde_json::json;

#[tokio::test]
async fn the_second_promotion_waits_in_line_and_begins_by_itself_and_one_that_was_withdrawn_never_does() {
    let stack = Stack::connect().await;
    let rules = json!({ "when_busy": { "mode": "wait" }, "shadow": { "enabled": false } });
    let model = Model::new(&stack, "line", &rules).await;
    let name = model.name.as_str();
    let first = model.submit("v1").await;
    model.gate(&first, GateKind::Approval).await;

    // Two more come while the first is at its gate: both are packaged, and stand in line.
    let mut line = Vec::new();
    for fixture in ["v2", "v3"] {
        let folder = repository("tests/fixtures/submissions").join(fixture).display().to_string();
        let packaged = stack.cli(&["package", &folder, "--model", name, "--wait"]).await.json();
        assert_eq!(packaged["refusal"], json!(null), "{packaged}");
        line.push(packaged["version"].as_str().unwrap().to_owned());
    }
    let waiting = until("both in line", 30, async || {
        let head = model.head().await;
        (head.waiting.len() == 2).then_some(head.waiting)
    })
    .await;
    let versions: Vec<_> = waiting.iter().map(|w| w.challenger.version.to_string()).collect();
    assert_eq!(versions, line, "in the order of arrival");
    assert_eq!(model.head().await.running.unwrap().promotion, first.id, "who runs is not disturbed");
    let shown = stack.run(&["status", name]).await;
    assert!(shown.out.contains("WAITS, number 2 in line"), "{}", shown.out);

    let gone: &PromotionId = &waiting[1].promotion;
    let withdrawn = stack.cli(&["withdraw", name, gone.as_str(), "--reason", "another comes instead"]).await;
    assert_eq!(withdrawn.json()["withdrawn"], true);

    model.decide(&first, "approve").await;
    assert_eq!(model.ended(&first).await.status, PromotionStatus::Crowned);
    let second = until("the second promotion", 60, async || {
        stack.registry.promotion(&model.name, &waiting[0].promotion).await.unwrap()
    })
    .await;
    assert_eq!(second.challenger.version, line[0].parse::<VersionName>().unwrap());
    assert_eq!(
        second.champion.as_ref().unwrap().version,
        first.challenger.version,
        "it compares with the new champion"
    );
    assert!(model.head().await.waiting.is_empty());
    model.decide(&second, "reject").await;
    assert_eq!(model.ended(&second).await.status, PromotionStatus::Rejected);

    let (status, error, cause) = model.execution_of(waiting[1].execution.as_deref().unwrap()).await;
    assert_eq!((status.as_str(), error.as_str()), ("FAILED", "Seatrial.NotStarted"));
    assert!(cause.contains("was taken out of the line"), "{cause}");
    assert_eq!(model.promotions().await.len(), 2, "it never held the model");
    let events = model.events().await;
    let count = |event: &str| events.iter().filter(|e| *e == event).count();
    assert_eq!((count("promotion_waits"), count("promotion_withdrawn")), (2, 1), "{events:?}");
}

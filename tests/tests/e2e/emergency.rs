//! An emergency on the running stack: stages are skipped by whom the policy names, nothing waits, and nothing is quiet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::promotion::{PromotionStatus, Stage};
use seatrial_tests::stack::{Model, Stack};
use serde_json::{Value, json};

/// Ann plays all parts, and may skip stages.
fn people() -> Value {
    json!({ "people": [
        { "email": "ann@example.com", "roles": ["submitter", "operator", "owner"], "emergency": true },
    ] })
}

#[tokio::test]
async fn an_operator_with_that_right_skips_shadow_approval_and_canary_and_it_shows_everywhere() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "emergency", &people()).await.with_benchmark().await;
    model.first_champion("v1").await;
    let promotion = model.submit("v2").await;
    let name = model.name.as_str();
    let skip = async |stage: &str| {
        let reason = format!("the champion leaks; no time for the {stage}");
        stack.cli(&["emergency", "skip", name, stage, "--reason", &reason]).await
    };
    model.gate(&promotion, GateKind::ShadowWindow).await;
    let silent = stack.cli(&["emergency", "skip", name, "shadow", "--reason", " "]).await;
    let _ = silent.error(3);
    let _ = skip("canary").await.json();
    let _ = skip("shadow").await.json();
    let gate = model.gate(&promotion, GateKind::Approval).await;
    assert_eq!(gate.status, GateStatus::Pending, "skipping the shadow approves nothing");
    assert!(model.head().await.route.weight.bps() == 0);
    let _ = skip("approval").await.json();

    let ended = model.ended(&promotion).await;
    assert_eq!(ended.status, PromotionStatus::Crowned, "{:?}", ended.reason);
    let skipped: Vec<Stage> = ended.bypasses.iter().map(|b| b.stage).collect();
    assert_eq!(skipped, [Stage::Canary, Stage::Shadow, Stage::Approval]);
    assert!(ended.bypasses.iter().all(|b| b.reason.contains("leaks") && !b.by.principal.is_empty()));
    let decided = model.gate_now(&gate).await;
    assert!(decided.status == GateStatus::Approved && decided.decisions[0].emergency);
    let events = model.events().await;
    assert_eq!(events.iter().filter(|e| *e == "emergency_bypass").count(), 3);

    // It shows in the status, the history and the report.
    let view: Value = stack.cli(&["status", name]).await.json();
    let notices = view["notices"].as_array().expect("notices").clone();
    assert_eq!(notices.len(), 3, "{notices:?}");
    let report = stack.cli(&["compare", name, "--promotion", promotion.id.as_str()]).await.json();
    assert_eq!(report["bypasses"].as_array().map(Vec::len), Some(2), "those before the report: {report}");
}

/// Such a gate is decided by who opens it, and its execution told by that one or by the stream, whoever is first.
#[tokio::test]
async fn an_approval_that_was_skipped_before_its_gate_opens_keeps_nobody_waiting() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "skipped", &people()).await;
    model.first_champion("v1").await;
    let promotion = model.submit("v2").await;
    model.gate(&promotion, GateKind::ShadowWindow).await;
    for stage in ["approval", "canary", "shadow"] {
        let reason = format!("the champion leaks; no time for the {stage}");
        let skip = ["emergency", "skip", model.name.as_str(), stage, "--reason", &reason];
        let _ = stack.cli(&skip).await.json();
        assert_eq!(
            model.head().await.route.weight.bps(),
            0,
            "skipping the {stage} moves no traffic by itself"
        );
    }
    let ended = model.ended(&promotion).await;
    assert_eq!(ended.status, PromotionStatus::Crowned, "{:?}", ended.reason);
    let gate = model.gate(&promotion, GateKind::Approval).await;
    assert!(gate.status == GateStatus::Approved && gate.decisions.len() == 1 && gate.decisions[0].emergency);
}

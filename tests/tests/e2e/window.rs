//! The review window on the running stack: an approval comes by itself only when people were told of it and nobody blocked it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::ids::Auth;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_tests::stack::{Model, Stack, until};
use serde_json::{Value, json};

/// Tails of latencies take more traffic than is made here, and are not what this is about: they are only shown.
/// A window of 20 seconds with a reminder 12 seconds before its end. Accuracy is what the better version is surely better in.
fn automatic() -> Value {
    json!({
        "people": [{ "email": "ann@example.com", "roles": ["submitter", "operator", "owner"] }],
        "offline": { "tracked": ["accuracy"], "metrics": { "latency_p99": { "class": "info" } } },
        "shadow": { "window_seconds": 5, "max_seconds": 60, "min_pairs": 150, "min_per_class": 15, "metrics": { "latency_p99": { "class": "info", "margin": "100%rel", "direction": "lower_is_better" } } },
        "canary": { "metrics": { "error_rate": { "class": "guardrail", "margin": 0.3 }, "latency_p99": { "class": "info", "margin": "2000%rel" } } },
        "approval": { "mode": "auto_unless_blocked", "window_seconds": 20, "reminders_seconds": [12], "expires_seconds": 600 },
    })
}

/// A gate with an open window: everything passed in the shadow too.
async fn in_window(model: &Model<'_>) -> GateRecord {
    model.first_champion("v1").await;
    let server = model.stack.serve(&model.folder()).await;
    let _load = server.load(model.name.as_str());
    let promotion = model.submit("v2").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;
    assert!(gate.open_window().is_some(), "no window: {gate:?}");
    gate
}

/// Lets the schedule's time pass, as it does every minute in an account. What it says of the models of other tests, whose
/// executions may be made up, is not heard: it goes on to the next model, and only its effect on ours counts.
async fn sweep(stack: &Stack) {
    let _ = stack.invoke("Sweep", &json!({})).await;
}

#[tokio::test]
async fn a_window_that_nobody_blocks_approves_by_itself_after_people_were_told_twice() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "window", &automatic()).await.with_benchmark().await;
    let gate = in_window(&model).await;
    let promotion = model.promotions().await.pop().expect("the promotion");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let early = model.gate_now(&gate).await;
    assert_eq!((early.status, early.decisions.len()), (GateStatus::Pending, 0), "before its end");
    sweep(&stack).await;
    let after = until("the automatic approval", 120, async || {
        let now = model.gate_now(&gate).await;
        (now.status != GateStatus::Pending).then_some(now)
    })
    .await;
    assert_eq!(after.status, GateStatus::Approved);
    let decision = &after.decisions[0];
    assert!(decision.automatic && !decision.emergency && !decision.self_approval);
    assert_eq!(decision.by.auth, Auth::System, "under no person's name: {:?}", decision.by);
    assert!(decision.at >= gate.window.as_ref().expect("a window").ends_at, "not before the window's end");
    assert_eq!(after.reminders.len(), 1);
    let head = model.canary().await;
    assert!(head.running.is_some());
    let told = stack.mails(model.name.as_str()).await;
    assert!(told.iter().any(|m| m.all.to_lowercase().contains("reminder")), "nobody was reminded: {told:?}");
    let _ =
        stack.cli(&["rollback", model.name.as_str(), "--reason", "the suite has seen enough"]).await.json();
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Aborted);
}

#[tokio::test]
async fn a_blocked_window_waits_for_people_and_says_who_blocked_it() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "blocked", &automatic()).await.with_benchmark().await;
    let gate = in_window(&model).await;
    let promotion = model.promotions().await.pop().expect("the promotion");
    let _ = stack.cli(&["approvals", "block", gate.id.as_str(), "--comment", " "]).await.error(3);
    let _ = stack.cli(&["approvals", "block", gate.id.as_str(), "--comment", "it is Friday"]).await.json();
    let _ = stack.cli(&["approvals", "block", gate.id.as_str(), "--comment", "again"]).await.error(5);
    tokio::time::sleep(Duration::from_secs(22)).await;
    sweep(&stack).await;
    let after = model.gate_now(&gate).await;
    assert_eq!((after.status, after.decisions.len()), (GateStatus::Pending, 0));
    let blocked = after.window.as_ref().and_then(|w| w.blocked.clone()).expect("the block");
    assert_eq!(blocked.comment, "it is Friday");
    assert_eq!(model.head().await.route.weight.bps(), 0);
    assert!(model.events().await.iter().any(|e| e == "gate_blocked"), "{:?}", model.events().await);
    model.decide(&promotion, "reject").await;
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Rejected);
}

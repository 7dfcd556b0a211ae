//! Every task of the state machines, asked again: the same answer, and nothing new is written down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::GateKind;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, PromotionStatus};
use seatrial_tests::stack::{Model, Stack};
use serde_json::{Value, json};

/// Invokes a function twice and expects the same answer and no change of the model.
async fn twice(model: &Model<'_>, function: &str, held: &Value, more: Value) -> Value {
    let mut payload = held.clone();
    for (name, value) in more.as_object().unwrap() {
        payload[name] = value.clone();
    }
    let (head, entries) = (model.head().await, model.history().await.len());
    let ask = async || {
        model.stack.invoke(function, &payload).await.unwrap_or_else(|e| panic!("{function} {more}: {e:?}"))
    };
    let (first, second) = (ask().await, ask().await);
    // What is decided stays; the sentence that explains it counts the seconds that have passed.
    let decided = |answer: &Value| {
        let mut decided = answer.clone();
        decided.as_object_mut().map(|fields| fields.remove("why"));
        decided
    };
    assert_eq!(decided(&first), decided(&second), "{function} {more} answers otherwise when asked again");
    let after = model.head().await;
    assert_eq!(
        (after.revision, after.epoch, &after.route),
        (head.revision, head.epoch, &head.route),
        "{function} {more}"
    );
    assert_eq!(model.history().await.len(), entries, "{function} {more} wrote the history again");
    first
}

async fn evidence(model: &Model<'_>, promotion: &PromotionRecord) -> Vec<String> {
    model
        .stack
        .keys("EvidenceBucket", &format!("evidence/model={}/promotion={}/", model.name, promotion.id))
        .await
}

#[tokio::test]
async fn every_task_runs_twice_with_the_effect_of_once() {
    let stack = Stack::connect().await;
    let rules = json!({
        "shadow": { "window_seconds": 200, "max_seconds": 300 },
        "canary": { "steps": [50], "hold_seconds": 1, "max_hold_seconds": 300, "check_seconds": 60 },
    });
    let model = Model::new(&stack, "twice", &rules).await;
    model.first_champion("v1").await;
    let promotion = model.submit("v2").await;
    let held = Model::held(&promotion);
    let window = model.gate(&promotion, GateKind::ShadowWindow).await;

    // While the shadow is open, nothing moves by itself.
    let arn = promotion.execution.clone().unwrap();
    let started = stack.sfn.describe_execution().execution_arn(&arn).send().await.unwrap();
    let mut package: Value = serde_json::from_str(started.input().unwrap()).unwrap();
    package["execution"] = json!(arn);
    assert_eq!(twice(&model, "Package", &package, json!({})).await, held);
    let evaluated = twice(&model, "Evaluate", &held, json!({})).await;
    assert_eq!((&evaluated["shadow"], &evaluated["first"]), (&json!(true), &json!(false)));
    let opened = twice(&model, "Shift", &held, json!({ "action": "open_shadow" })).await;
    assert_eq!(opened["weight"], json!(0));

    // At the approval gate, the evidence is frozen and reported.
    let stopped =
        stack.cli(&["shadow", "stop", model.name.as_str(), "--reason", "for the test"]).await.json();
    assert_eq!(stopped["id"], json!(window.id));
    let gate = model.gate(&promotion, GateKind::Approval).await;
    let objects = evidence(&model, &promotion).await;
    let frozen = twice(&model, "Compare", &held, json!({ "action": "freeze" })).await;
    assert_eq!(frozen["frozen"], json!(true));
    twice(&model, "Compare", &held, json!({ "action": "report" })).await;
    twice(&model, "Shift", &held, json!({ "action": "close_shadow" })).await;
    let waiting = twice(&model, "Gate", &held, json!({ "action": "close_approval" })).await;
    assert_eq!(waiting["outcome"], json!("pending"));
    assert_eq!(evidence(&model, &promotion).await, objects, "frozen or reported again, the evidence grew");
    assert_eq!(model.gate_now(&gate).await.bound, gate.bound);

    // In the canary: the step that is taken, and its health without traffic.
    model.decide(&promotion, "approve").await;
    model.canary().await;
    let step = twice(&model, "Shift", &held, json!({ "action": "canary_step", "step": 0 })).await;
    assert_eq!(step["weight"], json!(5_000));
    let health = twice(&model, "Health", &held, json!({ "step": 0 })).await;
    assert_eq!(health["state"], json!("not_yet_known"));
    assert_eq!(model.now(&promotion).await.steps.len(), 1);

    // The crown, and what comes after it.
    stack.invoke("Crown", &held).await.expect("the crown");
    let ended = model.ended(&promotion).await;
    assert_eq!(ended.status, PromotionStatus::Crowned);
    model.execution(&promotion).await;
    let objects = evidence(&model, &promotion).await;
    let crowned = twice(&model, "Crown", &held, json!({})).await;
    assert_eq!(crowned, json!({ "champion": "v2", "standby": "v1" }));
    let late = twice(&model, "Rollback", &held, json!({ "reason": "a late alarm" })).await;
    assert_eq!((&late["status"], &late["ended_now"]), (&json!("crowned"), &json!(false)));
    let attested = twice(&model, "Attest", &held, json!({})).await;
    assert_eq!(attested["manifest"], json!(ended.evidence[&EvidenceKind::Manifest].key));
    assert_eq!(evidence(&model, &promotion).await, objects, "attested again, the evidence grew");
    let events = model.events().await;
    for (event, times) in
        [("crowned", 2), ("attested", 2), ("weight_shifted", 1), ("shadow_opened", 1), ("shadow_closed", 1)]
    {
        assert_eq!(events.iter().filter(|e| *e == event).count(), times, "{event} in {events:?}");
    }
}

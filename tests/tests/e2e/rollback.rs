//! Rollbacks on the running stack: they wait for nothing, they hold, and what died is brought to its lawful end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use seatrial_domain::gate::GateKind;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::version::VersionStatus;
use seatrial_registry::Records;
use seatrial_tests::stack::{Model, Stack, until};
use serde_json::{Value, json};

/// No shadow, and a canary of one step that nobody's traffic decides.
fn rules() -> Value {
    json!({
        "shadow": { "enabled": false },
        "canary": { "steps": [50], "hold_seconds": 1, "max_hold_seconds": 300, "check_seconds": 1 },
    })
}

fn with(mut held: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        held[name] = value.clone();
    }
    held
}

#[tokio::test]
async fn a_rolled_back_canary_stays_so_and_a_stopped_execution_is_swept() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "canary", &rules()).await;
    let champion = model.first_champion("v1").await;
    let promotion = model.submit("v2").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;

    // Without a decision neither traffic nor crown, whoever calls the functions.
    let (before, entries) = (model.head().await, model.history().await.len());
    let step = with(Model::held(&promotion), &json!({ "action": "canary_step", "step": 0 }));
    for (function, payload) in [("Shift", &step), ("Crown", &Model::held(&promotion))] {
        let (label, message) =
            stack.invoke(function, payload).await.expect_err("it did what nobody approved");
        assert_eq!(label, "Seatrial.NotApproved", "{function}: {message}");
    }
    let after = model.head().await;
    assert_eq!((after.revision, &after.route), (before.revision, &before.route));
    assert_eq!(model.history().await.len(), entries);
    assert_eq!(model.gate_now(&gate).await.decisions.len(), 0);

    // An operator's rollback while the canary runs.
    model.decide(&promotion, "approve").await;
    assert_eq!(model.canary().await.route.weight.bps(), 5_000);
    let done = stack.cli(&["rollback", model.name.as_str(), "--reason", "the suite rolls back"]).await.json();
    let (taken, since) = (model.head().await, Instant::now());
    assert_eq!(taken.route.weight.bps(), 0, "the challenger still has traffic");
    assert!(taken.route.challenger.is_none() && taken.running.is_none());
    assert_eq!(taken.champion(), Some(&champion.challenger));
    assert_eq!((&done["champion_changed"], done["epoch"].as_u64()), (&json!(false), Some(taken.epoch)));
    let (label, _) = stack.invoke("Shift", &step).await.expect_err("a shift after the rollback");
    assert_eq!(label, "Seatrial.Superseded");
    let (label, _) =
        stack.invoke("Crown", &Model::held(&promotion)).await.expect_err("a crown after the rollback");
    assert_eq!(label, "Seatrial.Superseded");

    let ended = model.ended(&promotion).await;
    assert_eq!(
        (ended.status, ended.reason.as_deref()),
        (PromotionStatus::Aborted, Some("the suite rolls back"))
    );
    let (status, error, cause) = model.execution(&promotion).await;
    assert_eq!((status.as_str(), error.as_str()), ("FAILED", "Seatrial.RolledBack"), "{cause}");
    let entries = model.events().await;
    while since.elapsed() < Duration::from_secs(10) {
        let head = model.head().await;
        assert_eq!((head.route.weight.bps(), head.epoch), (0, taken.epoch), "the weight came back");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(model.events().await, entries);
    assert_eq!(entries.iter().filter(|e| *e == "canary_rolled_back").count(), 1);
    assert_eq!(entries.iter().filter(|e| *e == "attested").count(), 2);

    // The same version again, and this time its execution is killed in the middle.
    let second = model.promote("v2").await;
    model.decide(&second, "approve").await;
    model.canary().await;
    let arn = second.execution.clone().unwrap();
    stack
        .sfn
        .stop_execution()
        .execution_arn(&arn)
        .error("Killed")
        .cause("by the suite")
        .send()
        .await
        .unwrap();
    let ended = model.ended(&second).await;
    assert_eq!(ended.status, PromotionStatus::Aborted);
    assert!(ended.reason.as_deref().unwrap_or_default().contains("ABORTED"), "{:?}", ended.reason);
    let head = model.head().await;
    assert!(head.running.is_none() && head.route.weight.bps() == 0 && head.route.challenger.is_none());
    assert_eq!(head.champion(), Some(&champion.challenger));

    // The lock is free.
    let third = model.promote("v2").await;
    model.gate(&third, GateKind::Approval).await;
    model.decide(&third, "reject").await;
    assert_eq!(model.ended(&third).await.status, PromotionStatus::Rejected);
    assert_eq!(model.head().await.champion(), Some(&champion.challenger));
}

#[tokio::test]
async fn the_standby_serves_again_directly_and_without_one_the_refusal_says_what_can_be_done() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "standby", &rules()).await;
    let name = model.name.as_str();
    let first = model.first_champion("v1").await;
    for direct in [&[][..], &["--direct"][..]] {
        let told = stack.cli(&[&["rollback", name, "--reason", "too early"], direct].concat()).await.error(5);
        assert_eq!(told["code"], "no_standby");
        assert!(told["message"].as_str().unwrap().contains("seatrial promote"), "{told}");
    }
    assert_eq!(model.head().await.champion(), Some(&first.challenger));

    let promotion = model.submit("v2").await;
    model.decide(&promotion, "approve").await;
    model.canary().await;
    let crowned = stack
        .invoke("Crown", &Model::held(&promotion))
        .await
        .expect("an approved challenger through its steps");
    assert_eq!((&crowned["champion"], &crowned["standby"]), (&json!("v2"), &json!("v1")));

    // The machine still watches the canary: it finds the crown and only attests.
    let ended = model.ended(&promotion).await;
    assert_eq!(ended.status, PromotionStatus::Crowned);
    let (status, _, cause) = model.execution(&promotion).await;
    assert_eq!(status, "SUCCEEDED", "{cause}");
    assert_eq!(model.events().await.iter().filter(|e| *e == "crowned").count(), 2);

    let done = stack.cli(&["rollback", name, "--reason", "the standby, please", "--direct"]).await.json();
    assert_eq!((&done["champion_changed"], &done["champion"]["version"]), (&json!(true), &json!("v1")));
    let head = model.head().await;
    assert_eq!((head.champion(), head.standby.as_ref()), (Some(&first.challenger), None));
    // Sent again: the same rollback, not one more.
    let again = stack.cli(&["rollback", name, "--reason", "the standby, please", "--direct"]).await.json();
    assert_eq!(again["epoch"], done["epoch"]);
    let told = stack.cli(&["rollback", name, "--reason", "one more"]).await.error(5);
    assert_eq!(told["code"], "no_standby");
    let head = model.head().await;
    assert_eq!(head.champion(), Some(&first.challenger));
    let v2 = stack.registry.version(&model.name, promotion.challenger.version).await.unwrap().unwrap();
    assert_eq!(v2.status, VersionStatus::RolledBack);
    assert_eq!(model.events().await.iter().filter(|e| *e == "rolled_back").count(), 1);
    until("the history's last word", 5, async || {
        (model.events().await.last().unwrap() == "rolled_back").then_some(())
    })
    .await;
}

//! Versions that are out of use on the running stack: kept ready, retired, collected, and what comes after that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use seatrial_artifacts::{blob_key, signature_key};
use seatrial_domain::VersionName;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::version::VersionStatus;
use seatrial_registry::Records;
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, request};
use serde_json::{Value, json};

/// Retired versions go at the next round; no shadow, and a canary of one step.
fn rules(stability_seconds: u32) -> Value {
    json!({
        "shadow": { "enabled": false },
        "canary": { "steps": [50], "hold_seconds": 1, "max_hold_seconds": 300, "check_seconds": 1, "stability_seconds": stability_seconds },
        "retention": { "collect_retired_after_days": 0 },
    })
}

async fn status(model: &Model<'_>, version: u32) -> VersionStatus {
    let found = model.stack.registry.version(&model.name, VersionName::new(version)).await.unwrap();
    found.expect("the version").status
}

/// The plan's line of a version.
async fn line(model: &Model<'_>, version: &str) -> Value {
    let plan = model.stack.cli(&["retention", model.name.as_str()]).await.json();
    let lines = plan["versions"].as_array().unwrap();
    lines.iter().find(|l| l["version"] == version).unwrap_or_else(|| panic!("{version} in {plan}")).clone()
}

#[tokio::test]
async fn a_standby_is_kept_ready_and_a_retired_version_is_collected_and_can_be_submitted_again() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "retention", &rules(3_600)).await;
    let name = model.name.as_str();
    let first = model.first_champion("v1").await;
    let second = model.submit("v2").await;
    model.decide(&second, "approve").await;
    model.canary().await;
    stack.invoke("Crown", &Model::held(&second)).await.expect("an approved challenger through its steps");
    assert_eq!(model.ended(&second).await.status, PromotionStatus::Crowned);

    // Within the window of the crown the standby stays; a rollback brings it back, and the version taken back is no standby.
    let told = stack.cli(&["retire", name, "v1", "--reason", "too early"]).await.error(5);
    assert_eq!(told["code"], "stability_window");
    assert!(told["message"].as_str().unwrap().contains("seatrial rollback"), "{told}");
    let standby = line(&model, "v1").await;
    assert_eq!((&standby["fate"], &standby["reason"]), (&json!("keep"), &json!("standby")));
    let _ = stack.cli(&["rollback", name, "--champion", "--reason", "the suite goes back"]).await.json();
    assert_eq!(model.head().await.champion(), Some(&first.challenger));

    // A dry run changes nothing; a round without anything that is due neither.
    let retired = stack.cli(&["retire", name, "v2", "--reason", "out of use"]).await.json();
    assert_eq!((&retired["status"], &retired["retention"]["fate"]), (&json!("retired"), &json!("collect")));
    let (entries, gone) = (model.history().await.len(), second.challenger.digest.clone());
    assert_eq!(line(&model, "v2").await["fate"], "collect");
    assert_eq!(model.history().await.len(), entries);
    let server = stack.serve(&model.folder()).await;
    let pinned = format!("{}/v2/models/{name}/versions/v2/infer", server.base);
    let row: Value = {
        let live = std::fs::read_to_string(repository("tests/fixtures/live.jsonl")).unwrap();
        serde_json::from_str(live.lines().next().unwrap()).unwrap()
    };

    let evidence = stack.keys("EvidenceBucket", &format!("evidence/model={name}/")).await;
    let done = stack.invoke("Sweep", &json!({ "retention": name })).await.expect("the round");
    assert!(done["done"].to_string().contains("v2 of"), "{done}");
    assert_eq!(
        (status(&model, 1).await, status(&model, 2).await),
        (VersionStatus::Champion, VersionStatus::Collected)
    );
    let objects = stack.keys("ModelsBucket", &format!("{name}/")).await;
    for key in [blob_key(&model.name, &gone), signature_key(&model.name, &gone)] {
        assert!(!objects.contains(&key), "{key}");
    }
    assert!(objects.contains(&blob_key(&model.name, &first.challenger.digest)));
    let after = stack.keys("EvidenceBucket", &format!("evidence/model={name}/")).await;
    assert!(evidence.iter().all(|key| after.contains(key)), "evidence is never deleted");
    let events = model.events().await;
    assert_eq!(events[events.len() - 2..], ["version_collected", "collection_finished"]);
    let history = stack.cli(&["history", name]).await.json();
    assert_eq!(history["verified"], true);

    // Whatever would use it says what can be done.
    for arguments in [
        vec!["promote", name, "v2"],
        vec!["card", name, "v2"],
        vec!["fetch", name, "v2", model.folder().join("fetched").to_str().unwrap()],
    ] {
        let told = stack.cli(&arguments).await.error(5);
        assert_eq!(told["code"], "collected", "{arguments:?}: {told}");
        assert!(told["message"].as_str().unwrap().contains("seatrial package DIR"), "{told}");
    }
    let answer = reqwest::Client::new().post(&pinned).json(&request(&row)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 404);
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "collected-version");
    let folder = model.folder().join("fetched-v1");
    let fetched = stack.cli(&["fetch", name, "v1", folder.to_str().unwrap()]).await.json();
    assert_eq!(fetched["signature"], "holds", "what stays is whole");

    // The same files again: the same digest, another version.
    let third = model.submit("v2").await;
    assert_eq!(third.challenger.version, VersionName::new(3));
    assert_eq!(third.challenger.digest, gone);
    model.decide(&third, "reject").await;
    model.ended(&third).await;
    let _ =
        stack.cli(&["fetch", name, "v3", model.folder().join("fetched-v3").to_str().unwrap()]).await.json();
    assert_eq!(status(&model, 2).await, VersionStatus::Collected);
}

#[tokio::test]
async fn after_its_window_a_standby_can_be_retired_and_a_policy_that_keeps_everything_collects_nothing() {
    let stack = Stack::connect().await;
    let mut keeps = rules(1);
    keeps["retention"]["collect_retired_after_days"] = json!("never");
    let model = Model::new(&stack, "kept", &keeps).await;
    let name = model.name.as_str();
    model.first_champion("v1").await;
    let second = model.submit("v2").await;
    model.decide(&second, "approve").await;
    model.canary().await;
    stack.invoke("Crown", &Model::held(&second)).await.expect("an approved challenger through its steps");
    model.ended(&second).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let retired = stack.cli(&["retire", name, "v1", "--reason", "out of use"]).await.json();
    assert_eq!(retired["retention"]["reason"], "never");
    let before = stack.keys("ModelsBucket", &format!("{name}/")).await;
    let done = stack.invoke("Sweep", &json!({ "retention": name })).await.expect("the round");
    assert_eq!(done["done"], json!([]));
    assert_eq!(status(&model, 1).await, VersionStatus::Retired);
    assert_eq!(stack.keys("ModelsBucket", &format!("{name}/")).await, before);
    let told = stack.cli(&["rollback", name, "--champion", "--reason", "back"]).await.error(5);
    assert_eq!(told["code"], "no_standby");
}

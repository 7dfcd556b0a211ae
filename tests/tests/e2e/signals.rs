//! What people say of a canary's answers, on the running stack: it goes through the real queue, is joined to the arm that
//! answered, and takes the canary back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::ids::VersionRef;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_tests::stack::{Model, Stack};
use serde_json::{Value, json};

/// Units on each arm.
const UNITS: u32 = 200;

async fn send(stack: &Stack, entries: &[Value]) {
    for message in entries.chunks(100) {
        let body = Value::Array(message.to_vec()).to_string();
        let request =
            stack.sqs.send_message().queue_url(stack.out("ObservationsQueueUrl")).message_body(body);
        request.send().await.unwrap();
    }
}

#[tokio::test]
async fn a_canary_that_people_dislike_is_taken_back_and_the_reason_names_the_signal() {
    let stack = Stack::connect().await;
    let rules = json!({
        "shadow": { "enabled": false },
        "observations": { "lateness_seconds": 1 },
        "canary": { "steps": [50], "hold_seconds": 1, "max_hold_seconds": 300, "check_seconds": 1, "metrics": {
            "thumbs_down": { "class": "guardrail", "margin": 0.05, "bounds": [0, 1], "within_seconds": 2 },
        } },
    });
    let model = Model::new(&stack, "signals", &rules).await;
    let champion = model.first_champion("v1").await;
    let promotion = model.submit("v2").await;
    model.decide(&promotion, "approve").await;
    let head = model.canary().await;
    let (name, now) = (model.name.as_str(), jiff::Timestamp::now());
    let route = json!({ "promotion": promotion.id, "epoch": head.epoch, "weight": serde_json::to_value(head.route.weight).unwrap() });

    let mut entries = Vec::new();
    let arms: [(&str, &VersionRef); 2] =
        [("champion", &champion.challenger), ("challenger", &promotion.challenger)];
    for (role, version) in arms {
        let of = json!({ "schema": 1, "model": name, "version": version.version, "digest": version.digest, "role": role, "route": route });
        let with = |more: Value| {
            let mut entry = of.clone();
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            entry
        };
        entries.push(with(json!({
            "kind": "tally", "tally_id": format!("{name}-{role}"), "second": now.as_second(), "assigned": UNITS,
            "answered": UNITS, "errors": 0, "client_errors": 0, "latency": null,
        })));
        for n in 0..UNITS {
            let id = format!("{name}-{role}-{n}");
            entries.push(with(json!({
                "kind": "served", "observation_id": id, "unit": id, "at": now, "inputs": {},
                "output": { "label": "<=50K" }, "latency_us": 800,
            })));
            // Two in five of the challenger's answers are disliked, one in a hundred of the champion's.
            if n % if role == "challenger" { 5 } else { 100 } < if role == "challenger" { 2 } else { 1 } {
                entries.push(json!({
                    "kind": "signal", "schema": 1, "model": name, "observation_id": id, "name": "thumbs_down",
                    "value": 1, "at": now,
                }));
            }
        }
    }
    send(&stack, &entries).await;

    let ended = model.ended(&promotion).await;
    let reason = ended.reason.clone().unwrap_or_default();
    assert_eq!(ended.status, PromotionStatus::Aborted, "{reason}");
    assert!(reason.contains("thumbs down") || reason.contains("thumbs_down"), "{reason}");
    let after = model.head().await;
    assert_eq!((after.champion(), after.route.weight.bps()), (Some(&champion.challenger), 0));
    let events = model.events().await;
    assert_eq!(events.iter().filter(|e| *e == "canary_rolled_back").count(), 1, "{events:?}");
    // The judgement is evidence, with the units of both arms.
    let folder = format!("evidence/model={name}/promotion={}/", promotion.id);
    let judged: Value =
        serde_json::from_slice(&stack.object("EvidenceBucket", &format!("{folder}canary-step-0.json")).await)
            .unwrap();
    let rows = judged["metrics"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "thumbs_down").expect("the signal's row");
    assert_eq!(row["state"], "rejected", "{row}");
    assert_eq!(row["n"], json!(2 * UNITS), "{row}");
}

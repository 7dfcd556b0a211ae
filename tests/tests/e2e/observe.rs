//! Observations on the running stack: what does not count is set aside with its reason, what counts counts once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::GateKind;
use seatrial_domain::promotion::{PromotionRecord, PromotionStatus};
use seatrial_evidence::observation::Tally;
use seatrial_registry::Tallies;
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, until};
use serde_json::{Value, json};

async fn send(stack: &Stack, body: &str) {
    stack
        .sqs
        .send_message()
        .queue_url(stack.out("ObservationsQueueUrl"))
        .message_body(body)
        .send()
        .await
        .unwrap();
}

/// A tally of the champion, as any data plane may send it.
fn tally(serving: &PromotionRecord, id: &str, epoch: u64, assigned: u64) -> Value {
    json!({
        "schema": 1, "kind": "tally", "tally_id": id, "model": serving.model, "version": serving.challenger.version,
        "digest": serving.challenger.digest, "role": "champion", "route": { "epoch": epoch, "weight": 0 },
        "second": jiff::Timestamp::now().as_second(), "assigned": assigned, "answered": assigned, "errors": 0, "client_errors": 0,
        "latency": null,
    })
}

/// A row that the champion has served under the route of `promotion`.
fn row(serving: &PromotionRecord, promotion: &PromotionRecord, id: &str, features: &Value) -> Value {
    json!({
        "schema": 1, "kind": "served", "observation_id": id, "model": serving.model, "version": serving.challenger.version,
        "digest": serving.challenger.digest, "role": "champion",
        "route": { "promotion": promotion.id, "epoch": promotion.epoch, "weight": 0 },
        "at": jiff::Timestamp::now(), "inputs": features, "output": { "label": "<=50K", "scores": [0.9, 0.1] }, "latency_us": 800,
    })
}

/// Everything in the dead-letter store that names `marker`.
async fn dead(stack: &Stack, marker: &str) -> Vec<Value> {
    let mut letters = Vec::new();
    for key in stack.keys("DataBucket", "dead-letters/").await {
        let text = String::from_utf8(stack.object("DataBucket", &key).await).unwrap();
        letters.extend(
            text.lines().filter(|l| l.contains(marker)).map(|l| serde_json::from_str::<Value>(l).unwrap()),
        );
    }
    letters
}

async fn tallies(stack: &Stack, model: &Model<'_>, epoch: u64) -> Vec<Tally> {
    let now = jiff::Timestamp::now().as_second();
    let items = stack.registry.tallies(&model.name, epoch, now - 600..now + 600).await.unwrap();
    items.iter().map(|i| serde_json::from_str(&i.body).unwrap()).collect()
}

#[tokio::test]
async fn poison_is_set_aside_and_the_good_entries_of_its_batch_count_once() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "poison", &json!({})).await;
    let serving = model.first_champion("v1").await;
    let (name, epoch) = (model.name.as_str(), model.head().await.epoch);
    let good = |n: u64| tally(&serving, &format!("{name}-t{n}"), epoch, 10 + n);

    let change = |id: &str, field: &str, value: Value| {
        let mut entry = tally(&serving, &format!("{name}-{id}"), epoch, 1_000);
        entry[field] = value;
        entry
    };
    let poison = [
        (change("schema", "schema", json!(9)), "schema 9"),
        (change("model", "model", json!(format!("{name}-nobody"))), "is not registered"),
        (change("digest", "digest", json!(format!("sha256:{}", "0".repeat(64)))), "another digest"),
        (change("version", "version", json!("v99")), "v99 is not registered"),
        (change("epoch", "route", json!({ "epoch": epoch + 7, "weight": 0 })), "has not come yet"),
        (change("arm", "role", json!("challenger")), "was not the challenger"),
        (change("sum", "answered", json!(1_001)), "1001 outcomes of 1000"),
        (change("kind", "kind", json!("rumour")), "contract's form"),
        (change("more", "surprise", json!(1)), "contract's form"),
        (json!(format!("{name}-text")), "contract's form"),
    ];
    let entries: Vec<Value> =
        poison.iter().enumerate().flat_map(|(n, (bad, _))| [good(n as u64), bad.clone()]).collect();
    let nan = format!(
        r#"[{{"schema": 1, "kind": "signal", "model": "{name}", "name": "nan-{name}", "value": NaN}}]"#
    );
    for _ in 0..2 {
        send(&stack, &format!("this is not JSON, {name}")).await;
        send(&stack, &nan).await;
        send(&stack, &json!({ "schema": 1, "kind": "tally", "alone": name }).to_string()).await;
        send(&stack, &Value::Array(entries.clone()).to_string()).await;
    }

    let counted = until("the good tallies", 30, async || {
        let found = tallies(&stack, &model, epoch).await;
        (found.len() >= poison.len()).then_some(found)
    })
    .await;
    let letters = until("the dead letters of both deliveries", 30, async || {
        let found = dead(&stack, name).await;
        (found.len() >= 2 * (poison.len() + 3)).then_some(found)
    })
    .await;
    let reason = |marker: &str| -> Vec<&str> {
        let about = letters.iter().filter(|l| l["entry"].as_str().unwrap().contains(marker));
        about.map(|l| l["reason"].as_str().unwrap()).collect()
    };
    for (marker, why) in
        [("this is not JSON", "not JSON"), ("nan-", "not JSON"), ("alone", "not a JSON array")]
    {
        assert!(
            reason(marker).iter().all(|r| r.contains(why)) && reason(marker).len() == 2,
            "{marker}: {:?}",
            reason(marker)
        );
    }
    for (bad, why) in &poison {
        let told = reason(&bad.to_string());
        assert!(
            told.len() == 2 && told.iter().all(|r| r.contains(why)),
            "{bad}: expected {why:?}, found {told:?}"
        );
    }
    // Sent twice, counted once; nothing of the poison is in the counts, nor in those of another model or epoch.
    let found = tallies(&stack, &model, epoch).await;
    assert_eq!(found.len(), counted.len());
    let expected: u64 = (0..poison.len() as u64).map(|n| 10 + n).sum();
    assert_eq!(found.iter().map(|t| t.assigned).sum::<u64>(), expected);
    assert!(found.iter().all(|t| t.tally_id.starts_with(&format!("{name}-t"))));
    assert!(tallies(&stack, &model, epoch + 7).await.is_empty());
    assert_eq!(stack.keys("DataBucket", &format!("signals/model={name}/")).await, Vec::<String>::new());
}

#[tokio::test]
async fn rows_that_come_twice_are_one_pair_each() {
    let stack = Stack::connect().await;
    let rules = json!({ "shadow": { "window_seconds": 200, "max_seconds": 300, "min_pairs": 1_000 } });
    let model = Model::new(&stack, "pairs", &rules).await;
    let serving = model.first_champion("v1").await;
    let promotion = model.submit("v2").await;
    let window = model.gate(&promotion, GateKind::ShadowWindow).await;
    let name = model.name.as_str();

    let live = std::fs::read_to_string(repository("tests/fixtures/live.jsonl")).unwrap();
    let rows: Vec<Value> = live
        .lines()
        .take(20)
        .enumerate()
        .map(|(n, line)| {
            let features = serde_json::from_str::<Value>(line).unwrap()["features"].clone();
            row(&serving, &promotion, &format!("{name}-{n}#0"), &features)
        })
        .collect();
    // A row of an earlier epoch was served under another route: it is kept in the log and makes no pair.
    let mut stale = row(&serving, &promotion, &format!("{name}-stale#0"), &rows[0]["inputs"]);
    stale["route"] = json!({ "epoch": serving.epoch, "weight": 0 });
    let message = Value::Array(rows.iter().cloned().chain([stale]).collect()).to_string();
    for _ in 0..2 {
        send(&stack, &message).await;
    }
    // A look at the running shadow counts batches, each once; only the frozen pairs are told apart one by one.
    let progress = until("the pairs", 60, async || {
        let seen = stack.cli(&["shadow", "status", name]).await.json();
        (seen["pairs"].as_u64() >= Some(20)).then_some(seen)
    })
    .await;
    assert_eq!(
        (&progress["state"], &progress["challenger_errors"]),
        (&json!("more"), &json!(0)),
        "{progress}"
    );
    assert!(!stack.keys("DataBucket", &format!("observations/model={name}/")).await.is_empty());

    // The shadow is stopped by a person: too little was seen, so nothing passes, and the report says how many there were.
    let stopped = stack.cli(&["shadow", "stop", name, "--reason", "enough for a test"]).await.json();
    assert_eq!(stopped["id"], json!(window.id));
    let gate = model.gate(&promotion, GateKind::Approval).await;
    assert_eq!(gate.verdict, Some(seatrial_domain::verdict::Verdict::Inconclusive));
    let report = stack.cli(&["compare", name]).await.json();
    let pairs =
        report["rows"].as_array().unwrap().iter().find(|r| r["name"] == "pairs").expect("the row of pairs");
    assert_eq!((&pairs["n"], &pairs["verdict"]), (&json!(20), &json!("inconclusive")), "{pairs}");
    assert_eq!(
        report["shadow"]["duplicates"],
        json!(20),
        "both messages were replayed: {}",
        report["shadow"]
    );
    assert!(model.now(&promotion).await.shadow.unwrap().stopped_early);
    model.decide(&promotion, "reject").await;
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Rejected);
    assert_eq!(model.head().await.champion(), Some(&serving.challenger));
}

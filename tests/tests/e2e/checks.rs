//! Integration checks on the running stack: the packaged version answers at its pinned endpoint, and what the owner's program
//! says of it counts. And a model that answers numbers, from its submission to its second version.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};

use seatrial_domain::gate::GateKind;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, PromotionStatus};
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the owner's program was told, and what the endpoint then answered.
type Told = Arc<Mutex<Vec<(Value, u16, Value)>>>;

/// A program that sends one request to the endpoint it is told of, and says `verdict`.
async fn owner(verdict: &'static str) -> (String, Told) {
    let told = Told::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/check", listener.local_addr().unwrap());
    let seen = Arc::clone(&told);
    tokio::spawn(async move {
        let stack = Stack::connect().await;
        while let Ok((stream, _)) = listener.accept().await {
            check(&stack, stream, verdict, &seen).await;
        }
    });
    (url, told)
}

async fn check(stack: &Stack, mut stream: TcpStream, verdict: &str, told: &Told) {
    let question = body(&mut stream).await;
    let live = std::fs::read_to_string(repository("tests/fixtures/live.jsonl")).unwrap();
    let row: Value = serde_json::from_str(live.lines().next().unwrap()).unwrap();
    let url = question["endpoint"]["infer"].as_str().unwrap();
    let answer = stack.signed("execute-api", "POST", url, &[], &request(&row["features"]).to_string()).await;
    let said: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    told.lock().unwrap().push((question, answer.status, said));
    let verdict = json!({ "verdict": verdict, "message": "one recorded request was tried" }).to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", verdict.len());
    stream.write_all(format!("{head}{verdict}").as_bytes()).await.unwrap();
}

/// The JSON body of one request.
async fn body(stream: &mut TcpStream) -> Value {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0_usize) {
                return serde_json::from_str(body).unwrap();
            }
        }
        let mut more = [0; 4_096];
        let n = stream.read(&mut more).await.unwrap();
        assert!(n > 0, "the request broke off: {text}");
        bytes.extend_from_slice(&more[..n]);
    }
}

fn request(features: &Value) -> Value {
    let tensor = |(name, value): (&String, &Value)| {
        let datatype = if value.is_string() { "BYTES" } else { "FP32" };
        json!({ "name": name, "shape": [1, 1], "datatype": datatype, "data": [value] })
    };
    let inputs: Vec<Value> = features.as_object().unwrap().iter().map(tensor).collect();
    json!({ "inputs": inputs })
}

async fn evaluation(stack: &Stack, promotion: &PromotionRecord) -> Value {
    let reference = &promotion.evidence[&EvidenceKind::Evaluation];
    serde_json::from_slice(&stack.object("EvidenceBucket", &reference.key).await).unwrap()
}

fn row<'a>(document: &'a Value, name: &str) -> &'a Value {
    let rows = document["rows"].as_array().unwrap();
    rows.iter().find(|r| r["name"] == name).unwrap_or_else(|| panic!("{name} in {rows:#?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_tries_the_version_where_it_is_pinned_before_anything_else_serves_it() {
    let stack = Stack::connect().await;
    let (url, told) = owner("pass").await;
    let rules = json!({ "checks": [{ "name": "contract", "url": url }, { "name": "stranger", "url": "https://example.com/", "class": "info" }] });
    let model = Model::new(&stack, "checks", &rules).await;
    let promotion = model.submit("v1").await;
    model.gate(&promotion, GateKind::Approval).await;
    let document = evaluation(&stack, &model.now(&promotion).await).await;
    let contract = row(&document, "contract");
    assert_eq!(
        (contract["verdict"].as_str(), contract["group"].as_str()),
        (Some("pass"), Some("check")),
        "{contract}"
    );
    let stranger = row(&document, "stranger");
    assert_eq!(stranger["verdict"], "inconclusive");
    assert!(stranger["why"].as_str().unwrap().contains("does not allow"), "{stranger}");
    let told = told.lock().unwrap().clone();
    let (question, status, answer) = told.last().unwrap();
    assert_eq!(question["digest"], json!(promotion.challenger.digest));
    assert_eq!((*status, answer["model_version"].as_str()), (200, Some("v1")), "{answer}");
    assert_eq!(model.head().await.champion(), None, "it answered before it was anybody's champion");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_says_no_ends_the_promotion_before_anybody_is_asked() {
    let stack = Stack::connect().await;
    let (url, _) = owner("fail").await;
    let model =
        Model::new(&stack, "checked", &json!({ "checks": [{ "name": "contract", "url": url }] })).await;
    let promotion = model.submit("v1").await;
    let ended = model.ended(&promotion).await;
    assert_ne!(ended.status, PromotionStatus::Crowned);
    assert!(!ended.evidence.contains_key(&EvidenceKind::Report), "nothing was compared");
    let document = evaluation(&stack, &ended).await;
    assert_eq!(document["verdict"], "fail");
    assert!(
        document["why"].as_str().unwrap().contains("one recorded request was tried"),
        "{}",
        document["why"]
    );
    assert_eq!(model.head().await.champion(), None);
}

/// The policy of the made-up regression: the suite's short times, and rules of numbers.
fn of_numbers() -> Value {
    let text = std::fs::read_to_string(repository("tests/fixtures/policy.yaml")).unwrap();
    let mut policy: Value = serde_yaml_ng::from_str(&text).unwrap();
    let fields = policy.as_object_mut().unwrap();
    for name in ["positive_class", "protected", "named_segments", "offline"] {
        fields.remove(name);
    }
    policy["task"] = json!("regression");
    policy["segments"] = json!(["site"]);
    policy["segment_min_n"] = json!(100);
    policy["tolerance"] = json!(100.0);
    let rule = |limit: f64| json!({ "class": "guardrail", "margin": "5%rel", "direction": "lower_is_better", "limit": limit });
    policy["offline"] = json!({ "metrics": { "rmse": rule(3.0), "mae": rule(2.5) } });
    policy["shadow"] = json!({ "sample_percent": 100, "window_seconds": 5, "max_seconds": 60, "min_pairs": 60, "partitions": 2 });
    policy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_regression_is_crowned_served_and_compared_by_its_numbers() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "numbers", &json!({})).await;
    let name = model.name.as_str();
    let file = model.folder().join("numbers.yaml");
    std::fs::write(&file, of_numbers().to_string()).unwrap();
    let _ = stack.cli(&["policy", "set", name, &file.display().to_string()]).await.json();
    let fixtures = "../regression";
    let benchmark = repository("tests/fixtures/regression/benchmark.parquet").display().to_string();
    let _ = stack.cli(&["benchmark", "set", name, &benchmark]).await.json();
    let first = model.first_champion(&format!("{fixtures}/r1")).await;
    let document = evaluation(&stack, &first).await;
    assert_eq!(row(&document, "rmse")["verdict"], "pass", "{}", row(&document, "rmse"));

    let server = stack.serve(&model.folder().join("serve")).await;
    let url = format!("{}/v2/models/{name}/infer", server.base);
    let ask = async |i: u32| {
        let x = |k: u32| f64::from((i * (2 * k + 3)) % 97) / 97.0;
        let features = json!({ "x0": x(0), "x1": x(1), "x2": x(2), "x3": x(3), "x4": x(4), "site": "east" });
        let answer = stack.plain("POST", &url, &request(&features).to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let answer = ask(1).await;
    assert_eq!(answer["model_version"], "v1");
    let value = answer["outputs"].as_array().unwrap().iter().find(|o| o["name"] == "value").unwrap();
    assert!(value["data"][0].as_f64().unwrap().is_finite(), "{answer}");

    let second = model.submit(&format!("{fixtures}/r2")).await;
    let gate = async { model.gate(&second, GateKind::Approval).await };
    tokio::pin!(gate);
    let mut asked = 2;
    loop {
        tokio::select! {
            _ = &mut gate => break,
            () = async { ask(asked).await; tokio::time::sleep(std::time::Duration::from_millis(50)).await } => asked += 1,
        }
    }
    let report = stack.cli(&["compare", name]).await.json();
    assert_eq!(row(&report, "mae")["verdict"], "pass", "{}", row(&report, "mae"));
    assert!(row(&report, "pairs")["n"].as_u64().unwrap() >= 60, "{}", row(&report, "pairs"));
    // Any two answers are within a hundred of each other: what agrees here is that there are numbers on both sides.
    let agreement = row(&report, "agreement");
    assert_eq!(agreement["challenger"].as_f64(), Some(1.0), "{agreement}");
    let fidelity = row(&report, "fidelity");
    assert_eq!(fidelity["verdict"], "pass", "{fidelity}");
}

//! What is wrong is refused on the running stack: every defect told, nothing half-written, nothing done twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::promotion::{EvidenceKind, PromotionStatus};
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, unique, until};
use serde_json::{Value, json};

/// The files of a fixture, by path.
fn files(fixture: &str) -> Vec<(String, Vec<u8>)> {
    let folder = repository("tests/fixtures/submissions").join(fixture);
    let names =
        ["config.yaml", "eval_results.json", "CHANGELOG.md", "data_manifest.txt", "weights/model.onnx"];
    names.map(|name| (name.to_owned(), std::fs::read(folder.join(name)).unwrap())).into()
}

/// A submission with many things wrong.
fn defective() -> Vec<(String, Vec<u8>)> {
    let mut files = files("v1");
    files.retain(|(name, _)| name != "CHANGELOG.md");
    for (name, bytes) in &mut files {
        match name.as_str() {
            "config.yaml" => {
                *bytes = b"schema: 1\ntask: binary\nruntime: onnx\nmodel: weights/other.onnx\ninputs: []\n"
                    .to_vec();
            }
            "eval_results.json" => *bytes = b"{\"accuracy\": NaN}".to_vec(),
            "data_manifest.txt" => *bytes = b"not-a-digest  train.csv\n".to_vec(),
            _ => {}
        }
    }
    files.push(("notes.txt".into(), b"by the way".to_vec()));
    files.push(("weights/model.pkl".into(), b"\x80\x04\x95cos\nsystem\n".to_vec()));
    files
}

const WRONG: [&str; 6] = [
    "config.yaml",
    "eval_results.json",
    "data_manifest.txt",
    "CHANGELOG.md",
    "notes.txt",
    "weights/model.pkl",
];

fn write(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn all_told(defects: &Value) {
    let defects = defects.as_array().expect("a list of defects");
    for file in WRONG {
        let about: Vec<&Value> = defects.iter().filter(|d| d["file"] == file).collect();
        assert!(!about.is_empty(), "nothing is said about {file}: {defects:#?}");
        assert!(about.iter().all(|d| d["expected"].as_str().is_some_and(|e| !e.is_empty())), "{about:?}");
    }
}

#[tokio::test]
async fn the_command_line_tells_every_defect_and_uploads_nothing() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "defects", &json!({})).await;
    let folder = model.folder().join("submission");
    write(&folder, &defective());
    let path = folder.display().to_string();
    let name = model.name.as_str();
    let error = stack.cli(&["package", &path, "--model", name]).await.error(3);
    assert_eq!(error["code"], "invalid_submission");
    all_told(&error["defects"]);
    let words = stack.run(&["package", &path, "--model", name]).await;
    assert_eq!(words.code, 3);
    assert!(WRONG.iter().all(|file| words.err.contains(file)), "{}", words.err);

    // A sound submission for a model that nobody made rules for is not uploaded either.
    let sound = repository("tests/fixtures/submissions/v1").display().to_string();
    let unknown = unique("e2e-unknown");
    let told = stack.cli(&["package", &sound, "--model", &unknown]).await;
    assert!([3, 4].contains(&told.code) && told.err.contains("policy set"), "{} {}", told.code, told.err);
    for model in [name, &unknown] {
        assert_eq!(
            stack.keys("SubmissionsBucket", &format!("submissions/{model}/")).await,
            Vec::<String>::new()
        );
    }
    assert!(model.promotions().await.is_empty());
}

#[tokio::test]
async fn a_defective_upload_is_refused_with_all_its_defects_and_leaves_no_version() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "upload", &json!({})).await;
    let prefix = format!("submissions/{}/by-hand/", model.name);
    let mut upload = defective();
    upload.push(("submission.json".into(), br#"{"schema": 1}"#.to_vec()));
    for (name, bytes) in upload {
        stack.put("SubmissionsBucket", &format!("{prefix}{name}"), bytes).await;
    }
    let place = format!("refused/{}/", model.name);
    let key = until("the refusal", 60, async || stack.keys("EvidenceBucket", &place).await.pop()).await;
    let document: Value = serde_json::from_slice(&stack.object("EvidenceBucket", &key).await).unwrap();
    assert_eq!(
        (document["model"].as_str(), document["submission"]["prefix"].as_str()),
        (Some(model.name.as_str()), Some(prefix.as_str()))
    );
    all_told(&document["defects"]);

    let promotion = document["promotion"].as_str().unwrap();
    let machine = stack.out("PromotionStateMachineArn").replacen(":stateMachine:", ":execution:", 1);
    let arn = format!("{machine}:{promotion}");
    let ended = until("the execution's end", 30, async || {
        let found = stack.sfn.describe_execution().execution_arn(&arn).send().await.unwrap();
        (found.status().as_str() == "FAILED").then_some(found)
    })
    .await;
    assert_eq!(ended.error(), Some("Seatrial.NotStarted"));
    assert!(ended.cause().unwrap_or_default().contains("Seatrial.InvalidSubmission"), "{:?}", ended.cause());

    let head = model.head().await;
    assert!(head.running.is_none() && head.next_version == 1 && model.promotions().await.is_empty());
    assert_eq!(model.events().await, ["policy_set"]);
    assert_eq!(stack.keys("ModelsBucket", &format!("{}/", model.name)).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_same_bytes_are_one_version_and_the_same_event_one_execution() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "same", &json!({})).await;
    let promotion = model.submit("v1").await;
    let digest = promotion.challenger.digest.to_string();
    model.gate(&promotion, GateKind::Approval).await;

    // The same bytes while the first promotion runs: the same digest, no second version, and the model stays as it is.
    let folder = repository("tests/fixtures/submissions/v1").display().to_string();
    let again = stack.cli(&["package", &folder, "--model", model.name.as_str(), "--wait"]).await.json();
    assert_eq!((again["digest"].as_str(), again["version"].as_str()), (Some(digest.as_str()), Some("v1")));
    assert_eq!(
        again["refusal"]["code"], "Seatrial.ModelBusy",
        "whoever waits hears why nothing began: {again}"
    );
    let second = again["submission"]["prefix"].as_str().unwrap().to_owned();
    let executions = async || {
        let mut pages = stack
            .sfn
            .list_executions()
            .state_machine_arn(stack.out("PromotionStateMachineArn"))
            .into_paginator()
            .send();
        let mut about = Vec::new();
        while let Some(page) = pages.next().await {
            for execution in page.unwrap().executions {
                let found = stack
                    .sfn
                    .describe_execution()
                    .execution_arn(&execution.execution_arn)
                    .send()
                    .await
                    .unwrap();
                if found.input().unwrap_or_default().contains(&format!("\"{}\"", model.name)) {
                    about.push(found);
                }
            }
        }
        about
    };
    let busy = until("the refusal of the second", 30, async || {
        let all = executions().await;
        all.into_iter()
            .find(|e| e.input().unwrap_or_default().contains(&second) && e.status().as_str() == "FAILED")
    })
    .await;
    assert!(busy.cause().unwrap_or_default().contains("Seatrial.ModelBusy"), "{:?}", busy.cause());
    let head = model.head().await;
    assert_eq!((head.next_version, head.running.unwrap().promotion), (2, promotion.id.clone()));
    let blobs = stack.keys("ModelsBucket", &format!("{}/", model.name)).await;

    model.decide(&promotion, "reject").await;
    model.ended(&promotion).await;
    let before = executions().await.len();

    // The same S3 event twice, and the same request twice: one execution each, and only the first finds the model free.
    let request = json!({
        "schema": 1, "model": model.name, "version": "v1", "attempt": 7, "requested_by": { "principal": "suite", "auth": "iam" },
    });
    let entry = json!({ "Source": "seatrial.control", "DetailType": "Seatrial Promotion Requested", "Detail": request.to_string() });
    for _ in 0..2 {
        let put = stack.call("events", "AWSEvents.PutEvents", &json!({ "Entries": [entry] })).await;
        assert_eq!(put["FailedEntryCount"].as_u64().unwrap_or(0), 0, "{put}");
    }
    let third = until("the requested promotion", 30, async || model.promotions().await.get(1).cloned()).await;
    model.gate(&third, GateKind::Approval).await;
    assert_eq!(executions().await.len(), before + 1, "the request that came twice started two executions");
    let object = json!({ "key": format!("{second}submission.json"), "etag": "e", "sequencer": "1" });
    let event = json!({
        "id": "e", "source": "aws.s3", "detail-type": "Object Created", "account": stack.out("Account"),
        "detail": { "bucket": { "name": stack.out("SubmissionsBucket") }, "object": object, "requester": stack.out("Account") },
    });
    let first = stack.invoke("Intake", &event).await.expect("the event is taken");
    let repeated = stack.invoke("Intake", &event).await.expect("the event is taken again");
    assert_eq!(first["promotion"], repeated["promotion"]);
    assert_eq!(executions().await.len(), before + 2);

    assert_eq!(model.promotions().await.len(), 2);
    assert_eq!(model.head().await.next_version, 2);
    // What ended meanwhile has its card now; no file of a package came.
    for key in stack.keys("ModelsBucket", &format!("{}/", model.name)).await {
        if !blobs.contains(&key) {
            let bytes = stack.object("ModelsBucket", &key).await;
            let text = String::from_utf8_lossy(&bytes);
            let of_a_card =
                text == "{}" || text.starts_with("---\n") || text.contains(seatrial_artifacts::CARD_TYPE);
            assert!(of_a_card, "{key} came: {text:.300}");
        }
    }
    assert_eq!(model.events().await.iter().filter(|e| *e == "version_packaged").count(), 1);
    model.decide(&third, "reject").await;
    model.ended(&third).await;
}

#[tokio::test]
async fn an_unfair_version_ends_before_any_caller_or_approver_sees_it() {
    let stack = Stack::connect().await;
    let model =
        Model::new(&stack, "unfair", &json!({ "shadow": { "enabled": false } })).await.with_benchmark().await;
    let champion = model.first_champion("v2").await;
    let promotion = model.submit("v3").await;
    let ended = model.ended(&promotion).await;
    assert_eq!(ended.status, PromotionStatus::Rejected);
    let reason = ended.reason.clone().unwrap_or_default();
    assert!(reason.contains("demographic_parity fails"), "{reason}");
    assert!(
        ended.steps.is_empty()
            && ended.gate.is_none()
            && ended.evidence.contains_key(&EvidenceKind::Evaluation)
    );
    let (status, error, cause) = model.execution(&promotion).await;
    assert_eq!((status.as_str(), error.as_str()), ("FAILED", "Seatrial.Rejected"));
    assert_eq!(cause, reason);
    let evaluation = stack.object("EvidenceBucket", &ended.evidence[&EvidenceKind::Evaluation].key).await;
    let evaluation: Value = serde_json::from_slice(&evaluation).unwrap();
    let row = |name: &str, segment: &str| -> &Value {
        let rows = evaluation["rows"].as_array().unwrap();
        let found =
            rows.iter().find(|r| r["name"] == name && (segment.is_empty() || r["segment"] == segment));
        &found.unwrap_or_else(|| panic!("no row {name} {segment}: {rows:#?}"))["verdict"]
    };
    // Better on average, and that is exactly what must not help it.
    assert_eq!((row("accuracy", ""), row("auc", "")), (&json!("pass"), &json!("pass")));
    assert_eq!(row("equalised_odds", "sex"), &json!("fail"));

    let head = model.head().await;
    assert!(head.running.is_none() && head.route.challenger.is_none());
    assert_eq!(head.champion(), Some(&champion.challenger));
    let about: Vec<String> = model
        .history()
        .await
        .into_iter()
        .filter(|e| e.promotion.as_ref() == Some(&promotion.id))
        .map(|e| e.event)
        .collect();
    assert!(
        !about.iter().any(|e| e == "weight_shifted" || e == "gate_opened" || e == "crowned"),
        "{about:?}"
    );
    let pending = stack.cli(&["approvals", "list", "--model", model.name.as_str()]).await.json();
    assert_eq!(pending["approvals"], json!([]));
    assert_eq!(
        stack.invitations(model.name.as_str()).await.len(),
        1,
        "a mail about the rejected version was sent"
    );
    let first = model.gate(&champion, GateKind::Approval).await;
    assert_eq!(first.status, GateStatus::Approved);
}

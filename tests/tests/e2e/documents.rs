//! Every command and every program that README and `docs/` show is run here, on the running stack, or stands in
//! `tests/documents_left_out.json` with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::GateKind;
use seatrial_domain::ids::Auth;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, Tour, request, unique, until};
use serde_json::{Value, json};

use crate::triggers::{FILES, fixture, put_event, train, waiting};

/// One person who may do everything, emergencies too.
fn anybody() -> Value {
    json!({
        "shadow": { "enabled": false },
        "people": [{
            "email": "ann@example.com", "principals": ["arn:aws:iam::000000000000:root"],
            "roles": ["submitter", "approver", "operator", "owner"], "emergency": true,
        }],
    })
}

/// A folder as a data scientist has it.
fn my_model(tour: &Tour<'_>) {
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(repository("tests/fixtures/submissions/v1"))
        .arg(tour.folder().join("my-model"))
        .status()
        .unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn the_first_steps_of_the_readme_lead_to_a_champion() {
    let stack = Stack::connect().await;
    let name = unique("e2e-readme");
    let mut tour = Tour::new(&stack, "README.md", &name);
    let said = tour.run("seatrial policy set", &[]).await;
    assert!(said.contains("approved"), "{said}");
    tour.end();
    let model = Model { stack: &stack, name: name.parse().unwrap() };
    let promotion = model.promotions().await.pop().unwrap();
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Crowned);
}

#[tokio::test]
async fn the_api_is_called_as_its_page_says() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "page-api", &json!({})).await;
    let promotion = model.submit("v1").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;
    let mut tour = Tour::new(&stack, "docs/api.md", model.name.as_str());
    let said = tour.run("sign=(", &[]).await;
    assert!(said.contains(gate.id.as_str()), "{said}");
    tour.end();
    model.decide(&promotion, "reject").await;
}

#[tokio::test]
async fn gates_are_decided_and_stages_skipped_as_their_page_says() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "page-approve", &anybody()).await.with_benchmark().await;
    let first = model.submit("v1").await;
    let gate = model.gate(&first, GateKind::Approval).await;
    let mut tour = Tour::new(&stack, "docs/approve.md", model.name.as_str());
    tour.run("seatrial approvals revoke-links", &[]).await;
    assert!(model.gate_now(&gate).await.link_orders.len() >= 2, "both orders are kept");
    tour.run("seatrial approvals list", &[]).await;
    assert_eq!(model.ended(&first).await.status, PromotionStatus::Crowned);
    let second = model.submit("v2").await;
    model.gate(&second, GateKind::Approval).await;
    tour.run("seatrial approvals reject", &[]).await;
    assert_eq!(model.ended(&second).await.status, PromotionStatus::Rejected);
    let third = model.promote("v2").await;
    model.gate(&third, GateKind::Approval).await;
    tour.run("seatrial emergency skip", &[]).await;
    let gate = model.gate(&third, GateKind::Approval).await;
    let decided = until("the skipped approval", 60, async || {
        let now = model.gate_now(&gate).await;
        now.decisions.last().filter(|d| d.emergency).cloned()
    })
    .await;
    assert_eq!(decided.by.auth, Auth::Iam);
    let _ = stack.cli(&["rollback", model.name.as_str(), "--reason", "the page goes on"]).await.json();
    tour.says("v7", "v2");
    tour.says("--skip approval", "--skip approval --skip canary");
    let said = tour.run("seatrial emergency promote", &[]).await;
    assert!(said.starts_with("crowned"), "{said}");
    tour.end();
}

#[tokio::test]
async fn a_champion_is_read_compared_exported_and_verified_as_the_pages_say() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "page-evidence", &json!({})).await.with_benchmark().await;
    let name = model.name.as_str();
    let promotion = model.first_champion("v1").await;
    let version = |tour: &mut Tour<'_>| {
        tour.says(" v3", " v1");
        tour.says("-v3", "-v1");
    };

    let mut tour = Tour::new(&stack, "docs/compliance.md", name);
    version(&mut tour);
    let said = tour.run("seatrial inventory", &[]).await;
    assert!(said.contains(name), "{said}");
    let pdf = std::fs::read(tour.folder().join("inventory.pdf")).unwrap();
    assert!(pdf.starts_with(b"%PDF"));
    tour.run("seatrial card", &[]).await;
    assert!(std::fs::read_to_string(tour.folder().join("MODEL_CARD.md")).unwrap().contains(name));
    tour.end();

    let mut tour = Tour::new(&stack, "docs/decide.md", name);
    let said = tour.run("seatrial compare", &[]).await;
    assert!(said.contains("accuracy") && said.contains("\"rows\""), "{said}");
    tour.end();

    let mut tour = Tour::new(&stack, "docs/evidence.md", name);
    version(&mut tour);
    tour.says("--from v1 --to v2", "--from first --to v1");
    tour.says("promotion_v1_to_v2_audit.pdf", "audit.pdf");
    tour.says("s3://EVIDENCE", &format!("s3://{}", stack.out("EvidenceBucket")));
    tour.says("model=M/promotion=pr_…", &format!("model={name}/promotion={}", promotion.id));
    let copy = tour.folder().join("copy");
    std::fs::create_dir_all(&copy).unwrap();
    let prefix = format!("evidence/model={name}/promotion={}/", promotion.id);
    for key in stack.keys("EvidenceBucket", &prefix).await {
        let bytes = stack.object("EvidenceBucket", &key).await;
        let relative = key.strip_prefix(&prefix).unwrap();
        if relative.ends_with("_audit.pdf") {
            std::fs::write(tour.folder().join("audit.pdf"), &bytes).unwrap();
        }
        let file = copy.join(relative);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
    tour.run("seatrial key --file", &[]).await;
    let said = tour.run("seatrial audit --model", &[]).await;
    assert!(said.contains("v1"), "{said}");
    assert!(tour.folder().join("a.zip").exists());
    let id = promotion.id.to_string();
    let said =
        tour.run("import base64, boto3", &[stack.out("EvidenceBucket"), name, &id, "seatrial.pem"]).await;
    assert!(said.contains("entries hold; crowned"), "{said}");
    tour.run("seatrial fetch", &[]).await;
    assert!(
        tour.folder().join("credit-risk-v1").exists() || tour.folder().join(format!("{name}-v1")).exists()
    );

    let mut audit = Tour::new(&stack, "docs/audit.md", name);
    for file in ["audit.pdf", "seatrial.pem"] {
        std::fs::copy(tour.folder().join(file), audit.folder().join(file)).unwrap();
    }
    tour.end();
    let said = audit.run("import base64", &["audit.pdf", "seatrial.pem"]).await;
    assert!(said.contains(&id), "{said}");
    audit.end();

    let mut tour = Tour::new(&stack, "docs/upgrade.md", name);
    let said = tour.run("seatrial models", &[]).await;
    assert!(said.contains(name), "{said}");
    tour.end();
}

#[tokio::test]
async fn a_server_of_ones_own_reports_as_the_page_says() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "page-observe", &json!({})).await;
    model.first_champion("v1").await;
    let mut tour = Tour::new(&stack, "docs/observe.md", model.name.as_str());
    tour.run("import json, time", &[]).await;
    let row = std::fs::read_to_string(repository("tests/fixtures/live.jsonl")).unwrap();
    let row: Value = serde_json::from_str(row.lines().next().unwrap()).unwrap();
    let asked = request(&row);
    let columns = asked["inputs"].as_array().unwrap().iter().filter(|input| input["name"] != "age");
    let columns: Vec<String> = columns.map(Value::to_string).collect();
    tour.says("…]}", &format!("{}]}}", columns.join(", ")));
    let said = tour.run("curl -s", &[]).await;
    let answer: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(answer["model_version"], "v1", "{answer}");
    tour.end();
    // Both rows arrive: the one that the program sent, and the one of the deployment's own server.
    let place = format!("observations/model={}/", model.name);
    until("the observations", 60, async || {
        (!stack.keys("DataBucket", &place).await.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_notice_is_checked_by_the_program_that_the_page_shows() {
    let stack = Stack::connect().await;
    let mut tour = Tour::new(&stack, "docs/notify.md", "any");
    let place = unique("page");
    tour.says("/STACK/", &format!("/{place}/"));
    tour.says("https://hooks.slack.com/services/…", "https://hooks.slack.com/services/x");
    tour.run("put() {", &[]).await;
    tour.run("import hashlib, hmac", &[]).await;
    tour.end();
}

#[tokio::test]
async fn who_is_on_call_looks_and_rolls_back_as_the_page_says() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "page-operate", &json!({})).await;
    model.first_champion("v1").await;
    let second = model.submit("v2").await;
    let mut tour = Tour::new(&stack, "docs/operate.md", model.name.as_str());
    let said = tour.run("seatrial status", &[]).await;
    assert!(said.contains("champion") && said.contains("v1"), "{said}");
    let said = tour.run("seatrial rollback", &[]).await;
    assert!(said.contains("v1 serves everyone"), "{said}");
    assert_ne!(model.ended(&second).await.status, PromotionStatus::Running);
    let entry = json!([{ "schema": 1, "kind": "served", "model": model.name }]).to_string();
    let queue = stack.out("ObservationsQueueUrl");
    stack.sqs.send_message().queue_url(queue).message_body(entry).send().await.unwrap();
    until("a dead letter", 60, async || {
        (!stack.keys("DataBucket", "dead-letters/").await.is_empty()).then_some(())
    })
    .await;
    let said = tour.run("aws s3 cp --recursive", &[]).await;
    assert!(said.trim().chars().any(|c| c.is_ascii_digit()), "reasons with their numbers: {said}");
    tour.run("aws sqs receive-message", &[]).await;
    let said = tour.run("seatrial retention", &[]).await;
    assert!(said.contains("v1"), "{said}");
    tour.end();
}

#[tokio::test]
async fn a_policy_is_set_and_a_model_submitted_as_the_pages_say() {
    let stack = Stack::connect().await;
    let name = unique("e2e-page-submit");
    let mut tour = Tour::new(&stack, "docs/policy.md", &name);
    std::fs::copy(repository("tests/fixtures/policy.yaml"), tour.folder().join("policy.yaml")).unwrap();
    let said = tour.run("seatrial policy set", &[]).await;
    assert!(said.contains("holdback_percent"), "{said}");
    tour.end();

    let model = Model { stack: &stack, name: name.parse().unwrap() };
    let mut tour = Tour::new(&stack, "docs/submit.md", &name);
    my_model(&tour);
    tour.run("seatrial package ./my-model", &[]).await;
    let first = model.promotions().await.pop().unwrap();
    model.decide(&first, "reject").await;
    model.ended(&first).await;
    tour.run("id=$(date +%s)", &[]).await;
    let second = until("the promotion of the upload", 60, async || {
        model.promotions().await.into_iter().find(|p| p.id != first.id)
    })
    .await;
    assert_eq!(second.challenger.digest, first.challenger.digest, "the same bytes");
    model.decide(&second, "reject").await;
    model.ended(&second).await;

    // The next block goes on with the variables of the one before, and with `sign` of the page about the API.
    let id = unique("announced");
    let mut listed = Vec::new();
    for file in FILES {
        let bytes = std::fs::read(repository("tests/fixtures/submissions/v1").join(file)).unwrap();
        let (size, sha256) = (bytes.len(), seatrial_domain::canonical::sha256(&bytes));
        listed.push(json!({ "path": file, "size": size, "sha256": sha256.hex() }));
        stack.put("SubmissionsBucket", &format!("submissions/{name}/{id}/{file}"), bytes).await;
    }
    let announcement = json!({ "schema": 1, "model": name, "files": listed });
    std::fs::write(tour.folder().join("submission.json"), announcement.to_string()).unwrap();
    tour.is("id", &id);
    tour.is("to", &format!("s3://{}/submissions/{name}/{id}", stack.out("SubmissionsBucket")));
    let sign = format!(
        "sign=(--aws-sigv4 aws:amz:{}:execute-api --user {}:local)\nsha=",
        stack.out("Region"),
        stack.out("Account")
    );
    tour.says("sha=", &sign);
    let said = tour.run("sha=", &[]).await;
    assert!(said.contains("\"by\""), "it is announced: {said}");
    tour.end();
    let third = until("the promotion of the announced upload", 60, async || {
        model.promotions().await.into_iter().find(|p| p.id != first.id && p.id != second.id)
    })
    .await;
    assert_eq!(third.requested_by.auth, Auth::Iam, "it is known who announced it");
    model.decide(&third, "reject").await;
}

#[tokio::test]
async fn a_model_that_serves_is_adopted_as_its_page_says() {
    let stack = Stack::connect().await;
    let name = unique("e2e-page-adopt");
    let mut tour = Tour::new(&stack, "docs/adopt.md", &name);
    my_model(&tour);
    std::fs::copy(repository("tests/fixtures/policy.yaml"), tour.folder().join("policy.yaml")).unwrap();
    tour.run("seatrial policy set", &[]).await;
    tour.end();
    let model = Model { stack: &stack, name: name.parse().unwrap() };
    assert!(model.events().await.iter().any(|event| event == "adopted"));
}

#[tokio::test]
async fn a_ci_asks_for_a_promotion_and_its_events_are_replayed_as_the_page_says() {
    let stack = Stack::connect().await;
    let name = unique("e2e-page-trigger");
    let mut tour = Tour::new(&stack, "docs/trigger.md", &name);
    let artifact = train(&stack, &name).await;
    tour.is("RUN", &name);
    tour.is("CI_JOB_URL", "https://ci.example.com/1");
    tour.says("s3://my-training/jobs/$RUN/model.tar.gz", &artifact);
    tour.run("cat > detail.json", &[]).await;
    put_event(&stack, &fixture("ci-request", &name, &artifact)).await;
    let mut dead = Vec::new();
    until("both events to be given up", 90, async || {
        dead = waiting(&stack, &name).await;
        (dead.len() == 2).then_some(())
    })
    .await;
    std::fs::copy(repository("tests/fixtures/policy.yaml"), tour.folder().join("policy.yaml")).unwrap();
    tour.says("replay 8f7c1a52-…", &format!("replay {}", dead[0]["id"].as_str().unwrap()));
    tour.says("drop 8f7c1a52-…", &format!("drop {}", dead[1]["id"].as_str().unwrap()));
    let said = tour.run("seatrial events list", &[]).await;
    assert!(said.contains("has no policy"), "{said}");
    tour.end();
    let model = Model { stack: &stack, name: name.parse().unwrap() };
    until("the promotion", 60, async || model.promotions().await.pop()).await;
    assert!(waiting(&stack, &name).await.is_empty());
}

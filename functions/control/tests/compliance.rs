//! Compliance profiles through the operator API: what is missing is said early, and the inventory and the card tell of each version.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use fn_control::{Control, app};
use jiff::Timestamp;
use seatrial_artifacts::package::testing;
use seatrial_artifacts::{Folder, MemoryS3, MemoryStore, ObjectStore, inspect, upload_submission};
use seatrial_domain::artifact::Readable;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::Policy;
use seatrial_domain::task::{PackageTask, PromotionInput};
use seatrial_domain::{ModelName, PromotionId};
use seatrial_registry::contract::Scenario;
use seatrial_registry::ops::{By, Ops};
use seatrial_registry::{MemoryRegistry, Records};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support;

fn clock() -> Timestamp {
    "2026-11-29T04:00:00Z".parse().unwrap()
}

async fn send(
    (registry, s3): (&MemoryRegistry, &MemoryS3),
    method: &str,
    path: &str,
    body: &Value,
    who: Option<&str>,
) -> (StatusCode, Value) {
    let control = Control {
        models: Arc::new(s3.bucket("models")),
        data: Arc::new(s3.bucket("data")),
        evidence: Arc::new(s3.bucket("evidence")),
        local_identity: who.map(str::to_owned),
        platform_owners: vec!["owen@example.com".into()],
        clock,
        ..support::control(registry)
    };
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_string())).unwrap();
    let answer = app(control).oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn policy(profile: &str) -> Policy {
    serde_json::from_value(json!({
        "profile": profile, "task": "binary", "positive_class": ">50K",
        "people": [{ "email": "audrey@example.com", "roles": ["auditor"] }],
        "approval": { "approvers": [{ "email": "ann@example.com" }] },
        "canary": { "steps": [5, 50] },
    }))
    .unwrap()
}

#[tokio::test]
async fn what_a_profile_will_ask_for_is_said_when_the_policy_is_set_and_by_the_status() {
    let scenario = Scenario::with_champion(&MemoryRegistry::default()).await;
    let (registry, s3) = (&scenario.registry, &MemoryS3::default());
    let path = format!("/v1/models/{}", scenario.model);
    let owner = Some("owen@example.com");
    let body = serde_json::to_value(policy("sr_26_2")).unwrap();
    let (status, set) = send((registry, s3), "PUT", &format!("{path}/policy"), &body, owner).await;
    assert_eq!(status, StatusCode::OK, "a warning, and no refusal: {set}");
    assert_eq!(set["profile"], "sr_26_2");
    let missing = set["missing"].as_array().unwrap();
    let items: Vec<&str> = missing.iter().filter_map(|m| m["item"].as_str()).collect();
    assert_eq!(items, ["benchmark", "inventory_entry"]);
    assert!(set["number"].is_number() && missing[0]["rule"] == "Outcomes analysis", "{set}");

    let (_, view) = send((registry, s3), "GET", &path, &Value::Null, owner).await;
    assert_eq!(view["profile"], "sr_26_2");
    assert!(view["notices"].to_string().contains("inventory_entry (Model inventory)"), "{view}");

    let promote = json!({ "version": "v2" });
    let promotions = format!("{path}/promotions");
    let (status, problem) = send((registry, s3), "POST", &promotions, &promote, owner).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(problem["code"], "profile_unmet");
    assert!(problem["detail"].as_str().unwrap().contains("benchmark (Outcomes analysis)"), "{problem}");

    let body = serde_json::to_value(policy("default")).unwrap();
    let (_, set) = send((registry, s3), "PUT", &format!("{path}/policy"), &body, owner).await;
    assert_eq!(set.get("missing"), None);
}

#[tokio::test]
async fn the_inventory_goes_through_all_models_page_by_page_for_whoever_is_known() {
    let registry = MemoryRegistry::default();
    let s3 = MemoryS3::default();
    let mut models = Vec::new();
    for _ in 0..3 {
        let scenario = Scenario::with_champion(&registry).await;
        let rules = policy("rbi_free_ai");
        scenario.system().set_policy_by(&scenario.model, &rules, By::Platform).await.unwrap();
        models.push(scenario.model.to_string());
    }
    models.sort();
    let auditor = Some("audrey@example.com");
    let (mut lines, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/v1/inventory?limit=2{after}");
        let (status, page) = send((&registry, &s3), "GET", &path, &Value::Null, auditor).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        lines.extend(page["lines"].as_array().unwrap().clone());
        pages += 1;
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 2);
    let named: Vec<(&str, &str)> =
        lines.iter().map(|l| (l["model"].as_str().unwrap(), l["version"].as_str().unwrap())).collect();
    let wanted: Vec<(&str, &str)> =
        models.iter().flat_map(|m| [(m.as_str(), "v1"), (m.as_str(), "v2")]).collect();
    assert_eq!(named, wanted);
    let first = &lines[0];
    assert_eq!((&first["state"], &first["profile"]), (&json!("champion"), &json!("rbi_free_ai")));
    assert!(first["serving_since"].is_string() && first["signed"].is_null(), "{first}");
    assert!(first["owner"].is_null() && !first["approved_by"].as_array().unwrap().is_empty(), "{first}");

    let (status, _) = send((&registry, &s3), "GET", "/v1/inventory", &Value::Null, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let odd = "/v1/inventory?after=Not_A_Model";
    assert_eq!(send((&registry, &s3), "GET", odd, &Value::Null, auditor).await.0, StatusCode::BAD_REQUEST);
}

/// Packages the first fixture, and ends its promotion.
async fn packaged(registry: &MemoryRegistry, s3: &MemoryS3) -> (ModelName, PromotionId) {
    let model = ModelName::parse("adult-income").unwrap();
    let ann = Actor { principal: "arn:aws:iam::1:user/ann".into(), auth: Auth::Iam };
    let ops = Ops::new(registry, ann.clone(), &clock);
    ops.set_policy(&model, &policy("default")).await.unwrap();
    let submissions: MemoryStore = s3.bucket("submissions");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions/v1");
    let inspected = inspect(&Folder::new(&folder), &model, &|_| {}).await.unwrap();
    let submission =
        upload_submission(&submissions, &inspected, &folder, "s1", "ann", &|_| {}).await.unwrap();
    let (models, evidence) = (s3.bucket("models"), s3.bucket("evidence"));
    let ports = fn_package::Ports {
        registry,
        submissions: &submissions,
        buckets: s3,
        readable: &Readable::default(),
        models: &models,
        evidence: &evidence,
        signer: testing::key(),
        network: &seatrial_remote::testing::nowhere(),
    };
    let input = PromotionInput {
        schema: 1,
        model: model.clone(),
        promotion: PromotionId::derive(&model, "one", 1),
        submission: Some(submission),
        artifact: None,
        version: None,
        requested_by: ann,
        emergency: None,
        waited: false,
    };
    let held =
        fn_package::handle(&ports, clock, PackageTask { input, execution: "e".into(), may_wait: false })
            .await
            .unwrap()
            .taken()
            .unwrap()
            .held;
    ops.end_promotion(&model, &held.promotion, held.epoch, "the smoke test failed").await.unwrap();
    (model, held.promotion)
}

#[tokio::test]
async fn a_card_is_answered_and_attached_once_as_the_same_text() {
    let (registry, s3) = (MemoryRegistry::default(), MemoryS3::default());
    let (model, promotion) = packaged(&registry, &s3).await;
    let path = format!("/v1/models/{model}/versions/v1/card");
    let auditor = Some("audrey@example.com");
    let (status, answer) = send((&registry, &s3), "GET", &path, &Value::Null, auditor).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let card = answer["markdown"].as_str().unwrap();
    for told in [
        "# adult-income v1",
        "was rejected",
        "the smoke test failed",
        "train.csv",
        "A plain baseline.",
        "`age`",
    ] {
        assert!(card.contains(told), "{told}: {card}");
    }

    let (models, evidence) = (s3.bucket("models"), s3.bucket("evidence"));
    let record = registry.promotion(&model, &promotion).await.unwrap().unwrap();
    let attached = fn_attest::card::attach(&registry, &models, &evidence, &record).await.unwrap();
    let writes = s3.writes();
    assert_eq!(fn_attest::card::attach(&registry, &models, &evidence, &record).await.unwrap(), attached);
    assert_eq!(s3.writes(), writes, "the same again is written nowhere");
    let digest = seatrial_domain::canonical::sha256(card.as_bytes());
    let stored = models.get(&seatrial_artifacts::blob_key(&model, &digest), 1 << 20).await.unwrap().unwrap();
    assert_eq!(stored, card.as_bytes(), "what is attached is what is answered");

    let nowhere = path.replace("v1/card", "v9/card");
    assert_eq!(send((&registry, &s3), "GET", &nowhere, &Value::Null, auditor).await.0, StatusCode::NOT_FOUND);
}

//! Events in, executions out: each once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use fn_intake::{Starter, handle};
use seatrial_domain::ModelName;
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::{Actor, Auth, SubmissionId};
use seatrial_domain::policy::Policy;
use seatrial_domain::submission::Announced;
use seatrial_domain::task::PromotionInput;
use seatrial_registry::ops::Ops;
use seatrial_registry::{MemoryRegistry, Submissions};
use seatrial_runtime::{Failure, label};
use serde_json::{Value, json};

/// Executions by name, as Step Functions keeps them.
#[derive(Default)]
struct Executions(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Starter for Executions {
    async fn start(&self, name: &str, input: &str) -> Result<bool, Failure> {
        let before = self.0.lock().unwrap().insert(name.to_owned(), input.to_owned());
        match before {
            None => Ok(true),
            Some(same) if same == input => Ok(false),
            Some(_) => Err(Failure::invalid("another input")),
        }
    }
}

fn clock() -> jiff::Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

async fn registry() -> MemoryRegistry {
    let registry = MemoryRegistry::default();
    let policy: Policy = serde_json::from_value(json!({
        "task": "binary", "positive_class": "yes",
        "approval": { "approvers": [{ "email": "ann@example.com", "principals": ["arn:aws:iam::1:user/ann"] }] },
    }))
    .unwrap();
    let model = ModelName::parse("m").unwrap();
    Ops::new(&registry, Actor::function("test"), &clock).set_policy(&model, &policy).await.unwrap();
    registry
}

fn event(model: &str, version: &str) -> Value {
    json!({
        "id": "e", "source": "aws.s3", "detail-type": "Object Created",
        "detail": {
            "bucket": { "name": "subs" }, "requester": "123456789012",
            "object": { "key": format!("submissions/{model}/s1/submission.json"), "etag": "x", "version-id": version },
        },
    })
}

#[tokio::test]
async fn an_event_that_comes_twice_starts_one_promotion() {
    let (registry, executions) = (registry().await, Executions::default());
    let first = handle(&registry, &executions, "subs", event("m", "a")).await.unwrap();
    let again = handle(&registry, &executions, "subs", event("m", "a")).await.unwrap();
    assert!(first.started && !again.started);
    assert_eq!(first.promotion, again.promotion);
    let started = executions.0.into_inner().unwrap();
    assert_eq!(started.len(), 1);
    let (name, input) = started.into_iter().next().unwrap();
    let input: PromotionInput = serde_json::from_str(&input).unwrap();
    assert_eq!(input.promotion.as_str(), name);
}

fn announced(by: &str) -> Announced {
    let (model, id) = (ModelName::parse("m").unwrap(), SubmissionId::parse("s1").unwrap());
    let by = Actor { principal: by.into(), auth: Auth::Iam };
    Announced::new(model, id, sha256(b"submission.json"), by, clock())
}

async fn asker(registry: &MemoryRegistry, executions: &Executions, event: Value) -> Actor {
    let taken = handle(registry, executions, "subs", event).await.unwrap();
    let started = executions.0.lock().unwrap();
    let input: PromotionInput =
        serde_json::from_str(&started[taken.promotion.as_ref().unwrap().as_str()]).unwrap();
    input.requested_by
}

#[tokio::test]
async fn whoever_announced_a_submission_asks_for_its_first_promotion_and_for_no_other() {
    let (registry, executions) = (registry().await, Executions::default());
    registry.announce(&announced("AROASUE")).await.unwrap();
    let sue = Actor { principal: "AROASUE".into(), auth: Auth::Iam };
    for _ in 0..2 {
        assert_eq!(asker(&registry, &executions, event("m", "a")).await, sue, "the same event twice");
    }
    // The same file written once more, by whoever can write to the bucket, is not hers to answer for.
    let again = asker(&registry, &executions, event("m", "b")).await;
    assert_eq!(again.principal, "account/123456789012");
    let mut other = event("m", "c");
    other["detail"]["object"]["key"] = json!("submissions/m/s2/submission.json");
    assert_eq!(asker(&registry, &executions, other).await.principal, "account/123456789012");
}

#[tokio::test]
async fn a_request_by_event_is_not_the_submitters() {
    let (registry, executions) = (registry().await, Executions::default());
    registry.announce(&announced("AROASUE")).await.unwrap();
    let request = json!({
        "id": "e1", "account": "123456789012", "source": "seatrial.control",
        "detail-type": "Seatrial Promotion Requested",
        "detail": {
            "schema": 1, "model": "m", "submission": { "bucket": "subs", "prefix": "submissions/m/s1/" },
            "requested_by": { "principal": "AROASUE", "auth": "iam" },
        },
    });
    assert_eq!(asker(&registry, &executions, request).await.principal, "account/123456789012");
    assert_eq!(asker(&registry, &executions, event("m", "a")).await.principal, "AROASUE", "it is still hers");
}

#[tokio::test]
async fn a_model_without_a_policy_starts_nothing() {
    let (registry, executions) = (registry().await, Executions::default());
    let refused = handle(&registry, &executions, "subs", event("stranger", "a")).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID);
    assert!(refused.message.contains("seatrial policy set stranger"), "{}", refused.message);
    assert!(executions.0.into_inner().unwrap().is_empty());
}

#[tokio::test]
async fn another_object_is_no_request() {
    let (registry, executions) = (registry().await, Executions::default());
    let mut other = event("m", "a");
    other["detail"]["object"]["key"] = json!("submissions/m/s1/config.yaml");
    assert_eq!(handle(&registry, &executions, "subs", other).await.unwrap().promotion, None);
    assert!(executions.0.into_inner().unwrap().is_empty());
}

//! Events in, executions out: each once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use fn_intake::{Places, Starter, Taken, handle, hear, same_request};
use seatrial_artifacts::{MemoryS3, ObjectStore};
use seatrial_domain::ModelName;
use seatrial_domain::artifact::Readable;
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
        let mut started = self.0.lock().unwrap();
        match started.get(name) {
            None => {
                started.insert(name.to_owned(), input.to_owned());
                Ok(true)
            }
            Some(first) if same_request(first, input) => Ok(false),
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

/// The deployment's name.
const STACK: &str = "seatrial";

/// As the deployment is set up: it reads the artifacts below `jobs/`.
async fn take(
    registry: &MemoryRegistry,
    executions: &Executions,
    s3: &MemoryS3,
    event: Value,
) -> Result<Taken, Failure> {
    let readable = Readable::parse(["arn:aws:s3:::training-artifacts/jobs/*"]).unwrap();
    let places = Places { submissions: "subs", readable: &readable };
    hear(STACK, registry, executions, s3, places, event).await
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
    let first = take(&registry, &executions, &MemoryS3::default(), event("m", "a")).await.unwrap();
    let again = take(&registry, &executions, &MemoryS3::default(), event("m", "a")).await.unwrap();
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

async fn asker(registry: &MemoryRegistry, executions: &Executions, s3: &MemoryS3, event: Value) -> Actor {
    let taken = take(registry, executions, s3, event).await.unwrap();
    let started = executions.0.lock().unwrap();
    let input: PromotionInput =
        serde_json::from_str(&started[taken.promotion.as_ref().unwrap().as_str()]).unwrap();
    input.requested_by
}

#[tokio::test]
async fn whoever_announced_a_submission_asks_for_its_first_promotion_and_for_no_other() {
    let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
    registry.announce(&announced("AROASUE")).await.unwrap();
    let sue = Actor { principal: "AROASUE".into(), auth: Auth::Iam };
    for _ in 0..2 {
        assert_eq!(asker(&registry, &executions, &s3, event("m", "a")).await, sue, "the same event twice");
    }
    // The same file written once more, by whoever can write to the bucket, is not hers to answer for.
    let again = asker(&registry, &executions, &s3, event("m", "b")).await;
    assert_eq!(again.principal, "account/123456789012");
    let mut other = event("m", "c");
    other["detail"]["object"]["key"] = json!("submissions/m/s2/submission.json");
    assert_eq!(asker(&registry, &executions, &s3, other).await.principal, "account/123456789012");
}

#[tokio::test]
async fn a_request_for_a_submission_is_the_promotion_that_its_completion_started() {
    let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
    registry.announce(&announced("AROASUE")).await.unwrap();
    let bucket = s3.bucket("subs");
    let put =
        || bucket.put("submissions/m/s1/submission.json", Bytes::from_static(b"{}"), "application/json");
    let request = |attempt: Option<u32>| {
        let mut detail = json!({
            "schema": 1, "model": "m", "submission": { "bucket": "subs", "prefix": "submissions/m/s1/" },
            "requested_by": { "principal": "AROAEVE", "auth": "iam" },
        });
        if let Some(attempt) = attempt {
            detail["attempt"] = json!(attempt);
        }
        request("e1", &detail)
    };
    let missing = take(&registry, &executions, &s3, request(None)).await.unwrap_err();
    assert!(missing.message.contains("not complete"), "{}", missing.message);
    let version = put().await.unwrap().version.unwrap();
    let first = take(&registry, &executions, &s3, event("m", &version)).await.unwrap();
    for attempt in [None, Some(1)] {
        let again = take(&registry, &executions, &s3, request(attempt)).await.unwrap();
        assert_eq!((&again.promotion, again.started), (&first.promotion, false));
    }
    let repeated = take(&registry, &executions, &s3, request(Some(2))).await.unwrap();
    assert!(repeated.started && repeated.promotion != first.promotion);
    let by = |taken: &Taken| {
        let started = executions.0.lock().unwrap();
        let input: PromotionInput =
            serde_json::from_str(&started[taken.promotion.as_ref().unwrap().as_str()]).unwrap();
        input.requested_by.principal
    };
    assert_eq!(by(&first), "AROASUE");
    assert_eq!(by(&repeated), "account/123456789012", "whoever sends an event again is not the announcer");
    put().await.unwrap();
    let anew = take(&registry, &executions, &s3, request(None)).await.unwrap();
    assert!(anew.started && anew.promotion != first.promotion, "the file was written once more");
}

fn request(id: &str, detail: &Value) -> Value {
    json!({
        "id": id, "account": "123456789012", "source": "com.example.ci",
        "detail-type": "Seatrial Promotion Requested", "detail": detail,
    })
}

#[tokio::test]
async fn a_request_for_a_version_is_named_by_its_attempt_or_by_its_event() {
    let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
    let mut detail = json!({ "schema": 1, "model": "m", "version": "v2" });
    let one = take(&registry, &executions, &s3, request("e1", &detail)).await.unwrap();
    let again = take(&registry, &executions, &s3, request("e1", &detail)).await.unwrap();
    let other = take(&registry, &executions, &s3, request("e2", &detail)).await.unwrap();
    assert!(one.started && !again.started && other.started);
    assert_eq!(one.promotion, again.promotion);
    let unnamed = take(&registry, &executions, &s3, request("", &detail)).await.unwrap_err();
    assert!(unnamed.message.contains("no id"), "{}", unnamed.message);
    detail["attempt"] = json!(2);
    let second = take(&registry, &executions, &s3, request("e3", &detail)).await.unwrap();
    let same = take(&registry, &executions, &s3, request("e4", &detail)).await.unwrap();
    assert!(second.started && !same.started);
    assert_eq!(second.promotion, same.promotion);
}

/// An event of the fixtures, about the model that there is.
fn fixture(name: &str) -> Value {
    let path = format!("{}/../../tests/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text.replace("\"adult-income\"", "\"m\"")).unwrap()
}

const KINDS: [&str; 3] = ["sagemaker-training-job", "sagemaker-model-package", "ci-request"];

async fn upload(s3: &MemoryS3, bytes: &'static [u8]) {
    let bucket = s3.bucket("training-artifacts");
    let key = "jobs/adult-income-7/output/model.tar.gz";
    bucket.put(key, Bytes::from_static(bytes), "application/gzip").await.unwrap();
}

#[tokio::test]
async fn any_kinds_of_event_about_one_artifact_in_any_order_start_one_promotion() {
    for first in KINDS {
        let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
        upload(&s3, b"one").await;
        let one = take(&registry, &executions, &s3, fixture(first)).await.unwrap();
        assert!(one.started, "{first}");
        for kind in KINDS.into_iter().chain(KINDS) {
            let again = take(&registry, &executions, &s3, fixture(kind)).await.unwrap();
            assert_eq!(
                (again.promotion, again.started),
                (one.promotion.clone(), false),
                "{first}, then {kind}"
            );
        }
        upload(&s3, b"two").await;
        let anew = take(&registry, &executions, &s3, fixture(first)).await.unwrap();
        assert!(anew.started && anew.promotion != one.promotion, "another upload at the same key");
        let started = executions.0.into_inner().unwrap();
        assert_eq!(started.len(), 2);
    }
}

#[tokio::test]
async fn the_first_event_about_an_artifact_is_on_record_with_its_state() {
    let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
    upload(&s3, b"one").await;
    for kind in KINDS {
        take(&registry, &executions, &s3, fixture(kind)).await.unwrap();
    }
    let (name, input) = executions.0.into_inner().unwrap().pop_first().unwrap();
    let input: PromotionInput = serde_json::from_str(&input).unwrap();
    assert_eq!(input.promotion.as_str(), name);
    assert_eq!((&input.submission, input.version), (&None, None));
    let artifact = input.artifact.unwrap();
    assert_eq!(artifact.name(), "s3://training-artifacts/jobs/adult-income-7/output/model.tar.gz@version-1");
    assert!(artifact.lineage.training_job.is_some() && artifact.lineage.model_package.is_none());
}

#[tokio::test]
async fn an_artifact_that_is_gone_or_not_ours_to_read_starts_nothing() {
    let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
    for kind in KINDS {
        let gone = take(&registry, &executions, &s3, fixture(kind)).await.unwrap_err();
        assert!(gone.message.contains("does not exist"), "{}", gone.message);
    }
    upload(&s3, b"one").await;
    let elsewhere = Readable::parse(["arn:aws:s3:::another/*"]).unwrap();
    let nothing = Readable::default();
    for (readable, word) in [(&elsewhere, "not among"), (&nothing, "reads no artifacts")] {
        let places = Places { submissions: "subs", readable };
        for kind in ["sagemaker-training-job", "ci-request"] {
            let refused = handle(&registry, &executions, &s3, places, fixture(kind)).await.unwrap_err();
            assert_eq!(refused.label, label::INVALID);
            assert!(
                refused.message.contains(word) && refused.message.contains("TrainingArtifacts"),
                "{refused}"
            );
        }
        let group = fixture("sagemaker-model-package");
        let taken = handle(&registry, &executions, &s3, places, group).await.unwrap();
        assert_eq!(taken, Taken { promotion: None, started: false }, "a group is somebody else's");
    }
    assert!(executions.0.into_inner().unwrap().is_empty());
}

/// The same, for the deployment of this name alone.
fn meant_for(stack: &str, kind: &str) -> Value {
    let mut event = fixture(kind);
    match kind {
        "ci-request" => event["detail"]["stack"] = json!(stack),
        "sagemaker-training-job" => event["detail"]["Tags"]["seatrial:stack"] = json!(stack),
        _ => event["detail"]["CustomerMetadataProperties"] = json!({ "seatrial:stack": stack }),
    }
    event
}

#[tokio::test]
async fn an_event_that_names_another_stack_asks_for_nothing_whatever_else_it_says() {
    let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
    upload(&s3, b"one").await;
    let nothing = Taken { promotion: None, started: false };
    for kind in KINDS {
        // Neither a longer name, nor one that differs in case, nor none at all is this one.
        for other in ["seatrial-2", "Seatrial", ""] {
            let taken = take(&registry, &executions, &s3, meant_for(other, kind)).await.unwrap();
            assert_eq!(taken, nothing, "{kind} for {other:?}");
        }
    }
    let mut failing = meant_for("seatrial-2", "sagemaker-training-job");
    failing["detail"]["Tags"]["seatrial:model"] = json!("stranger");
    let later = json!({ "schema": 9, "stack": "seatrial-2", "of_a_later_release": true });
    for refused_here in [failing, request("e1", &later)] {
        assert_eq!(take(&registry, &executions, &s3, refused_here).await.unwrap(), nothing);
    }
    assert!(executions.0.into_inner().unwrap().is_empty());
}

#[tokio::test]
async fn an_event_that_names_this_stack_is_taken_as_one_that_names_none() {
    for kind in KINDS {
        let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
        upload(&s3, b"one").await;
        let named = take(&registry, &executions, &s3, meant_for(STACK, kind)).await.unwrap();
        let again = take(&registry, &executions, &s3, fixture(kind)).await.unwrap();
        assert!(named.started && !again.started, "{kind}");
        assert_eq!(named.promotion, again.promotion, "{kind}");
    }
    // A submission lies in a bucket of this stack, and is nobody else's.
    let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
    let mut submission = event("m", "a");
    submission["detail"]["stack"] = json!("seatrial-2");
    assert!(take(&registry, &executions, &s3, submission).await.unwrap().started);
}

#[tokio::test]
async fn a_tag_that_names_no_model_is_refused_with_its_reason() {
    let (registry, executions, s3) = (registry().await, Executions::default(), MemoryS3::default());
    let mut job = fixture("sagemaker-training-job");
    job["detail"]["Tags"] = json!({ "seatrial:model": "stranger" });
    let refused = take(&registry, &executions, &s3, job).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID);
    assert!(refused.message.contains("model stranger has no policy"), "{refused}");
    assert!(executions.0.into_inner().unwrap().is_empty());
}

#[tokio::test]
async fn a_model_without_a_policy_starts_nothing() {
    let (registry, executions) = (registry().await, Executions::default());
    let refused =
        take(&registry, &executions, &MemoryS3::default(), event("stranger", "a")).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID);
    assert!(refused.message.contains("seatrial policy set stranger"), "{}", refused.message);
    assert!(executions.0.into_inner().unwrap().is_empty());
}

#[tokio::test]
async fn another_object_is_no_request() {
    let (registry, executions) = (registry().await, Executions::default());
    let mut other = event("m", "a");
    other["detail"]["object"]["key"] = json!("submissions/m/s1/config.yaml");
    assert_eq!(take(&registry, &executions, &MemoryS3::default(), other).await.unwrap().promotion, None);
    assert!(executions.0.into_inner().unwrap().is_empty());
}

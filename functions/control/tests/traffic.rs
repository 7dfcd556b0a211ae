//! How the operator API tells of traffic that somebody else splits.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use fn_control::{Control, Execution, Start, Starter, app};
use jiff::SignedDuration;
use seatrial_artifacts::MemoryS3;
use seatrial_domain::PromotionId;
use seatrial_domain::policy::{HttpTarget, Target};
use seatrial_domain::target::{Seen, TargetRecord, desired};
use seatrial_domain::task::PromotionInput;
use seatrial_registry::contract::{Scenario, policy};
use seatrial_registry::{MemoryRegistry, Targets};
use seatrial_runtime::Failure;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::NoEvents;

struct NoStarter;

#[async_trait]
impl Starter for NoStarter {
    async fn start(&self, _: &PromotionInput) -> Result<Start, Failure> {
        panic!("nothing may be started here")
    }

    async fn execution(&self, _: &PromotionId) -> Result<Execution, Failure> {
        panic!("no execution is looked at here")
    }
}

async fn call(registry: &MemoryRegistry, method: &str, path: &str, body: Value) -> Value {
    let s3 = MemoryS3::default();
    let control = Control {
        registry: Arc::new(registry.clone()),
        tallies: Arc::new(registry.clone()),
        models: Arc::new(s3.bucket("models")),
        data: Arc::new(s3.bucket("data")),
        evidence: Arc::new(s3.bucket("evidence")),
        starter: Arc::new(NoStarter),
        events: Arc::new(NoEvents),
        local_identity: Some("ann@example.com".into()),
        platform_owners: Vec::new(),
        clock: seatrial_runtime::now,
    };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let answer = app(control).oneshot(request).await.unwrap();
    let status = answer.status();
    let text = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&text));
    serde_json::from_slice(&text).unwrap()
}

#[tokio::test]
async fn status_and_rollback_say_what_callers_still_meet_beside_what_is_decided() {
    let registry = MemoryRegistry::default();
    let s = Scenario::with_champion(&registry).await;
    let path = format!("/v1/models/{}", s.model);
    let plain = call(&registry, "GET", &path, Value::Null).await;
    assert_eq!((&plain["traffic"]["kind"], &plain["traffic"]["state"]), (&json!("route"), &json!("in_step")));
    assert_eq!(plain["traffic"]["rollback_takes"], "a second at most, at every warm server");

    let target = Target::Http(HttpTarget { url: "https://mesh.example.com/s3cret".into() });
    let with = seatrial_domain::policy::Policy { target: Some(target.clone()), ..policy() };
    s.system().set_policy(&s.model, &with).await.unwrap();
    let run = s.start(2).await;
    s.approve(&run).await;
    s.system().shift(&s.model, &run.id, run.epoch, 0).await.unwrap();
    let head = s.head().await;
    let wanted = desired(&head, &target, &Default::default()).unwrap().unwrap();
    let shares = [("v1".to_owned(), 0.95), ("v2".to_owned(), 0.05)].into();
    let seen =
        Seen { wanted: Some(&wanted), before: None, after: Some(&shares), pending: None, refused: None };
    let at = head.route.since + SignedDuration::from_secs(2);
    let record = TargetRecord::after(&head, &target, None, &seen, at);
    assert!(registry.hold_target(&s.model, "test", at, at).await.unwrap());
    assert!(registry.leave_target(&s.model, "test", Some(&record)).await.unwrap());
    let canary = call(&registry, "GET", &path, Value::Null).await;
    let (state, share) = (&canary["traffic"]["state"], &canary["traffic"]["actual"]["v2"]);
    assert_eq!((state, share), (&json!("in_step"), &json!(0.05)));
    assert!(canary.get("notices").is_none(), "{}", canary["notices"]);

    let back = json!({ "reason": "it is wrong" });
    let done = call(&registry, "POST", &format!("{path}/rollback"), back).await;
    assert_eq!(done["champion"]["version"], "v1");
    assert_eq!(
        (&done["traffic"]["state"], &done["traffic"]["actual"]["v2"]),
        (&json!("behind"), &json!(0.05))
    );
    let after = call(&registry, "GET", &path, Value::Null).await;
    let notice = after["notices"][0].as_str().unwrap();
    assert!(notice.starts_with("NOT IN STEP: the hook at mesh.example.com is behind since"), "{notice}");
    assert!(notice.contains("v1 95 %, v2 5 %"), "{notice}");
}

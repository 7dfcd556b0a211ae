//! What becomes of versions that are out of use, over the operator API: looked at by everybody, changed by nobody, and what is
//! collected says what can be done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use fn_control::{Control, app};
use jiff::{SignedDuration, Timestamp};
use seatrial_domain::VersionName;
use seatrial_domain::policy::After;
use seatrial_domain::promotion::EvidenceRef;
use seatrial_domain::retention::{Fate, Freed, Plan, Reason};
use seatrial_registry::contract::{Scenario, policy};
use seatrial_registry::{MemoryRegistry, Records};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support;

async fn ask(s: &Scenario<MemoryRegistry>, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let control =
        Control { local_identity: Some("olga@example.com".into()), ..support::control(&s.registry) };
    let path = format!("/v1/models/{}{path}", s.model);
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_string())).unwrap();
    let answer = app(control).oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// v1 is standby, v2 champion, v3 packaged.
async fn scenario(after: After) -> Scenario<MemoryRegistry> {
    let s = Scenario::empty(&MemoryRegistry::default());
    let mut rules = policy();
    rules.retention.collect_retired_after_days = after;
    s.system().set_policy(&s.model, &rules).await.unwrap();
    for n in 1..=3 {
        s.register(n).await;
    }
    let object = EvidenceRef { key: "k".into(), digest: s.digest(0) };
    for n in 1..=2 {
        let run = s.promote(n).await;
        s.system().attested(&s.model, &run.id, &object, &object).await.unwrap();
    }
    s
}

#[tokio::test]
async fn the_plan_is_shown_and_nothing_is_done() {
    let s = scenario(After::Days(90)).await;
    let before = s.snapshot().await;
    let (status, answer) = ask(&s, "GET", "/retention", Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["collect_retired_after_days"], 90);
    assert_eq!(answer["retire_standby_after_days"], "never");
    let plan: Plan = serde_json::from_value(answer).unwrap();
    let said: Vec<_> = plan.versions.iter().map(|l| (l.fate, l.reason)).collect();
    assert_eq!(
        said,
        [(Fate::Keep, Reason::Standby), (Fate::Keep, Reason::Champion), (Fate::Keep, Reason::NotRetired)]
    );
    assert_eq!(s.snapshot().await, before);
    let unknown = Scenario::empty(&s.registry);
    assert_eq!(ask(&unknown, "GET", "/retention", Value::Null).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_retires_a_version_is_told_when_its_bytes_go_and_a_fresh_standby_is_refused() {
    let s = scenario(After::Days(90)).await;
    let reason = json!({ "reason": "old" });
    let (status, answer) = ask(&s, "POST", "/versions/v3/retire", reason.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["status"], &answer["retention"]["reason"]), (&json!("retired"), &json!("young")));
    let time = |v: &Value| v.as_str().unwrap().parse::<Timestamp>().unwrap();
    let kept = time(&answer["retention"]["due"]).duration_since(time(&answer["retired_at"]));
    assert_eq!(kept.as_hours(), 24 * 90);
    let (_, again) = ask(&s, "POST", "/versions/v3/retire", reason.clone()).await;
    assert_eq!(again, answer, "once is enough");

    let before = s.snapshot().await;
    let (status, problem) = ask(&s, "POST", "/versions/v1/retire", reason.clone()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("stability_window")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("v1 is the standby") && detail.contains("seatrial rollback"), "{detail}");
    let (status, _) = ask(&s, "POST", "/versions/v2/retire", reason).await;
    assert_eq!(status, StatusCode::CONFLICT, "the champion");
    assert_eq!(s.snapshot().await, before);
}

#[tokio::test]
async fn what_is_collected_is_promoted_by_nobody_has_no_card_and_says_what_can_be_done() {
    let s = scenario(After::Days(0)).await;
    let (_, answer) = ask(&s, "POST", "/versions/v3/retire", json!({ "reason": "old" })).await;
    assert_eq!(answer["retention"]["fate"], "collect", "{answer}");
    // `control` has the clock of the machine.
    s.clock.forward(SignedDuration::from_mins(1));
    s.system().collect_version(&s.model, VersionName::new(3), Freed { objects: 1, bytes: 2 }).await.unwrap();
    let promote = json!({ "version": "v3" });
    for (method, path, body) in [("POST", "/promotions", promote), ("GET", "/versions/v3/card", Value::Null)]
    {
        let (status, problem) = ask(&s, method, path, body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::GONE, &json!("collected")), "{path}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("submit the same files anew (`seatrial package DIR"), "{detail}");
    }
    let (status, answer) = ask(&s, "POST", "/versions/v3/retire", json!({ "reason": "again" })).await;
    assert_eq!((status, &answer["retention"]["fate"]), (StatusCode::OK, &json!("collecting")), "{answer}");
    let (_, view) = ask(&s, "GET", "", Value::Null).await;
    assert_eq!(view["versions"][2]["status"], "collected");
    assert!(s.registry.promotions(&s.model).await.unwrap().len() == 2);
}

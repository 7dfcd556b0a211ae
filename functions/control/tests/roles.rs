//! What the policy lets a caller do through the operator API, and what it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use fn_control::{Control, app, notices};
use seatrial_domain::gate::{Blocked, GateKind, GateStatus, Window};
use seatrial_domain::ids::{Actor, Auth, GateId};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{Automatic, Stage};
use seatrial_registry::contract::Scenario;
use seatrial_registry::ops::{By, Clock, draft_gate};
use seatrial_registry::{MemoryRegistry, Records};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{self, Started};

struct World {
    scenario: Scenario<MemoryRegistry>,
    started: Started,
    platform: Vec<String>,
}

fn policy() -> Policy {
    serde_json::from_value(json!({
        "people": [
            { "email": "sue@example.com", "roles": ["submitter"] },
            { "email": "olga@example.com", "roles": ["operator"], "emergency": true },
            { "email": "otto@example.com", "roles": ["operator"] },
            { "email": "owen@example.com", "roles": ["owner"] },
            { "email": "audrey@example.com", "roles": ["auditor"] },
        ],
        "approval": { "approvers": [{ "email": "ann@example.com" }] },
        "canary": { "steps": [5, 50] },
    }))
    .unwrap()
}

impl World {
    /// v1 is the champion, v2 is packaged.
    async fn new() -> Self {
        let scenario = Scenario::with_champion(&MemoryRegistry::default()).await;
        scenario.system().set_policy_by(&scenario.model, &policy(), By::Platform).await.unwrap();
        Self { scenario, started: Started::default(), platform: Vec::new() }
    }

    /// A request about the scenario's model.
    async fn send(&self, who: &str, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        self.send_to(who, method, &format!("/v1/models/{}{path}", self.scenario.model), body).await
    }

    async fn send_to(&self, who: &str, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let control = Control {
            starter: Arc::new(self.started.clone()),
            local_identity: Some(who.to_owned()),
            platform_owners: self.platform.clone(),
            ..support::control(&self.scenario.registry)
        };
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_string())).unwrap();
        let answer = app(control).oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Those of the policy's people, and a stranger, who are let through: their status is not `forbidden`.
    async fn let_through(&self, method: &str, path: &str, body: &Value) -> Vec<&'static str> {
        let mut through = Vec::new();
        for who in ["sue", "olga", "otto", "owen", "audrey", "ann", "eve"] {
            let email = format!("{who}@example.com");
            let (status, problem) = self.send(&email, method, path, body.clone()).await;
            if status == StatusCode::FORBIDDEN {
                assert!(problem["detail"].as_str().unwrap().contains(&email), "{problem}");
            } else {
                through.push(who);
            }
        }
        through
    }
}

#[tokio::test]
async fn each_role_opens_its_own_doors() {
    let world = World::new().await;
    let promote = json!({ "version": "v2" });
    assert_eq!(world.let_through("POST", "/promotions", &promote).await, ["sue", "owen"]);
    let started = world.started.0.lock().unwrap().len();
    assert_eq!(started, 2, "nobody else started one");
    let announce = json!({ "id": "s1", "digest": format!("sha256:{}", "0".repeat(64)) });
    assert_eq!(world.let_through("POST", "/submissions", &announce).await, ["sue", "owen"]);
    let reason = json!({ "reason": "errors" });
    assert_eq!(world.let_through("POST", "/rollback", &reason).await, ["olga", "otto", "owen", "ann"]);
    assert_eq!(world.let_through("POST", "/versions/v2/retire", &reason).await, ["olga", "otto", "owen"]);
    assert_eq!(world.let_through("POST", "/shadow/stop", &reason).await, ["olga", "otto", "owen"]);
    let set = serde_json::to_value(policy()).unwrap();
    assert_eq!(
        world.let_through("PUT", "/policy", &set).await,
        ["sue", "olga", "otto", "owen", "audrey", "ann", "eve"],
        "setting what is in force changes nothing"
    );
    let mut other = policy();
    other.canary.steps = vec![10.0];
    let set = serde_json::to_value(other).unwrap();
    assert_eq!(world.send("olga@example.com", "PUT", "/policy", set.clone()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.send("owen@example.com", "PUT", "/policy", set).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_platform_team_sets_every_models_policy_and_nothing_else() {
    let mut world = World::new().await;
    world.platform = vec!["arn:aws:iam::1:role/platform".into()];
    let mut other = policy();
    other.canary.steps = vec![10.0];
    let set = serde_json::to_value(other).unwrap();
    let platform = "arn:aws:iam::1:role/platform";
    assert_eq!(world.send(platform, "PUT", "/policy", set).await.0, StatusCode::OK);
    let promote = json!({ "version": "v2" });
    assert_eq!(world.send(platform, "POST", "/promotions", promote).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_emergency_needs_the_right_a_stage_and_a_reason() {
    let world = World::new().await;
    let ask = |skip: Value, reason: &str| json!({ "version": "v2", "emergency": { "skip": skip, "reason": reason } });
    let good = ask(json!(["shadow", "approval"]), "it burns");
    for who in ["sue@example.com", "otto@example.com", "owen@example.com", "ann@example.com"] {
        let (status, problem) = world.send(who, "POST", "/promotions", good.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{who}: {problem}");
    }
    for wrong in [ask(json!([]), "it burns"), ask(json!(["shadow"]), " "), ask(json!(["evaluation"]), "no")] {
        let (status, problem) = world.send("olga@example.com", "POST", "/promotions", wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    }
    assert!(world.started.0.lock().unwrap().is_empty());
    let (status, problem) = world.send("olga@example.com", "POST", "/promotions", good).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{problem}");
    let started = world.started.0.lock().unwrap()[0].clone();
    assert_eq!(started.emergency.unwrap().skip, [Stage::Shadow, Stage::Approval]);
    assert_eq!(started.requested_by, Actor { principal: "olga@example.com".into(), auth: Auth::Local });
}

#[tokio::test]
async fn skipping_the_shadow_ends_the_one_that_is_open_and_shows_in_the_status() {
    let world = World::new().await;
    let s = &world.scenario;
    let skip = json!({ "stage": "shadow", "reason": "it burns" });
    let (status, problem) = world.send("olga@example.com", "POST", "/emergency", skip.clone()).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "nothing runs: {problem}");
    let run = s.start(2).await;
    let now = s.clock.now();
    let expires = now + jiff::SignedDuration::from_hours(1);
    let (promotion, version) = (s.promotion(&run).await, s.version(2).await);
    let window = draft_gate(GateKind::ShadowWindow, 1, &promotion, &version, now, expires).unwrap();
    s.system().open_gate(&window).await.unwrap();
    let window = GateId::derive(&run.id, GateKind::ShadowWindow.as_str(), 1);
    let (status, _) = world.send("ann@example.com", "POST", "/emergency", skip.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let open = s.registry.gate(&window).await.unwrap().unwrap();
    assert_eq!(open.status, GateStatus::Pending);
    for _ in 0..2 {
        let (status, problem) = world.send("olga@example.com", "POST", "/emergency", skip.clone()).await;
        assert_eq!(status, StatusCode::OK, "again is the same: {problem}");
    }
    assert_eq!(s.registry.gate(&window).await.unwrap().unwrap().status, GateStatus::Approved);
    let (_, view) = world.send("audrey@example.com", "GET", "", Value::Null).await;
    let notice = view["notices"][0].as_str().unwrap();
    assert!(notice.starts_with("EMERGENCY: olga@example.com skipped the shadow"), "{notice}");
}

#[tokio::test]
async fn the_status_says_why_an_approval_does_not_come_by_itself() {
    let world = World::new().await;
    let s = &world.scenario;
    let run = s.start(2).await;
    let mut gate = s.open_gate(&run).await;
    let mut promotion = s.promotion(&run).await;
    assert_eq!(notices(Some(&promotion), Some(&gate)), Vec::<String>::new(), "nobody asked for a window");
    promotion.automatic = Some(Automatic { eligible: false, why: vec!["auc is inconclusive".into()] });
    let said = notices(Some(&promotion), Some(&gate));
    assert_eq!(said, ["NOT APPROVED BY ITSELF: auc is inconclusive"]);
    let by = Actor { principal: "ann@example.com".into(), auth: Auth::Oidc };
    let blocked = Blocked { by, at: s.clock.now(), comment: "it is Friday".into() };
    gate.window = Some(Window { ends_at: gate.expires_at, blocked: Some(blocked) });
    let said = notices(Some(&promotion), Some(&gate));
    assert!(said[0].starts_with("BLOCKED: ann@example.com") && said[0].ends_with("it is Friday"), "{said:?}");
    gate.status = GateStatus::Approved;
    assert_eq!(notices(Some(&promotion), Some(&gate)), Vec::<String>::new(), "it waits no more");
}

#[tokio::test]
async fn links_are_taken_back_by_whoever_is_in_charge_and_by_their_own_person() {
    let world = World::new().await;
    let s = &world.scenario;
    let gate = s.open_gate(&s.start(2).await).await;
    let ask = async |who: &str, verb: &str, body: Value| {
        world.send_to(who, "POST", &format!("/v1/gates/{}/links/{verb}", gate.id), body).await
    };
    for who in ["sue@example.com", "audrey@example.com", "eve@example.com", "ann@example.com"] {
        let (status, problem) = ask(who, "revoke", json!({})).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{who}: {problem}");
    }
    assert!(s.registry.gate(&gate.id).await.unwrap().unwrap().link_orders.is_empty());
    let own = json!({ "approver": "ann@example.com" });
    let (status, ordered) = ask("ann@example.com", "renew", own.clone()).await;
    assert_eq!((status, &ordered["renew"]), (StatusCode::ACCEPTED, &json!(true)), "{ordered}");
    let (status, again) = ask("ann@example.com", "renew", own).await;
    assert_eq!((status, &again), (StatusCode::ACCEPTED, &ordered), "asked twice is once");
    let (status, ordered) = ask("olga@example.com", "revoke", json!({})).await;
    assert_eq!((status, &ordered["orders"]), (StatusCode::OK, &json!(2)), "{ordered}");
    assert!(!ordered.to_string().contains("/l/"), "no link passes through here");
    let (status, problem) = ask("olga@example.com", "renew", json!({ "approver": "sue@example.com" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().unwrap().contains("ann@example.com"), "{problem}");
    let unknown = GateId::derive(&gate.promotion, "approval", 9);
    let path = format!("/v1/gates/{unknown}/links/revoke");
    assert_eq!(world.send_to("olga@example.com", "POST", &path, json!({})).await.0, StatusCode::NOT_FOUND);
}

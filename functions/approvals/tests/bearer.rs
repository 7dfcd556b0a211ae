//! The API for bearer tokens: who is let in, as whom, and what they see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::world as support;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fn_approvals::{App, router};
use jiff::SignedDuration;
use seatrial_domain::gate::GateStatus;
use seatrial_domain::ids::Auth;
use seatrial_domain::policy::Approver;
use seatrial_domain::verdict::Verdict;
use seatrial_identity::testing::{CLIENT, LocalIssuer, SigningKey, usual, with};
use seatrial_registry::Records;
use serde_json::{Value, json};
use support::{ANN, ANN_AS_USER, BOB, World, policy, set_policy};
use tower::ServiceExt as _;

const BASE: &str = "https://approvals.example.com";

struct Api {
    world: World,
    local: LocalIssuer,
    router: axum::Router,
}

impl Api {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut App)) -> Self {
        let world = World::new(Verdict::Pass, SignedDuration::from_hours(1)).await;
        let local = LocalIssuer::start(ANN).await;
        let mut app = world.app(BASE);
        app.issuer = Some(local.seen());
        change(&mut app);
        Self { world, local, router: router(app) }
    }

    fn token(&self, mail: &str) -> String {
        self.local.token(&json!({ "email": mail, "email_verified": true, "sub": format!("u-{mail}") }))
    }

    fn gate(&self, rest: &str) -> String {
        format!("/api/v1/approvals/{}{rest}", self.world.gate.id)
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> (StatusCode, Value, String) {
        let request = Request::builder().method(method).uri(path);
        let mut request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(kind, if status.is_success() { "application/json" } else { "application/problem+json" });
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        let challenge = challenge.map_or_else(String::new, |v| v.to_str().unwrap().to_owned());
        let bytes = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap(), challenge)
    }

    async fn status(&self) -> GateStatus {
        self.world.registry.gate(&self.world.gate.id).await.unwrap().unwrap().status
    }
}

#[tokio::test]
async fn whom_a_verified_token_names_decides_and_is_recorded_as_such() {
    let api = Api::new().await;
    // Separation of duties is on: a link could not decide here, a token can.
    let mut strict = policy();
    strict.approval.separation_of_duties = true;
    set_policy(&api.world.registry, &api.world.model, strict).await;
    let token = api.token(ANN);
    let (status, list, _) = api.call("GET", "/api/v1/approvals", Some(&token), &Value::Null).await;
    assert_eq!((status, list["approvals"].as_array().unwrap().len()), (StatusCode::OK, 1));
    let (status, shown, _) = api.call("GET", &api.gate(""), Some(&token), &Value::Null).await;
    assert_eq!((status, shown["report"]["verdict"].as_str()), (StatusCode::OK, Some("pass")));
    for _ in 0..2 {
        let comment = json!({ "comment": "fine" });
        let (status, gate, _) = api.call("POST", &api.gate("/approve"), Some(&token), &comment).await;
        assert_eq!((status, gate["decisions"].as_array().unwrap().len()), (StatusCode::OK, 1), "{gate}");
    }
    let gate = api.world.registry.gate(&api.world.gate.id).await.unwrap().unwrap();
    assert_eq!(gate.status, GateStatus::Approved);
    assert_eq!((gate.decisions[0].by.principal.as_str(), gate.decisions[0].by.auth), (ANN, Auth::Oidc));
}

#[tokio::test]
async fn without_a_good_token_nobody_is_let_in() {
    let api = Api::with(|app| app.local_identity = Some(ANN_AS_USER.into())).await;
    let (address, now) = (api.local.address(), seatrial_runtime::now());
    let good = json!({ "email": ANN, "email_verified": true });
    let comment = json!({ "comment": "x" });
    let forged = SigningKey::es256("key-1").sign(&with(usual(address, now), &good));
    let for_the_page = api.local.token(&with(good.clone(), &json!({ "aud": CLIENT })));
    let old = api.local.token(&with(good, &json!({ "exp": now.as_second() - 120 })));
    let none = seatrial_identity::testing::sign_none("key-1", &usual(address, now));
    for token in ["", "x", &forged, &for_the_page, &old, &none, &"a".repeat(9_000)] {
        for (method, path) in
            [("GET", "/api/v1/approvals".to_owned()), ("GET", api.gate("")), ("POST", api.gate("/approve"))]
        {
            let (status, problem, challenge) = api.call(method, &path, Some(token), &comment).await;
            assert_eq!(
                (status, problem["code"].as_str()),
                (StatusCode::UNAUTHORIZED, Some("unauthenticated"))
            );
            assert!(challenge.starts_with("Bearer "), "{challenge}");
            assert!(token.len() < 2 || !problem.to_string().contains(token), "the answer repeats the token");
        }
    }
    let (_, _, challenge) = api.call("GET", "/api/v1/approvals", None, &Value::Null).await;
    assert_eq!(challenge, "Bearer realm=\"seatrial\"", "nothing is wrong with a token that was not sent");
    let (_, problem, challenge) = api.call("GET", "/api/v1/approvals", Some(&old), &Value::Null).await;
    assert!(challenge.contains("invalid_token") && problem["detail"].as_str().unwrap().contains("it ended"));
    assert_eq!(api.status().await, GateStatus::Pending);
}

#[tokio::test]
async fn who_is_not_named_sees_nothing_of_a_models_gates() {
    let api = Api::new().await;
    let eve = api.token("eve@example.com");
    let (status, list, _) = api.call("GET", "/api/v1/approvals", Some(&eve), &Value::Null).await;
    assert_eq!((status, list), (StatusCode::OK, json!({ "approvals": [] })));
    for (method, path) in
        [("GET", api.gate("")), ("POST", api.gate("/approve")), ("POST", api.gate("/reject"))]
    {
        let (status, problem, _) = api.call(method, &path, Some(&eve), &json!({ "comment": "x" })).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("forbidden")));
        assert!(!problem.to_string().contains(api.world.model.as_str()), "{problem}");
    }
    // An address that nobody verified, or that is somebody else's subject, is not that person.
    for claims in [
        json!({ "email": ANN, "sub": "eve" }),
        json!({ "email": ANN, "email_verified": "true", "sub": "eve" }),
        json!({ "sub": ANN }),
        json!({ "sub": ANN_AS_USER }),
        json!({ "sub": "eve", "email": ANN_AS_USER, "email_verified": true }),
    ] {
        let token = api.local.token(&claims);
        let (status, _, _) =
            api.call("POST", &api.gate("/approve"), Some(&token), &json!({ "comment": "x" })).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{claims}");
    }
    assert_eq!(api.status().await, GateStatus::Pending);
}

#[tokio::test]
async fn a_persons_subject_and_address_and_user_are_one_voice() {
    let api = Api::new().await;
    let mut two = policy();
    let subject = format!("{}#ann-at-work", api.local.address());
    two.approval.quorum = 2;
    two.approval.approvers = vec![
        Approver { email: ANN.into(), principals: vec![ANN_AS_USER.into(), subject] },
        Approver { email: BOB.into(), principals: vec![] },
    ];
    set_policy(&api.world.registry, &api.world.model, two).await;
    let comment = json!({ "comment": "fine" });
    let approve = api.gate("/approve");
    let by = async |token: String| api.call("POST", &approve, Some(&token), &comment).await;
    let (status, gate, _) = by(api.token(ANN)).await;
    assert_eq!((status, gate["status"].as_str()), (StatusCode::OK, Some("pending")));
    let (status, problem, _) = by(api.local.token(&json!({ "sub": "ann-at-work" }))).await;
    assert!(status.is_client_error(), "ann has spoken: {problem}");
    assert_eq!(api.status().await, GateStatus::Pending);
    let (status, gate, _) = by(api.token(BOB)).await;
    assert_eq!((status, gate["status"].as_str()), (StatusCode::OK, Some("approved")));
}

#[tokio::test]
async fn without_an_issuer_tokens_are_not_believed_and_the_answer_says_what_to_use() {
    let api = Api::with(|app| (app.issuer, app.local_identity) = (None, Some(ANN_AS_USER.into()))).await;
    for token in [None, Some(api.token(ANN))] {
        let path = api.gate("/approve");
        let (status, problem, challenge) =
            api.call("POST", &path, token.as_deref(), &json!({ "comment": "x" })).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("/iam/v1") && detail.contains("OidcIssuer"), "{detail}");
        assert!(challenge.starts_with("Bearer "));
    }
    assert_eq!(api.status().await, GateStatus::Pending);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_told_apart_from_a_bad_token() {
    let api = Api::new().await;
    api.local.fail(true);
    let (status, problem, _) =
        api.call("GET", "/api/v1/approvals", Some(&api.token(ANN)), &Value::Null).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("unavailable")));
    let (status, _, _) = api.call("GET", "/api/v1/approvals", Some("x.y.z"), &Value::Null).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_does_not_open_the_api_of_iam_nor_the_pages() {
    let api = Api::new().await;
    let token = api.token(ANN);
    let (status, _, _) = api.call("GET", "/iam/v1/approvals", Some(&token), &Value::Null).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let page = Request::get(format!("/g/{}", api.world.gate.id))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(api.router.clone().oneshot(page).await.unwrap().status(), StatusCode::FORBIDDEN);
}

//! The list of gates: who sees which, the filters, the pages, over HTTP and in real headless Chromium without scripts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fn_approvals::router;
use jiff::SignedDuration;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::Stage;
use seatrial_domain::verdict::Verdict;
use seatrial_identity::testing::LocalIssuer;
use seatrial_registry::ops::Ops;
use seatrial_registry::{Session, Sessions as _};
use seatrial_runtime::link::LinkSecret;
use serde_json::{Value, json};
use support::browser::Browser;
use support::world::{ANN, ANN_AS_USER, BOB, HOSTILE, Wanted, World, policy, signed, waiting_gate};
use tower::ServiceExt as _;

const BASE: &str = "https://approvals.example.com";

fn wanted(model: &'static str, policy: Policy) -> Wanted {
    Wanted {
        model,
        policy,
        verdict: Verdict::Inconclusive,
        open_for: SignedDuration::from_hours(50),
        ..Wanted::default()
    }
}

fn bobs() -> Policy {
    let mut policy = policy();
    policy.approval.approvers.remove(0);
    policy
}

/// A world with several gates: two for Ann and Bob, one for Bob alone, a window, one that was rejected.
async fn world() -> World {
    let world = World::new(Verdict::Pass, SignedDuration::from_hours(1)).await;
    let (registry, evidence) = (&world.registry, &world.evidence);
    let skipped = vec![Stage::Canary];
    waiting_gate(registry, evidence, Wanted { skipped, ..wanted("churn", policy()) }).await;
    waiting_gate(registry, evidence, wanted("secret-model", bobs())).await;
    let window = Some(SignedDuration::from_hours(24));
    waiting_gate(registry, evidence, Wanted { window, ..wanted("pricing", policy()) }).await;
    let (rejected, _) = waiting_gate(registry, evidence, wanted("uplift", policy())).await;
    let ann = Actor { principal: ANN_AS_USER.into(), auth: Auth::Iam };
    Ops::new(registry, ann, &seatrial_runtime::now)
        .decide_gate(&rejected.id, false, HOSTILE, None)
        .await
        .unwrap();
    world
}

struct Site {
    world: World,
    router: Router,
    _issuer: LocalIssuer,
}

impl Site {
    async fn of(world: World) -> Self {
        let issuer = LocalIssuer::start(ANN).await;
        let mut app = world.app(BASE);
        app.issuer = Some(issuer.seen());
        Self { router: router(app), world, _issuer: issuer }
    }

    /// The cookie of somebody who is logged in.
    async fn session(&self, who: &str) -> String {
        let secret = LinkSecret::mint().unwrap();
        let now = seatrial_runtime::now();
        let session = Session {
            principal: who.into(),
            subject: who.into(),
            begun_at: now,
            expires_at: now + SignedDuration::from_hours(1),
        };
        self.world.registry.put_session(&secret.hash(), &session).await.unwrap();
        format!("__Host-seatrial-session={}", secret.expose())
    }

    async fn get(&self, path: &str, cookie: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let to = response.headers().get(header::LOCATION).map(|v| v.to_str().unwrap().to_owned());
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap(), to.unwrap_or_default())
    }
}

#[tokio::test]
async fn whoever_is_logged_in_sees_the_gates_of_the_models_that_name_them_and_no_others() {
    let site = Site::of(world().await).await;
    let ann = site.session(ANN).await;
    let (status, html, _) = site.get("/gates", &ann).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(html.matches("emergency: canary skipped").count(), 1, "one of them was skipped, and says so");
    for part in [
        "credit-risk v2 over v1",
        "churn v2 over v1",
        "pricing v2 over v1",
        "2 of 3 gates need you",
        "Log out",
    ] {
        assert!(html.contains(part), "{part} is missing: {html}");
    }
    assert!(!html.contains("secret-model") && !html.contains("uplift") && !html.contains("<script"));
    let (credit, churn) = (html.find("credit-risk v2").unwrap(), html.find("churn v2").unwrap());
    assert!(credit < churn, "oldest first");
    let (_, html, _) = site.get("/gates", &site.session(BOB).await).await;
    assert!(html.contains("secret-model"));
    let (status, html, _) = site.get("/gates", &site.session("eve@example.com").await).await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("Nothing waits for a decision") && html.contains("eve@example.com"));
    for model in ["credit-risk", "churn", "secret-model", "pricing"] {
        assert!(!html.contains(model), "{model}");
    }
}

#[tokio::test]
async fn nobody_who_is_not_logged_in_sees_a_gate() {
    let site = Site::of(world().await).await;
    for cookie in ["", "__Host-seatrial-session=x", &format!("__Host-seatrial-session={}", "A".repeat(43))] {
        let (status, html, _) = site.get("/gates?status=pending", cookie).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(html.contains(&format!("{BASE}/login?to=/gates")) && !html.contains("credit-risk"), "{html}");
    }
    let without = router(site.world.app(BASE));
    let ann = site.session(ANN).await;
    let request = Request::get("/gates").header(header::COOKIE, ann).body(Body::empty()).unwrap();
    let response = without.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN, "where there are no logins a cookie is none");
}

#[tokio::test]
async fn the_front_page_leads_to_the_list_or_to_the_login() {
    let site = Site::of(world().await).await;
    let (status, _, to) = site.get("/", &site.session(ANN).await).await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "https://approvals.example.com/gates"));
    let (status, html, _) = site.get("/", "").await;
    assert!(status == StatusCode::OK && html.contains("/login?to=/"), "{html}");
}

#[tokio::test]
async fn the_filters_narrow_the_list_and_nonsense_is_named_and_escaped() {
    let site = Site::of(world().await).await;
    let ann = site.session(ANN).await;
    let (_, html, _) = site.get("/gates?status=pending&model=churn", &ann).await;
    assert!(
        html.contains("churn v2") && !html.contains("credit-risk v2") && html.contains("value=\"churn\"")
    );
    let (_, html, _) = site.get("/gates?status=rejected&model=", &ann).await;
    assert!(html.contains("uplift v2") && html.contains("Rejected by") && !html.contains("churn v2"));
    let (_, html, _) = site.get("/gates?status=cancelled", &ann).await;
    assert!(html.contains("No gate is cancelled"));
    for query in [
        "status=open",
        "model=Upper%20Case",
        "model=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "status=a&status=b",
        "model=%FF",
    ] {
        let (status, html, _) = site.get(&format!("/gates?{query}"), &ann).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(
            html.contains("Not shown.") && !html.contains("<script") && !html.contains("churn v2"),
            "{html}"
        );
    }
}

#[tokio::test]
async fn a_long_list_comes_in_pages_here_and_in_the_api() {
    let world = World::new(Verdict::Pass, SignedDuration::from_hours(1)).await;
    for n in 0..60 {
        let name: &'static str = Box::leak(format!("model-{n:02}").into_boxed_str());
        waiting_gate(&world.registry, &world.evidence, wanted(name, policy())).await;
    }
    let site = Site::of(world).await;
    let ann = site.session(ANN).await;
    let (_, first, _) = site.get("/gates?status=pending", &ann).await;
    let next =
        first.split("class=\"button\" href=\"").nth(1).expect("a next page").split('"').next().unwrap();
    let next = next.replace("&#38;", "&").replace("&amp;", "&");
    let (_, second, _) = site.get(next.strip_prefix(BASE).unwrap(), &ann).await;
    let shown = |html: &str| html.matches("<li class=\"card").count();
    assert_eq!((shown(&first), shown(&second)), (50, 11));
    assert!(first.contains("model-48") && !first.contains("model-49") && second.contains("model-49"));
    assert!(!second.contains("Later gates"));

    let mut names: Vec<String> = Vec::new();
    let mut query = "limit=25".to_owned();
    let mut calls = 0;
    loop {
        let request = signed("GET", &format!("/iam/v1/approvals?{query}"), Some(ANN_AS_USER), &Value::Null);
        let response = site.router.clone().oneshot(request).await.unwrap();
        let bytes = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
        let part: Value = serde_json::from_slice(&bytes).unwrap();
        names.extend(part["approvals"].as_array().unwrap().iter().map(|g| g["model"].to_string()));
        calls += 1;
        match part["next"].as_str() {
            Some(next) => query = format!("limit=25&after={next}"),
            None => break,
        }
    }
    names.dedup();
    assert_eq!((names.len(), calls), (61, 3));
    for (wrong, status) in [
        ("limit=0", StatusCode::BAD_REQUEST),
        ("limit=101", StatusCode::BAD_REQUEST),
        ("limit=-1", StatusCode::BAD_REQUEST),
        ("limit=x", StatusCode::BAD_REQUEST),
        ("after=x", StatusCode::BAD_REQUEST),
        ("after=ga_000000000000000000000000", StatusCode::NOT_FOUND),
    ] {
        let request = signed("GET", &format!("/iam/v1/approvals?{wrong}"), Some(ANN_AS_USER), &json!(null));
        let response = site.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{wrong}");
    }
}

fn keep_picture(name: &str, png: &[u8]) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("review-page");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_logs_in_filters_the_list_and_opens_a_gate_without_scripts() {
    let world = world().await;
    let issuer = LocalIssuer::start(ANN).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut app = world.app(&base);
    app.issuer = Some(Arc::clone(&issuer.seen()));
    tokio::spawn(async move { axum::serve(listener, router(app)).await.unwrap() });
    let browser = Browser::start().await;
    browser.open(&format!("{base}/gates")).await;
    keep_picture("list-login-phone-light", &browser.picture(390, true, "light").await.0);
    browser.click("a.button").await;
    browser.wait_for("h1", "2 of 3 gates need you").await;
    assert_eq!(browser.url().await, format!("{base}/gates"));
    for (name, width, mobile) in [("desktop", 1_280, false), ("phone", 390, true)] {
        for scheme in ["light", "dark"] {
            let (png, sideways) = browser.picture(width, mobile, scheme).await;
            keep_picture(&format!("list-{name}-{scheme}"), &png);
            assert!(!sideways, "the list scrolls sideways on a {name}");
        }
    }
    browser.fill("#model", "churn").await;
    browser.click(".filters button").await;
    browser.wait_for("h1", "1 of 1 gate needs you").await;
    browser.fill("#model", "x").await;
    browser.click(".filters button").await;
    browser.wait_for("h2", "Nothing of churnx waits for a decision").await;
    keep_picture("list-empty-desktop-light", &browser.picture(1_280, false, "light").await.0);
    browser.open(&format!("{base}/gates?model=churn")).await;
    browser.click(".gates h2 a").await;
    browser.wait_for("h1", "Promote churn v2 over v1?").await;
    browser.quit().await;
}

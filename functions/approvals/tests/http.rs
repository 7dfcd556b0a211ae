//! Links, pages, decisions and the API over HTTP, without a browser: what happens, and what must not have happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::world as support;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fn_approvals::router;
use jiff::SignedDuration;
use seatrial_domain::gate::GateStatus;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::ApprovalMode;
use seatrial_domain::promotion::Stage;
use seatrial_domain::verdict::Verdict;
use seatrial_registry::ops::Ops;
use seatrial_registry::{Capabilities, Records};
use seatrial_runtime::link::LinkSecret;
use serde_json::{Value, json};
use support::{ANN, ANN_AS_USER, BOB, HOSTILE, Wanted, World, policy, set_policy, signed};
use tower::ServiceExt as _;

const BASE: &str = "https://approvals.example.com";

async fn world() -> World {
    World::new(Verdict::Pass, SignedDuration::from_hours(1)).await
}

async fn send(world: &World, request: Request<Body>) -> (StatusCode, Response) {
    let response = router(world.app(BASE)).oneshot(request).await.unwrap();
    (response.status(), response)
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn cookie(world: &World, secret: &LinkSecret) -> String {
    format!("__Host-seatrial-{}={}", world.gate.id, secret.expose())
}

async fn page(world: &World, secret: &LinkSecret) -> (StatusCode, String) {
    let request = Request::get(format!("/g/{}", world.gate.id)).header(header::COOKIE, cookie(world, secret));
    let (status, response) = send(world, request.body(Body::empty()).unwrap()).await;
    (status, text(response).await)
}

struct Post<'a> {
    world: &'a World,
    secret: &'a LinkSecret,
    origin: Option<&'a str>,
    token: String,
    shown: String,
    body: &'a str,
    to: &'a str,
}

impl<'a> Post<'a> {
    fn new(world: &'a World, secret: &'a LinkSecret, body: &'a str) -> Self {
        let shown = world.gate.bound.fingerprint();
        let token = secret.form_token(&world.gate.id);
        Self { world, secret, to: "decide", origin: Some(BASE), token, shown, body }
    }

    async fn send(self) -> (StatusCode, String, Option<String>) {
        let mut request = Request::post(format!("/g/{}/{}", self.world.gate.id, self.to))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, cookie(self.world, self.secret));
        if let Some(origin) = self.origin {
            request = request.header(header::ORIGIN, origin);
        }
        let body = Body::from(format!("{}&token={}&shown={}", self.body, self.token, self.shown));
        let (status, response) = send(self.world, request.body(body).unwrap()).await;
        let to = response.headers().get(header::LOCATION).map(|v| v.to_str().unwrap().to_owned());
        (status, text(response).await, to)
    }
}

async fn status_of(world: &World) -> GateStatus {
    world.registry.gate(&world.gate.id).await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_link_goes_on_to_an_address_without_it_and_its_secret_is_kept_nowhere() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let (status, response) = send(&world, get(&format!("/l/{}", secret.expose()))).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let headers = response.headers();
    assert_eq!(headers[header::LOCATION], format!("{BASE}/g/{}", world.gate.id));
    assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    let set = headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        set.starts_with("__Host-")
            && set.contains("HttpOnly")
            && set.contains("SameSite=Lax")
            && set.contains("Secure")
    );
    assert!(!text(response).await.contains(&secret.expose()));
    assert!(
        !format!("{:?}", world.registry.capability(&secret.hash()).await.unwrap()).contains(&secret.expose())
    );
}

#[tokio::test]
async fn opening_changes_nothing_however_often_and_by_whatever_method() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let before = world.registry.head(&world.model).await.unwrap();
    for _ in 0..3 {
        send(&world, get(&format!("/l/{}", secret.expose()))).await;
        assert_eq!(page(&world, &secret).await.0, StatusCode::OK);
    }
    for path in [format!("/l/{}", secret.expose()), format!("/g/{}", world.gate.id)] {
        let head =
            Request::head(&path).header(header::COOKIE, cookie(&world, &secret)).body(Body::empty()).unwrap();
        send(&world, head).await;
    }
    let decide = Request::get(format!("/g/{}/decide?decision=approve&comment=x", world.gate.id));
    let decide = decide.header(header::COOKIE, cookie(&world, &secret)).body(Body::empty()).unwrap();
    assert_eq!(send(&world, decide).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(world.registry.head(&world.model).await.unwrap(), before);
    assert_eq!(world.registry.capability(&secret.hash()).await.unwrap().unwrap().used_at, None);
}

#[tokio::test]
async fn the_page_tells_everything_and_escapes_the_submitters_text() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let (status, html) = page(&world, &secret).await;
    assert_eq!(status, StatusCode::OK);
    let bound = &world.gate.bound;
    for part in [
        "Promote credit-risk v2 over v1?",
        "All 7 guardrails",
        bound.package.as_str(),
        bound.report.as_str(),
        bound.policy.as_str(),
        "dana@example.com",
        "+2.27\u{a0}pt",
        "9,768",
        "2,406",
        "Gradient boosting",
        ANN,
        "What your decision does",
        "May this go live?",
        "On the benchmark: accuracy +2.27\u{a0}pt, macro f1 +2.89\u{a0}pt, auc +2.22\u{a0}pt",
        "Beyond what the policy allows: latency p99 on the benchmark +47 µs (a signal: it stops nothing)",
        "The one comparison between groups is within what the policy allows",
        "Both versions answered 2,406 of them, unseen, and agree on 93.14\u{a0}%",
        "Everything that the policy judges could be judged",
        "A wrong yes costs about 4,000 on average",
        "Policy 2 judged this version; the one before it was policy 1",
        "[1.0, 10.0, 50.0]",
        "[5.0, 25.0, 50.0]",
        "weights/model.onnx",
        "5\u{a0}% of callers, for 10 minutes to 6 hours",
        "Then, 30 minutes to 18 hours later, v2 is the champion",
    ] {
        assert!(html.contains(part), "{part} is missing");
    }
    assert!(
        !html.contains(HOSTILE) && !html.contains("<script") && !html.contains("<img"),
        "the submitter's text is markup"
    );
    assert!(!html.contains(&secret.expose()), "the page holds the secret");
}

#[tokio::test]
async fn every_page_has_a_strict_policy() {
    let world = world().await;
    let secret = world.link(ANN).await;
    for path in ["/".to_owned(), format!("/g/{}", world.gate.id), "/l/x".to_owned(), "/nothing".to_owned()] {
        let request =
            Request::get(&path).header(header::COOKIE, cookie(&world, &secret)).body(Body::empty()).unwrap();
        let (_, response) = send(&world, request).await;
        let headers = response.headers();
        let csp = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(csp.contains(part), "{path}: {csp}");
        }
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "same-origin");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    }
}

#[tokio::test]
async fn an_approval_with_a_comment_is_recorded_once_as_a_links() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let body = "decision=approve&comment=Better+on+every+guardrail";
    let (status, _, to) = Post::new(&world, &secret, body).send().await;
    assert_eq!((status, to), (StatusCode::SEE_OTHER, Some(format!("{BASE}/g/{}", world.gate.id))));
    let gate = world.registry.gate(&world.gate.id).await.unwrap().unwrap();
    assert_eq!(gate.status, GateStatus::Approved);
    let decision = &gate.decisions[0];
    assert_eq!(
        (decision.by.principal.as_str(), decision.comment.as_str()),
        (ANN, "Better on every guardrail")
    );
    assert_eq!(decision.by.auth, Auth::Link);
    assert!(world.registry.capability(&secret.hash()).await.unwrap().unwrap().used_at.is_some());
    let (status, html) = page(&world, &secret).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        html.contains("approved") && html.contains("Better on every guardrail") && !html.contains("<form")
    );

    // Sent twice by an impatient finger: once decided, and the same answer.
    let (status, _, _) = Post::new(&world, &secret, body).send().await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    // Another decision with the used link is refused, and says how it stands.
    let (status, html, _) =
        Post::new(&world, &secret, "decision=reject&comment=changed+my+mind").send().await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(html.contains("approved by ann@example.com"), "{html}");
    assert_eq!(world.registry.gate(&world.gate.id).await.unwrap().unwrap().decisions.len(), 1);
}

#[tokio::test]
async fn a_decision_without_a_comment_shows_the_form_again_and_keeps_the_link() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let (status, html, _) = Post::new(&world, &secret, "decision=reject&comment=+%0A+").send().await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html.contains("comment is required") && html.contains("<form"));
    assert_eq!(status_of(&world).await, GateStatus::Pending);
    let (status, _, _) = Post::new(&world, &secret, "decision=reject&comment=too+slow").send().await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(status_of(&world).await, GateStatus::Rejected);
}

#[tokio::test]
async fn a_form_from_elsewhere_or_without_its_token_decides_nothing() {
    let world = world().await;
    let (secret, other) = (world.link(ANN).await, world.link(BOB).await);
    let body = "decision=approve&comment=x";
    for origin in [
        None,
        Some("null"),
        Some("https://evil.example"),
        Some("http://approvals.example.com"),
        Some("https://approvals.example.com:8443"),
        Some("https://approvals.example.com.evil.example"),
    ] {
        let (status, html, _) = Post { origin, ..Post::new(&world, &secret, body) }.send().await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{origin:?}");
        assert!(html.contains("Nothing was decided"));
    }
    for token in [String::new(), "0".repeat(64), other.form_token(&world.gate.id)] {
        let (status, _, _) = Post { token, ..Post::new(&world, &secret, body) }.send().await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    for body in ["decision=maybe&comment=x", "comment=x", "decision"] {
        let (status, html, _) = Post::new(&world, &secret, body).send().await;
        assert!(status.is_client_error() && html.contains("Nothing was decided"), "{body}: {status}");
    }
    assert_eq!(status_of(&world).await, GateStatus::Pending);
    assert_eq!(world.registry.capability(&secret.hash()).await.unwrap().unwrap().used_at, None);
}

#[tokio::test]
async fn links_that_open_nothing_say_what_to_do() {
    let world = world().await;
    let good = world.link(ANN).await;
    let expired = world.link_until(ANN, seatrial_runtime::now() - SignedDuration::from_secs(1)).await;
    let revoked = world.link(ANN).await;
    world.registry.revoke(&revoked.hash()).await.unwrap();
    let stranger = world.link("eve@example.com").await;
    let text_of = |s: &LinkSecret| s.expose();
    let forged = LinkSecret::mint().unwrap();
    for (link, status, part) in [
        (text_of(&forged), StatusCode::NOT_FOUND, "not valid"),
        (text_of(&good)[..40].to_owned(), StatusCode::NOT_FOUND, "not valid"),
        (URL_SAFE_NO_PAD.encode([0; 33]), StatusCode::NOT_FOUND, "not valid"),
        (text_of(&expired), StatusCode::GONE, "expired"),
        (text_of(&revoked), StatusCode::GONE, "taken back"),
    ] {
        let (found, response) = send(&world, get(&format!("/l/{link}"))).await;
        assert!(response.headers().get(header::SET_COOKIE).is_none());
        let html = text(response).await;
        assert!(
            found == status && html.contains(part) && html.contains("seatrial approvals list"),
            "{found} {html}"
        );
    }
    for (secret, status) in [
        (&forged, StatusCode::NOT_FOUND),
        (&expired, StatusCode::GONE),
        (&revoked, StatusCode::GONE),
        (&stranger, StatusCode::FORBIDDEN),
    ] {
        let (found, html) = page(&world, secret).await;
        assert_eq!(found, status);
        assert!(!html.contains("guardrail"), "the page shows what is confidential");
        let (found, html, _) = Post::new(&world, secret, "decision=approve&comment=x").send().await;
        assert!(found.is_client_error() && !html.contains("guardrail"), "{found}");
    }
    let (status, response) = send(&world, get(&format!("/g/{}", world.gate.id))).await;
    let html = text(response).await;
    assert!(
        status == StatusCode::FORBIDDEN
            && html.contains("seatrial approvals approve")
            && !html.contains("guardrail")
    );
    assert_eq!(send(&world, get("/g/nonsense")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(status_of(&world).await, GateStatus::Pending);
}

#[tokio::test]
async fn a_link_of_another_gate_opens_nothing_here() {
    let (here, there) = (world().await, world().await);
    let secret = there.link(ANN).await;
    let mut capability = there.registry.capability(&secret.hash()).await.unwrap().unwrap();
    capability.gate = seatrial_domain::GateId::derive(&here.gate.promotion, "approval", 9);
    here.registry.put_capability(&secret.hash(), &capability).await.unwrap();
    assert_eq!(page(&here, &secret).await.0, StatusCode::NOT_FOUND);
    let (status, _, _) = Post::new(&here, &secret, "decision=approve&comment=x").send().await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(status_of(&here).await, GateStatus::Pending);
}

#[tokio::test]
async fn links_that_were_taken_back_open_and_decide_nothing_while_others_and_new_ones_do() {
    let world = world().await;
    let (ann, bob) = (world.link(ANN).await, world.link(BOB).await);
    let clock = seatrial_runtime::now;
    let by = Actor { principal: ANN_AS_USER.into(), auth: Auth::Iam };
    Ops::new(&world.registry, by, &clock).order_links(&world.gate.id, Some(ANN), true).await.unwrap();
    let (status, html) = page(&world, &ann).await;
    assert!(
        status == StatusCode::GONE && html.contains("taken back") && !html.contains("guardrail"),
        "{html}"
    );
    let (status, response) = send(&world, get(&format!("/l/{}", ann.expose()))).await;
    assert_eq!(status, StatusCode::GONE);
    assert!(response.headers().get(header::SET_COOKIE).is_none());
    let (status, _, _) = Post::new(&world, &ann, "decision=approve&comment=x").send().await;
    assert_eq!(status, StatusCode::GONE);
    assert_eq!(status_of(&world).await, GateStatus::Pending);
    assert_eq!(page(&world, &bob).await.0, StatusCode::OK);
    let new = world.link(ANN).await;
    let mut capability = world.registry.capability(&new.hash()).await.unwrap().unwrap();
    capability.generation = 1;
    let new = LinkSecret::mint().unwrap();
    world.registry.put_capability(&new.hash(), &capability).await.unwrap();
    assert_eq!(page(&world, &new).await.0, StatusCode::OK);
    let (status, _, _) = Post::new(&world, &new, "decision=reject&comment=x").send().await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(status_of(&world).await, GateStatus::Rejected);
}

#[tokio::test]
async fn a_removed_approver_is_out_at_once_and_a_policy_that_wants_a_login_takes_no_link() {
    let world = world().await;
    let (ann, bob) = (world.link(ANN).await, world.link(BOB).await);
    let mut only_ann = policy();
    only_ann.approval.approvers.truncate(1);
    only_ann.approval.separation_of_duties = true;
    set_policy(&world.registry, &world.model, only_ann).await;
    assert_eq!(page(&world, &bob).await.0, StatusCode::FORBIDDEN);
    let (status, html) = page(&world, &ann).await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("asks for a login") && !html.contains("<form"));
    for secret in [&ann, &bob] {
        let (status, _, _) = Post::new(&world, secret, "decision=approve&comment=x").send().await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    assert_eq!(status_of(&world).await, GateStatus::Pending);
}

#[tokio::test]
async fn a_gate_whose_time_is_over_is_shown_closed_and_takes_no_decision() {
    let world = World::new(Verdict::Inconclusive, SignedDuration::from_millis(1)).await;
    let secret = world.link_until(ANN, seatrial_runtime::now() + SignedDuration::from_hours(1)).await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let (status, html) = page(&world, &secret).await;
    assert!(status == StatusCode::OK && html.contains("expired") && !html.contains("<form"));
    let (status, html, _) = Post::new(&world, &secret, "decision=approve&comment=x").send().await;
    assert!(status == StatusCode::CONFLICT && html.contains("expired"), "{status}");
}

#[tokio::test]
async fn a_report_that_is_not_the_bound_one_is_not_shown() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let key = &world.promotion.evidence.values().next().unwrap().key;
    world
        .evidence
        .put(key, bytes::Bytes::from_static(b"{\"verdict\":\"pass\"}"), "application/json")
        .await
        .unwrap();
    let (status, html) = page(&world, &secret).await;
    assert!(status.is_server_error() && !html.contains("<form"), "{status}");
}

async fn call(world: &World, request: Request<Body>) -> (StatusCode, Value) {
    let (status, response) = send(world, request).await;
    let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    assert_eq!(kind, if status.is_success() { "application/json" } else { "application/problem+json" });
    (status, serde_json::from_str(&text(response).await).unwrap())
}

#[tokio::test]
async fn the_api_lists_shows_and_decides_for_the_callers_the_policy_names() {
    let world = world().await;
    let path = format!("/iam/v1/approvals/{}", world.gate.id);
    let (status, list) =
        call(&world, signed("GET", "/iam/v1/approvals", Some(ANN_AS_USER), &Value::Null)).await;
    assert_eq!((status, list["approvals"][0]["id"].as_str()), (StatusCode::OK, Some(world.gate.id.as_str())));
    let (_, shown) = call(&world, signed("GET", &path, Some(ANN_AS_USER), &Value::Null)).await;
    assert_eq!(shown["report"]["verdict"], "pass");
    assert_eq!(shown["page"], format!("{BASE}/g/{}", world.gate.id));
    let (_, none) =
        call(&world, signed("GET", "/iam/v1/approvals?model=other", Some(ANN_AS_USER), &Value::Null)).await;
    assert_eq!(none["approvals"], json!([]));

    let approve = format!("{path}/approve");
    let comment = json!({ "comment": "fine" });
    let (status, problem) =
        call(&world, signed("POST", &approve, Some("arn:aws:iam::000000000000:user/eve"), &comment)).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("forbidden")));
    let (status, problem) = call(&world, signed("POST", &approve, None, &comment)).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("unauthenticated")));
    let (status, problem) =
        call(&world, signed("POST", &approve, Some(ANN_AS_USER), &json!({ "comment": " " }))).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("invalid")));
    let (status, _) = call(
        &world,
        signed("POST", &approve, Some(ANN_AS_USER), &json!({ "comment": "x", "principal": ANN })),
    )
    .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(status_of(&world).await, GateStatus::Pending);

    for _ in 0..2 {
        let (status, gate) = call(&world, signed("POST", &approve, Some(ANN_AS_USER), &comment)).await;
        assert_eq!((status, gate["status"].as_str()), (StatusCode::OK, Some("approved")), "{gate}");
        assert_eq!(gate["decisions"].as_array().unwrap().len(), 1);
    }
    let (status, problem) =
        call(&world, signed("POST", &format!("{path}/reject"), Some(ANN_AS_USER), &comment)).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("gate_closed")));
}

#[tokio::test]
async fn the_api_answers_nonsense_with_problems() {
    let world = world().await;
    for (path, status, code) in [
        ("/iam/v1/approvals/nonsense", StatusCode::NOT_FOUND, "not_found"),
        ("/iam/v1/approvals/ga_000000000000000000000000", StatusCode::NOT_FOUND, "not_found"),
        ("/iam/v1/approvals?status=open", StatusCode::BAD_REQUEST, "invalid"),
        ("/iam/v1/approvals?modle=x", StatusCode::BAD_REQUEST, "invalid"),
        ("/api/v2/approvals", StatusCode::NOT_FOUND, "not_found"),
    ] {
        let (found, problem) = call(&world, signed("GET", path, Some(ANN_AS_USER), &Value::Null)).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{path}");
    }
}

#[tokio::test]
async fn an_engine_without_iam_decides_as_its_local_identity_only_where_the_policy_names_it() {
    let world = world().await;
    let approve = || {
        signed(
            "POST",
            &format!("/iam/v1/approvals/{}/approve", world.gate.id),
            None,
            &json!({ "comment": "x" }),
        )
    };
    let app = || {
        let mut app = world.app(BASE);
        app.local_identity = Some("local/operator".into());
        router(app)
    };
    assert_eq!(app().oneshot(approve()).await.unwrap().status(), StatusCode::FORBIDDEN);
    let mut named = policy();
    named.approval.approvers[0].principals.push("local/operator".into());
    set_policy(&world.registry, &world.model, named).await;
    assert_eq!(app().oneshot(approve()).await.unwrap().status(), StatusCode::OK);
}

/// A gate whose approval comes by itself, under a policy that asks for a login to decide.
async fn with_window() -> World {
    let mut policy = policy();
    policy.approval.mode = ApprovalMode::AutoUnlessBlocked;
    policy.approval.separation_of_duties = true;
    policy.offline.tracked = vec!["accuracy".into()];
    let window = Some(SignedDuration::from_hours(20));
    World::of(Wanted { window, policy, ..Wanted::default() }).await
}

async fn blocked(world: &World) -> Option<seatrial_domain::gate::Blocked> {
    world.registry.gate(&world.gate.id).await.unwrap().unwrap().window.unwrap().blocked
}

#[tokio::test]
async fn an_approval_that_comes_by_itself_says_so_and_the_holder_of_a_link_can_block_it() {
    let world = with_window().await;
    let secret = world.link(ANN).await;
    let (_, html) = page(&world, &secret).await;
    for part in
        ["Goes live by itself", "Unless somebody blocks it", "(in 20 hours)", "/block\"", "asks for a login"]
    {
        assert!(html.contains(part), "{part}");
    }
    let (status, html, _) = Post { to: "block", ..Post::new(&world, &secret, "comment=+") }.send().await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html.contains("comment is required") && html.contains("id=\"block-problem\""));
    assert_eq!(blocked(&world).await, None);

    let body = "comment=Wait+for+the+fraud+team";
    for _ in 0..2 {
        let (status, _, to) = Post { to: "block", ..Post::new(&world, &secret, body) }.send().await;
        assert_eq!((status, to), (StatusCode::SEE_OTHER, Some(format!("{BASE}/g/{}", world.gate.id))));
    }
    let block = blocked(&world).await.unwrap();
    assert_eq!((block.by.principal.as_str(), block.comment.as_str()), (ANN, "Wait for the fraud team"));
    assert_eq!(block.by.auth, Auth::Link);
    assert_eq!(world.registry.capability(&secret.hash()).await.unwrap().unwrap().used_at, None);
    let (_, html) = page(&world, &secret).await;
    assert!(html.contains("Wait for the fraud team") && html.contains("the gate waits for people"));
    assert!(!html.contains("/block\"") && !html.contains("Goes live by itself"));
    let (status, html, _) = Post { to: "block", ..Post::new(&world, &secret, "comment=me+too") }.send().await;
    assert!(status == StatusCode::CONFLICT && html.contains("blocked by ann@example.com"), "{html}");
    assert_eq!(status_of(&world).await, GateStatus::Pending);
}

#[tokio::test]
async fn a_block_from_elsewhere_by_a_stranger_or_of_something_else_blocks_nothing() {
    let world = with_window().await;
    let (ann, stranger) = (world.link(ANN).await, world.link("eve@example.com").await);
    let revoked = world.link(BOB).await;
    world.registry.revoke(&revoked.hash()).await.unwrap();
    let post = |secret| Post { to: "block", ..Post::new(&world, secret, "comment=x") };
    for (refused, status) in [
        (Post { origin: None, ..post(&ann) }, StatusCode::FORBIDDEN),
        (Post { origin: Some("https://evil.example"), ..post(&ann) }, StatusCode::FORBIDDEN),
        (Post { token: "0".repeat(64), ..post(&ann) }, StatusCode::FORBIDDEN),
        (Post { shown: String::new(), ..post(&ann) }, StatusCode::CONFLICT),
        (post(&stranger), StatusCode::FORBIDDEN),
        (post(&revoked), StatusCode::GONE),
    ] {
        let (found, html, _) = refused.send().await;
        assert_eq!(found, status, "{html}");
    }
    assert_eq!(blocked(&world).await, None);
    let plain = self::world().await;
    let secret = plain.link(ANN).await;
    let (status, html, _) = Post { to: "block", ..Post::new(&plain, &secret, "comment=x") }.send().await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && html.contains("waits for people"), "{status}");
}

#[tokio::test]
async fn a_decision_about_something_else_than_what_was_shown_is_refused_and_names_what_changed() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let (_, html) = page(&world, &secret).await;
    let fingerprint = world.gate.bound.fingerprint();
    assert!(html.contains(&format!("name=\"shown\" value=\"{fingerprint}\"")));
    let mut other = world.gate.bound.clone();
    other.report = other.package.clone();
    other.benchmark = None;
    let body = "decision=approve&comment=x";
    let (status, html, _) =
        Post { shown: other.fingerprint(), ..Post::new(&world, &secret, body) }.send().await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(html.contains("The comparison report and the benchmark changed since it was shown"), "{html}");
    assert!(html.contains("Your decision was not recorded") && html.contains("See how it stands"));
    let (status, html, _) = Post { shown: String::new(), ..Post::new(&world, &secret, body) }.send().await;
    assert_eq!(status, StatusCode::CONFLICT, "a form without it is none of ours");
    assert!(html.contains("This form is out of date") && !html.contains("changed since"), "{html}");

    let path = format!("/iam/v1/approvals/{}", world.gate.id);
    let (_, shown) = call(&world, signed("GET", &path, Some(ANN_AS_USER), &Value::Null)).await;
    assert_eq!(shown["shown"], fingerprint.as_str());
    let body = |shown: &str| json!({ "comment": "fine", "shown": shown });
    let approve = format!("{path}/approve");
    for wrong in [other.fingerprint().as_str(), ""] {
        let (status, problem) = call(&world, signed("POST", &approve, Some(ANN_AS_USER), &body(wrong))).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("changed")));
    }
    assert_eq!(status_of(&world).await, GateStatus::Pending);
    assert_eq!(world.registry.capability(&secret.hash()).await.unwrap().unwrap().used_at, None);
    let (status, _) = call(&world, signed("POST", &approve, Some(ANN_AS_USER), &body(&fingerprint))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_second_decision_is_told_who_decided_when_and_why() {
    let world = world().await;
    let (ann, bob) = (world.link(ANN).await, world.link(BOB).await);
    Post::new(&world, &ann, "decision=reject&comment=Latency+%3Cb%3Edoubles%3C%2Fb%3E").send().await;
    let (status, html, _) = Post::new(&world, &bob, "decision=approve&comment=fine").send().await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(html.contains("Rejected by ann@example.com on ") && html.contains(" UTC."), "{html}");
    assert!(html.contains("Latency &#60;b&#62;doubles") && !html.contains("<b>doubles"), "{html}");
    let (_, html) = page(&world, &bob).await;
    assert!(html.contains("Already decided.") && html.contains("Rejected by ann@example.com on "));
    assert_eq!(status_of(&world).await, GateStatus::Rejected);
}

#[tokio::test]
async fn a_skipped_stage_is_marked_on_every_page_about_the_gate() {
    let skipped = vec![Stage::Shadow, Stage::Canary];
    let world = World::of(Wanted { skipped, ..Wanted::default() }).await;
    let secret = world.link(ANN).await;
    let (_, html) = page(&world, &secret).await;
    for part in [
        "Emergency: shadow skipped.",
        "olga@example.com skipped the shadow on ",
        "Emergency: canary skipped.",
        "v1 leaks card numbers",
        "serves every caller at once: its canary was skipped",
        "this version has answered no live request",
        "How it behaves on live requests was not looked at",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains(HOSTILE));
    let path = format!("/iam/v1/approvals/{}", world.gate.id);
    let (_, shown) = call(&world, signed("GET", &path, Some(ANN_AS_USER), &Value::Null)).await;
    assert_eq!(shown["bypasses"].as_array().map(Vec::len), Some(2));
    // Also above a page that refuses.
    Post::new(&world, &secret, "decision=approve&comment=yes").send().await;
    let (status, html, _) = Post::new(&world, &secret, "decision=reject&comment=no").send().await;
    assert!(status == StatusCode::CONFLICT && html.contains("Emergency: shadow skipped."), "{html}");
}

#[tokio::test]
async fn the_api_blocks_for_those_whom_the_policy_names() {
    let world = with_window().await;
    let path = format!("/iam/v1/approvals/{}/block", world.gate.id);
    let comment = json!({ "comment": "wait" });
    let eve = Some("arn:aws:iam::000000000000:user/eve");
    for (user, status) in [(eve, StatusCode::FORBIDDEN), (None, StatusCode::UNAUTHORIZED)] {
        assert_eq!(call(&world, signed("POST", &path, user, &comment)).await.0, status);
    }
    assert_eq!(blocked(&world).await, None);
    let (status, gate) = call(&world, signed("POST", &path, Some(ANN_AS_USER), &comment)).await;
    assert_eq!((status, gate["window"]["blocked"]["comment"].as_str()), (StatusCode::OK, Some("wait")));
    assert_eq!(gate["status"], "pending");
}

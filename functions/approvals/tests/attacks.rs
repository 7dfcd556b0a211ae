//! What an attacker, a mail scanner, a submitter with a second account and two people at once can do: nothing that was not theirs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::world as support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fn_approvals::router;
use jiff::{SignedDuration, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use seatrial_domain::gate::{GateRecord, GateStatus};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::Approver;
use seatrial_domain::verdict::Verdict;
use seatrial_registry::ops::Ops;
use seatrial_registry::table::{Item, Key};
use seatrial_registry::{Capabilities as _, Records as _};
use seatrial_runtime::link::LinkSecret;
use serde_json::{Value, json};
use support::{ANN, ANN_AS_USER, BOB, World, policy, set_policy, signed};
use tower::ServiceExt as _;

const BASE: &str = "https://approvals.example.com";
const BOB_AS_USER: &str = "arn:aws:iam::000000000000:user/bob";
const APPROVE: &str = "decision=approve&comment=looks+good";
const REJECT: &str = "decision=reject&comment=too+slow";

async fn world() -> World {
    World::new(Verdict::Pass, SignedDuration::from_hours(1)).await
}

/// An answer, whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    /// All that could tell one answer from another.
    fn looks(&self) -> (StatusCode, BTreeMap<String, String>, &str) {
        let headers = self.headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned()));
        (self.status, headers.collect(), &self.body)
    }
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 4 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn cookie(gate: &GateRecord, text: &str) -> String {
    format!("__Host-seatrial-{}={text}", gate.id)
}

/// The request that the form on the page sends.
fn form(gate: &GateRecord, secret: &LinkSecret, body: &str) -> Request<Body> {
    let body = format!("{body}&token={}&shown={}", secret.form_token(&gate.id), gate.bound.fingerprint());
    Request::post(format!("/g/{}/decide", gate.id))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ORIGIN, BASE)
        .header(header::COOKIE, cookie(gate, &secret.expose()))
        .body(Body::from(body))
        .unwrap()
}

async fn contents(world: &World) -> BTreeMap<Key, Item> {
    world.registry.contents().await
}

async fn gate_of(world: &World) -> GateRecord {
    world.registry.gate(&world.gate.id).await.unwrap().unwrap()
}

/// A link's text with every character that is not plain written as `%XX`, as it can stand in a path.
fn in_a_path(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(*b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// 10,000 texts that are no link's secret, many of them close to `real`.
fn forgeries(real: &LinkSecret, elsewhere: &LinkSecret) -> Vec<Vec<u8>> {
    const MANY: usize = 10_000;
    let text = real.expose();
    let bits = URL_SAFE_NO_PAD.decode(&text).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(20_261_128);
    let mut forged: Vec<Vec<u8>> = Vec::new();
    // Cut off at either end, doubled, padded, in another alphabet, and of another installation.
    for cut in 1..text.len() {
        forged.push(text.as_bytes()[..cut].to_vec());
        forged.push(text.as_bytes()[cut..].to_vec());
    }
    for near in [
        format!("{text}="),
        format!("{text}A"),
        format!("A{text}"),
        format!("{text}{text}"),
        format!(" {text}"),
        format!("{text}\0"),
        format!("{text}%00"),
        format!("{text}/../{text}"),
        text.replace(['-', '_'], "+"),
        real.hash().to_string(),
        real.hash().hex().to_owned(),
        elsewhere.expose(),
        "%".into(),
        "..".into(),
        ".".into(),
    ] {
        if near != text {
            forged.push(near.into_bytes());
        }
    }
    // Each single bit, each single character, and the bits of the last character that the secret does not use.
    for bit in 0..bits.len() * 8 {
        let mut flipped = bits.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        forged.push(URL_SAFE_NO_PAD.encode(flipped).into_bytes());
    }
    for place in 0..text.len() {
        for other in *b"AQgw9_-z" {
            let mut changed = text.clone().into_bytes();
            if changed[place] != other {
                changed[place] = other;
                forged.push(changed);
            }
        }
    }
    while forged.len() < MANY {
        let mut bytes = vec![0; 32 + usize::from(forged.len().is_multiple_of(7))];
        rng.fill_bytes(&mut bytes);
        let junk = forged.len().is_multiple_of(3);
        forged.push(if junk { bytes } else { URL_SAFE_NO_PAD.encode(bytes).into_bytes() });
    }
    forged
}

#[tokio::test]
async fn ten_thousand_forged_links_and_cookies_open_nothing_change_nothing_and_look_alike() {
    let (here, there) = (world().await, world().await);
    let (real, elsewhere) = (here.link(ANN).await, there.link(ANN).await);
    let app = router(here.app(BASE));
    let before = contents(&here).await;
    let unknown = send(&app, get(&format!("/l/{}", "A".repeat(43)))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);

    let forged = forgeries(&real, &elsewhere);
    assert!(forged.len() >= 10_000);
    let mut well_formed = 0;
    for bytes in &forged {
        let shown = in_a_path(bytes);
        let answer = send(&app, get(&format!("/l/{shown}"))).await;
        assert_eq!(answer.looks(), unknown.looks(), "{shown}");

        // As a cookie, to look and to decide with the token of a form that was made from it.
        let value = [cookie(&here.gate, "").as_bytes(), bytes].concat();
        let Ok(value) = header::HeaderValue::from_bytes(&value) else { continue }; // no browser can send it
        let secret = std::str::from_utf8(bytes).ok().and_then(LinkSecret::parse);
        let wanted = if secret.is_some() { StatusCode::NOT_FOUND } else { StatusCode::FORBIDDEN };
        well_formed += usize::from(secret.is_some());
        let mut look = get(&format!("/g/{}", here.gate.id));
        let mut decide = form(&here.gate, secret.as_ref().unwrap_or(&real), APPROVE);
        for request in [&mut look, &mut decide] {
            request.headers_mut().insert(header::COOKIE, value.clone());
        }
        for request in [look, decide] {
            let answer = send(&app, request).await;
            assert_eq!(answer.status, wanted, "{shown}");
            assert!(!answer.body.contains("guardrail") && answer.header(header::SET_COOKIE).is_none());
        }
    }
    assert!(well_formed > 5_000, "most of them are of the right form: {well_formed}");
    assert_eq!(contents(&here).await, before, "something was written");

    // And the real one still opens and decides.
    let opened = send(&app, get(&format!("/l/{}", real.expose()))).await;
    assert_eq!(opened.status, StatusCode::SEE_OTHER);
    assert_eq!(send(&app, form(&here.gate, &real, APPROVE)).await.status, StatusCode::SEE_OTHER);
    assert_eq!(gate_of(&here).await.status, GateStatus::Approved);
}

#[tokio::test]
async fn a_page_does_not_tell_whether_a_gate_exists() {
    let world = world().await;
    let app = router(world.app(BASE));
    let other = seatrial_domain::GateId::derive(&world.promotion.id, "approval", 77);
    let pages = [world.gate.id.as_str(), other.as_str()].map(|gate| (gate.to_owned(), format!("/g/{gate}")));
    let mut seen = Vec::new();
    for (gate, path) in pages {
        let answer = send(&app, get(&path)).await;
        seen.push((answer.status, answer.body.replace(&gate, "ga_…")));
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_mail_scanner_may_look_a_thousand_times_and_the_link_still_decides() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let app = router(world.app(BASE));
    let before = contents(&world).await;
    let (link, page) = (format!("/l/{}", secret.expose()), format!("/g/{}", world.gate.id));
    for round in 0..1_000 {
        let method = ["GET", "HEAD", "OPTIONS"][round % 3];
        for path in [&link, &page, &format!("{page}/decide?{APPROVE}")] {
            let mut request = Request::builder().method(method).uri(path.as_str());
            if round % 2 == 0 {
                request = request.header(header::COOKIE, cookie(&world.gate, &secret.expose()));
            }
            let request = request
                .header(header::USER_AGENT, "Mozilla/5.0 (compatible; link scanner)")
                .header("purpose", "prefetch")
                .header("sec-purpose", "prefetch;prerender")
                .header(header::ORIGIN, BASE);
            let answer = send(&app, request.body(Body::empty()).unwrap()).await;
            assert!(!answer.status.is_server_error(), "{method} {path}");
        }
    }
    assert_eq!(contents(&world).await, before);
    assert_eq!(send(&app, form(&world.gate, &secret, APPROVE)).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_copy_of_an_old_link_decides_nothing() {
    // Used: the copy shows what was decided, and its form is refused.
    let used = world().await;
    let secret = used.link(ANN).await;
    let app = router(used.app(BASE));
    let copied = form(&used.gate, &secret, REJECT);
    assert_eq!(send(&app, form(&used.gate, &secret, APPROVE)).await.status, StatusCode::SEE_OTHER);
    let before = contents(&used).await;
    assert_eq!(send(&app, get(&format!("/l/{}", secret.expose()))).await.status, StatusCode::SEE_OTHER);
    let answer = send(&app, copied).await;
    assert!(answer.status == StatusCode::CONFLICT && answer.body.contains(&format!("approved by {ANN} at")));
    assert_eq!(contents(&used).await, before);

    // Taken back, expired, and of a person who is no approver any more, after the browser already had its cookie.
    let world = world().await;
    let app = router(world.app(BASE));
    let (revoked, ann) = (world.link(ANN).await, world.link(ANN).await);
    let expired = world.link_until(ANN, seatrial_runtime::now()).await;
    assert!(world.registry.revoke(&revoked.hash()).await.unwrap());
    let mut without_ann = policy();
    without_ann.approval.approvers.remove(0);
    set_policy(&world.registry, &world.model, without_ann).await;
    let before = contents(&world).await;
    for (secret, status, part) in [
        (&revoked, StatusCode::GONE, "taken back"),
        (&expired, StatusCode::GONE, "has expired"),
        (&ann, StatusCode::FORBIDDEN, "is not among the approvers"),
    ] {
        let answer = send(&app, form(&world.gate, secret, APPROVE)).await;
        assert!(answer.status == status && answer.body.contains(part), "{}: {}", answer.status, answer.body);
        assert!(!answer.body.contains("guardrail"));
    }
    assert_eq!(contents(&world).await, before);
}

/// A world whose approvers, beside Ann and Bob, are these; separation of duties is on, so a login is needed.
async fn separated(approvers: &[(&str, &str)], quorum: u32) -> World {
    let world = world().await;
    let mut policy = policy();
    policy.approval.separation_of_duties = true;
    policy.approval.quorum = quorum;
    policy.approval.approvers[1].principals.push(BOB_AS_USER.into());
    for (email, principal) in approvers {
        policy
            .approval
            .approvers
            .push(Approver { email: (*email).into(), principals: vec![(*principal).into()] });
    }
    set_policy(&world.registry, &world.model, policy).await;
    world
}

async fn call(world: &World, user: &str, verb: &str, comment: &str) -> (StatusCode, Value) {
    let path = format!("/iam/v1/approvals/{}/{verb}", world.gate.id);
    let request = signed("POST", &path, Some(user), &json!({ "comment": comment }));
    let answer = send(&router(world.app(BASE)), request).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test]
async fn the_submitters_second_account_cannot_approve() {
    // dana@example.com submitted; user/dana asked for the promotion.
    let second = "arn:aws:iam::000000000000:user/dana-second";
    for email in ["dana+approver@example.com", "Dana@Example.com", "DANA+x+y@EXAMPLE.COM"] {
        let world = separated(&[(email, second)], 1).await;
        let before = contents(&world).await;
        let (status, problem) = call(&world, second, "approve", "fine").await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("forbidden")), "{email}");
        assert!(problem["detail"].as_str().unwrap().contains("separation of duties"), "{problem}");
        assert_eq!(contents(&world).await, before);
        assert_eq!(call(&world, BOB_AS_USER, "approve", "fine").await.0, StatusCode::OK);
    }
    // Under the name that asked for the promotion.
    let world = separated(&[("other@example.com", "arn:aws:iam::000000000000:user/dana")], 1).await;
    let (status, _) = call(&world, "arn:aws:iam::000000000000:user/dana", "approve", "fine").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    // Against their own they may speak.
    let (status, _) = call(&world, "arn:aws:iam::000000000000:user/dana", "reject", "found a bug").await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn an_approvers_second_account_is_no_second_voice_of_a_quorum() {
    let second = "arn:aws:iam::000000000000:user/ann-second";
    // Her second address cannot be made another person, only another name of hers.
    let world = separated(&[], 2).await;
    let owner = Actor { principal: "arn:aws:iam::000000000000:user/dana".into(), auth: Auth::Iam };
    let ops = Ops::new(&world.registry, owner, &seatrial_runtime::now);
    let mut policy = policy();
    policy.approval.quorum = 2;
    policy.approval.approvers[1].principals.push(BOB_AS_USER.into());
    let mut doubled = policy.clone();
    doubled
        .approval
        .approvers
        .push(Approver { email: "ann+second@example.com".into(), principals: vec![second.into()] });
    let refused = ops.set_policy(&world.model, &doubled).await.unwrap_err().to_string();
    assert!(refused.contains("one person is one entry"), "{refused}");
    policy.approval.approvers[0].principals.push(second.into());
    ops.set_policy(&world.model, &policy).await.unwrap();
    let (status, gate) = call(&world, ANN_AS_USER, "approve", "fine").await;
    assert_eq!((status, gate["status"].as_str()), (StatusCode::OK, Some("pending")));
    let before = contents(&world).await;
    for again in [second, ANN_AS_USER] {
        let (status, problem) = call(&world, again, "approve", "fine, says my other self").await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (StatusCode::CONFLICT, Some("gate_closed")),
            "{again}"
        );
        assert!(problem["detail"].as_str().unwrap().contains("waits for another approver"), "{problem}");
    }
    // A link of hers decides nothing either: a quorum needs a login.
    let link = world.link(ANN).await;
    let answer = send(&router(world.app(BASE)), form(&world.gate, &link, APPROVE)).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    let mut now = contents(&world).await;
    now.retain(|key, _| !key.pk.starts_with("CAP#"));
    assert_eq!(now, before);
    let (status, gate) = call(&world, BOB_AS_USER, "approve", "fine").await;
    assert_eq!((status, gate["status"].as_str()), (StatusCode::OK, Some("approved")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_click_in_the_same_second_one_decides_and_the_other_is_told_by_whom() {
    for round in 0..20 {
        let world = world().await;
        let (ann, bob) = (world.link(ANN).await, world.link(BOB).await);
        let app = router(world.app(BASE));
        let (one, other) = (form(&world.gate, &ann, APPROVE), form(&world.gate, &bob, REJECT));
        let (first, second) = (app.clone(), app.clone());
        let one = tokio::spawn(async move { send(&first, one).await });
        let other = tokio::spawn(async move { send(&second, other).await });
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        let gate = gate_of(&world).await;
        assert_eq!(gate.decisions.len(), 1, "round {round}");
        let (won, lost, how) = match gate.status {
            GateStatus::Approved => (one, other, format!("approved by {ANN} at ")),
            GateStatus::Rejected => (other, one, format!("rejected by {BOB} at ")),
            open => panic!("{open:?}"),
        };
        assert_eq!((won.status, lost.status), (StatusCode::SEE_OTHER, StatusCode::CONFLICT));
        assert!(lost.body.contains(&how) && lost.body.contains("not recorded"), "{}", lost.body);
        let history = world.registry.history(&world.model, 0, 1_000).await.unwrap();
        assert_eq!(history.iter().filter(|e| e.event == "gate_decided").count(), 2, "v1's and v2's");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_copies_of_one_link_in_the_same_second_decide_once() {
    for _ in 0..20 {
        let world = world().await;
        let secret = world.link(ANN).await;
        let app = router(world.app(BASE));
        let clicks = [APPROVE, REJECT, APPROVE, REJECT].map(|body| {
            let (app, request) = (app.clone(), form(&world.gate, &secret, body));
            tokio::spawn(async move { send(&app, request).await.status })
        });
        let mut won = 0;
        for click in clicks {
            won += usize::from(click.await.unwrap() == StatusCode::SEE_OTHER);
        }
        let gate = gate_of(&world).await;
        assert_eq!(gate.decisions.len(), 1);
        assert!((1..=2).contains(&won), "the decision, and perhaps the very same one again: {won}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_quorum_both_count_who_approve_in_the_same_second_and_one_who_clicks_twice_counts_once() {
    for _ in 0..10 {
        let world = std::sync::Arc::new(separated(&[], 2).await);
        let calls = [ANN_AS_USER, BOB_AS_USER].map(|user| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move { call(&world, user, "approve", "fine").await.0 })
        });
        for done in calls {
            assert_eq!(done.await.unwrap(), StatusCode::OK);
        }
        let gate = gate_of(&world).await;
        assert_eq!((gate.status, gate.decisions.len()), (GateStatus::Approved, 2));

        let world = std::sync::Arc::new(separated(&[], 2).await);
        let calls = ["fine", "fine", "very fine", "fine indeed"].map(|comment| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move { call(&world, ANN_AS_USER, "approve", comment).await.0 })
        });
        for done in calls {
            assert!([StatusCode::OK, StatusCode::CONFLICT].contains(&done.await.unwrap()));
        }
        let gate = gate_of(&world).await;
        assert_eq!((gate.status, gate.decisions.len()), (GateStatus::Pending, 1));
    }
}

#[tokio::test]
async fn a_form_of_another_gate_or_another_link_decides_nothing() {
    let (here, there) = (world().await, world().await);
    let secret = here.link(ANN).await;
    let (bobs, elsewhere) = (here.link(BOB).await, there.link(ANN).await);
    let other_gate = seatrial_domain::GateId::derive(&here.promotion.id, "approval", 9);
    let app = router(here.app(BASE));
    let before = contents(&here).await;
    let sent = |cookies: String, token: String, origins: &[&str]| {
        let mut request = Request::post(format!("/g/{}/decide", here.gate.id))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, cookies);
        for origin in origins {
            request = request.header(header::ORIGIN, *origin);
        }
        request
            .body(Body::from(format!("{APPROVE}&shown={}&token={token}", here.gate.bound.fingerprint())))
            .unwrap()
    };
    let ours = cookie(&here.gate, &secret.expose());
    let good = secret.form_token(&here.gate.id);
    let cases = [
        sent(ours.clone(), secret.form_token(&other_gate), &[BASE]),
        sent(ours.clone(), bobs.form_token(&here.gate.id), &[BASE]),
        sent(ours.clone(), elsewhere.form_token(&here.gate.id), &[BASE]),
        sent(ours.clone(), good.to_uppercase(), &[BASE]),
        sent(ours.clone(), format!("{good}0"), &[BASE]),
        sent(ours.clone(), format!("{good}&token={good}"), &[BASE]),
        sent(ours.clone(), good.clone(), &[BASE, BASE]),
        sent(ours.clone(), good.clone(), &[BASE, "https://evil.example"]),
        sent(ours.clone(), good.clone(), &["https://approvals.example.com/"]),
        sent(ours.clone(), good.clone(), &["HTTPS://approvals.example.com"]),
        sent(ours.replace(here.gate.id.as_str(), other_gate.as_str()), good.clone(), &[BASE]),
        sent(ours.replace("__Host-", ""), good.clone(), &[BASE]),
        // A cookie that another site could set comes first; the real one after it does not help.
        sent(format!("{}; {ours}", cookie(&here.gate, &elsewhere.expose())), good.clone(), &[BASE]),
    ];
    for (place, request) in cases.into_iter().enumerate() {
        let answer = send(&app, request).await;
        assert!(answer.status.is_client_error(), "case {place}: {}", answer.status);
        assert!(!answer.body.contains("guardrail"), "case {place}");
    }
    assert_eq!(contents(&here).await, before);
}

#[tokio::test]
async fn a_captured_request_sent_again_after_the_decision_changes_nothing() {
    let world = world().await;
    let (ann, bob) = (world.link(ANN).await, world.link(BOB).await);
    let app = router(world.app(BASE));
    assert_eq!(send(&app, form(&world.gate, &bob, REJECT)).await.status, StatusCode::SEE_OTHER);
    let before = contents(&world).await;
    for _ in 0..3 {
        // His own again: the same answer. Hers, that was kept back: told by whom.
        assert_eq!(send(&app, form(&world.gate, &bob, REJECT)).await.status, StatusCode::SEE_OTHER);
        let answer = send(&app, form(&world.gate, &ann, APPROVE)).await;
        assert!(
            answer.status == StatusCode::CONFLICT && answer.body.contains(&format!("rejected by {BOB} at "))
        );
        let (status, problem) = call(&world, ANN_AS_USER, "approve", "fine").await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("gate_closed")));
    }
    assert_eq!(contents(&world).await, before);
    assert_eq!(world.registry.capability(&ann.hash()).await.unwrap().unwrap().used_at, None);
}

/// The time of the apps below, in seconds; of one test only.
static NOW: AtomicI64 = AtomicI64::new(0);

fn now() -> Timestamp {
    Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap()
}

#[tokio::test]
async fn at_its_very_end_a_gate_takes_nothing_and_a_clock_that_is_off_opens_nothing_again() {
    let world = world().await;
    // Links end with their gate; this one lasts longer, so that the gate's own end is what is tried.
    let end = world.gate.expires_at.as_second() + 1;
    let long = world.link_until(ANN, world.gate.expires_at + SignedDuration::from_hours(1)).await;
    let short = world.link_until(ANN, Timestamp::from_second(end).unwrap()).await;
    let app = router(fn_approvals::App { clock: now, ..world.app(BASE) });
    let before = contents(&world).await;
    for second in [end, end + 60] {
        NOW.store(second, Ordering::SeqCst);
        let answer = send(&app, form(&world.gate, &long, APPROVE)).await;
        assert!(
            answer.status == StatusCode::CONFLICT && answer.body.contains("expired at"),
            "{}",
            answer.body
        );
        let answer = send(&app, form(&world.gate, &short, APPROVE)).await;
        assert_eq!(answer.status, StatusCode::GONE);
        let answer = send(&app, get(&format!("/l/{}", short.expose()))).await;
        assert!(answer.status == StatusCode::GONE && answer.header(header::SET_COOKIE).is_none());
        let path = format!("/iam/v1/approvals/{}/approve", world.gate.id);
        let request = signed("POST", &path, Some(ANN_AS_USER), &json!({ "comment": "fine" }));
        assert_eq!(send(&app, request).await.status, StatusCode::CONFLICT);
    }
    assert_eq!(contents(&world).await, before);

    // A clock that is right has closed the gate; one that is a minute slow does not open it again.
    let right = || Timestamp::from_second(end).unwrap();
    let sweep = Actor { principal: "function/gate".into(), auth: Auth::System };
    Ops::new(&world.registry, sweep, &right).close_gate(&world.gate.id).await.unwrap();
    let closed = contents(&world).await;
    NOW.store(end - 60, Ordering::SeqCst);
    let answer = send(&app, form(&world.gate, &long, APPROVE)).await;
    assert!(answer.status == StatusCode::CONFLICT && answer.body.contains("expired at"), "{}", answer.body);
    assert_eq!(contents(&world).await, closed);
    assert_eq!(gate_of(&world).await.status, GateStatus::Expired);
}

#[tokio::test]
async fn headers_that_proxies_believe_have_no_effect() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let app = router(world.app(BASE));
    let before = contents(&world).await;
    let believed = [
        ("x-http-method-override", "POST"),
        ("x-http-method", "POST"),
        ("x-method-override", "POST"),
        ("x-original-url", "/g/x/decide"),
        ("x-rewrite-url", "/g/x/decide"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example;proto=http"),
        ("host", "evil.example"),
        ("x-amzn-iam-user", ANN_AS_USER),
        ("x-amz-user-arn", ANN_AS_USER),
        ("x-remote-user", ANN_AS_USER),
        ("x-forwarded-user", ANN),
        ("x-apigateway-context", "{\"authorizer\":{\"iam\":{\"userArn\":\"x\"}}}"),
    ];
    for (name, value) in believed {
        let with = |method: &str, path: &str, body: String| {
            Request::builder()
                .method(method)
                .uri(path)
                .header(name, value)
                .header(header::ORIGIN, BASE)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::COOKIE, cookie(&world.gate, &secret.expose()))
                .body(Body::from(body))
                .unwrap()
        };
        let answer = send(&app, with("GET", &format!("/l/{}", secret.expose()), String::new())).await;
        assert_eq!(
            answer.header(header::LOCATION),
            Some(format!("{BASE}/g/{}", world.gate.id).as_str()),
            "{name}"
        );
        let query = format!("/g/{}/decide?{APPROVE}&_method=POST", world.gate.id);
        assert_eq!(
            send(&app, with("GET", &query, String::new())).await.status,
            StatusCode::METHOD_NOT_ALLOWED
        );
        let page =
            send(&app, with("GET", &format!("/g/{}?_method=POST&{APPROVE}", world.gate.id), String::new()))
                .await;
        assert!(page.status == StatusCode::OK && !page.body.contains("evil"), "{name}");
        let path = format!("/iam/v1/approvals/{}/approve", world.gate.id);
        let body = json!({ "comment": "fine" }).to_string();
        assert_eq!(send(&app, with("POST", &path, body)).await.status, StatusCode::UNAUTHORIZED, "{name}");
    }
    assert_eq!(contents(&world).await, before);
}

#[tokio::test]
async fn bodies_that_are_too_large_or_of_another_kind_decide_nothing() {
    let world = world().await;
    let secret = world.link(ANN).await;
    let app = router(world.app(BASE));
    let before = contents(&world).await;
    let shown = world.gate.bound.fingerprint();
    let good = format!("{APPROVE}&shown={shown}&token={}", secret.form_token(&world.gate.id));
    let multipart = format!(
        "--x\r\ncontent-disposition: form-data; name=decision\r\n\r\napprove\r\n--x\r\ncontent-disposition: form-data; name=comment\r\n\r\nx\r\n--x\r\ncontent-disposition: form-data; name=token\r\n\r\n{}\r\n--x--",
        secret.form_token(&world.gate.id)
    );
    let json = json!({ "decision": "approve", "comment": "x", "token": secret.form_token(&world.gate.id) });
    let urlencoded = "application/x-www-form-urlencoded";
    for (kind, body, status) in [
        (Some(urlencoded), format!("{good}&more={}", "x".repeat(70_000)), StatusCode::PAYLOAD_TOO_LARGE),
        (Some(urlencoded), "x".repeat(5 << 20), StatusCode::PAYLOAD_TOO_LARGE),
        (Some("text/plain"), good.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("application/json"), json.to_string(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("multipart/form-data; boundary=x"), multipart, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (None, good.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let mut request = form(&world.gate, &secret, "");
        *request.body_mut() = Body::from(body);
        request.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(kind) = kind {
            request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        let answer = send(&app, request).await;
        assert_eq!(answer.status, status, "{kind:?}");
        assert!(
            answer.body.contains("Nothing was decided") && answer.body.contains("<html"),
            "{}",
            answer.body
        );
    }
    assert_eq!(contents(&world).await, before);
}

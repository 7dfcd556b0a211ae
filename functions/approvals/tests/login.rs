//! Logging in at an issuer, deciding, and logging out, over HTTP as a browser without scripts does it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::world as support;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use fn_approvals::{App, router, session};
use jiff::SignedDuration;
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::GateStatus;
use seatrial_domain::ids::Auth;
use seatrial_domain::policy::{Person, Role};
use seatrial_domain::verdict::Verdict;
use seatrial_identity::testing::LocalIssuer;
use seatrial_registry::{Capabilities, Records, Sessions};
use seatrial_runtime::link::LinkSecret;
use support::{ANN, BOB, World, policy, set_policy};
use tower::ServiceExt as _;

const BASE: &str = "https://approvals.example.com";
const SESSION: &str = "__Host-seatrial-session";
const LOGIN: &str = "__Host-seatrial-login";

struct Site {
    world: World,
    local: LocalIssuer,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn to(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |v| v.to_str().unwrap())
    }
}

/// A browser: cookies, and the issuer it is sent to.
#[derive(Default, Clone)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Site {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut App)) -> Self {
        let world = World::new(Verdict::Pass, SignedDuration::from_hours(1)).await;
        let mut strict = policy();
        strict.approval.separation_of_duties = true;
        set_policy(&world.registry, &world.model, strict).await;
        let local = LocalIssuer::start(ANN).await;
        let router = router(app(&world, &local, change));
        Self { world, local, router }
    }

    fn page(&self) -> String {
        format!("/g/{}", self.world.gate.id)
    }

    async fn status(&self) -> GateStatus {
        self.world.registry.gate(&self.world.gate.id).await.unwrap().unwrap().status
    }
}

fn app(world: &World, local: &LocalIssuer, change: impl FnOnce(&mut App)) -> App {
    let mut app = world.app(BASE);
    app.issuer = Some(local.seen());
    change(&mut app);
    app
}

impl Browser {
    fn cookie(&self) -> String {
        self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ")
    }

    async fn send(&mut self, site: &Site, request: http::request::Builder, body: String) -> Answer {
        let request = request.header(header::COOKIE, self.cookie()).body(Body::from(body)).unwrap();
        let response = site.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for set in parts.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            for part in ["; Path=/;", "; Secure;", "; HttpOnly;", "SameSite=Lax"] {
                assert!(set.starts_with("__Host-") && set.contains(part) && !set.contains("Domain"), "{set}");
            }
            let (name, rest) = set.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if set.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
        let bytes = axum::body::to_bytes(body, 4 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&mut self, site: &Site, path: &str) -> Answer {
        self.send(site, Request::get(path.strip_prefix(BASE).unwrap_or(path)), String::new()).await
    }

    async fn post(&mut self, site: &Site, path: &str, origin: Option<&str>, body: &str) -> Answer {
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        // What the page showed goes along, as its form sends it.
        let shown = site.world.gate.bound.fingerprint();
        self.send(site, request, format!("{body}&shown={shown}")).await
    }

    /// Where the issuer sends the browser back to.
    async fn at_issuer(&self, address: &str) -> String {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = client.get(address).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{address}");
        answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
    }

    /// Logs in and comes back to `to`.
    async fn log_in(&mut self, site: &Site, to: &str) -> Answer {
        let start = self.get(site, &format!("/login?to={to}")).await;
        assert_eq!(start.status, StatusCode::SEE_OTHER, "{}", start.text);
        let back = self.at_issuer(start.to()).await;
        self.get(site, &back).await
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} is not in {text}"));
    rest.split_once(after).unwrap().0
}

fn changed(address: &str, name: &str, value: Option<&str>) -> String {
    let mut url = reqwest::Url::parse(address).unwrap();
    let pairs: Vec<(String, String)> =
        url.query_pairs().filter(|(n, _)| n != name).map(|(n, v)| (n.into(), v.into())).collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
    url.to_string()
}

#[tokio::test]
async fn an_approver_logs_in_decides_and_logs_out() {
    let site = Site::new().await;
    let mut browser = Browser::default();
    let nobody = browser.get(&site, &site.page()).await;
    assert_eq!(nobody.status, StatusCode::FORBIDDEN);
    let login = between(&nobody.text, "class=\"button\" href=\"", "\"").replace("&#38;", "&");
    assert_eq!(login, format!("{BASE}/login?to={}", site.page()));
    assert!(!nobody.text.contains("guardrail"), "the page shows what is confidential");

    let start = browser.get(&site, &login).await;
    assert_eq!(start.status, StatusCode::SEE_OTHER);
    let to = reqwest::Url::parse(start.to()).unwrap();
    let asked: BTreeMap<_, _> = to.query_pairs().into_owned().collect();
    assert_eq!(asked["redirect_uri"], format!("{BASE}/login/callback"));
    assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
    assert!(asked["state"].len() == 43 && asked["nonce"].len() == 43 && asked["code_challenge"].len() == 43);
    let secret = browser.cookies[LOGIN].split('.').next().unwrap().to_owned();
    assert!(!start.to().contains(&secret), "the verifier's secret stays in the browser");

    let back = browser.at_issuer(start.to()).await;
    let done = browser.get(&site, &back).await;
    assert_eq!((done.status, done.to()), (StatusCode::SEE_OTHER, format!("{BASE}{}", site.page()).as_str()));
    assert_eq!(done.headers[header::REFERRER_POLICY], "no-referrer", "the address holds a code");
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [SESSION], "the login's own cookie is used up");
    let session = browser.cookies[SESSION].clone();
    assert_eq!(session.len(), 43);

    let page = browser.get(&site, &site.page()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Logged in as <strong>ann@example.com</strong>"), "{}", page.text);
    assert!(page.text.contains("You decide as <strong><bdi>ann@example.com</bdi></strong>"));
    assert!(!page.text.contains(&session), "the page tells the session");
    let token = between(&page.text, "name=\"token\" value=\"", "\"").to_owned();
    let decide = format!("{}/decide", site.page());
    let form = format!("decision=approve&comment=better+everywhere&token={token}");
    for _ in 0..2 {
        let decided = browser.post(&site, &decide, Some(BASE), &form).await;
        assert_eq!(decided.status, StatusCode::SEE_OTHER, "{}", decided.text);
    }
    let gate = site.world.registry.gate(&site.world.gate.id).await.unwrap().unwrap();
    assert_eq!((gate.status, gate.decisions.len()), (GateStatus::Approved, 1));
    assert_eq!((gate.decisions[0].by.principal.as_str(), gate.decisions[0].by.auth), (ANN, Auth::Oidc));

    let copy = browser.clone();
    let out = browser.post(&site, "/logout", Some(BASE), "").await;
    assert_eq!((out.status, out.to()), (StatusCode::SEE_OTHER, format!("{BASE}/").as_str()));
    assert!(browser.cookies.is_empty());
    let stolen = copy.clone().get(&site, &site.page()).await;
    assert_eq!(
        stolen.status,
        StatusCode::FORBIDDEN,
        "a copy of the cookie is worth nothing after the logout"
    );
}

#[tokio::test]
async fn only_the_hash_of_a_session_is_kept_and_it_ends_after_eight_hours() {
    let site = Site::new().await;
    let mut browser = Browser::default();
    browser.log_in(&site, "/").await;
    let secret = LinkSecret::parse(&browser.cookies[SESSION]).unwrap();
    let now = seatrial_runtime::now();
    let kept = site.world.registry.session(&secret.hash(), now).await.unwrap().unwrap();
    assert_eq!((kept.principal.as_str(), kept.subject.as_str()), (ANN, "user-ann@example.com"));
    assert!(!format!("{kept:?}").contains(&secret.expose()));
    assert!(kept.expires_at <= now + SignedDuration::from_hours(8));
    let cookie: HeaderMap = [(header::COOKIE, browser.cookie().parse().unwrap())].into_iter().collect();
    let at = |clock| app(&site.world, &site.local, |app| app.clock = clock);
    let shortly_before = at(|| seatrial_runtime::now() + SignedDuration::from_mins(479));
    let here = session::logged_in(&shortly_before, &cookie).await.unwrap();
    assert_eq!(here.unwrap().caller.actor().principal, ANN);
    let over = at(|| seatrial_runtime::now() + SignedDuration::from_hours(8));
    assert!(session::logged_in(&over, &cookie).await.unwrap().is_none());
    let without = app(&site.world, &site.local, |app| app.issuer = None);
    assert!(session::logged_in(&without, &cookie).await.unwrap().is_none(), "logins were switched off");
}

#[tokio::test]
async fn an_answer_that_is_not_to_this_browsers_login_is_refused() {
    let site = Site::new().await;
    let mut victim = Browser::default();
    // Login CSRF: the attacker's own answer, sent to somebody who began nothing, or something else.
    let mut attacker = Browser::default();
    let start = attacker.get(&site, "/login").await;
    let back = attacker.at_issuer(start.to()).await;
    assert_eq!(victim.get(&site, &back).await.status, StatusCode::BAD_REQUEST);
    let own = victim.get(&site, "/login").await;
    let own_back = victim.at_issuer(own.to()).await;
    let before = victim.cookies.clone();
    assert_eq!(victim.get(&site, &back).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(victim.cookies, before, "and breaks nothing of what was begun");
    for state in [None, Some(""), Some("x")] {
        let answer = victim.get(&site, &changed(&own_back, "state", state)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    // The attacker's code in the victim's own login: its PKCE challenge is another.
    let theirs = reqwest::Url::parse(&back).unwrap();
    let code = theirs.query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned();
    let mixed = victim.get(&site, &changed(&own_back, "code", Some(&code))).await;
    assert_eq!(mixed.status, StatusCode::FORBIDDEN);
    assert!(!mixed.text.contains(&code) && !victim.cookies.contains_key(SESSION));
    // A login is finished once: its cookie is gone, and with a copy of it the code is.
    let start = victim.get(&site, "/login").await;
    let back = victim.at_issuer(start.to()).await;
    let mut copy = victim.clone();
    assert_eq!(victim.get(&site, &back).await.status, StatusCode::SEE_OTHER);
    assert_eq!(victim.get(&site, &back).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(copy.get(&site, &back).await.status, StatusCode::FORBIDDEN);
    assert!(!copy.cookies.contains_key(SESSION));
}

#[tokio::test]
async fn a_login_that_took_too_long_or_came_from_elsewhere_is_refused() {
    let site = Site::new().await;
    let mut browser = Browser::default();
    let start = browser.get(&site, "/login").await;
    let back = browser.at_issuer(start.to()).await;
    let late = Site {
        router: router(app(&site.world, &site.local, |a| {
            a.clock = || seatrial_runtime::now() + SignedDuration::from_mins(10);
        })),
        world: World::new(Verdict::Pass, SignedDuration::from_hours(1)).await,
        local: LocalIssuer::start(ANN).await,
    };
    let mut slow = browser.clone();
    assert_eq!(slow.get(&late, &back).await.status, StatusCode::BAD_REQUEST);
    assert!(slow.cookies.is_empty());
    let mut mixed_up = browser.clone();
    let other = mixed_up.get(&site, &changed(&back, "iss", Some("https://evil.example"))).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
    assert!(!mixed_up.cookies.contains_key(SESSION));
    // A second that no clock has.
    let secret = browser.cookies[LOGIN].split('.').next().unwrap().to_owned();
    for second in ["253402207200", "-377705023201", "99999999999999"] {
        browser.cookies.insert(LOGIN.into(), format!("{secret}.{second}./"));
        assert_eq!(browser.get(&site, &back).await.status, StatusCode::BAD_REQUEST, "{second}");
    }
}

#[tokio::test]
async fn a_login_leads_to_our_pages_only() {
    let site = Site::new().await;
    for to in ["https://evil.example", "//evil.example", "%2F%2Fevil.example", "/%5Cevil.example", ""] {
        let done = Browser::default().log_in(&site, to).await;
        assert_eq!(done.to(), format!("{BASE}/"), "{to}");
    }
    let done = Browser::default().log_in(&site, "/gates").await;
    assert_eq!(done.to(), format!("{BASE}/gates"));
}

#[tokio::test]
async fn who_broke_it_off_or_met_a_silent_issuer_is_told_so() {
    let site = Site::new().await;
    site.local.deny(true);
    let mut browser = Browser::default();
    let denied = browser.log_in(&site, &site.page()).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert!(denied.text.contains("You are not logged in") && denied.text.contains("access_denied"));
    assert!(denied.text.contains(&format!("/login?to={}", site.page())), "try again, to the same page");
    site.local.deny(false);
    let start = browser.get(&site, "/login").await;
    let back = browser.at_issuer(start.to()).await;
    site.local.fail(true);
    assert_eq!(browser.get(&site, &back).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!browser.cookies.contains_key(SESSION));
}

#[tokio::test]
async fn without_logins_nobody_is_sent_anywhere() {
    let site = Site::with(|app| app.issuer = None).await;
    let mut browser = Browser::default();
    for path in ["/login", "/login?to=/gates", "/login/callback?state=x&code=y"] {
        let answer = browser.get(&site, path).await;
        assert_eq!((answer.status, answer.to()), (StatusCode::NOT_FOUND, ""), "{path}");
    }
    let page = browser.get(&site, &site.page()).await;
    assert!(page.text.contains("seatrial approvals approve") && !page.text.contains("/login"));
}

#[tokio::test]
async fn whom_the_policy_does_not_name_sees_nothing_and_whom_it_names_otherwise_only_looks() {
    let site = Site::new().await;
    site.local.log_in_as("eve@example.com");
    let mut eve = Browser::default();
    eve.log_in(&site, &site.page()).await;
    let seen = eve.get(&site, &site.page()).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert!(seen.text.contains("eve@example.com") && seen.text.contains("/logout"));
    assert!(!seen.text.contains("guardrail") && !seen.text.contains(site.world.model.as_str()));
    // She can make the form's token, because it is made of her own cookie. It is worth nothing.
    let secret = LinkSecret::parse(&eve.cookies[SESSION]).unwrap();
    let form = format!("decision=approve&comment=x&token={}", secret.form_token(&site.world.gate.id));
    let decide = format!("{}/decide", site.page());
    assert_eq!(eve.post(&site, &decide, Some(BASE), &form).await.status, StatusCode::FORBIDDEN);

    let mut wider = policy();
    wider.approval.separation_of_duties = true;
    wider.people = vec![Person {
        email: "eve@example.com".into(),
        principals: vec![],
        roles: [Role::Auditor].into(),
        emergency: false,
    }];
    set_policy(&site.world.registry, &site.world.model, wider).await;
    let seen = eve.get(&site, &site.page()).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(
        seen.text.contains("You may look at this and not decide") && !seen.text.contains("name=\"token\"")
    );
    assert_eq!(eve.post(&site, &decide, Some(BASE), &form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.status().await, GateStatus::Pending);
}

#[tokio::test]
async fn the_submitter_who_logs_in_may_reject_and_not_approve() {
    let site = Site::new().await;
    let mut with_dana = policy();
    with_dana.approval.separation_of_duties = true;
    with_dana
        .approval
        .approvers
        .push(seatrial_domain::policy::Approver { email: "dana@example.com".into(), principals: vec![] });
    set_policy(&site.world.registry, &site.world.model, with_dana).await;
    site.local.log_in_as("dana@example.com");
    let mut dana = Browser::default();
    dana.log_in(&site, &site.page()).await;
    let page = dana.get(&site, &site.page()).await;
    assert!(page.text.contains("you may reject it, and somebody else approves it"), "{}", page.text);
    assert!(page.text.contains("value=\"reject\"") && !page.text.contains("value=\"approve\""));
    let token = between(&page.text, "name=\"token\" value=\"", "\"").to_owned();
    let form = format!("decision=approve&comment=mine&token={token}");
    let decide = format!("{}/decide", site.page());
    assert_eq!(dana.post(&site, &decide, Some(BASE), &form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.status().await, GateStatus::Pending);
    let form = form.replace("approve", "reject");
    assert_eq!(dana.post(&site, &decide, Some(BASE), &form).await.status, StatusCode::SEE_OTHER);
    assert_eq!(site.status().await, GateStatus::Rejected);
}

#[tokio::test]
async fn a_link_where_a_login_is_needed_leads_to_it_and_does_not_decide() {
    let site = Site::new().await;
    let link = site.world.link(ANN).await;
    let mut browser = Browser::default();
    browser.get(&site, &format!("/l/{}", link.expose())).await;
    let page = browser.get(&site, &site.page()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("asks for a login") && page.text.contains("Log in to decide"));
    assert!(!page.text.contains("name=\"token\""));
    browser.log_in(&site, &site.page()).await;
    let page = browser.get(&site, &site.page()).await;
    let token = between(&page.text, "name=\"token\" value=\"", "\"").to_owned();
    assert_ne!(token, link.form_token(&site.world.gate.id), "the form is the login's, not the link's");
    let form = format!("decision=reject&comment=no&token={token}");
    let decide = format!("{}/decide", site.page());
    assert_eq!(browser.post(&site, &decide, Some(BASE), &form).await.status, StatusCode::SEE_OTHER);
    let gate = site.world.registry.gate(&site.world.gate.id).await.unwrap().unwrap();
    assert_eq!(gate.decisions[0].by.auth, Auth::Oidc);
    assert_eq!(site.world.registry.capability(&link.hash()).await.unwrap().unwrap().used_at, None);
}

#[tokio::test]
async fn a_form_is_bound_to_its_login_its_gate_and_our_origin() {
    let site = Site::new().await;
    let mut ann = Browser::default();
    ann.log_in(&site, &site.page()).await;
    site.local.log_in_as(BOB);
    let mut bob = Browser::default();
    bob.log_in(&site, &site.page()).await;
    let decide = format!("{}/decide", site.page());
    let of = |b: &Browser| LinkSecret::parse(&b.cookies[SESSION]).unwrap().form_token(&site.world.gate.id);
    let other_gate = seatrial_domain::GateId::derive(&site.world.gate.promotion, "approval", 9);
    let elsewhere = LinkSecret::parse(&ann.cookies[SESSION]).unwrap().form_token(&other_gate);
    for token in [String::new(), "0".repeat(64), of(&bob), elsewhere] {
        let form = format!("decision=approve&comment=x&token={token}");
        assert_eq!(ann.post(&site, &decide, Some(BASE), &form).await.status, StatusCode::FORBIDDEN);
    }
    let form = format!("decision=approve&comment=x&token={}", of(&ann));
    for origin in [None, Some("null"), Some("https://evil.example")] {
        assert_eq!(ann.post(&site, &decide, origin, &form).await.status, StatusCode::FORBIDDEN);
        let out = ann.post(&site, "/logout", origin, "").await;
        assert_eq!(out.status, StatusCode::FORBIDDEN, "nobody else logs her out");
    }
    assert_eq!(ann.get(&site, "/logout").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ann.get(&site, &site.page()).await.status, StatusCode::OK);
    assert_eq!(site.status().await, GateStatus::Pending);
}

#[tokio::test]
async fn a_new_login_ends_the_one_before() {
    let site = Site::new().await;
    let mut browser = Browser::default();
    // Session fixation: what the browser brings along is never taken over.
    let planted = LinkSecret::mint().unwrap();
    browser.cookies.insert(SESSION.into(), planted.expose());
    browser.log_in(&site, "/").await;
    let first = browser.clone();
    assert_ne!(first.cookies[SESSION], planted.expose());
    let now = seatrial_runtime::now();
    assert!(site.world.registry.session(&planted.hash(), now).await.unwrap().is_none());
    browser.log_in(&site, "/").await;
    assert_ne!(first.cookies[SESSION], browser.cookies[SESSION]);
    assert_eq!(first.clone().get(&site, &site.page()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get(&site, &site.page()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_revocation_takes_effect_at_once_for_whoever_is_logged_in() {
    let site = Site::new().await;
    let mut ann = Browser::default();
    ann.log_in(&site, &site.page()).await;
    let page = ann.get(&site, &site.page()).await;
    let token = between(&page.text, "name=\"token\" value=\"", "\"").to_owned();
    let mut without_ann = policy();
    without_ann.approval.separation_of_duties = true;
    without_ann.approval.approvers.remove(0);
    set_policy(&site.world.registry, &site.world.model, without_ann).await;
    assert_eq!(ann.get(&site, &site.page()).await.status, StatusCode::FORBIDDEN);
    let form = format!("decision=approve&comment=x&token={token}");
    let decide = format!("{}/decide", site.page());
    assert_eq!(ann.post(&site, &decide, Some(BASE), &form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.status().await, GateStatus::Pending);
}

#[tokio::test]
async fn a_session_of_a_random_cookie_is_nobodys() {
    let site = Site::new().await;
    let mut browser = Browser::default();
    for value in [LinkSecret::mint().unwrap().expose(), "x".into(), String::new(), sha256(b"x").hex().into()]
    {
        browser.cookies.insert(SESSION.into(), value);
        assert_eq!(browser.get(&site, &site.page()).await.status, StatusCode::FORBIDDEN);
    }
    // A link's secret is no session, and a session's no link.
    let link = site.world.link(ANN).await;
    browser.cookies.insert(SESSION.into(), link.expose());
    assert_eq!(browser.get(&site, &site.page()).await.status, StatusCode::FORBIDDEN);
    let mut logged_in = Browser::default();
    logged_in.log_in(&site, "/").await;
    let secret = logged_in.cookies[SESSION].clone();
    assert_eq!(Browser::default().get(&site, &format!("/l/{secret}")).await.status, StatusCode::NOT_FOUND);
}

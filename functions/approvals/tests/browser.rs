//! An approver's way in real headless Chromium with scripts off: from a link on another site to a recorded decision.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use jiff::SignedDuration;
use seatrial_domain::gate::GateStatus;
use seatrial_domain::ids::Auth;
use seatrial_domain::verdict::Verdict;
use seatrial_identity::testing::LocalIssuer;
use seatrial_registry::Records;
use serde_json::json;
use support::browser::Browser;
use support::world::{ANN, World, policy, set_policy};

async fn serve(listener: tokio::net::TcpListener, router: Router) {
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
}

async fn listen() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    (listener, origin)
}

/// The pages under a path of their own, as behind an engine or a proxy.
async fn pages(world: &World) -> String {
    const PATH: &str = "/_aws/execute-api/abc123/$default";
    let (listener, origin) = listen().await;
    let base = format!("{origin}{PATH}");
    serve(listener, Router::new().nest(PATH, fn_approvals::router(world.app(&base)))).await;
    base
}

/// Another site that links to us, such as a web mail. `localhost` and `127.0.0.1` are two sites.
async fn other_site(link: &str) -> String {
    let (listener, origin) = listen().await;
    let page = format!(
        "<title>mail</title><script>document.title='scripts run'</script><a id=link href=\"{link}\">Read and decide</a>"
    );
    serve(listener, Router::new().route("/", get(move || async move { Html(page) }))).await;
    origin.replace("127.0.0.1", "localhost")
}

fn keep_picture(name: &str, png: &[u8]) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("review-page");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_comes_from_another_site_reads_and_approves_without_scripts() {
    let world = World::new(Verdict::Inconclusive, SignedDuration::from_hours(51)).await;
    let base = pages(&world).await;
    let secret = world.link(ANN).await;
    let browser = Browser::start().await;

    browser.open(&other_site(&format!("{base}/l/{}", secret.expose())).await).await;
    assert_eq!(browser.title().await, "mail", "scripts are off");
    browser.click("#link").await;
    let page = format!("{base}/g/{}", world.gate.id);
    browser.wait_for("h1", "Promote credit-risk v2 over v1?").await;
    assert_eq!(browser.url().await, page, "the link goes on to an address without the secret");
    assert!(!browser.source().await.contains(&secret.expose()));
    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1);
    let wanted = json!({ "httpOnly": true, "secure": true, "sameSite": "Lax", "path": "/" });
    for (attribute, value) in wanted.as_object().unwrap() {
        assert_eq!(&cookies[0][attribute], value, "{attribute}");
    }
    for (name, width, mobile) in [("desktop", 1_280, false), ("phone", 390, true)] {
        for scheme in ["light", "dark"] {
            let (png, sideways) = browser.picture(width, mobile, scheme).await;
            keep_picture(&format!("review-{name}-{scheme}"), &png);
            assert!(!sideways, "the page scrolls sideways on a {name}");
        }
    }

    // The browser itself asks for the comment before anything is sent.
    browser.click("button.approve").await;
    assert_eq!(browser.url().await, page);
    assert_eq!(world.registry.gate(&world.gate.id).await.unwrap().unwrap().status, GateStatus::Pending);
    browser.fill("#comment", "Armed-Forces is too small to matter here; the rest is clearly better.").await;
    browser.click("button.approve").await;
    browser.wait_for(".lead .state .chip", "approved").await;
    assert_eq!(browser.url().await, page);
    assert!(browser.text(".decisions").await.contains("Armed-Forces is too small to matter here"));
    keep_picture("approved-desktop-light", &browser.picture(1_280, false, "light").await.0);
    let gate = world.registry.gate(&world.gate.id).await.unwrap().unwrap();
    assert_eq!((gate.status, gate.decisions[0].by.principal.as_str()), (GateStatus::Approved, ANN));

    browser.open(&format!("{base}/l/{}", &secret.expose()[..20])).await;
    assert_eq!(browser.text("h1").await, "This link is not valid");
    keep_picture("message-phone-dark", &browser.picture(390, true, "dark").await.0);
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_on_another_site_decides_nothing() {
    let world = World::new(Verdict::Pass, SignedDuration::from_hours(1)).await;
    let base = pages(&world).await;
    let secret = world.link(ANN).await;
    let (listener, origin) = listen().await;
    // The best that an attacker could do: a form with everything right, even the hidden token, on another site.
    let action = format!("{base}/g/{}/decide", world.gate.id);
    let token = secret.form_token(&world.gate.id);
    let form = format!(
        "<title>a game</title><form method=post action=\"{action}\"><input type=hidden name=token value={token}><input type=hidden name=comment value=x><button name=decision value=approve>Play</button></form>"
    );
    serve(listener, Router::new().route("/", get(move || async move { Html(form) }))).await;
    let browser = Browser::start().await;
    browser.open(&format!("{base}/l/{}", secret.expose())).await;
    assert_eq!(browser.cookies().await.len(), 1);
    browser.open(&origin.replace("127.0.0.1", "localhost")).await;
    browser.click("button").await;
    browser.wait_for("h1", "This form was sent from somewhere else").await;
    assert_eq!(world.registry.gate(&world.gate.id).await.unwrap().unwrap().status, GateStatus::Pending);
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_comes_from_another_site_logs_in_at_a_third_and_decides_without_scripts() {
    let world = World::new(Verdict::Inconclusive, SignedDuration::from_hours(51)).await;
    let mut strict = policy();
    strict.approval.separation_of_duties = true;
    set_policy(&world.registry, &world.model, strict).await;
    let issuer = LocalIssuer::start(ANN).await;
    // The pages are on `localhost`, the issuer and the mail on `127.0.0.1`: every way in crosses sites.
    let (listener, origin) = listen().await;
    let base = origin.replace("127.0.0.1", "localhost");
    let mut app = world.app(&base);
    app.issuer = Some(issuer.seen());
    serve(listener, fn_approvals::router(app)).await;
    let secret = world.link(ANN).await;
    let (listener, mail) = listen().await;
    let link = format!("<title>mail</title><a id=link href=\"{base}/l/{}\">Read</a>", secret.expose());
    serve(listener, Router::new().route("/", get(move || async move { Html(link) }))).await;

    let browser = Browser::start().await;
    browser.open(&mail).await;
    browser.click("#link").await;
    let page = format!("{base}/g/{}", world.gate.id);
    browser.wait_for("h1", "Promote credit-risk v2 over v1?").await;
    assert_eq!(browser.text(".decide a.button").await, "Log in to decide");
    keep_picture("login-needed-phone-light", &browser.picture(390, true, "light").await.0);
    browser.click(".decide a.button").await;
    browser.wait_for(".signed-in strong", ANN).await;
    assert_eq!(browser.url().await, page, "back at the page, and no code in its address");
    let session =
        browser.cookies().await.into_iter().find(|c| c["name"] == "__Host-seatrial-session").unwrap();
    let wanted = json!({ "httpOnly": true, "secure": true, "sameSite": "Lax", "path": "/" });
    for (attribute, value) in wanted.as_object().unwrap() {
        assert_eq!(&session[attribute], value, "{attribute}");
    }
    assert!(!browser.source().await.contains(session["value"].as_str().unwrap()));
    for (name, width, mobile) in [("desktop", 1_280, false), ("phone", 390, true)] {
        let (png, sideways) = browser.picture(width, mobile, "dark").await;
        keep_picture(&format!("logged-in-{name}-dark"), &png);
        assert!(!sideways, "the page scrolls sideways on a {name}");
    }

    browser.fill("#comment", "Seen, and fine.").await;
    browser.click("button.approve").await;
    browser.wait_for(".lead .state .chip", "approved").await;
    let gate = world.registry.gate(&world.gate.id).await.unwrap().unwrap();
    let by = &gate.decisions[0].by;
    assert_eq!((by.principal.as_str(), by.auth), (ANN, Auth::Oidc));

    browser.click(".signed-in button").await;
    browser.wait_for("h1", "Decisions are made at gates").await;
    keep_picture("logged-out-desktop-light", &browser.picture(1_280, false, "light").await.0);
    assert!(browser.cookies().await.iter().all(|c| c["name"] != "__Host-seatrial-session"));
    browser.quit().await;
}

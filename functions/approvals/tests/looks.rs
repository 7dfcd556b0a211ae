//! Every page as people see it, in real Chromium: phone and desktop, light and dark, with axe-core over each, with text that
//! wants to break out, and by keyboard alone. Pictures are kept in the build folder, to be looked at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use jiff::SignedDuration;
use seatrial_domain::gate::GateStatus;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::ApprovalMode;
use seatrial_domain::promotion::Stage;
use seatrial_domain::verdict::Verdict;
use seatrial_identity::testing::LocalIssuer;
use seatrial_registry::Records;
use seatrial_registry::ops::Ops;
use support::axe;
use support::browser::Browser;
use support::world::{ANN, ANN_AS_USER, OLGA, Wanted, World, policy, report};

async fn serve(router: impl FnOnce(&str) -> Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = router(&base);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    base
}

async fn pages(world: &World) -> String {
    serve(|base| fn_approvals::router(world.app(base))).await
}

fn keep(name: &str, png: &[u8]) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("review-page");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
}

/// Looks at the page that is open in every way, keeps the pictures, and adds what is wrong with it.
async fn look_at(browser: &Browser, script: &str, name: &str, wrong: &mut Vec<String>) {
    for (device, width, mobile) in [("desktop", 1_280, false), ("phone", 390, true)] {
        for scheme in ["light", "dark"] {
            let place = format!("{name}-{device}-{scheme}");
            if browser.look(width, mobile, scheme).await {
                wrong.push(format!("{place} scrolls sideways"));
            }
            wrong.extend(axe::findings(browser, script).await.iter().map(|f| format!("{place} {f}")));
            keep(&place, &browser.shot().await);
        }
    }
    browser.look_away().await;
}

fn actor(principal: &str) -> Actor {
    Actor { principal: principal.into(), auth: Auth::Iam }
}

fn with_window() -> Wanted {
    let mut policy = policy();
    policy.approval.mode = ApprovalMode::AutoUnlessBlocked;
    policy.offline.tracked = vec!["accuracy".into()];
    Wanted { window: Some(SignedDuration::from_hours(20)), policy, hostile: "", ..Wanted::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_serious_finding_on_a_phone_or_a_desktop_in_the_light_or_in_the_dark() {
    let script = axe::script();
    let browser = Browser::with_scripts().await;
    let clock = seatrial_runtime::now;
    let mut wrong = Vec::new();

    let worlds = [
        ("pending", Wanted { verdict: Verdict::Inconclusive, hostile: "", ..Wanted::default() }),
        ("window", with_window()),
        ("skipped", Wanted { skipped: vec![Stage::Shadow, Stage::Canary], hostile: "", ..Wanted::default() }),
    ];
    for (name, wanted) in worlds {
        let world = World::of(wanted).await;
        let base = pages(&world).await;
        browser.open(&format!("{base}/l/{}", world.link(ANN).await.expose())).await;
        look_at(&browser, &script, name, &mut wrong).await;
        if name == "pending" {
            browser.fill("#comment", "  ").await;
            browser.click("button.reject").await;
            browser.wait_for("#problem", "A comment is required: say in a sentence why you decide so.").await;
            look_at(&browser, &script, "refused", &mut wrong).await;
        }
        if name == "window" {
            let ops = Ops::new(&world.registry, actor(ANN_AS_USER), &clock);
            ops.block_gate(&world.gate.id, "Wait for the fraud team's numbers.").await.unwrap();
            browser.open(&format!("{base}/g/{}", world.gate.id)).await;
            look_at(&browser, &script, "blocked", &mut wrong).await;
        }
    }

    let world = World::of(Wanted { hostile: "", ..Wanted::default() }).await;
    let base = pages(&world).await;
    let secret = world.link(ANN).await;
    let ops = Ops::new(&world.registry, actor(OLGA), &clock);
    ops.bypass(&world.model, Stage::Approval, "v1 leaks card numbers; v2 fixes it.").await.unwrap();
    ops.orphan_gate(&world.gate.id, "the task does not exist any more").await.unwrap();
    browser.open(&format!("{base}/l/{}", secret.expose())).await;
    look_at(&browser, &script, "closed", &mut wrong).await;
    for (name, path) in [
        ("message-home", "/".to_owned()),
        ("message-invalid", format!("/l/{}", &secret.expose()[..20])),
        ("message-nothing", "/nothing".to_owned()),
    ] {
        browser.open(&format!("{base}{path}")).await;
        look_at(&browser, &script, name, &mut wrong).await;
    }

    let wanted = Wanted { verdict: Verdict::Fail, ..Wanted::default() };
    let page = seatrial_report::page::render(&report(&world.promotion, &wanted), None, &[]).unwrap();
    let base = serve(|_| Router::new().route("/", get(move || async move { Html(page) }))).await;
    browser.open(&base).await;
    look_at(&browser, &script, "report", &mut wrong).await;
    browser.quit().await;
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_and_the_way_to_it_have_no_serious_finding() {
    let skipped = vec![Stage::Canary];
    let world = World::of(Wanted { skipped, hostile: "", ..Wanted::default() }).await;
    let issuer = LocalIssuer::start(ANN).await;
    let base = serve(|base| {
        let mut app = world.app(base);
        app.issuer = Some(issuer.seen());
        fn_approvals::router(app)
    })
    .await;
    let (script, browser, mut wrong) = (axe::script(), Browser::with_scripts().await, Vec::new());
    browser.open(&format!("{base}/gates")).await;
    look_at(&browser, &script, "list-login", &mut wrong).await;
    browser.click("a.button").await;
    browser.wait_for("h1", "1 of 1 gate needs you").await;
    look_at(&browser, &script, "list-one", &mut wrong).await;
    browser.open(&format!("{base}/gates?status=approved")).await;
    look_at(&browser, &script, "list-empty", &mut wrong).await;
    browser.open(&format!("{base}/g/{}", world.gate.id)).await;
    look_at(&browser, &script, "logged-in", &mut wrong).await;
    browser.quit().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Text that wants to be markup, to turn what follows, to hide, to stretch the page, or to be followed.
const AWKWARD: &str = "</pre></title><script>document.title='ran'</script><a href='https://evil.example'>here</a> \u{202e}evorppa\u{2066} \u{0}\u{1b}[31m https://evil.example/login \u{feff}{{ 7*7 }} &lt;b&gt; \u{5d0}\u{5d1}\u{5d2} ";

#[tokio::test(flavor = "multi_thread")]
async fn text_that_others_wrote_stays_text_and_within_its_place() {
    let hostile: &'static str = Box::leak(format!("{AWKWARD}{}", "W".repeat(400)).into_boxed_str());
    let wanted =
        Wanted { hostile, skipped: vec![Stage::Canary], verdict: Verdict::Inconclusive, ..Wanted::default() };
    let world = World::of(wanted).await;
    let base = pages(&world).await;
    let browser = Browser::with_scripts().await;
    browser.open(&format!("{base}/l/{}", world.link(ANN).await.expose())).await;
    assert_eq!(browser.title().await, "credit-risk v2 over v1 · Seatrial");
    let source = browser.source().await;
    for c in ['\u{202e}', '\u{2066}', '\u{0}', '\u{1b}', '\u{feff}'] {
        let around = source.find(c).map(|at| &source[at.saturating_sub(80)..(at + 80).min(source.len())]);
        assert_eq!(around, None, "{c:?} is in the page");
    }
    assert!(source.contains("\u{fffd}evorppa\u{fffd}"), "what was taken out is seen");
    let count = "return [document.querySelectorAll('script, img, iframe, object').length, [...document.querySelectorAll('main a')].filter(a => !a.getAttribute('href').startsWith('#')).length, document.querySelectorAll('form').length, document.querySelector('pre.changelog').textContent.includes('<script>')]";
    let found = browser.post("/execute/sync", serde_json::json!({ "script": count, "args": [] })).await;
    assert_eq!(found, serde_json::json!([0, 0, 1, true]), "elements that nobody of us wrote");
    let mut wrong = Vec::new();
    look_at(&browser, &axe::script(), "awkward", &mut wrong).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The comment is others' text as well, once it is recorded.
    browser.fill("#comment", "<img src=x onerror=alert(1)> because \u{202e}of").await;
    browser.click("button.reject").await;
    browser.wait_for(".lead .state .chip", "rejected").await;
    assert!(browser.text(".decisions").await.contains("<img src=x onerror=alert(1)> because \u{fffd}of"));
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_used_by_keyboard_alone() {
    let world = World::of(with_window()).await;
    let base = pages(&world).await;
    let browser = Browser::start().await;
    browser.open(&format!("{base}/l/{}", world.link(ANN).await.expose())).await;
    // WebDriver's names of Tab and Enter.
    let (tab, enter) = ("\u{e004}", "\u{e007}");
    browser.press(tab).await;
    assert_eq!(browser.focused().await, "Go to the decision", "the first stop of the keyboard");
    assert_ne!(browser.style(".skip", "outline-style").await, "none", "the focus is seen");
    browser.press(enter).await;
    browser.press(tab).await;
    assert_eq!(browser.focused().await, "comment", "the link goes to the form");
    assert_ne!(browser.style("#comment", "outline-style").await, "none");
    browser.press(&format!(" {tab}{enter}")).await;
    browser.wait_for("#problem", "A comment is required: say in a sentence why you decide so.").await;
    assert_eq!(browser.focused().await, "comment", "the keyboard is where the problem is");
    assert!(browser.title().await.starts_with("Not done yet: "), "a screen reader says it first");
    browser.press(&format!("Fine as it is.{tab}{enter}")).await;
    browser.wait_for(".lead .state .chip", "approved").await;
    let gate = world.registry.gate(&world.gate.id).await.unwrap().unwrap();
    assert_eq!((gate.status, gate.decisions[0].comment.as_str()), (GateStatus::Approved, "Fine as it is."));
    browser.quit().await;
}

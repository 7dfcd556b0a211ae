//! An approver in real headless Chromium, with scripts off, on the running stack: from the mail to the champion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../functions/approvals/tests/support/browser.rs"]
mod chromium;

use std::io::{Read as _, Write as _};

use chromium::Browser;
use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::ids::Auth;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_tests::stack::{Model, Stack};
use serde_json::json;

/// Another site with a link on it, as a web mail shows one. `localhost` and `127.0.0.1` are two sites.
fn other_site(link: &str) -> String {
    let page = format!(
        "<title>mail</title><script>document.title='scripts run'</script><a href=\"{link}\">Read</a>"
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let page = page.clone();
            // A thread each: browsers also connect in advance, and then say nothing.
            std::thread::spawn(move || {
                drop(stream.read(&mut [0; 4096]));
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n",
                    page.len()
                );
                drop(write!(stream, "{head}Connection: close\r\n\r\n{page}"));
            });
        }
    });
    format!("http://localhost:{port}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_follows_the_mails_link_and_the_challenger_becomes_champion() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "chromium", &json!({})).await;
    let promotion = model.submit("v1").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;
    let link = stack.link(model.name.as_str(), 0).await;

    let browser = Browser::start().await;
    browser.open(&other_site(&link)).await;
    assert_eq!(browser.title().await, "mail", "scripts are off");
    browser.click("a").await;
    let heading = format!("Promote {} v1 as its first champion?", model.name);
    browser.wait_for("h1", &heading).await;
    assert_eq!(browser.url().await, format!("{}/g/{}", stack.out("ApprovalsUrl"), gate.id));
    assert_eq!(model.gate_now(&gate).await, gate, "reading decides nothing");

    browser.fill("#comment", "Read in a browser: fine.").await;
    browser.click("button.approve").await;
    browser.wait_for(".lead .state .chip", "approved").await;
    browser.quit().await;

    let decided = model.gate_now(&gate).await;
    assert_eq!((decided.status, decided.decisions.len()), (GateStatus::Approved, 1));
    let decision = &decided.decisions[0];
    assert_eq!((decision.comment.as_str(), decision.by.auth), ("Read in a browser: fine.", Auth::Link));
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Crowned);
}

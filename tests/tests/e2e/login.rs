//! Logins on the running stack: tokens of the deployment's issuer, and a person who logs in with a browser and decides.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::ids::Auth;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_identity::testing::{LocalIssuer, SigningKey, usual, with};
use seatrial_tests::stack::{Answer, Browser, Model, Stack, attribute};
use serde_json::{Value, json};

const BOB: &str = "bob@example.com";

/// A call of the token's API with this token.
async fn decide(url: &str, verb: &str, token: &str) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{url}/{verb}")).bearer_auth(token);
    let answer = request.json(&json!({ "comment": "by a token" })).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// The session in what a login answered; it takes its own cookie back in the same answer.
fn session(answer: &Answer) -> String {
    let mut cookies = answer.headers.get_all("set-cookie").iter().map(|c| c.to_str().unwrap());
    let found = cookies.find(|c| c.starts_with("__Host-seatrial-session=")).expect("a session");
    found.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_or_a_login_of_the_issuer_decides_as_its_person_and_nothing_else_does() {
    let stack = Stack::connect().await;
    let issuer = LocalIssuer::start_on(stack.issuer_port(), BOB).await;
    let change = json!({ "approval": {
        "separation_of_duties": true,
        "approvers": [
            { "email": "ann@example.com", "principals": ["arn:aws:iam::000000000000:root"] },
            { "email": BOB },
        ],
    } });
    let model = Model::new(&stack, "login", &change).await;
    let promotion = model.submit("v1").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;
    let base = stack.out("ApprovalsUrl");
    let history = model.history().await.len();

    // Tokens: of another key, for somebody else, of a stranger, and of whoever submitted, under another of her names.
    let url = format!("{base}/api/v1/approvals/{}", gate.id);
    let named = |mail: &str| json!({ "email": mail, "email_verified": true, "sub": format!("user-{mail}") });
    let claims = with(usual(issuer.address(), jiff::Timestamp::now()), &named(BOB));
    let forged = SigningKey::es256("key-1").sign(&claims);
    let elsewhere = issuer.token(&with(named(BOB), &json!({ "aud": "another-api" })));
    for token in [forged, elsewhere, "nonsense".to_owned()] {
        assert_eq!(decide(&url, "approve", &token).await.0, 401, "{token}");
    }
    for (mail, why) in [("eve@example.com", ""), ("ann@example.com", "separation of duties")] {
        let (status, problem) = decide(&url, "approve", &issuer.token(&named(mail))).await;
        assert!(status == 403 && problem["detail"].as_str().unwrap().contains(why), "{mail}: {problem}");
    }
    assert_eq!(model.gate_now(&gate).await.status, GateStatus::Pending);
    assert_eq!(model.history().await.len(), history, "something that decided nothing was written down");

    // Bob's browser: the page sends him to log in, the issuer back, and the form decides.
    let page = format!("{base}/g/{}", gate.id);
    let mut bob = Browser::default();
    let refused = bob.get(&page).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let begun = bob.get(&format!("{base}/login?to=/g/{}", gate.id)).await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let asked = bob.get(begun.header("location")).await;
    let back = bob.get(asked.header("location")).await;
    assert_eq!((back.status, back.header("location")), (303, page.as_str()), "{}", back.text);
    let replayed = bob.get(asked.header("location")).await;
    assert!(replayed.status >= 400, "a login was used twice: {}", replayed.status);
    bob.cookie = Some(session(&back));
    let shown = bob.get(&page).await;
    assert!(shown.status == 200 && shown.text.contains(BOB), "{}", shown.text);
    let (token, seen) = ("name=\"token\" value=\"", "name=\"shown\" value=\"");
    let (token, seen) = (attribute(&shown.text, token), attribute(&shown.text, seen));
    let form = [("token", &*token), ("shown", &*seen), ("comment", "looks good"), ("decision", "approve")];
    let action = format!("{page}/decide");
    assert_eq!(bob.post(&action, Some("https://evil.example"), &form).await.status, 403);
    let decided = bob.post(&action, Some(stack.out("Endpoint")), &form).await;
    assert_eq!((decided.status, decided.header("location")), (303, page.as_str()), "{}", decided.text);

    // Once he has logged out, his cookie opens nothing.
    let out = bob.post(&format!("{base}/logout"), Some(stack.out("Endpoint")), &[]).await;
    assert_eq!(out.status, 303, "{}", out.text);
    assert_eq!(bob.get(&page).await.status, 403);

    let after = model.gate_now(&gate).await;
    assert_eq!((after.status, after.decisions.len()), (GateStatus::Approved, 1));
    let by = &after.decisions[0].by;
    assert_eq!((by.principal.as_str(), by.auth), (BOB, Auth::Oidc));
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Crowned);
    let (status, problem) = decide(&url, "reject", &issuer.token(&named(BOB))).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("gate_closed")), "{problem}");
}

//! Gates on the running stack: links that open nothing, decisions that are made once, time that runs out, and a task token
//! that nobody sees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::ids::Auth;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_registry::Tokens;
use seatrial_runtime::link::LinkSecret;
use seatrial_tests::stack::{Browser, Model, Stack, attribute};
use serde_json::json;

#[tokio::test]
async fn links_open_for_their_holder_alone_and_only_a_whole_form_decides_once() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "links", &json!({})).await;
    let promotion = model.submit("v1").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;
    let link = stack.link(model.name.as_str(), 0).await;
    let base = stack.out("ApprovalsUrl");
    let page = format!("{base}/g/{}", gate.id);
    let history = model.history().await.len();

    // Forged, cut off, of no gate, without a cookie, with a cookie that was never given out.
    let (start, secret) = link.rsplit_once('/').unwrap();
    let forged = LinkSecret::mint().unwrap();
    for (address, status) in [
        (format!("{start}/{}", forged.expose()), 404),
        (format!("{start}/{}", &secret[..secret.len() - 3]), 404),
        (format!("{start}/x"), 404),
        (page.clone(), 403),
        (format!("{base}/g/ga_nonsense"), 404),
    ] {
        let mut stranger = Browser::default();
        let answer = stranger.get(&address).await;
        assert_eq!(answer.status, status, "{address}: {}", answer.text);
        assert!(answer.header("content-type").starts_with("text/html"), "{address}");
        assert!(stranger.cookie.is_none() && !answer.text.contains(model.name.as_str()), "{address}");
    }
    let mut stranger = Browser::default();
    stranger.cookie = Some(format!("__Host-seatrial-{}={}", gate.id, forged.expose()));
    assert_eq!(stranger.get(&page).await.status, 404);

    // Opened twice, as a mail scanner and then a person do: nothing has changed.
    let mut ann = Browser::default();
    for _ in 0..2 {
        let opened = ann.get(&link).await;
        assert_eq!((opened.status, opened.header("location")), (303, page.as_str()));
        assert_eq!(opened.header("referrer-policy"), "no-referrer");
    }
    let shown = ann.get(&page).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert!(shown.header("content-security-policy").contains("form-action 'self'"));
    assert!(!shown.text.contains(secret), "the page tells the secret");
    let token = attribute(&shown.text, "name=\"token\" value=\"");
    let seen = attribute(&shown.text, "name=\"shown\" value=\"");
    let action = attribute(&shown.text, "action=\"");
    let origin = stack.out("Endpoint");

    // Forms from elsewhere, of another link, or without a comment.
    let form = |token, comment, decision| {
        [("token", token), ("shown", seen.as_str()), ("comment", comment), ("decision", decision)]
    };
    let whole = form(token.as_str(), "looks good", "approve");
    assert_eq!(ann.post(&action, Some("https://evil.example"), &whole).await.status, 403);
    assert_eq!(ann.post(&action, Some("null"), &whole).await.status, 403);
    assert_eq!(ann.post(&action, None, &whole).await.status, 403);
    let foreign = forged.expose();
    let other = form(foreign.as_str(), "looks good", "approve");
    assert_eq!(ann.post(&action, Some(origin), &other).await.status, 403);
    let unseen = [("token", token.as_str()), ("comment", "looks good"), ("decision", "approve")];
    assert_eq!(ann.post(&action, Some(origin), &unseen).await.status, 409, "decided without having seen it");
    let silent = form(token.as_str(), "  ", "approve");
    assert_eq!(ann.post(&action, Some(origin), &silent).await.status, 422);

    // The JSON API asks for a signature and a comment too.
    let decide = format!("/iam/v1/approvals/{}/approve", gate.id);
    assert_eq!(stack.plain("POST", &format!("{base}{decide}"), r#"{"comment":"x"}"#).await.status, 403);
    // A caller of the token's API needs one: an engine's local identity does not stand in for it.
    let by_token = decide.replace("/iam/", "/api/");
    let nobody = stack.plain("POST", &format!("{base}{by_token}"), r#"{"comment":"x"}"#).await;
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, "Bearer realm=\"seatrial\""));
    assert_eq!(stack.approvals("POST", &decide, "{}").await.status, 400);
    let silent = stack.approvals("POST", &decide, r#"{"comment":" "}"#).await;
    assert_eq!((silent.status, silent.json()["code"].as_str()), (422, Some("invalid")));
    assert_eq!(silent.header("content-type"), "application/problem+json");

    let untouched = model.gate_now(&gate).await;
    assert_eq!((untouched.status, untouched.decisions.len()), (GateStatus::Pending, 0));
    assert_eq!(model.history().await.len(), history, "something that decided nothing was written down");

    // Now she decides; the same form again and everybody else come too late.
    let decided = ann.post(&action, Some(origin), &whole).await;
    assert_eq!((decided.status, decided.header("location")), (303, page.as_str()));
    assert_eq!(
        ann.post(&action, Some(origin), &whole).await.status,
        303,
        "the same form sent twice is one decision"
    );
    let against = form(token.as_str(), "no", "reject");
    assert_eq!(ann.post(&action, Some(origin), &against).await.status, 409);
    for verb in ["approve", "reject"] {
        let late = stack
            .approvals("POST", &format!("/iam/v1/approvals/{}/{verb}", gate.id), r#"{"comment":"me too"}"#)
            .await;
        assert_eq!((late.status, late.json()["code"].as_str()), (409, Some("gate_closed")), "{}", late.text);
    }
    let after = model.gate_now(&gate).await;
    assert_eq!((after.status, after.decisions.len()), (GateStatus::Approved, 1));
    let by = &after.decisions[0].by;
    assert_eq!((by.principal.as_str(), by.auth), ("ann@example.com", Auth::Link));
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Crowned);
    assert_eq!(model.events().await.iter().filter(|e| *e == "gate_decided").count(), 1);
    assert!(
        stack.log_lines().await.iter().all(|line| !line.contains(secret)),
        "a log tells the link's secret"
    );
}

#[tokio::test]
async fn an_expired_gate_is_a_rejection_and_nobody_decides_it_any_more() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "expired", &json!({ "approval": { "expires_seconds": 5 } })).await;
    let promotion = model.submit("v1").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;
    let link = stack.link(model.name.as_str(), 0).await;
    tokio::time::sleep(Duration::from_secs(6)).await;

    let late = stack
        .approvals("POST", &format!("/iam/v1/approvals/{}/approve", gate.id), r#"{"comment":"late"}"#)
        .await;
    assert_eq!((late.status, late.json()["code"].as_str()), (409, Some("gate_closed")), "{}", late.text);
    assert_eq!(Browser::default().get(&link).await.status, 410);

    stack.invoke("Sweep", &json!({})).await.expect("the sweep");
    let ended = model.ended(&promotion).await;
    assert_eq!(ended.status, PromotionStatus::Rejected);
    assert!(ended.reason.as_deref().unwrap_or_default().contains("nobody decided"), "{:?}", ended.reason);
    let closed = model.gate_now(&gate).await;
    assert_eq!((closed.status, closed.decisions.len()), (GateStatus::Expired, 0));
    let (status, error, cause) = model.execution(&promotion).await;
    assert_eq!((status.as_str(), error.as_str()), ("FAILED", "Seatrial.Rejected"), "{cause}");
    let head = model.head().await;
    assert!(head.running.is_none() && head.champion().is_none() && head.route.challenger.is_none());
    assert!(!model.events().await.iter().any(|e| e == "crowned" || e == "weight_shifted"));
}

#[tokio::test]
async fn the_task_token_is_nowhere_but_in_its_own_item() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "token", &json!({})).await;
    let promotion = model.submit("v1").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;
    let link = stack.link(model.name.as_str(), 0).await;
    let own = format!("TOKEN#{}", gate.id);
    let token =
        stack.registry.token(&gate.id).await.unwrap().expect("the token of an open gate").expose().to_owned();
    assert!(token.len() >= 32, "this is no token that one could search for");

    let mut told = vec![
        stack.cli(&["approvals", "list"]).await.out,
        stack.cli(&["approvals", "show", gate.id.as_str()]).await.out,
        stack.cli(&["status", model.name.as_str()]).await.out,
        stack.cli(&["history", model.name.as_str()]).await.out,
    ];
    let mut ann = Browser::default();
    told.push(ann.get(&link).await.text);
    told.push(ann.get(&format!("{}/g/{}", stack.out("ApprovalsUrl"), gate.id)).await.text);
    told.extend(stack.mails(model.name.as_str()).await.into_iter().map(|m| m.all));
    model.decide(&promotion, "reject").await;
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Rejected);
    for key in stack.keys("EvidenceBucket", &format!("evidence/model={}/", model.name)).await {
        told.push(String::from_utf8_lossy(&stack.object("EvidenceBucket", &key).await).into_owned());
    }
    told.extend(stack.log_lines().await);
    assert!(told.len() > 12, "there was little to look at: {}", told.len());
    for text in told {
        assert!(!text.contains(&token), "the token is told in {}", text.replace(&token, "<THE TOKEN>"));
    }

    let mut pages = stack.dynamo.scan().table_name(stack.out("TableName")).into_paginator().send();
    while let Some(page) = pages.next().await {
        for item in page.unwrap().items() {
            let place = item["pk"].as_s().unwrap();
            assert!(place == &own || !format!("{item:?}").contains(&token), "{place} holds the token");
        }
    }
    assert!(stack.registry.token(&gate.id).await.unwrap().is_none(), "a token that was answered is deleted");
}

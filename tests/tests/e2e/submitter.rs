//! Who submitted, on the running stack: whoever handed a model in by the command line is known, and cannot approve it under
//! another of their names; and links are taken back and renewed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::promotion::PromotionStatus;
use seatrial_tests::stack::{Browser, Model, Stack, until};
use serde_json::json;

#[tokio::test]
async fn whoever_submitted_by_the_command_line_is_known_and_cannot_approve() {
    let stack = Stack::connect().await;
    let change = json!({
        "approval": {
            "separation_of_duties": true,
            "approvers": [
                { "email": "ann@example.com", "principals": ["arn:aws:iam::000000000000:root"] },
                { "email": "bob@example.com" },
            ],
        },
    });
    let model = Model::new(&stack, "submitter", &change).await;
    let name = model.name.as_str();
    let me = stack.cli(&["whoami", "--model", name]).await.json();
    assert_eq!(me["model"]["person"], "ann@example.com", "{me}");
    let promotion = model.submit("v1").await;
    assert_eq!(promotion.requested_by.principal, me["principal"].as_str().expect("a principal"));
    let gate = model.gate(&promotion, GateKind::Approval).await;
    assert_eq!(gate.submitted_by, promotion.requested_by.principal);
    let history = model.history().await.len();
    let approve = ["approvals", "approve", gate.id.as_str(), "--comment", "mine is good"];
    let refused = stack.cli(&approve).await.error(6);
    assert!(refused["message"].as_str().expect("words").contains("separation of duties"), "{refused}");
    assert_eq!(model.history().await.len(), history, "nothing was written");
    let people = stack.cli(&["people", "--model", name]).await.json();
    assert_eq!(people["people"].as_array().map(Vec::len), Some(2), "{people}");
    let reject = ["approvals", "reject", gate.id.as_str(), "--comment", "on second thought"];
    let _ = stack.cli(&reject).await.json();
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Rejected);
}

#[tokio::test]
async fn a_link_that_was_taken_back_opens_nothing_and_its_person_gets_a_new_one() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "renew", &json!({})).await;
    let promotion = model.submit("v1").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;
    let old = stack.link(model.name.as_str(), 0).await;
    assert_eq!(Browser::default().get(&old).await.status, 303);
    let asked =
        stack.cli(&["approvals", "resend", gate.id.as_str(), "--approver", "ann@example.com"]).await.json();
    assert!(asked["renew"] == true && !asked.to_string().contains("/l/"), "{asked}");
    let taken = Browser::default().get(&old).await;
    assert!(taken.status == 410 && taken.text.contains("taken back"), "{}", taken.text);
    until("the new link is sent", 150, async || {
        let sent = model.events().await.iter().any(|e| e == "gate_links_sent");
        sent.then_some(())
    })
    .await;
    let new = stack.link(model.name.as_str(), 1).await;
    assert_ne!(new, old);
    assert_eq!(Browser::default().get(&new).await.status, 303);
    assert_eq!(model.gate_now(&gate).await.status, GateStatus::Pending);
}

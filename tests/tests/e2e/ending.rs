//! A promotion that fails while people are asked: its own machine brings it to an end, whatever still waits for an answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::promotion::PromotionStatus;
use seatrial_registry::Tokens as _;
use seatrial_tests::stack::{Model, Stack, until};
use serde_json::json;

#[tokio::test]
async fn a_promotion_that_fails_while_a_gate_waits_is_ended_by_its_own_machine_and_closes_the_gate() {
    let stack = Stack::connect().await;
    let long = json!({ "shadow": { "window_seconds": 300, "max_seconds": 600 } });
    let model = Model::new(&stack, "ending", &long).await;
    model.first_champion("v1").await;
    let champion = model.head().await.champion().cloned();
    let mut version: Option<String> = None;
    for kind in [GateKind::ShadowWindow, GateKind::Approval] {
        let promotion = match &version {
            None => model.submit("v2").await,
            Some(version) => model.promote(version).await,
        };
        version = Some(promotion.challenger.version.to_string());
        let window = model.gate(&promotion, GateKind::ShadowWindow).await;
        if kind == GateKind::Approval {
            let why = ["--reason", "the suite goes on"];
            let _ = stack.cli(&[&["shadow", "stop", model.name.as_str()][..], &why].concat()).await.json();
        }
        let gate = if kind == GateKind::Approval { model.gate(&promotion, kind).await } else { window };
        let token = until("the token of the wait", 30, async || {
            stack.registry.token(&gate.id).await.expect("the registry")
        })
        .await;
        let failed = stack.sfn.send_task_failure().task_token(token.expose());
        failed.error("Seatrial.Internal").cause("the suite lets the wait fail").send().await.unwrap();

        // Not `Seatrial.Unattested`: nobody else had to end it.
        let (status, error, cause) = model.execution(&promotion).await;
        assert_eq!((status.as_str(), error.as_str()), ("FAILED", "Seatrial.Rejected"), "{cause}");
        assert!(cause.contains("the suite lets the wait fail"), "{cause}");
        let ended = model.ended(&promotion).await;
        assert_eq!(ended.status, PromotionStatus::Rejected, "{:?}", ended.reason);
        assert_eq!(model.gate_now(&gate).await.status, GateStatus::Cancelled, "{}", kind.as_str());
        let head = model.head().await;
        assert!(head.running.is_none() && head.champion() == champion.as_ref(), "{head:?}");
    }
}

//! The canary over time is read from the last step that was judged, by those who are known, and only where there is one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use fn_control::{Control, app};
use jiff::Timestamp;
use seatrial_artifacts::{MemoryS3, MemoryStore, ObjectStore};
use seatrial_domain::PromotionId;
use seatrial_evidence::keys;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::Scenario;
use serde_json::Value;
use tower::ServiceExt;

use crate::support;

struct World {
    scenario: Scenario<MemoryRegistry>,
    promotion: PromotionId,
    evidence: MemoryStore,
}

impl World {
    /// A canary whose first step has begun.
    async fn new() -> Self {
        let scenario = Scenario::empty(&MemoryRegistry::default());
        let policy = serde_json::from_value(serde_json::json!({
            "approval": { "approvers": [{ "email": "ann@example.com" }] }, "canary": { "steps": [5, 50] },
        }))
        .unwrap();
        scenario.system().set_policy(&scenario.model, &policy).await.unwrap();
        scenario.register(1).await;
        scenario.promote(1).await;
        scenario.register(2).await;
        let run = scenario.start(2).await;
        scenario.approve(&run).await;
        for step in [0, 1] {
            scenario.system().shift(&scenario.model, &run.id, run.epoch, step).await.unwrap();
        }
        Self { scenario, promotion: run.id, evidence: MemoryS3::default().bucket("evidence") }
    }

    async fn judged(&self, step: u32) {
        let key = format!(
            "{}canary-step-{step}.json",
            keys::evidence_prefix(&self.scenario.model, &self.promotion)
        );
        let body = serde_json::json!({ "step": step }).to_string();
        self.evidence.put_if_absent(&key, body.into(), "application/json").await.unwrap();
    }

    async fn get(&self, identity: Option<&str>) -> (StatusCode, Value) {
        let control = Control {
            evidence: Arc::new(self.evidence.clone()),
            local_identity: identity.map(str::to_owned),
            clock: || Timestamp::UNIX_EPOCH,
            ..support::control(&self.scenario.registry)
        };
        let path = format!("/v1/models/{}/promotions/latest/canary", self.scenario.model);
        let answer = app(control).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}

#[tokio::test]
async fn the_last_judged_step_is_answered() {
    let world = World::new().await;
    let (status, problem) = world.get(Some("local/operator")).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    world.judged(0).await;
    assert_eq!(world.get(Some("local/operator")).await.1["step"], 0);
    world.judged(1).await;
    assert_eq!(world.get(Some("local/operator")).await.1["step"], 1);
}

#[tokio::test]
async fn who_is_not_known_sees_nothing() {
    let world = World::new().await;
    world.judged(0).await;
    assert_eq!(world.get(None).await.0, StatusCode::UNAUTHORIZED);
}

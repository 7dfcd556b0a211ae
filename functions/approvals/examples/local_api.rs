//! The approvals API and its pages on 127.0.0.1, over a registry in memory with gates in every state:
//! `cargo run -p fn-approvals --example local_api [PORT]`. Prints its address and the token to call it with, and serves until it is ended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use fn_approvals::{App, BaseUrl, router};
use jiff::SignedDuration;
use seatrial_artifacts::{MemoryS3, ObjectStore};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::Policy;
use seatrial_domain::verdict::Verdict;
use seatrial_identity::testing::LocalIssuer;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::ops::Ops;
use serde_json::json;
use support::{ANN, ANN_AS_USER, Wanted, policy, waiting_gate};

/// Gates that wait: one is used up by each decision.
const WAITING: [&str; 8] = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];
/// Gates whose approval comes by itself.
const WINDOWS: [&str; 4] = ["india", "juliett", "kilo", "lima"];

#[tokio::main]
async fn main() {
    let port: u16 = std::env::args().nth(1).map_or(0, |text| text.parse().expect("a port number"));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let issuer = LocalIssuer::start(ANN).await;
    let app = App {
        registry: Arc::new(MemoryRegistry::default()),
        evidence: Arc::new(MemoryS3::default().bucket("evidence")),
        base: BaseUrl::parse(&base).unwrap(),
        local_identity: None,
        issuer: Some(issuer.seen()),
        clock: seatrial_runtime::now,
    };
    let (registry, evidence) = (MemoryRegistry::default(), Arc::clone(&app.evidence));
    fill(&registry, &evidence).await;
    let app = App { registry: Arc::new(registry), ..app };
    println!("{base} {}", issuer.token(&json!({ "email": ANN, "email_verified": true, "sub": "ann" })));
    axum::serve(listener, router(app)).await.unwrap();
}

fn wanted(model: &'static str, policy: Policy, hours: i64, window: Option<i64>) -> Wanted {
    Wanted {
        model,
        policy,
        verdict: Verdict::Pass,
        open_for: SignedDuration::from_hours(hours),
        window: window.map(SignedDuration::from_hours),
        ..Wanted::default()
    }
}

async fn fill(registry: &MemoryRegistry, evidence: &Arc<dyn ObjectStore>) {
    for model in WAITING {
        waiting_gate(registry, evidence, wanted(model, policy(), 50, None)).await;
    }
    for model in WINDOWS {
        waiting_gate(registry, evidence, wanted(model, policy(), 50, Some(24))).await;
    }
    let mut two = policy();
    two.approval.quorum = 2;
    for model in ["mike", "november"] {
        waiting_gate(registry, evidence, wanted(model, two.clone(), 50, None)).await;
    }
    let clock = seatrial_runtime::now;
    let ann = Ops::new(registry, Actor { principal: ANN_AS_USER.into(), auth: Auth::Iam }, &clock);
    let (rejected, _) = waiting_gate(registry, evidence, wanted("oscar", policy(), 50, None)).await;
    ann.decide_gate(&rejected.id, false, "the lead is within noise", None).await.unwrap();
    let (blocked, _) = waiting_gate(registry, evidence, wanted("papa", policy(), 50, Some(24))).await;
    ann.block_gate(&blocked.id, "wait for the fraud team's numbers").await.unwrap();
    let (expired, _) = waiting_gate(registry, evidence, wanted("quebec", policy(), 0, None)).await;
    ann.close_gate(&expired.id).await.unwrap();
}

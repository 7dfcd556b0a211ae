//! Serves the review page with sample data on 127.0.0.1, to look at it: `cargo run -p fn-approvals --example preview`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use jiff::SignedDuration;
use seatrial_domain::verdict::Verdict;
use support::{ANN, World};

#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let verdict = match std::env::args().nth(1).as_deref() {
        Some("inconclusive") => Verdict::Inconclusive,
        Some("fail") => Verdict::Fail,
        _ => Verdict::Pass,
    };
    let world = World::new(verdict, SignedDuration::from_hours(51)).await;
    println!("{base}/l/{}", world.link(ANN).await.expose());
    axum::serve(listener, fn_approvals::router(world.app(&base))).await.unwrap();
}

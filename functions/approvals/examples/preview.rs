//! Serves the review page with sample data on 127.0.0.1, to look at it: `cargo run -p fn-approvals --example preview -- inconclusive
//! window`, for example.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use jiff::SignedDuration;
use seatrial_domain::promotion::Stage;
use seatrial_domain::verdict::Verdict;
use support::{ANN, Wanted, World};

#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut wanted = Wanted::default();
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "inconclusive" => wanted.verdict = Verdict::Inconclusive,
            "fail" => wanted.verdict = Verdict::Fail,
            "window" => wanted.window = Some(SignedDuration::from_hours(20)),
            "skipped" => wanted.skipped = vec![Stage::Shadow, Stage::Canary],
            other => panic!("{other:?} is not one of inconclusive, fail, window, skipped"),
        }
    }
    let world = World::of(wanted).await;
    println!("{base}/l/{}", world.link(ANN).await.expose());
    axum::serve(listener, fn_approvals::router(world.app(&base))).await.unwrap();
}

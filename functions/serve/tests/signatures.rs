//! The data plane and versions without the deployment's signature, with real versions over TCP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::world;

use std::time::{Duration, Instant};

use bytes::Bytes;
use fn_serve::app::Mode;
use fn_serve::metrics::Counter;
use seatrial_domain::route::Arm;
use world::{Client, INFER, request, traffic, world};

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_version_is_not_served_until_it_is_signed() {
    let world = world(&["v1"], Mode::Server).await;
    let signature = world.replace_signature(1, None).await;
    world.split(0);
    let (port, _end, _) = world.listen().await;
    let mut client = Client::new(port).await;
    let body = request(&traffic("live.jsonl", 1)).to_string();
    for _ in 0..3 {
        let (status, answer) = client.infer(INFER, &body).await;
        assert_eq!(status, 503, "{answer}");
        assert!(!answer.to_string().contains("s3://"), "what is wrong is for the log: {answer}");
    }
    assert!(world.app.versions.loaded().is_empty());
    assert!(world.app.metrics.get(Counter::LoadFailures) >= 1);
    world.replace_signature(1, Some(signature)).await;
    let began = Instant::now();
    while client.infer(INFER, &body).await.0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(30), "it is not tried again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenger_whose_signature_does_not_hold_gets_no_caller_and_the_champion_goes_on() {
    for bundle in [None, Some(Bytes::from_static(b"{}"))] {
        let world = world(&["v1", "v2"], Mode::Lambda).await;
        world.replace_signature(2, bundle).await;
        world.split(10_000);
        let (port, _end, _) = world.listen().await;
        let mut client = Client::new(port).await;
        for row in traffic("live.jsonl", 20) {
            let (status, answer) = client.infer(INFER, &request(&[row]).to_string()).await;
            assert_eq!((status, &answer["model_version"]), (200, &serde_json::json!("v1")), "{answer}");
        }
        assert_eq!(world.app.versions.loaded().len(), 1);
        // It is evidence against the challenger, as any version is that cannot be run.
        let errors = |arm| world.tallies().iter().filter(|t| t.role == arm).map(|t| t.errors).sum::<u64>();
        assert!(errors(Arm::Challenger) >= 1);
        assert_eq!(errors(Arm::Champion), 0);
    }
}

//! The data plane with real versions, over TCP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::world;

use fn_serve::app::Mode;
use fn_serve::metrics::Counter;
use seatrial_domain::route::Arm;
use seatrial_evidence::observation::{Served, Side, Tally};
use serde_json::{Value, json};
use world::{Client, INFER, request, traffic, world};

#[tokio::test(flavor = "multi_thread")]
async fn every_version_answers_at_its_pinned_endpoint_as_soon_as_it_is_packaged() {
    let world = world(&["v1", "v4"], Mode::Lambda).await;
    let (port, _end, _) = world.listen().await;
    let mut client = Client::new(port).await;
    let body = request(&traffic("live.jsonl", 1)).to_string();
    assert_eq!(client.infer(INFER, &body).await.0, 503, "there is no champion yet");
    for name in ["v1", "v2"] {
        let (status, answer) =
            client.infer(&format!("/v2/models/adult-income/versions/{name}/infer"), &body).await;
        assert_eq!((status, &answer["model_version"]), (200, &json!(name)), "{answer}");
    }
    let (status, described) = client.call("GET", "/v2/models/adult-income/versions/v1", "").await;
    assert_eq!(status, 200);
    assert!(described.contains("hours_per_week") && !described.contains("sex"), "{described}");
    assert!(world.tallies().iter().all(|tally| tally.role == Arm::Pinned && tally.answered == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_answers_its_share_and_every_request_is_in_the_evidence() {
    let world = world(&["v1", "v2"], Mode::Server).await;
    let route = world.split(2_500);
    let (port, end, serving) = world.listen().await;
    world.loaded(2).await;
    let mut client = Client::new(port).await;
    let rows = traffic("live.jsonl", 400);
    let mut answered = [0_u64; 2];
    for row in &rows {
        let (status, answer) = client.infer(INFER, &request(std::slice::from_ref(row)).to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let arm = route.choose(row["unit"].as_str().unwrap()).unwrap().0;
        let version = if arm == Arm::Challenger { "v2" } else { "v1" };
        assert_eq!(answer["model_version"], version);
        answered[usize::from(arm == Arm::Challenger)] += 1;
    }
    assert!((60..140).contains(&answered[1]), "{answered:?}");
    drop(client);
    end.send(()).unwrap();
    serving.await.unwrap();
    let tallies = world.tallies();
    for (arm, expected) in [(Arm::Champion, answered[0]), (Arm::Challenger, answered[1])] {
        let of = |count: fn(&Tally) -> u64| tallies.iter().filter(|t| t.role == arm).map(count).sum::<u64>();
        assert_eq!((of(|t| t.assigned), of(|t| t.answered), of(|t| t.errors)), (expected, expected, 0));
    }
    let served = world.rows();
    assert_eq!(served.len(), 400, "the last observations leave before the server ends");
    assert!(
        served.iter().all(|row| row.output.label.is_some() && row.output.scores.as_ref().unwrap().len() == 2)
    );
    let first = &served[0];
    assert_eq!(first.inputs["age"].as_f64(), rows[0]["features"]["age"].as_f64());
    assert_eq!(first.protected["sex"], rows[0]["sex"].as_str().unwrap());
    assert_eq!(world.app.metrics.get(Counter::Diverted), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_fails_on_some_inputs_fails_its_own_requests_only() {
    let world = world(&["v1", "v4"], Mode::Lambda).await;
    world.split(5_000);
    let (port, _end, _) = world.listen().await;
    let mut client = Client::new(port).await;
    let (mut failed, mut answered) = (0, [0, 0]);
    for row in traffic("live_late.jsonl", 200) {
        let (status, answer) = client.infer(INFER, &request(&[row]).to_string()).await;
        match status {
            200 => answered[usize::from(answer["model_version"] == "v2")] += 1,
            500 => {
                assert!(answer["error"].as_str().unwrap().contains("v2"), "{answer}");
                failed += 1;
            }
            other => panic!("{other}: {answer}"),
        }
    }
    assert!(failed > 10 && answered[0] > 50 && answered[1] > 20, "{failed} {answered:?}");
    let tallies = world.tallies();
    assert_eq!(tallies.iter().map(|t| t.errors).sum::<u64>(), failed);
    assert!(tallies.iter().all(|t| t.role == Arm::Challenger || t.errors == 0));
    let faults: Vec<Served> = world.rows().into_iter().filter(|row| row.error.is_some()).collect();
    assert_eq!(faults.len() as u64, failed);
    assert!(
        faults.iter().all(|row| row.error.as_ref().unwrap().side == Side::Model && row.inputs.len() == 10)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_row_by_row_as_single_requests_do() {
    let world = world(&["v2"], Mode::Lambda).await;
    world.split(0);
    let (port, _end, _) = world.listen().await;
    let mut client = Client::new(port).await;
    let rows = traffic("live.jsonl", 50);
    let (status, whole) = client.infer(INFER, &request(&rows).to_string()).await;
    assert_eq!(status, 200, "{whole}");
    assert_eq!(whole["parameters"]["observation_ids"].as_array().unwrap().len(), 50);
    let output = |answer: &Value, name: &str| {
        let outputs = answer["outputs"].as_array().unwrap();
        outputs.iter().find(|output| output["name"] == name).unwrap()["data"].as_array().unwrap().clone()
    };
    for (n, row) in rows.iter().enumerate() {
        let (_, single) = client.infer(INFER, &request(std::slice::from_ref(row)).to_string()).await;
        assert_eq!(output(&single, "label")[0], output(&whole, "label")[n]);
        for class in 0..2 {
            let (one, many) = (&output(&single, "scores")[class], &output(&whole, "scores")[2 * n + class]);
            assert!((one.as_f64().unwrap() - many.as_f64().unwrap()).abs() < 1e-6, "{one} {many}");
        }
    }
}

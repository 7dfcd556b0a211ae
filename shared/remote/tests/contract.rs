//! What holds of every runner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use seatrial_inference::{Batch, PredictError, Prediction, Runner, Side};
use serde_json::json;

use crate::fakes::{Behaviour, Fake, KINDS, Kind, in_process, rows};

/// Asks from a thread that may block, as all users of a runner do.
async fn ask<T: Send + 'static>(
    runner: &Arc<dyn Runner>,
    work: impl FnOnce(&dyn Runner) -> T + Send + 'static,
) -> T {
    let runner = Arc::clone(runner);
    tokio::task::spawn_blocking(move || work(runner.as_ref())).await.unwrap()
}

async fn predict(runner: &Arc<dyn Runner>, n: usize) -> Result<Vec<Prediction>, PredictError> {
    ask(runner, move |runner| runner.predict(&Batch::from_rows(&rows(n)).unwrap())).await
}

async fn remote(fake: &Fake) -> Arc<dyn Runner> {
    Arc::new(fake.network().connect("adult-income", &fake.config(|_| {})).await.unwrap())
}

/// What must hold of any runner of the fixture.
async fn keeps_the_contract(what: &str, runner: &Arc<dyn Runner>) {
    let graph = in_process();
    let expected = graph.predict(&Batch::from_rows(&rows(200)).unwrap()).unwrap();
    assert_eq!(predict(runner, 200).await.unwrap(), expected, "{what}: the same answers, bit by bit");
    assert_eq!(predict(runner, 1).await.unwrap(), expected[..1], "{what}");
    assert_eq!(runner.columns(), graph.columns(), "{what}");
    let (ours, theirs) = (json!(runner.signature()), json!(graph.signature()));
    assert_eq!(ours, theirs, "{what}: the same metadata");

    // A request that does not fit is the client's, whatever runs it.
    let mut short = rows(2);
    short.iter_mut().for_each(|row| drop(row.remove("age")));
    let mut wrong = rows(1);
    wrong[0].insert("age".into(), json!("old"));
    let mut more = rows(1);
    more[0].insert("shoe_size".into(), json!(43));
    for (rows, code) in [(short, "missing-column"), (wrong, "wrong-type"), (more, "unknown-column")] {
        let batch = Batch::from_rows(&rows).unwrap();
        let errors =
            ask(runner, move |runner| (runner.predict(&batch).unwrap_err(), runner.predict_each(&batch)))
                .await;
        assert_eq!((errors.0.side(), errors.0.code()), (Side::Client, code), "{what}");
        assert!(errors.1.iter().all(|e| e.as_ref().unwrap_err().code() == code), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_in_process_keeps_the_contract() {
    keeps_the_contract("in process", &(Arc::new(in_process()) as Arc<dyn Runner>)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_remote_version_keeps_the_contract() {
    for kind in KINDS {
        let fake = Fake::start(kind).await;
        let runner = remote(&fake).await;
        keeps_the_contract(&format!("{kind:?}"), &runner).await;
        assert_eq!(fake.asked(), 2, "{kind:?}: what does not fit is not sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_asked_in_its_pinned_version_and_an_endpoint_in_its_variant() {
    let lambda = Fake::start(Kind::Lambda).await;
    predict(&remote(&lambda).await, 1).await.unwrap();
    let asked = lambda.state.seen.lock().unwrap().last().unwrap().0.clone();
    let path = "/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:scorer:7/invocations";
    assert_eq!(asked, format!("POST {path}"));
    let endpoint = Fake::start(Kind::Sagemaker).await;
    predict(&remote(&endpoint).await, 1).await.unwrap();
    let seen = endpoint.state.seen.lock().unwrap();
    let (what, headers, _) = seen.last().unwrap();
    assert_eq!(what, "POST /endpoints/credit/invocations");
    assert_eq!(headers["x-amzn-sagemaker-target-variant"], "blue");
    assert!(headers["authorization"].to_str().unwrap().contains("/eu-west-1/sagemaker/aws4_request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_service_does_wrong_is_the_models_and_said_as_what_it_is() {
    let huge = format!("{{\"outputs\": \"{}\"}}", "x".repeat(6 << 20));
    let cases = [
        (
            Behaviour::Always(StatusCode::BAD_REQUEST, "no such column".into()),
            "remote-refused",
            "no such column",
        ),
        (Behaviour::Always(StatusCode::FORBIDDEN, "denied".into()), "remote-refused", "denied"),
        (Behaviour::Always(StatusCode::FOUND, String::new()), "remote-refused", "redirects are not followed"),
        (Behaviour::Always(StatusCode::INTERNAL_SERVER_ERROR, "boom".into()), "remote-failed", "boom"),
        (
            Behaviour::Always(StatusCode::FAILED_DEPENDENCY, "{\"OriginalStatusCode\": 500}".into()),
            "remote-failed",
            "OriginalStatusCode",
        ),
        (Behaviour::Always(StatusCode::OK, "<html>".into()), "bad-output", "Open Inference Protocol"),
        (Behaviour::Always(StatusCode::OK, "{\"outputs\": []}".into()), "bad-output", "no output"),
        (Behaviour::Always(StatusCode::OK, huge), "remote-refused", "larger than"),
        (Behaviour::Hangs, "remote-timeout", "within 1000 ms"),
    ];
    for kind in KINDS {
        let fake = Fake::start(kind).await;
        let runner = remote(&fake).await;
        for (behaviour, code, word) in cases.clone() {
            fake.behave(behaviour);
            let before = fake.asked();
            let error = predict(&runner, 3).await.unwrap_err();
            assert_eq!((error.side(), error.code()), (Side::Model, code), "{kind:?}: {error}");
            assert!(error.message().contains(word), "{kind:?}: {error}");
            assert_eq!(fake.asked() - before, 1, "{kind:?} {code}: what may have run is not asked again");
        }
        fake.behave(Behaviour::Right);
        predict(&runner, 3).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_fails_is_told_from_one_that_answers() {
    let fake = Fake::start(Kind::Lambda).await;
    let runner = remote(&fake).await;
    fake.behave(Behaviour::FunctionError);
    let error = predict(&runner, 1).await.unwrap_err();
    assert_eq!(error.code(), "remote-failed");
    assert!(error.message().contains("KeyError"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_did_not_run_is_asked_again_and_only_once() {
    for kind in KINDS {
        let fake = Fake::start(kind).await;
        let runner = remote(&fake).await;
        let throttled = "{\"__type\": \"ThrottlingException\", \"message\": \"Rate exceeded\"}";
        for (status, told) in [
            (StatusCode::TOO_MANY_REQUESTS, "busy"),
            (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            (StatusCode::BAD_REQUEST, throttled),
        ] {
            fake.behave(Behaviour::Then(status, told.into(), 1));
            let before = fake.asked();
            predict(&runner, 2).await.unwrap();
            assert_eq!(fake.asked() - before, 2, "{kind:?}");
            fake.behave(Behaviour::Always(status, told.into()));
            let before = fake.asked();
            let error = predict(&runner, 2).await.unwrap_err();
            assert_eq!((error.side(), error.code()), (Side::Model, "remote-unavailable"), "{kind:?}");
            assert_eq!(fake.asked() - before, 2, "{kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_costs_one_call_and_not_one_a_row() {
    let fake = Fake::start(Kind::Http).await;
    let runner = remote(&fake).await;
    // Whoever has no room is asked once more; whoever fails, about the first and the last row by themselves.
    for (status, calls) in [(StatusCode::SERVICE_UNAVAILABLE, 2), (StatusCode::INTERNAL_SERVER_ERROR, 3)] {
        fake.behave(Behaviour::Always(status, "boom".into()));
        let before = fake.asked();
        let outcomes =
            ask(&runner, |runner| runner.predict_each(&Batch::from_rows(&rows(64)).unwrap())).await;
        assert!(outcomes.len() == 64 && outcomes.iter().all(Result::is_err));
        assert_eq!(fake.asked() - before, calls, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_run_beside_each_other_and_none_outlasts_its_limit() {
    let fake = Fake::start(Kind::Http).await;
    let runner = remote(&fake).await;
    fake.behave(Behaviour::Hangs);
    let began = Instant::now();
    let calls = (0..8).map(|_| {
        let runner = Arc::clone(&runner);
        tokio::spawn(async move { predict(&runner, 1).await.unwrap_err().code() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), "remote-timeout");
    }
    assert!(began.elapsed() < Duration::from_millis(3_000), "{:?}", began.elapsed());
}

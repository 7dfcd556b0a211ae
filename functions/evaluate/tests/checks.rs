//! Integration checks, asked over a real connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Json, Router};
use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_evidence::report::MetricGroup;
use serde_json::{Value, json};
use support::{World, row};

/// What was asked, by whom: path, authorization, body.
type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

async fn owner() -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let router = Router::new()
        .route("/hooks/{name}", post(hook))
        .route("/2015-03-31/functions/{name}/invocations", post(hook))
        .with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, asked)
}

async fn hook(
    State(asked): State<Asked>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let signed = headers.get("authorization").map_or("", |h| h.to_str().unwrap()).to_owned();
    asked.lock().unwrap().push((name.clone(), signed, body));
    match name.as_str() {
        "good" | "seatrial-check-good" => {
            let metrics =
                json!([{ "name": "p99_ms", "value": 9.5, "limit": 20, "direction": "lower_is_better" }]);
            Json(json!({ "verdict": "pass", "message": "12 of 12 requests answered", "metrics": metrics }))
                .into_response()
        }
        "bad" => Json(json!({ "verdict": "fail", "message": "age=17 is refused" })).into_response(),
        "silent" => std::future::pending().await,
        "moved" => Redirect::temporary("/hooks/good").into_response(),
        "large" => "x".repeat(70_000).into_response(),
        "seatrial-check-crash" => {
            ([("x-amz-function-error", "Unhandled")], Json(json!({ "errorMessage": "KeyError: 'label'" })))
                .into_response()
        }
        "page" => "<html>it works</html>".into_response(),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "no such check").into_response(),
    }
}

async fn evaluated(
    checks: Value,
    change: impl FnOnce(&mut World),
) -> (Verdict, seatrial_evidence::evaluation::Evaluation) {
    let mut world = World::new(json!({ "task": "binary", "checks": checks }), None).await;
    change(&mut world);
    world.submit("submissions/v1").await;
    let (evaluated, document, held) = world.evaluate(1).await;
    // Done again, the evidence that is there is the answer, and nobody is asked again.
    assert_eq!(world.run(&held).await, evaluated);
    (evaluated.verdict, document)
}

#[tokio::test]
async fn every_check_is_asked_once_and_what_is_no_verdict_is_inconclusive() {
    let (at, asked) = owner().await;
    let url = |name: &str| format!("http://{at}/hooks/{name}");
    // Nothing listens on a port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let expected = [
        ("good", url("good"), Verdict::Pass, "12 of 12 requests answered"),
        ("silent", url("silent"), Verdict::Inconclusive, "did not answer within 1 s"),
        ("moved", url("moved"), Verdict::Inconclusive, "redirects are not followed"),
        ("large", url("large"), Verdict::Inconclusive, "larger than 65536 bytes"),
        ("page", url("page"), Verdict::Inconclusive, "cannot be read"),
        ("broken", url("broken"), Verdict::Inconclusive, "500 Internal Server Error: no such check"),
        ("nobody", format!("http://{nobody}/"), Verdict::Inconclusive, "cannot be reached"),
        (
            "stranger",
            "https://stranger.example.com/".into(),
            Verdict::Inconclusive,
            "does not allow stranger.example.com to be called",
        ),
    ];
    let checks: Vec<Value> = expected
        .iter()
        .map(|(name, url, ..)| json!({ "name": name, "url": url, "timeout_seconds": if *name == "silent" { 1 } else { 30 } }))
        .collect();
    let (verdict, document) = evaluated(json!(checks), |_| {}).await;
    assert_eq!(verdict, Verdict::Inconclusive);
    for (name, _, verdict, why) in &expected {
        let row = row(&document, name, None);
        assert_eq!(
            (row.verdict, row.group, row.class),
            (*verdict, MetricGroup::Check, MetricClass::Guardrail),
            "{}",
            row.why
        );
        assert!(row.why.contains(why), "{name}: {}", row.why);
    }
    assert_eq!(row(&document, "good.p99_ms", None).challenger, Some(9.5));
    let asked = asked.lock().unwrap();
    assert_eq!(
        asked.len(),
        6,
        "each once, the redirect was not followed, and nobody else was reached: {asked:?}"
    );
    let (_, signed, question) = asked.iter().find(|(name, ..)| name == "good").unwrap();
    assert_eq!(signed, "", "a hook never sees our credentials");
    let model = document.model.as_str();
    assert_eq!(question["schema"], 1);
    assert_eq!(question["version"], "v1");
    assert_eq!(question["promotion"], json!(document.promotion));
    assert_eq!(question["digest"], json!(document.challenger.digest));
    assert_eq!(
        question["endpoint"]["infer"],
        format!("https://serve.example.com/v2/models/{model}/versions/v1/infer")
    );
}

#[tokio::test]
async fn a_check_that_says_fail_fails_the_evaluation_and_one_that_only_informs_does_not() {
    let (at, _) = owner().await;
    let check = |class: &str| json!([{ "name": "contract", "url": format!("http://{at}/hooks/bad"), "class": class }]);
    let (verdict, document) = evaluated(check("guardrail"), |_| {}).await;
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        document.why.contains("contract fails") && document.why.contains("age=17 is refused"),
        "{}",
        document.why
    );
    let (verdict, document) = evaluated(check("info"), |_| {}).await;
    assert_ne!(verdict, Verdict::Fail, "{}", document.why);
    assert_eq!(row(&document, "contract", None).verdict, Verdict::Fail);
}

#[tokio::test]
async fn this_machine_is_out_of_reach_in_a_real_account_and_so_is_a_name_that_leads_to_it() {
    let (at, asked) = owner().await;
    let checks = json!([
        { "name": "plain", "url": format!("http://{at}/hooks/good") },
        { "name": "named", "url": format!("https://localhost:{}/hooks/good", at.port()) },
    ]);
    let (verdict, document) = evaluated(checks, |world| {
        world.local = false;
        world.hosts = format!("localhost:{}", at.port());
    })
    .await;
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(row(&document, "plain", None).why.contains("this machine's own"));
    assert!(
        row(&document, "named", None).why.contains("no public address"),
        "{}",
        row(&document, "named", None).why
    );
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn functions_are_invoked_signed_and_only_by_the_names_that_are_granted() {
    let (at, asked) = owner().await;
    let checks = json!([
        { "name": "good", "lambda": "seatrial-check-good" },
        { "name": "crash", "lambda": "seatrial-check-crash" },
        { "name": "foreign", "lambda": "billing" },
        { "name": "sneaky", "lambda": "seatrial-check-../billing" },
    ]);
    let (_, document) = evaluated(checks, |world| {
        let key = aws_credential_types::Credentials::new("AKIDEXAMPLE", "secret", None, None, "tests");
        world.aws = aws_config::SdkConfig::builder()
            .endpoint_url(format!("http://{at}"))
            .region(aws_config::Region::new("eu-west-1"))
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(key))
            .build();
    })
    .await;
    assert_eq!(row(&document, "good", None).verdict, Verdict::Pass, "{}", row(&document, "good", None).why);
    let crash = row(&document, "crash", None);
    assert_eq!(crash.verdict, Verdict::Inconclusive);
    assert!(crash.why.contains("the function failed") && crash.why.contains("KeyError"), "{}", crash.why);
    for name in ["foreign", "sneaky"] {
        assert!(
            row(&document, name, None).why.contains("may not be invoked"),
            "{}",
            row(&document, name, None).why
        );
    }
    let asked = asked.lock().unwrap();
    let names: std::collections::BTreeSet<_> = asked.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["seatrial-check-crash", "seatrial-check-good"].into());
    assert!(
        asked.iter().all(|(_, signed, _)| signed.contains("AKIDEXAMPLE/")
            && signed.contains("/eu-west-1/lambda/aws4_request")),
        "{asked:?}"
    );
}

//! Requests through the router, on fakes behind the ports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use seatrial_domain::head::Head;
use seatrial_domain::ids::VersionName;
use seatrial_domain::route::{Arm, Route, Weight};
use seatrial_domain::version::VersionStatus;
use seatrial_evidence::observation::{Side, Tally};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{App, Mode, Parts};
use crate::http::{BODY_BYTES, router};
use crate::journal::{Journal, wrecks};
use crate::metrics::Counter;
use crate::ports::{Heads, LoadFailure, Loader, Queue};
use crate::testing::{FakeHeads, FakeLoader, FakeQueue, folder, head, model, route, version};
use crate::versions::Versions;

struct Plane {
    app: Arc<App>,
    heads: Arc<FakeHeads>,
    loader: Arc<FakeLoader>,
    queue: Arc<FakeQueue>,
    dir: PathBuf,
}

fn plane_in(dir: PathBuf, mode: Mode, head: Head, loader: Arc<FakeLoader>) -> Plane {
    let (heads, queue) = (FakeHeads::with(head), FakeQueue::new());
    let wrecks = wrecks(&dir).unwrap();
    let app = App::new(Parts {
        mode,
        heads: Arc::clone(&heads) as Arc<dyn Heads>,
        versions: Versions::new(Arc::clone(&loader) as Arc<dyn Loader>, 8, 4),
        queue: Arc::clone(&queue) as Arc<dyn Queue>,
        journal: Some(Journal::open(&dir).unwrap()),
        wrecks,
        preload: Vec::new(),
    });
    Plane { app, heads, loader, queue, dir }
}

fn plane(mode: Mode, weight: u16) -> Plane {
    plane_in(folder(), mode, head(weight), FakeLoader::slow(Duration::ZERO))
}

impl Plane {
    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let answer = router(Arc::clone(&self.app)).oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("GET", path, Body::empty()).await
    }
    async fn infer(&self, xs: &[f64], parameters: &Value) -> (StatusCode, Value) {
        self.call("POST", "/v2/models/m/infer", request(xs, parameters).to_string()).await
    }
    async fn tallies(&self) -> Vec<Tally> {
        assert!(self.app.outbox.flush(None).await);
        self.queue.tallies()
    }
    /// Waits until the versions of the route are loaded.
    async fn warm(&self) {
        self.app.view(&model()).await.unwrap();
        while self.app.versions.loaded().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn request(xs: &[f64], parameters: &Value) -> Value {
    json!({ "parameters": parameters, "inputs": [{ "name": "x", "shape": [xs.len(), 1], "datatype": "FP64", "data": xs }] })
}

/// A unit on this side of the split, at 50 %.
fn unit(arm: Arm) -> String {
    (0..).map(|n| format!("unit-{n}")).find(|unit| route(5_000).choose(unit).unwrap().0 == arm).unwrap()
}

fn sum(tallies: &[Tally], arm: Arm, of: fn(&Tally) -> u64) -> u64 {
    tallies.iter().filter(|tally| tally.role == arm).map(of).sum()
}

#[tokio::test]
async fn an_answer_has_the_version_the_ids_and_the_outputs_and_nothing_of_the_canary() {
    let plane = plane(Mode::Lambda, 0);
    let mut body = request(&[1.0, 2.0], &json!({ "client_id": "c" }));
    body["id"] = json!("mine");
    let (status, answer) = plane.call("POST", "/v2/models/m/infer", body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["parameters"]["observation_id"].as_str().unwrap();
    assert_eq!(
        answer,
        json!({
            "model_name": "m", "model_version": "v1", "id": "mine",
            "parameters": { "observation_id": id, "observation_ids": [format!("{id}#0"), format!("{id}#1")] },
            "outputs": [{ "name": "value", "shape": [2], "datatype": "FP64", "data": [1.1, 2.1] }],
        })
    );
    let rows = plane.queue.rows();
    assert_eq!(
        rows.iter().map(|row| row.observation_id.clone()).collect::<Vec<_>>(),
        [format!("{id}#0"), format!("{id}#1")]
    );
    assert_eq!(rows[1].client_id.as_deref(), Some("c#1"));
    assert_eq!((rows[1].inputs["x"].as_f64(), rows[1].output.value), (Some(2.0), Some(2.1)));
    let tallies = plane.queue.tallies();
    assert_eq!(
        (tallies.len(), tallies[0].assigned, tallies[0].answered),
        (1, 1, 1),
        "two rows are one request"
    );
    assert_eq!(plane.queue.bodies().len(), 1, "one message, sent before the answer");
}

#[tokio::test]
async fn a_unit_stays_on_its_side_and_each_side_is_counted() {
    let plane = plane(Mode::Lambda, 5_000);
    for _ in 0..3 {
        for (arm, name) in [(Arm::Champion, "v1"), (Arm::Challenger, "v2")] {
            let (status, answer) = plane.infer(&[1.0], &json!({ "unit": unit(arm) })).await;
            assert_eq!((status.as_u16(), &answer["model_version"]), (200, &json!(name)));
        }
    }
    let tallies = plane.tallies().await;
    for arm in [Arm::Champion, Arm::Challenger] {
        assert_eq!(sum(&tallies, arm, |t| t.answered), 3);
    }
    assert!(
        tallies
            .iter()
            .all(|t| t.route.weight.bps() == 5_000 && t.route.epoch == 4 && t.assigned == t.answered)
    );
    assert!(plane.queue.rows().iter().all(|row| row.unit.is_some()));
}

#[tokio::test]
async fn a_challenger_that_loads_slowly_gets_nothing_until_it_is_there() {
    let loader = FakeLoader::slow(Duration::from_millis(200));
    let plane = plane_in(folder(), Mode::Server, head(10_000), loader);
    // The champion is loaded first; the request waits for it and for nothing else.
    let (status, answer) = plane.infer(&[1.0], &json!({})).await;
    assert_eq!((status.as_u16(), &answer["model_version"]), (200, &json!("v1")));
    plane.warm().await;
    assert_eq!(plane.infer(&[1.0], &json!({})).await.1["model_version"], "v2");
    let tallies = plane.tallies().await;
    assert_eq!(
        (sum(&tallies, Arm::Champion, |t| t.assigned), sum(&tallies, Arm::Challenger, |t| t.assigned)),
        (1, 1)
    );
    assert_eq!(plane.app.metrics.get(Counter::Diverted), 1);
    let rows = plane.queue.rows();
    assert!(rows[0].load_us.is_some_and(|us| us > 100_000) && rows[0].warm == Some(false), "{rows:?}");
    assert!(rows[1].load_us.is_none() && rows[1].warm == Some(true));
}

#[tokio::test]
async fn a_lambda_has_a_version_loaded_before_its_first_caller() {
    let plane = plane_in(folder(), Mode::Lambda, head(10_000), FakeLoader::slow(Duration::from_millis(20)));
    assert_eq!(plane.infer(&[1.0], &json!({})).await.1["model_version"], "v2");
    let shadowed = plane_in(folder(), Mode::Lambda, head(0), FakeLoader::slow(Duration::ZERO));
    assert_eq!(shadowed.infer(&[1.0], &json!({})).await.0, 200);
    assert_eq!(shadowed.loader.loads(2), 0, "no caller waits for a version in the shadow");
}

#[tokio::test]
async fn a_challenger_that_cannot_be_loaded_is_evidence_and_its_callers_get_the_champion() {
    for (failure, errors) in
        [(LoadFailure::Broken("no graph".into()), 1), (LoadFailure::Unavailable("S3".into()), 0)]
    {
        let loader = FakeLoader::slow(Duration::ZERO);
        loader.fail(2, failure);
        let plane = plane_in(folder(), Mode::Lambda, head(10_000), loader);
        for _ in 0..5 {
            let (status, answer) = plane.infer(&[1.0], &json!({})).await;
            assert_eq!((status.as_u16(), &answer["model_version"]), (200, &json!("v1")));
        }
        let tallies = plane.tallies().await;
        assert_eq!(sum(&tallies, Arm::Challenger, |t| t.errors), errors);
        assert_eq!(sum(&tallies, Arm::Champion, |t| t.answered), 5);
        assert_eq!(plane.app.metrics.get(Counter::LoadFailures), 1);
    }
}

#[tokio::test]
async fn errors_are_counted_by_side_and_only_rows_at_fault_are_reported() {
    let plane = plane(Mode::Lambda, 5_000);
    let unit = unit(Arm::Challenger);
    let (status, answer) = plane.infer(&[1.0, 13.0, -1.0], &json!({ "unit": unit })).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (500, Some("session-failed")));
    assert!(
        answer["error"].as_str().unwrap().contains("row 1") && !answer.to_string().contains("secret"),
        "{answer}"
    );
    let rows = plane.queue.rows();
    assert_eq!(
        rows.iter().map(|row| row.error.as_ref().unwrap().side).collect::<Vec<_>>(),
        [Side::Model, Side::Client]
    );
    assert_eq!(rows[0].error.as_ref().unwrap().message, "node 7: secret detail");
    let (status, answer) = plane.infer(&[1.0, -1.0], &json!({ "unit": unit })).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (400, Some("out-of-range")));
    let (status, answer) = plane.infer(&[666.0], &json!({ "unit": unit })).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (500, Some("panicked")));
    let tallies = plane.tallies().await;
    let of = |count| sum(&tallies, Arm::Challenger, count);
    assert_eq!(
        (of(|t| t.assigned), of(|t| t.errors), of(|t| t.client_errors), of(|t| t.answered)),
        (3, 2, 1, 0)
    );
    let units: Vec<&String> = tallies.iter().flat_map(|t| &t.error_units).collect();
    let hash = crate::choice::unit_hash(&route(5_000).salt, &unit);
    assert!(!units.is_empty() && units.iter().all(|unit| **unit == hash));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_with_a_code() {
    let plane = plane(Mode::Server, 0);
    let post = |body: String| plane.call("POST", "/v2/models/m/infer", body);
    let column = |name: &str, shape: Value, kind: &str, data: Value| {
        json!({ "inputs": [{ "name": name, "shape": shape, "datatype": kind, "data": data }] }).to_string()
    };
    let mut outputs = request(&[1.0], &json!({}));
    outputs["outputs"] = json!([{ "name": "nothing" }]);
    for (body, code) in [
        ("{".to_owned(), "malformed"),
        ("[1]".to_owned(), "malformed"),
        (json!({ "inputs": [] }).to_string(), "malformed"),
        (request(&[1.0], &json!({ "unit": [] })).to_string(), "malformed"),
        (request(&[1.0], &json!({ "client_id": ["a", "b"] })).to_string(), "malformed"),
        (column("y", json!([1, 1]), "FP64", json!([1.0])), "unknown-column"),
        (column("x", json!([2, 1]), "FP64", json!([1.0])), "wrong-shape"),
        (column("x", json!([1, 1]), "FP99", json!([1.0])), "wrong-type"),
        (outputs.to_string(), "unknown-output"),
    ] {
        let (status, answer) = post(body.clone()).await;
        assert_eq!((status.as_u16(), answer["code"].as_str()), (400, Some(code)), "{body}: {answer}");
        assert_eq!(answer["error"], answer["detail"]);
        assert_eq!(answer["status"], 400);
    }
    let (status, answer) = post("x".repeat(BODY_BYTES + 1)).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (413, Some("too-large")));
    for (method, path, status) in [
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/No%20Name/infer", 404),
        ("POST", "/v2/models/m/versions/v9/infer", 404),
        ("POST", "/v2/models/m/versions/nine/infer", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/m/versions/v9/ready", 404),
        ("GET", "/v2/models/m/infer", 405),
        ("DELETE", "/v2", 405),
        ("GET", "/", 404),
        ("GET", "/v2/models/%FF/ready", 400),
    ] {
        let (found, answer) = plane.call(method, path, request(&[1.0], &json!({})).to_string()).await;
        assert_eq!(found.as_u16(), status, "{path}: {answer}");
        assert!(answer["error"].is_string() && answer["code"].is_string(), "{path}: {answer}");
    }
    let tallies = plane.tallies().await;
    assert_eq!(
        sum(&tallies, Arm::Champion, |t| t.client_errors),
        5,
        "what reached the version is counted, the rest is not"
    );
    assert_eq!(sum(&tallies, Arm::Champion, |t| t.errors), 0);
}

#[tokio::test]
async fn a_pinned_version_answers_in_every_state_but_retired_or_collected_and_counts_as_pinned() {
    let plane = plane(Mode::Lambda, 0);
    plane.heads.versions.lock().unwrap().insert(VersionName::new(7), VersionStatus::Packaged);
    plane.heads.versions.lock().unwrap().insert(VersionName::new(8), VersionStatus::Retired);
    plane.heads.versions.lock().unwrap().insert(VersionName::new(9), VersionStatus::Collected);
    let body = request(&[1.0], &json!({})).to_string();
    for (name, status) in [("v1", 200), ("v2", 200), ("v7", 200), ("v8", 404), ("v9", 404)] {
        let (found, answer) =
            plane.call("POST", &format!("/v2/models/m/versions/{name}/infer"), body.clone()).await;
        assert_eq!(found.as_u16(), status, "{answer}");
        if status == 200 {
            assert_eq!(answer["model_version"], name);
        }
    }
    let (_, gone) = plane.call("POST", "/v2/models/m/versions/v9/infer", body).await;
    assert_eq!(gone["code"], "collected-version");
    assert!(gone["error"].as_str().unwrap().contains("submit the same files anew"), "{gone}");
    let tallies = plane.tallies().await;
    assert!(tallies.iter().all(|tally| tally.role == Arm::Pinned));
    assert_eq!(sum(&tallies, Arm::Pinned, |t| t.answered), 3);
    let (_, described) = plane.get("/v2/models/m/versions/v7").await;
    assert_eq!((&described["versions"], &described["inputs"][0]["name"]), (&json!(["v7"]), &json!("x")));
}

#[tokio::test]
async fn a_model_without_a_champion_says_so_and_its_versions_answer_pinned() {
    let head = Head { route: Route { champion: None, challenger: None, ..route(0) }, ..head(0) };
    let plane = plane_in(folder(), Mode::Server, head, FakeLoader::slow(Duration::ZERO));
    plane.heads.versions.lock().unwrap().insert(VersionName::new(1), VersionStatus::Packaged);
    let (status, answer) = plane.infer(&[1.0], &json!({})).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (503, Some("no-champion")));
    assert_eq!(plane.get("/v2/models/m/ready").await.0, 503);
    let (status, _) =
        plane.call("POST", "/v2/models/m/versions/v1/infer", request(&[1.0], &json!({})).to_string()).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn health_and_descriptions_follow_the_protocol() {
    let plane = plane(Mode::Server, 2_500);
    assert_eq!(plane.get("/v2").await.1["name"], "seatrial");
    assert_eq!(plane.get("/v2/health/live").await, (StatusCode::OK, json!({ "live": true })));
    assert_eq!(plane.get("/v2/health/ready").await, (StatusCode::OK, json!({ "ready": true })));
    assert_eq!(
        plane.get("/v2/models/m/ready").await,
        (StatusCode::OK, json!({ "name": "m", "ready": true }))
    );
    let (status, described) = plane.get("/v2/models/m").await;
    assert_eq!(status, 200);
    assert_eq!(
        described,
        json!({
            "name": "m", "versions": ["v1", "v2"], "platform": "onnx_onnxv1",
            "inputs": [{ "name": "x", "datatype": "FP64", "shape": [-1, 1] }],
            "outputs": [{ "name": "value", "datatype": "FP64", "shape": [-1] }],
        })
    );
    plane.infer(&[1.0], &json!({ "unit": "a" })).await;
    let (status, text) = plane.get("/metrics").await;
    assert_eq!(status, 200);
    let text = text.as_str().unwrap();
    assert!(
        text.contains("seatrial_route_weight{model=\"m\"} 0.25")
            && text.contains("seatrial_route_stale{model=\"m\"} 0")
    );
    assert!(text.contains("outcome=\"answered\"} 1"), "{text}");
}

#[tokio::test]
async fn rows_are_sampled_by_their_id_and_tallies_are_complete() {
    let head = Head { route: Route { rows: Weight::from_bps(3_000).unwrap(), ..route(0) }, ..head(0) };
    let salted = head.route.clone();
    let plane = plane_in(folder(), Mode::Server, head, FakeLoader::slow(Duration::ZERO));
    let mut expected = Vec::new();
    for _ in 0..200 {
        let (_, answer) = plane.infer(&[1.0], &json!({})).await;
        let id = answer["parameters"]["observation_ids"][0].as_str().unwrap().to_owned();
        if salted.samples(salted.rows, &id) {
            expected.push(id);
        }
    }
    let tallies = plane.tallies().await;
    let mut found: Vec<String> = plane.queue.rows().into_iter().map(|row| row.observation_id).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!((20..120).contains(&found.len()), "{}", found.len());
    assert_eq!(sum(&tallies, Arm::Champion, |t| t.answered), 200);
}

#[tokio::test]
async fn a_shadow_gets_its_sample_even_where_no_rows_are_asked_for() {
    let head = Head { route: Route { rows: Weight::ZERO, shadow: Weight::FULL, ..route(0) }, ..head(0) };
    let plane = plane_in(folder(), Mode::Lambda, head, FakeLoader::slow(Duration::ZERO));
    plane.infer(&[1.0], &json!({})).await;
    assert_eq!(plane.queue.rows().len(), 1);
}

#[tokio::test]
async fn a_silent_queue_costs_no_caller_an_answer_and_loses_no_count() {
    let plane = plane(Mode::Lambda, 0);
    plane.queue.down(true);
    for _ in 0..3 {
        assert_eq!(plane.infer(&[1.0], &json!({})).await.0, 200);
    }
    plane.queue.down(false);
    assert_eq!(plane.infer(&[1.0], &json!({})).await.0, 200);
    assert_eq!(sum(&plane.queue.tallies(), Arm::Champion, |t| t.answered), 4);
    assert_eq!(plane.queue.rows().len(), 4);
}

#[tokio::test]
async fn a_rollback_reaches_a_warm_process_within_a_second_and_a_silent_registry_leaves_the_champion() {
    let plane = plane(Mode::Lambda, 10_000);
    assert_eq!(plane.infer(&[1.0], &json!({})).await.1["model_version"], "v2");
    plane.heads.set(Head { route: Route { challenger: None, epoch: 5, ..route(0) }, ..head(0) });
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(plane.infer(&[1.0], &json!({})).await.1["model_version"], "v1");
    assert!(plane.tallies().await.iter().any(|t| t.route.epoch == 5 && t.role == Arm::Champion));
}

#[tokio::test]
async fn a_process_that_dies_in_a_request_is_counted_by_the_next_as_an_error_of_that_arm() {
    let plane = plane(Mode::Server, 5_000);
    plane.warm().await;
    let unit = unit(Arm::Challenger);
    let asking = tokio::spawn({
        let app = Arc::clone(&plane.app);
        let body = request(&[999.0], &json!({ "unit": unit })).to_string();
        async move { crate::infer::infer(&app, "m", None, body.as_bytes()).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The kill: what the process has written stays, its lock goes, and nothing more is written.
    let dir = folder();
    let file = std::fs::read_dir(&plane.dir).unwrap().next().unwrap().unwrap();
    std::fs::copy(file.path(), dir.join(file.file_name())).unwrap();
    asking.abort();
    let next = plane_in(dir.clone(), Mode::Lambda, head(5_000), FakeLoader::slow(Duration::ZERO));
    assert_eq!(next.app.metrics.get(Counter::Lost), 1);
    assert_eq!(next.infer(&[1.0], &json!({ "unit": "a" })).await.0, 200);
    let tallies = next.queue.tallies();
    let lost: Vec<&Tally> = tallies.iter().filter(|tally| tally.tally_id.starts_with("lost-")).collect();
    assert_eq!((lost.len(), lost[0].role, lost[0].assigned, lost[0].errors), (1, Arm::Challenger, 1, 1));
    assert_eq!(lost[0].version, version(2).version);
    assert_eq!(lost[0].error_units, [crate::choice::unit_hash(&route(5_000).salt, &unit)]);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "only the living process's own file is left");
}

#[tokio::test]
async fn a_caller_who_goes_away_is_counted_all_the_same() {
    let plane = plane(Mode::Server, 10_000);
    plane.warm().await;
    let body = request(&[999.0], &json!({ "unit": "a" })).to_string();
    let impatient = crate::infer::infer(&plane.app, "m", None, body.as_bytes());
    assert!(tokio::time::timeout(Duration::from_millis(200), impatient).await.is_err());
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(sum(&plane.tallies().await, Arm::Challenger, |t| t.errors), 1);
}

#[tokio::test]
async fn a_slow_challenger_does_not_hold_up_the_champion() {
    let plane = plane(Mode::Server, 5_000);
    plane.warm().await;
    let slow = request(&[999.0], &json!({ "unit": unit(Arm::Challenger) })).to_string();
    for _ in 0..20 {
        let (app, body) = (Arc::clone(&plane.app), slow.clone());
        tokio::spawn(async move { crate::infer::infer(&app, "m", None, body.as_bytes()).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = std::time::Instant::now();
    assert_eq!(plane.infer(&[1.0], &json!({ "unit": unit(Arm::Champion) })).await.0, 200);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

//! A version that serves elsewhere, beside one in process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use seatrial_domain::verdict::Verdict;
use seatrial_inference::{Model, Runtime};
use seatrial_remote::testing::{Server, elsewhere};
use serde_json::json;
use support::{World, root};

fn image() -> String {
    format!("sha256:{}", "0f".repeat(32))
}

async fn server(fixture: &str) -> Server {
    let runtime = Runtime::load(&root().join("target/onnxruntime/1.24.4/libonnxruntime.so")).unwrap();
    let folder = root().join("tests/fixtures/submissions").join(fixture);
    Server::start(Model::from_folder(runtime, &folder).unwrap(), &image()).await.unwrap()
}

/// The fixture's submission as a reference to what serves at `server`.
async fn submit(world: &World, fixture: &str, server: &Server) {
    let from = root().join("tests/fixtures/submissions").join(fixture);
    let to = std::env::temp_dir().join(format!("seatrial-evaluate-remote-{}", world.scenario.model));
    std::fs::create_dir_all(&to).unwrap();
    for name in ["eval_results.json", "CHANGELOG.md", "data_manifest.txt"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let remote = json!({ "http": { "url": server.url, "image": image() }, "timeout_ms": 2_000 });
    let config = std::fs::read_to_string(from.join("config.yaml")).unwrap();
    std::fs::write(to.join("config.yaml"), elsewhere(&config, &remote)).unwrap();
    world.submit_from(&to).await;
    std::fs::remove_dir_all(to).unwrap();
}

async fn world() -> World {
    let policy = json!({ "task": "binary", "positive_class": ">50K", "shadow": { "enabled": false } });
    World::new(policy, Some("benchmark.parquet")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_elsewhere_is_measured_like_the_same_graph_in_process_and_marked() {
    let world = world().await;
    world.submit("submissions/v2").await;
    world.scenario.promote(1).await;
    let server = server("v2").await;
    submit(&world, "v2", &server).await;
    let (evaluated, document, _) = world.evaluate(2).await;
    assert_ne!(evaluated.verdict, Verdict::Fail, "{}", evaluated.why);
    let (one, other) = (document.champion_summary.unwrap(), document.challenger_summary.unwrap());
    assert_eq!((one.answered, one.accuracy), (other.answered, other.accuracy), "the same graph");
    assert_eq!(one.confusion, other.confusion);
    let told: Vec<_> = document.notes.iter().filter(|n| n.contains("not byte-verified")).collect();
    assert!(told.len() == 1 && told[0].starts_with("v2: ") && told[0].contains(&server.url), "{told:?}");
    let record = world.scenario.version(2).await;
    assert!(record.package.remote.is_some_and(|r| !r.byte_verified));
    assert!(!record.package.files.keys().any(|path| path.starts_with("weights/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_what_it_was_pinned_as_fails_before_it_answers() {
    let world = world().await;
    world.submit("submissions/v1").await;
    world.scenario.promote(1).await;
    let server = server("v2").await;
    submit(&world, "v2", &server).await;
    server.runs(&format!("sha256:{}", "ab".repeat(32)));
    let (evaluated, document, _) = world.evaluate(2).await;
    assert_eq!(evaluated.verdict, Verdict::Fail);
    let smoke = document.rows.iter().find(|r| r.name == "smoke_test").unwrap();
    assert!(smoke.why.contains("not what was pinned") && smoke.why.contains("sha256:abab"), "{}", smoke.why);
    assert_eq!(*server.asked.lock().unwrap(), 0, "nothing is asked of what is not known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_champion_that_does_not_answer_makes_no_challenger_look_better() {
    let world = world().await;
    let server = server("v2").await;
    submit(&world, "v2", &server).await;
    world.scenario.promote(1).await;
    world.submit("submissions/v1").await;
    server.is_away(true);
    let (_, held) = world.start(2).await;
    let failure = world.try_run(&held).await.unwrap_err();
    assert!(failure.chain().contains("asking the champion about the benchmark"), "{}", failure.chain());
    assert_eq!(failure.label, seatrial_runtime::label::UNAVAILABLE, "the state machine asks again");
    // Nothing was kept of it: with the champion back, the same promotion is evaluated.
    server.is_away(false);
    world.run(&held).await;
}

//! A version that serves elsewhere goes the whole way of any version on the running stack, and is marked wherever it is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::VersionName;
use seatrial_domain::promotion::{EvidenceKind, PromotionStatus};
use seatrial_inference::{Model as Graph, Runtime};
use seatrial_registry::Records;
use seatrial_remote::testing::{Server, elsewhere};
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack};
use serde_json::{Value, json};

fn image() -> String {
    format!("sha256:{}", "0f".repeat(32))
}

/// A server of this machine that runs v2, and the submission that refers to it.
async fn served(model: &Model<'_>) -> (Server, String) {
    let runtime = Runtime::load(model.stack.onnxruntime()).expect("the engine's library");
    let from = repository("tests/fixtures/submissions/v2");
    let server = Server::start(Graph::from_folder(runtime, &from).unwrap(), &image()).await.expect("a port");
    let folder = model.folder().join("reference");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["eval_results.json", "CHANGELOG.md", "data_manifest.txt"] {
        std::fs::copy(from.join(name), folder.join(name)).unwrap();
    }
    let remote = json!({ "http": { "url": server.url, "image": image() } });
    let config = std::fs::read_to_string(from.join("config.yaml")).unwrap();
    std::fs::write(folder.join("config.yaml"), elsewhere(&config, &remote)).unwrap();
    (server, folder.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_serves_elsewhere_is_shadowed_shifted_in_and_crowned() {
    let stack = Stack::connect().await;
    // How soon a tail of latencies is known depends on how busy this machine is; that is tried elsewhere.
    let canary = json!({ "steps": [25], "metrics": { "latency_p99": { "class": "info" } } });
    let model = Model::new(&stack, "remote", &json!({ "canary": canary })).await.with_benchmark().await;
    let name = model.name.as_str();
    model.first_champion("v1").await;
    let (upstream, folder) = served(&model).await;
    let server = stack.serve(&model.folder().join("serve")).await;
    let _load = server.load(name);
    let packaged = stack.cli(&["package", &folder, "--model", name, "--wait"]).await.json();
    assert_eq!(packaged["version"], "v2", "{packaged}");
    let version = stack.registry.version(&model.name, VersionName::new(2)).await.unwrap().unwrap();
    let remote = version.package.remote.expect("it runs elsewhere");
    assert!(!remote.byte_verified && remote.identity_checked, "{remote:?}");
    let status = stack.run(&["status", name]).await;
    assert!(status.out.contains("not byte-verified"), "{}", status.out);

    let promotion = model.promotions().await.pop().expect("its promotion");
    model.decide(&promotion, "approve").await;
    let ended = model.ended(&promotion).await;
    assert_eq!(ended.status, PromotionStatus::Crowned, "{:?}", ended.reason);
    let reference = &ended.evidence[&EvidenceKind::Report];
    let report: Value =
        serde_json::from_slice(&stack.object("EvidenceBucket", &reference.key).await).unwrap();
    assert!(report["notes"].to_string().contains("not byte-verified"), "{}", report["notes"]);
    assert!(report["shadow"]["pairs"].as_u64().is_some_and(|n| n > 0), "{}", report["shadow"]);
    assert!(*upstream.asked.lock().unwrap() > 400, "its answers are the server's");
    let card = stack.run(&["card", name, "v2"]).await;
    assert!(card.out.contains("not byte-verified"), "{}", card.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_to_something_else_is_refused_before_anything_is_published() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "remote-other", &json!({})).await;
    let (upstream, folder) = served(&model).await;
    upstream.runs(&format!("sha256:{}", "ab".repeat(32)));
    let refused = stack.cli(&["package", &folder, "--model", model.name.as_str(), "--wait"]).await.error(5);
    let words = refused["message"].as_str().expect("words");
    assert!(words.contains("not what was pinned"), "{words}");
    assert!(stack.registry.versions(&model.name).await.unwrap().is_empty());
}

//! A version that serves elsewhere: a reference that is what it says, or no package.

use std::path::Path;

use seatrial_artifacts::{Folder, inspect, upload_submission};
use seatrial_domain::VersionName;
use seatrial_domain::task::SubmissionRef;
use seatrial_inference::{Model, Runtime};
use seatrial_registry::Records;
use seatrial_remote::testing::{Server, elsewhere, local, nowhere};
use seatrial_runtime::label;
use serde_json::json;

use crate::{World, fixture};

fn image() -> String {
    format!("sha256:{}", "0f".repeat(32))
}

async fn server() -> Server {
    let library =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/onnxruntime/1.24.4/libonnxruntime.so");
    let runtime = Runtime::load(&library).unwrap_or_else(|e| panic!("{e}: run `cargo xtask onnxruntime`"));
    Server::start(Model::from_folder(runtime, &fixture()).unwrap(), &image()).await.unwrap()
}

async fn submit(world: &World, id: &str, url: &str) -> SubmissionRef {
    let folder = std::env::temp_dir().join(format!("seatrial-package-remote-{}-{id}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["eval_results.json", "CHANGELOG.md", "data_manifest.txt"] {
        std::fs::copy(fixture().join(name), folder.join(name)).unwrap();
    }
    let config = std::fs::read_to_string(fixture().join("config.yaml")).unwrap();
    let remote = json!({ "http": { "url": url, "image": image() } });
    std::fs::write(folder.join("config.yaml"), elsewhere(&config, &remote)).unwrap();
    let inspected = inspect(&Folder::new(&folder), &world.model, &|_| {}).await.unwrap();
    let at = upload_submission(&world.submissions, &inspected, &folder, id, "sue", &|_| {}).await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_packaged_without_bytes_once_the_service_says_that_it_runs_it() {
    let (world, server) = (World::new().await, server().await);
    let task = world.task("one", Some(submit(&world, "s1", &server.url).await), None);
    let held = world.packaged_on(&task, &local("http://127.0.0.1:9")).await.unwrap().held;
    let version = world.registry.version(&world.model, held.version).await.unwrap().unwrap();
    let remote = version.package.remote.unwrap();
    assert!(!remote.byte_verified && remote.identity_checked, "{remote:?}");
    assert!(remote.reference.contains(&server.url) && remote.identity.contains(&image()), "{remote:?}");
    assert_eq!(version.package.runtime, "remote");
    assert_eq!(version.package.files.keys().filter(|path| path.starts_with("weights/")).count(), 0);
    assert_eq!(*server.asked.lock().unwrap(), 0, "packaging asks for no prediction");

    // The same reference is the same version, whoever was asked when.
    world.ops().end_promotion(&world.model, &held.promotion, held.epoch, "a test").await.unwrap();
    let again = world.task("two", Some(submit(&world, "s2", &server.url).await), None);
    let again = world.packaged_on(&again, &local("http://127.0.0.1:9")).await.unwrap().held;
    assert_eq!(again.version, held.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_to_what_runs_no_more_or_may_not_be_reached_is_a_defect_of_the_submission() {
    let (world, server) = (World::new().await, server().await);
    let task = world.task("one", Some(submit(&world, "s1", &server.url).await), None);
    let refused = world.packaged_on(&task, &nowhere()).await.unwrap_err();
    let says = |text: &str| refused.message.contains(text);
    assert!(
        refused.label == label::INVALID_SUBMISSION && says("config.yaml: remote") && says("not reached"),
        "{refused:?}"
    );
    server.runs(&format!("sha256:{}", "ab".repeat(32)));
    let task = world.task("two", Some(submit(&world, "s2", &server.url).await), None);
    let refused = world.packaged_on(&task, &local("http://127.0.0.1:9")).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID_SUBMISSION);
    assert!(refused.message.contains("not what was pinned"), "{}", refused.message);
    assert!(world.registry.version(&world.model, VersionName::new(1)).await.unwrap().is_none());
    assert!(world.models_are_empty().await, "nothing was published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_is_asked_again_later() {
    let world = World::new().await;
    let task =
        world.task("one", Some(submit(&world, "s1", "http://127.0.0.1:9/v2/models/adult").await), None);
    let failure = world.packaged_on(&task, &local("http://127.0.0.1:9")).await.unwrap_err();
    assert!(failure.is_transient(), "{failure:?}");
}

//! What cannot be replayed now comes again, and nothing else does. The child is this test, which is none: each row is a crash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use fn_replay::Replayer;
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::{MemoryS3, MemoryStore, ObjectStore};
use seatrial_evidence::{keys, table};
use seatrial_registry::{AttemptState, Attempts, MemoryRegistry, Watermarks};
use seatrial_remote::testing::{elsewhere, local};
use seatrial_runtime::sqs_event::BatchAnswer;
use serde_json::json;

use crate::support::{Shadowed, batch, fixture, ports};

/// The submission v2 as a reference to a server at an address where nobody is.
fn away(to: &Path) {
    let from = fixture("v2");
    std::fs::create_dir_all(to).unwrap();
    for name in ["eval_results.json", "CHANGELOG.md", "data_manifest.txt"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let image = format!("sha256:{}", "0f".repeat(32));
    let remote = json!({ "http": { "url": "http://127.0.0.1:9/v2/models/adult", "image": image } });
    let config = std::fs::read_to_string(from.join("config.yaml")).unwrap();
    std::fs::write(to.join("config.yaml"), elsewhere(&config, &remote)).unwrap();
}

/// The ids of the rows that have a pair, once for each.
async fn pairs(data: &MemoryStore, of: &Shadowed) -> Vec<String> {
    let mut ids = Vec::new();
    for file in data.list(&keys::pairs_prefix(&of.scenario.model, &of.run.id)).await.unwrap() {
        let bytes = data.get(&file.key, 1 << 20).await.unwrap().unwrap();
        ids.extend(table::read_pairs(bytes).unwrap().into_iter().map(|pair| pair.observation_id));
    }
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn one_models_outage_holds_up_no_other_models_rows_and_is_no_crash() {
    let (s3, registry) = (MemoryS3::default(), MemoryRegistry::default());
    let here = Shadowed::new(&registry, &s3, &fixture("v2")).await;
    let folder = std::env::temp_dir().join(format!("seatrial-replay-left-{}", here.scenario.model));
    let submission = folder.join("submission");
    away(&submission);
    let there = Shadowed::new(&registry, &s3, &submission).await;
    let (models, data, network) = (s3.bucket("models"), s3.bucket("data"), local("http://127.0.0.1:9"));
    let replayer =
        Replayer::new(ports(&registry, &models, &data, &network), PathBuf::new(), folder.join("versions"));

    let event = batch(&[("a", 1, here.rows(&["o1"])), ("b", 1, there.rows(&["o2"]))]);
    let answer = replayer.handle(Timestamp::now, event).await.unwrap();
    assert_eq!(answer, BatchAnswer::keep(["b".to_owned()]));
    assert_eq!(pairs(&data, &here).await, ["o1"]);
    assert_eq!(registry.drained_at("shadow").await.unwrap(), None, "not all of it is worked off");

    // By itself it fails the batch, as any outage does; and its row is not marked, so that it is no crash once the service is back.
    let event = batch(&[("b", 2, there.rows(&["o2"]))]);
    let failure = replayer.handle(Timestamp::now, event).await.unwrap_err();
    assert!(failure.is_transient(), "{failure:?}");
    drop(std::fs::remove_dir_all(folder));
    assert!(pairs(&data, &there).await.is_empty());
    let mark = registry.mark_attempt(&there.run.id, "o2", Timestamp::MAX).await.unwrap();
    assert_eq!(mark, AttemptState::First);
}

#[tokio::test]
async fn what_is_too_late_comes_again_and_what_was_done_is_not_done_twice() {
    let (s3, registry) = (MemoryS3::default(), MemoryRegistry::default());
    let of = Shadowed::new(&registry, &s3, &fixture("v2")).await;
    let folder = std::env::temp_dir().join(format!("seatrial-replay-late-{}", of.scenario.model));
    let (models, data, network) = (s3.bucket("models"), s3.bucket("data"), local("http://127.0.0.1:9"));
    let replayer = Replayer::new(ports(&registry, &models, &data, &network), PathBuf::new(), folder.clone());
    let messages =
        |count| batch(&[("m", count, of.rows(&["o1", "o2", "o3", "o4"])), ("n", count, of.rows(&["o5"]))]);

    // Each look at the clock finds it 15 s later: after the promotion's versions and two rows, a minute has passed.
    let (began, looks) = (Timestamp::now(), AtomicI64::new(0));
    let slow = || began + SignedDuration::from_secs(15 * looks.fetch_add(1, Ordering::Relaxed));
    let answer = replayer.handle(slow, messages(1)).await.unwrap();
    assert_eq!(answer, BatchAnswer::keep(["m".to_owned(), "n".to_owned()]));
    assert_eq!(pairs(&data, &of).await, ["o1", "o2"], "what there is, is stored");
    assert_eq!(registry.drained_at("shadow").await.unwrap(), None);

    let answer = replayer.handle(|| began, messages(2)).await.unwrap();
    drop(std::fs::remove_dir_all(folder));
    assert_eq!(answer, BatchAnswer::default());
    assert_eq!(pairs(&data, &of).await, ["o1", "o2", "o3", "o4", "o5"]);
    assert!(registry.drained_at("shadow").await.unwrap().is_some());
}

//! Versions without the deployment's signature are not replayed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use fn_replay::Replayer;
use jiff::Timestamp;
use seatrial_artifacts::package::signature_key;
use seatrial_artifacts::{MemoryS3, ObjectStore};
use seatrial_registry::MemoryRegistry;
use seatrial_remote::testing::nowhere;
use seatrial_runtime::label;

use crate::support::{Shadowed, batch, fixture, ports};

#[tokio::test]
async fn neither_a_champion_nor_a_challenger_without_a_signature_is_replayed() {
    for unsigned in [0, 1] {
        let (s3, registry) = (MemoryS3::default(), MemoryRegistry::default());
        let of = Shadowed::new(&registry, &s3, &fixture("v2")).await;
        let model = &of.scenario.model;
        let missing = [&of.champion, &of.challenger][unsigned];
        s3.remove("models", &signature_key(model, &missing.digest));

        let folder = std::env::temp_dir().join(format!("seatrial-replay-{model}"));
        let (models, data, network) = (s3.bucket("models"), s3.bucket("data"), nowhere());
        let ports = ports(&registry, &models, &data, &network);
        let replayer = Replayer::new(ports, PathBuf::from("no library is needed"), folder.clone());
        let event = batch(&[("m", 1, of.rows(&["o1"]))]);
        let failure = replayer.handle(Timestamp::now, event).await.unwrap_err();
        drop(std::fs::remove_dir_all(folder));
        let said = format!("{} of model {model} is not signed", missing.version);
        assert!(failure.label == label::INTERNAL && failure.message.contains(&said), "{failure:?}");
        assert!(data.list("").await.unwrap().is_empty(), "no pair may be there");
    }
}

//! Archives that training left behind: the same version as their folder, with where they come from on record.

use std::fs;

use bytes::Bytes;
use seatrial_artifacts::ObjectStore;
use seatrial_artifacts::package::testing;
use seatrial_artifacts::submission::testing::{gzip, tar};
use seatrial_domain::VersionName;
use seatrial_domain::artifact::{ArtifactRef, Lineage, Readable};
use seatrial_domain::task::PackageTask;
use seatrial_registry::Records;
use seatrial_runtime::label;
use serde_json::Value;

use super::{World, account, fixture};

const JOB: &str = "arn:aws:sagemaker:us-east-1:123456789012:training-job/adult-income-7";
const KEY: &str = "jobs/adult-income-7/output/model.tar.gz";

/// What the deployment of these tests reads.
pub(crate) fn readable() -> Readable {
    Readable::parse(["arn:aws:s3:::training/jobs/*"]).unwrap()
}

const FILES: [&str; 6] = [
    "CHANGELOG.md",
    "config.yaml",
    "data_manifest.txt",
    "eval_results.json",
    "reference.parquet",
    "weights/model.onnx",
];

/// The fixture as a training job leaves it, with `more` beside it.
fn archive(more: &[(&str, &[u8])]) -> Vec<u8> {
    let files: Vec<(String, Vec<u8>)> =
        FILES.iter().map(|f| (format!("./{f}"), fs::read(fixture().join(f)).unwrap())).collect();
    let files = files.iter().map(|(path, content)| (path.as_str(), content.as_slice()));
    gzip(&tar(files.chain(more.iter().copied())))
}

impl World {
    async fn trained(&self, archive: Vec<u8>) -> ArtifactRef {
        let at = self.s3.bucket("training").put(KEY, Bytes::from(archive), "application/gzip").await.unwrap();
        let lineage = Lineage { training_job: Some(JOB.into()), ..Lineage::default() };
        ArtifactRef { bucket: "training".into(), key: at.key, etag: at.etag, version: at.version, lineage }
    }

    fn of(&self, artifact: ArtifactRef) -> PackageTask {
        let mut task = self.task(&artifact.name(), None, None);
        task.input.artifact = Some(artifact);
        task.input.requested_by = account();
        task
    }
}

#[tokio::test]
async fn an_artifact_becomes_a_version_that_says_where_it_comes_from_and_is_nobodys() {
    let world = World::new().await;
    let artifact = world.trained(archive(&[])).await;
    let task = world.of(artifact.clone());
    let held = world.run(&task).await.unwrap();
    let version = world.registry.version(&world.model, held.version).await.unwrap().unwrap();
    assert_eq!(version.artifact.as_ref(), Some(&artifact));
    assert_eq!((version.submitted_by.as_str(), version.submitted_auth), ("account/123456789012", None));
    assert_eq!(version.package.files.len(), FILES.len());
    let history = world.registry.history(&world.model, 0, 99).await.unwrap();
    let packaged = history.iter().find(|e| e.event == "version_packaged").unwrap();
    assert_eq!(packaged.details["artifact"], artifact.name());
    assert_eq!(packaged.details["training_job"], JOB);
    let writes = world.s3.writes();
    assert_eq!(world.run(&task).await.unwrap(), held);
    assert_eq!(world.s3.writes(), writes, "a repeated task writes nothing");
}

#[tokio::test]
async fn where_bytes_come_from_is_no_part_of_their_digest() {
    let world = World::new().await;
    let held = world.run(&world.of(world.trained(archive(&[])).await)).await.unwrap();
    let from_archive = world.digest(held.version).await;
    let other = World::new().await;
    let own_card = fs::read(fixture().join("model_card.md")).unwrap();
    let task = other.of(other.trained(archive(&[("model_card.md", own_card.as_slice())])).await);
    let with_card = other.run(&task).await.unwrap();
    let folder = World::new().await;
    let task = folder.task("one", Some(folder.submit("s1").await), None);
    let by_hand = folder.run(&task).await.unwrap();
    assert_eq!(other.digest(with_card.version).await, folder.digest(by_hand.version).await);
    assert_ne!(from_archive, folder.digest(by_hand.version).await);
}

#[tokio::test]
async fn a_bad_artifact_is_refused_with_its_defects_and_becomes_nothing() {
    let world = World::new().await;
    let wicked: [(&str, &[u8]); 2] = [("code/inference.py", b"import os"), ("weights/model.joblib", b"x")];
    for (bytes, words) in [
        (archive(&wicked), &["code/inference.py", "weights/model.joblib"][..]),
        (b"<html>".to_vec(), &["model.tar.gz", "tar -czf"][..]),
    ] {
        let artifact = world.trained(bytes).await;
        let task = world.of(artifact.clone());
        let refused = world.run(&task).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID_SUBMISSION);
        assert!(words.iter().all(|w| refused.message.contains(w)), "{}", refused.message);
        let key = format!("refused/{}/{}.json", world.model, task.input.promotion);
        let kept = world.evidence.get(&key, 1 << 20).await.unwrap().unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        assert_eq!(kept["artifact"]["key"], artifact.key);
    }
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
    assert!(world.models.list("").await.unwrap().is_empty());
    assert!(
        world.submissions.list("submissions/").await.unwrap().is_empty(),
        "nothing may start a promotion"
    );
}

#[tokio::test]
async fn an_artifact_in_another_state_than_the_events_is_not_taken() {
    let world = World::new().await;
    let old = world.trained(archive(&[])).await;
    world.trained(b"another".to_vec()).await;
    let gone = ArtifactRef { key: "jobs/gone.tar.gz".into(), ..old.clone() };
    for artifact in [old, gone] {
        let refused = world.run(&world.of(artifact)).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID_SUBMISSION);
        assert!(refused.message.contains("changed"), "{}", refused.message);
    }
    assert!(world.submissions.list("").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_task_reaches_no_artifact_that_the_deployment_does_not_read() {
    let world = World::new().await;
    let fine = world.trained(archive(&[])).await;
    for (bucket, key) in [("training", "other/model.tar.gz"), ("evidence", KEY), ("models", "jobs/x")] {
        let artifact = ArtifactRef { bucket: bucket.into(), key: key.into(), ..fine.clone() };
        let refused = world.run(&world.of(artifact)).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID);
        assert!(refused.message.contains("TrainingArtifacts"), "{}", refused.message);
    }
    let mut two = world.of(fine);
    two.input.version = Some(VersionName::new(1));
    let refused = world.run(&two).await.unwrap_err();
    assert!(refused.message.contains("names more than one"), "{}", refused.message);
}

#[tokio::test]
async fn a_fault_at_any_step_of_unpacking_leaves_nothing_that_the_next_attempt_stumbles_over() {
    for step in 0.. {
        let world = World::new().await;
        let task = world.of(world.trained(archive(&[])).await);
        let faulty = super::Faulty::new(world.submissions.clone(), step);
        let first = world.run_on(&task, testing::key(), &faulty, &world.models).await;
        if !faulty.failed() {
            assert!(step > 2 * FILES.len() && first.is_ok());
            break;
        }
        assert!(first.unwrap_err().is_transient(), "step {step}");
        assert!(world.registry.versions(&world.model).await.unwrap().is_empty(), "step {step}");
        assert_eq!(world.run(&task).await.unwrap().version, VersionName::new(1), "step {step}");
    }
}

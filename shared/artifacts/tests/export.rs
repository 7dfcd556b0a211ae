//! A version in a folder of a person's own: whole and checked, or not there at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use seatrial_artifacts::package::{
    Exported, Package, ReadError, Trust, blob_key, export_version, publish, signature_key, testing,
};
use seatrial_artifacts::store::{MemoryS3, MemoryStore, ObjectStore, StoreError};
use seatrial_artifacts::submission::{Folder, Prefix, Progress, Stage, inspect, upload_submission};
use seatrial_attestation::model_signing::folder::verify_folder;
use seatrial_domain::ids::VersionRef;
use seatrial_domain::{ModelName, VersionName};

struct World {
    s3: MemoryS3,
    models: MemoryStore,
    package: Package,
    place: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.place));
    }
}

fn model() -> ModelName {
    ModelName::parse("adult-income").unwrap()
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions/v1")
}

impl World {
    async fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("seatrial-export-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&place));
        std::fs::create_dir_all(&place).unwrap();
        let s3 = MemoryS3::default();
        let (submissions, models) = (s3.bucket("submissions"), s3.bucket("models"));
        let found = inspect(&Folder::new(fixture()), &model(), &|_| {}).await.unwrap();
        let at = upload_submission(&submissions, &found, &fixture(), "s1", "ann", &|_| {}).await.unwrap();
        let inspected = inspect(&Prefix::new(&submissions, &at.prefix), &model(), &|_| {}).await.unwrap();
        let package = inspected.package().unwrap();
        publish(&inspected, &package, &submissions, &models).await.unwrap();
        testing::sign(&models, &model(), &package).await;
        Self { s3, models, package, place }
    }

    fn folder(&self) -> PathBuf {
        self.place.join("v1")
    }

    async fn export(&self, trust: &Trust) -> Result<Exported, ReadError> {
        let version = VersionRef { version: VersionName::new(1), digest: self.package.digest.clone() };
        export_version(&self.models, &model(), &version, &self.folder(), trust, &|_| {}).await
    }

    /// What lies beside the folder, and the folder itself.
    fn left(&self) -> usize {
        std::fs::read_dir(&self.place).unwrap().count()
    }
}

#[tokio::test]
async fn a_version_becomes_a_folder_that_verifies_with_the_public_key_alone() {
    let world = World::new("whole").await;
    // An empty folder may be there.
    std::fs::create_dir_all(world.folder()).unwrap();
    let exported = world.export(testing::trust()).await.unwrap();
    assert!(exported.signed);
    assert_eq!(exported.manifest.files, world.package.summary.files);
    for path in exported.manifest.files.keys() {
        let (written, handed_in) = (world.folder().join(path), fixture().join(path));
        assert_eq!(std::fs::read(written).unwrap(), std::fs::read(handed_in).unwrap(), "{path}");
    }
    let signed = verify_folder(&world.folder(), std::slice::from_ref(testing::key().public())).unwrap();
    assert_eq!(signed.files, exported.manifest.digests());
    assert_eq!(world.left(), 1, "no temporary folder may be left");
}

#[tokio::test]
async fn progress_is_told_up_to_the_last_byte() {
    let world = World::new("progress").await;
    let told: Mutex<Vec<Progress>> = Mutex::default();
    let version = VersionRef { version: VersionName::new(1), digest: world.package.digest.clone() };
    let hear = |progress: &Progress| told.lock().unwrap().push(progress.clone());
    export_version(&world.models, &model(), &version, &world.folder(), testing::trust(), &hear)
        .await
        .unwrap();
    let told = told.into_inner().unwrap();
    let last = told.last().unwrap();
    assert_eq!((last.stage, last.done, last.total), (Stage::Fetching, world.package.summary.size, last.done));
    assert!(told.windows(2).all(|two| two[0].done <= two[1].done));
}

#[tokio::test]
async fn a_folder_with_something_in_it_is_left_as_it_is() {
    let world = World::new("taken").await;
    std::fs::create_dir_all(world.folder()).unwrap();
    std::fs::write(world.folder().join("mine"), "mine").unwrap();
    let refused = world.export(testing::trust()).await.unwrap_err();
    assert!(matches!(refused, ReadError::Store(StoreError::File { .. })), "{refused:?}");
    let names: Vec<_> = std::fs::read_dir(world.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!((names, world.left()), (vec!["mine".into()], 1));
}

#[tokio::test]
async fn nothing_appears_of_a_version_that_is_damaged_or_not_signed_as_it_must_be() {
    let world = World::new("refused").await;
    let blob = &world.package.summary.files["weights/model.onnx"];
    let key = blob_key(&model(), &blob.digest);
    let good = world.models.get(&key, u64::MAX).await.unwrap().unwrap();
    world.models.put(&key, Bytes::from(vec![0; good.len()]), "x").await.unwrap();
    for trust in [testing::trust(), &Trust::Unchecked] {
        let refused = world.export(trust).await.unwrap_err();
        assert!(matches!(refused, ReadError::Store(StoreError::Corrupt { .. })), "{refused:?}");
        assert_eq!(world.left(), 0);
    }
    world.models.put(&key, good, "x").await.unwrap();

    let signature = signature_key(&model(), &world.package.digest);
    world.models.put(&signature, Bytes::from_static(b"{}"), "x").await.unwrap();
    let refused = world.export(testing::trust()).await.unwrap_err();
    assert!(matches!(refused, ReadError::SignatureDoesNotHold { .. }), "{refused:?}");
    world.s3.remove("models", &signature);
    let refused = world.export(testing::trust()).await.unwrap_err();
    assert!(matches!(refused, ReadError::NotSigned { .. }), "{refused:?}");
    assert_eq!(world.left(), 0);

    // Whoever says so takes it without, and sees that it has none.
    assert!(!world.export(&Trust::Unchecked).await.unwrap().signed);
    assert!(!world.folder().join("model.sig").exists());
}

//! Signatures of packages: made once, checked at every load, and every way to tamper with a version is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use seatrial_artifacts::package::{
    Package, ReadError, SignVersionError, Trust, blob_key, fetch_version, publish, sign_stored_version,
    sign_version, signature_key, testing,
};
use seatrial_artifacts::store::{MemoryS3, MemoryStore, ObjectStore, StoreError};
use seatrial_artifacts::submission::{Folder, Prefix, inspect, upload_submission};
use seatrial_attestation::model_signing::verify;
use seatrial_attestation::{LocalKey, SignError, Signer};
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::VersionRef;
use seatrial_domain::{Digest, ModelName, VersionName};
use serde_json::Value;

struct World {
    s3: MemoryS3,
    models: MemoryStore,
    cache: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.cache));
    }
}

fn model() -> ModelName {
    ModelName::parse("adult-income").unwrap()
}

fn v3(digest: &Digest) -> VersionRef {
    VersionRef { version: VersionName::new(3), digest: digest.clone() }
}

impl World {
    fn new(name: &str) -> Self {
        let cache = std::env::temp_dir().join(format!("seatrial-signature-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&cache));
        let s3 = MemoryS3::default();
        Self { models: s3.bucket("models"), s3, cache }
    }

    /// Publishes a fixture without signing it.
    async fn publish(&self, fixture: &str) -> Package {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions").join(fixture);
        let submissions = self.s3.bucket("submissions");
        let found = inspect(&Folder::new(&folder), &model(), &|_| {}).await.unwrap();
        let at = upload_submission(&submissions, &found, &folder, fixture, "ann", &|_| {}).await.unwrap();
        let inspected = inspect(&Prefix::new(&submissions, &at.prefix), &model(), &|_| {}).await.unwrap();
        let package = inspected.package().unwrap();
        publish(&inspected, &package, &submissions, &self.models).await.unwrap();
        package
    }

    async fn signed(&self, fixture: &str) -> Package {
        let package = self.publish(fixture).await;
        testing::sign(&self.models, &model(), &package).await;
        package
    }

    async fn fetch(&self, digest: &Digest, trust: &Trust) -> Result<PathBuf, ReadError> {
        fetch_version(&self.models, &model(), &v3(digest), &self.cache, trust).await
    }

    /// Fetches with trust in the deployment's key; what is refused must leave nothing behind.
    async fn refused(&self, digest: &Digest) -> ReadError {
        let refused = self.fetch(digest, testing::trust()).await.unwrap_err();
        let left = std::fs::read_dir(&self.cache).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing of a refused version may be left");
        assert!(!refused.is_transient(), "{refused}");
        refused
    }

    async fn sign(&self, package: &Package, signer: &dyn Signer) -> Result<bool, SignVersionError> {
        sign_version(&self.models, &model(), &package.digest, &package.summary.files, signer).await
    }

    async fn bundle(&self, package: &Package) -> Bytes {
        self.models.get(&signature_key(&model(), &package.digest), 1 << 20).await.unwrap().unwrap()
    }

    async fn replace_bundle(&self, package: &Package, bundle: Bytes) {
        self.models.put(&signature_key(&model(), &package.digest), bundle, "x").await.unwrap();
    }
}

fn why(error: &ReadError) -> &str {
    let ReadError::SignatureDoesNotHold { why, version, .. } = error else { panic!("{error:?}") };
    assert_eq!(version, "v3");
    why
}

#[tokio::test]
async fn a_version_is_signed_once_over_every_file_and_then_loads() {
    let world = World::new("once");
    let package = world.publish("v1").await;
    assert!(world.sign(&package, testing::key()).await.unwrap());
    let (first, writes) = (world.bundle(&package).await, world.s3.writes());
    assert!(!world.sign(&package, testing::key()).await.unwrap(), "it is signed already");
    let again =
        sign_stored_version(&world.models, &model(), &v3(&package.digest), testing::key()).await.unwrap();
    assert!(!again);
    assert_eq!((world.bundle(&package).await, world.s3.writes()), (first.clone(), writes), "the first stays");

    let signed = verify(&first, std::slice::from_ref(testing::key().public())).unwrap();
    assert_eq!(signed.name, format!("adult-income@{}", package.digest));
    let listed: Vec<_> = package.summary.files.iter().map(|(p, b)| (p.clone(), b.digest.clone())).collect();
    assert_eq!(signed.files.into_iter().collect::<Vec<_>>(), listed);
    let folder = world.fetch(&package.digest, testing::trust()).await.unwrap();
    assert!(folder.join("weights/model.onnx").is_file());
}

#[tokio::test]
async fn an_unsigned_version_is_not_loaded_and_the_refusal_says_how_to_sign_it() {
    let world = World::new("unsigned");
    let package = world.publish("v1").await;
    let refused = world.refused(&package.digest).await;
    assert!(matches!(refused, ReadError::NotSigned { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(text.starts_with("v3 of model adult-income is not signed: s3://models/adult-income/"), "{text}");
    assert!(text.contains("`seatrial promote adult-income v3`"), "{text}");
    world.fetch(&package.digest, &Trust::Unchecked).await.unwrap();
}

/// The folder of an earlier load lies there: it is trusted no more than its signature.
#[tokio::test]
async fn a_version_that_was_loaded_before_is_checked_again() {
    let world = World::new("again");
    let package = world.publish("v1").await;
    world.fetch(&package.digest, &Trust::Unchecked).await.unwrap();
    let refused = world.fetch(&package.digest, testing::trust()).await.unwrap_err();
    assert!(matches!(refused, ReadError::NotSigned { .. }), "{refused:?}");
    testing::sign(&world.models, &model(), &package).await;
    world.fetch(&package.digest, testing::trust()).await.unwrap();
    world.replace_bundle(&package, Bytes::from_static(b"{}")).await;
    why(&world.fetch(&package.digest, testing::trust()).await.unwrap_err());
}

#[tokio::test]
async fn a_signature_with_a_changed_character_does_not_hold() {
    let world = World::new("bytes");
    let package = world.signed("v1").await;
    let bundle = world.bundle(&package).await;
    let parsed: Value = serde_json::from_slice(&bundle).unwrap();
    for part in ["/dsseEnvelope/payload", "/dsseEnvelope/signatures/0/sig", "/dsseEnvelope/payloadType"] {
        let text = parsed.pointer(part).unwrap().as_str().unwrap();
        for place in (0..text.len()).step_by(61) {
            let mut changed = text.as_bytes().to_vec();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let mut bundle = parsed.clone();
            *bundle.pointer_mut(part).unwrap() = Value::from(String::from_utf8(changed).unwrap());
            world.replace_bundle(&package, Bytes::from(bundle.to_string())).await;
            why(&world.refused(&package.digest).await);
        }
    }
    for broken in [&b""[..], b"{}", &bundle[..bundle.len() - 1]] {
        world.replace_bundle(&package, Bytes::copy_from_slice(broken)).await;
        why(&world.refused(&package.digest).await);
    }
    world.replace_bundle(&package, bundle).await;
    world.fetch(&package.digest, testing::trust()).await.unwrap();
}

#[tokio::test]
async fn a_strangers_signature_does_not_hold_and_is_neither_taken_nor_replaced_by_signing() {
    let world = World::new("stranger");
    let package = world.publish("v1").await;
    let stranger = LocalKey::generate().unwrap();
    assert!(world.sign(&package, &stranger).await.unwrap());
    assert!(why(&world.refused(&package.digest).await).contains("none of its signatures is of a given key"));

    let writes = world.s3.writes();
    let refused = world.sign(&package, testing::key()).await.unwrap_err();
    let SignVersionError::Read(ReadError::SignatureDoesNotHold { at, .. }) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(*at, format!("s3://models/{}", signature_key(&model(), &package.digest)));
    let stored = sign_stored_version(&world.models, &model(), &v3(&package.digest), testing::key()).await;
    let Err(SignVersionError::Read(refused)) = stored else { panic!("{stored:?}") };
    why(&refused);
    assert_eq!(world.s3.writes(), writes, "nothing is written over it");
}

#[tokio::test]
async fn a_signature_of_another_version_or_model_is_not_one_of_this() {
    let world = World::new("moved");
    let (one, two) = (world.signed("v1").await, world.signed("v2").await);
    world.replace_bundle(&one, world.bundle(&two).await).await;
    assert!(why(&world.refused(&one.digest).await).contains("it was made for \"adult-income@sha256:"));

    // The very same files under another model's name: they were never packaged there.
    let other = ModelName::parse("other").unwrap();
    sign_version(&world.models, &other, &one.digest, &one.summary.files, testing::key()).await.unwrap();
    let bundle = world.models.get(&signature_key(&other, &one.digest), 1 << 20).await.unwrap().unwrap();
    world.replace_bundle(&one, bundle).await;
    assert!(why(&world.refused(&one.digest).await).contains("it was made for \"other@sha256:"));
}

/// Whoever may write the bucket and the registry makes a manifest of their own, with blobs that fit it.
#[tokio::test]
async fn a_manifest_that_was_swapped_along_with_its_blobs_is_refused() {
    let world = World::new("swapped");
    let package = world.signed("v1").await;
    let (evil, old) = (Bytes::from_static(b"another graph"), &package.summary.files["weights/model.onnx"]);
    let manifest = String::from_utf8(package.manifest.to_vec()).unwrap();
    let manifest = manifest
        .replace(old.digest.as_str(), sha256(&evil).as_str())
        .replace(&format!("\"size\":{}", old.size), &format!("\"size\":{}", evil.len()));
    let digest = sha256(manifest.as_bytes());
    world.models.put(&blob_key(&model(), &sha256(&evil)), evil, "x").await.unwrap();
    world.models.put(&blob_key(&model(), &digest), Bytes::from(manifest), "x").await.unwrap();
    // It loads where nobody checks signatures, so nothing but the signature refuses it.
    world.fetch(&digest, &Trust::Unchecked).await.unwrap();
    std::fs::remove_dir_all(&world.cache).unwrap();
    assert!(matches!(world.refused(&digest).await, ReadError::NotSigned { .. }));

    let bundle = world.bundle(&package).await;
    world.models.put(&signature_key(&model(), &digest), bundle, "x").await.unwrap();
    why(&world.refused(&digest).await);
}

/// Even a signature with the right name holds for its own files alone.
#[tokio::test]
async fn other_files_than_the_signed_ones_are_named_one_by_one() {
    let world = World::new("files");
    let package = world.publish("v1").await;
    let mut files = package.summary.files.clone();
    files.get_mut("config.yaml").unwrap().digest = sha256(b"another");
    let card = files.remove("model_card.md").unwrap();
    files.insert("weights/extra.bin".to_owned(), card);
    sign_version(&world.models, &model(), &package.digest, &files, testing::key()).await.unwrap();
    let refused = world.refused(&package.digest).await;
    let text = why(&refused);
    assert!(text.contains("changed since they were signed: config.yaml"), "{text}");
    assert!(text.contains("signed but missing: weights/extra.bin"), "{text}");
    assert!(text.contains("there but not signed: model_card.md"), "{text}");
}

#[tokio::test]
async fn a_stored_version_is_signed_only_when_every_byte_of_it_is_there() {
    let world = World::new("stored");
    let package = world.publish("v1").await;
    let (model, version) = (model(), v3(&package.digest));
    let sign = || sign_stored_version(&world.models, &model, &version, testing::key());
    let blob = &package.summary.files["reference.parquet"];
    let key = blob_key(&model, &blob.digest);
    let good = world.models.get(&key, u64::MAX).await.unwrap().unwrap();
    world.models.put(&key, Bytes::from(vec![0; good.len()]), "x").await.unwrap();
    let refused = sign().await.unwrap_err();
    assert!(
        matches!(refused, SignVersionError::Read(ReadError::Store(StoreError::Corrupt { .. }))),
        "{refused:?}"
    );
    assert!(world.models.head(&signature_key(&model, &package.digest)).await.unwrap().is_none());
    world.models.put(&key, good, "x").await.unwrap();
    assert!(sign().await.unwrap());
    world.fetch(&package.digest, testing::trust()).await.unwrap();
}

/// Two tasks sign at once: one signature is written, and both are content with it.
#[tokio::test]
async fn who_comes_second_takes_the_first_signature() {
    /// A key that lets another signer go first while it signs.
    struct Slow<'a>(&'a World, &'a Package);
    #[async_trait::async_trait]
    impl Signer for Slow<'_> {
        async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            assert!(self.0.sign(self.1, testing::key()).await.unwrap(), "the other is first");
            testing::key().sign(message).await
        }
        async fn public_key(&self) -> Result<seatrial_attestation::PublicKey, SignError> {
            testing::key().public_key().await
        }
    }
    let world = World::new("race");
    let package = world.publish("v1").await;
    assert!(!world.sign(&package, &Slow(&world, &package)).await.unwrap());
    world.fetch(&package.digest, testing::trust()).await.unwrap();
}

/// A key that says it is another than the one it signs with would leave a signature for good that nobody takes.
#[tokio::test]
async fn a_signature_that_does_not_hold_is_not_written() {
    struct Liar(LocalKey);
    #[async_trait::async_trait]
    impl Signer for Liar {
        async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            self.0.sign(message).await
        }
        async fn public_key(&self) -> Result<seatrial_attestation::PublicKey, SignError> {
            testing::key().public_key().await
        }
    }
    let world = World::new("liar");
    let package = world.publish("v1").await;
    let writes = world.s3.writes();
    assert!(world.sign(&package, &Liar(LocalKey::generate().unwrap())).await.is_err());
    assert_eq!(world.s3.writes(), writes);
}

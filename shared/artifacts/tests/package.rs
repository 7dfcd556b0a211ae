//! A submission's way: folder, upload, inspection, package, and back into a folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use seatrial_artifacts::evidence::{get_evidence, put_evidence};
use seatrial_artifacts::package::{
    CARD_TYPE, Package, ReadError, attach_card, blob_key, fetch_blob, fetch_version, label, load_version,
    name_version, publish, read_file, testing,
};
use seatrial_artifacts::store::{MemoryS3, MemoryStore, ObjectStore, StoreError};
use seatrial_artifacts::submission::{
    ANNOUNCEMENT, Announcement, Defect, Folder, InspectError, Inspected, Prefix, inspect, inspect_announced,
    upload_submission,
};
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::{Actor, Auth, SubmissionId, VersionRef};
use seatrial_domain::submission::Announced;
use seatrial_domain::{Digest, ModelName, PromotionId, VersionName};

/// A folder of its own that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("seatrial-artifacts-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(path.join("weights")).unwrap();
        Self(path)
    }

    /// The first fixture, as people would hand it in.
    fn submission(name: &str) -> Self {
        let scratch = Self::new(name);
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions/v1");
        for file in [
            "CHANGELOG.md",
            "config.yaml",
            "data_manifest.txt",
            "eval_results.json",
            "model_card.md",
            "reference.parquet",
            "weights/model.onnx",
        ] {
            fs::copy(fixture.join(file), scratch.0.join(file)).unwrap();
        }
        scratch
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join(file), content).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn model() -> ModelName {
    ModelName::parse("adult-income").unwrap()
}

struct World {
    s3: MemoryS3,
    submissions: MemoryStore,
    models: MemoryStore,
}

fn world() -> World {
    let s3 = MemoryS3::default();
    World { submissions: s3.bucket("submissions"), models: s3.bucket("models"), s3 }
}

async fn local(folder: &Scratch) -> Result<Inspected, InspectError> {
    inspect(&Folder::new(&folder.0), &model(), &|_| {}).await
}

async fn uploaded(world: &World, folder: &Scratch) -> Inspected {
    let inspected = local(folder).await.unwrap();
    let made = upload_submission(&world.submissions, &inspected, &folder.0, "s1", "ann@example.com", &|_| {})
        .await
        .unwrap();
    assert_eq!(made.prefix, "submissions/adult-income/s1/");
    inspect(&Prefix::new(&world.submissions, &made.prefix), &model(), &|_| {}).await.unwrap()
}

async fn published(world: &World, folder: &Scratch) -> (Inspected, Package) {
    let inspected = uploaded(world, folder).await;
    let package = inspected.package().unwrap();
    publish(&inspected, &package, &world.submissions, &world.models).await.unwrap();
    testing::sign(&world.models, &model(), &package).await;
    (inspected, package)
}

/// Fetches the version as a function of the deployment does.
async fn fetch(world: &World, digest: &Digest, cache: &Scratch) -> Result<PathBuf, ReadError> {
    let version = VersionRef { version: VersionName::new(1), digest: digest.clone() };
    fetch_version(&world.models, &model(), &version, &cache.0, testing::trust()).await
}

fn defects(refused: Result<Inspected, InspectError>) -> Vec<Defect> {
    match refused.unwrap_err() {
        InspectError::Refused(defects) => defects,
        InspectError::Store(e) => panic!("{e:?}"),
    }
}

#[tokio::test]
async fn the_digest_is_the_same_in_a_folder_and_in_the_bucket_and_names_the_content_alone() {
    let (folder, world) = (Scratch::submission("digest"), world());
    let here = local(&folder).await.unwrap().package().unwrap();
    let there = uploaded(&world, &folder).await.package().unwrap();
    assert_eq!(here, there);
    assert_eq!(here.digest, sha256(&here.manifest));
    let text =
        String::from_utf8(here.manifest.to_vec()).unwrap() + std::str::from_utf8(&here.config).unwrap();
    assert!(!text.contains("ann@") && !text.contains("created"), "{text}");
    folder.write("CHANGELOG.md", "# v1\nOther words.");
    assert_ne!(local(&folder).await.unwrap().package().unwrap().digest, here.digest);
}

#[tokio::test]
async fn a_package_says_what_people_need_to_know() {
    let folder = Scratch::submission("summary");
    let package = local(&folder).await.unwrap().package().unwrap();
    let summary = package.summary;
    assert_eq!((summary.runtime.as_str(), summary.task.as_str()), ("onnx", "binary"));
    assert!(summary.changelog.contains("logistic regression"), "{}", summary.changelog);
    let digest = |file: &str| sha256(&fs::read(folder.0.join(file)).unwrap()).to_string();
    assert_eq!(summary.labels[label::TRAINING_DATA], digest("data_manifest.txt"));
    assert_eq!(summary.labels[label::MODEL_CARD], digest("model_card.md"));
    assert!(summary.labels.keys().any(|k| k.starts_with(label::DEPENDENCY)), "{:?}", summary.labels);
    assert_eq!(summary.files["weights/model.onnx"].digest.to_string(), digest("weights/model.onnx"));
    assert_eq!(summary.size, summary.files.values().map(|b| b.size).sum::<u64>());
}

#[tokio::test]
async fn what_goes_in_comes_out_byte_for_byte() {
    let (folder, world) = (Scratch::submission("round"), world());
    let (_, package) = published(&world, &folder).await;
    let cache = Scratch::new("round-cache");
    let back = fetch(&world, &package.digest, &cache).await.unwrap();
    for file in package.summary.files.keys() {
        assert_eq!(fs::read(back.join(file)).unwrap(), fs::read(folder.0.join(file)).unwrap(), "{file}");
    }
    assert_eq!(fetch(&world, &package.digest, &cache).await.unwrap(), back);
    let left: Vec<_> = fs::read_dir(&cache.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(
        left.len(),
        2,
        "the version and `weights` of the scratch folder, no temporary names: {left:?}"
    );
    let manifest = load_version(&world.models, &model(), &package.digest).await.unwrap();
    let card = read_file(&world.models, &model(), &manifest, "model_card.md", 1 << 20).await.unwrap();
    assert_eq!(card, fs::read(folder.0.join("model_card.md")).unwrap());
}

#[tokio::test]
async fn twice_is_once() {
    let (folder, world) = (Scratch::submission("twice"), world());
    let (inspected, package) = published(&world, &folder).await;
    let size = package.manifest.len() as u64;
    name_version(&world.models, &model(), &package.digest, size, VersionName::new(1)).await.unwrap();
    let writes = world.s3.writes();
    publish(&inspected, &package, &world.submissions, &world.models).await.unwrap();
    name_version(&world.models, &model(), &package.digest, size, VersionName::new(1)).await.unwrap();
    assert_eq!(world.s3.writes(), writes);
}

#[tokio::test]
async fn every_defect_is_told_at_once_and_nothing_is_written() {
    let (folder, world) = (Scratch::submission("defects"), world());
    folder.write("config.yaml", "schema: 1\ntask: binry\nruntime: tensorflow\ninputs: []\n");
    folder.write("eval_results.json", r#"{"accuracy": NaN}"#);
    folder.write("data_manifest.txt", "no digest here\n");
    folder.write("CHANGELOG.md", "  \n");
    folder.write("weights/model.pkl", b"\x80\x05\x95xx");
    folder.write("notes.txt", "x");
    fs::remove_file(folder.0.join("model_card.md")).unwrap();
    let found = defects(local(&folder).await);
    for (file, field) in [
        ("config.yaml", Some("task")),
        ("config.yaml", Some("runtime")),
        ("eval_results.json", None),
        ("data_manifest.txt", Some("line 1")),
        ("CHANGELOG.md", None),
        ("weights/model.pkl", None),
        ("notes.txt", None),
    ] {
        let told = found.iter().any(|d| d.file == file && (field.is_none() || d.field.as_deref() == field));
        assert!(told, "{file} {field:?} is missing in {found:#?}");
    }
    assert_eq!(world.s3.writes(), 0);
}

#[tokio::test]
async fn a_graph_that_is_none_and_a_graph_that_does_not_fit_are_told_apart() {
    let folder = Scratch::submission("graph");
    folder.write("weights/model.onnx", "not a graph at all");
    assert!(defects(local(&folder).await).iter().any(|d| d.file == "weights/model.onnx"));
    let folder = Scratch::submission("misfit");
    let config = fs::read_to_string(folder.0.join("config.yaml")).unwrap();
    folder.write("config.yaml", config.replace("name: age", "name: years"));
    let found = defects(local(&folder).await);
    assert!(found.iter().all(|d| d.file == "config.yaml"), "{found:#?}");
    assert!(found.iter().any(|d| d.to_string().contains("years")), "{found:#?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_refused() {
    let folder = Scratch::submission("link");
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("weights/extra.bin")).unwrap();
    let found = defects(local(&folder).await);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].to_string().contains("weights/extra.bin: found a symbolic link"));
}

#[tokio::test]
async fn a_file_that_is_not_the_announced_one_is_refused() {
    let (folder, world) = (Scratch::submission("announced"), world());
    let inspected = uploaded(&world, &folder).await;
    drop(inspected);
    let prefix = "submissions/adult-income/s1/";
    let put = |file: &str, text: &'static str| {
        let key = format!("{prefix}{file}");
        let store = world.submissions.clone();
        async move { store.put(&key, Bytes::from_static(text.as_bytes()), "text/plain").await.unwrap() }
    };
    put("CHANGELOG.md", "# Swapped").await;
    put("weights/extra.bin", "unlisted").await;
    let found = defects(inspect(&Prefix::new(&world.submissions, prefix), &model(), &|_| {}).await);
    let files: Vec<&str> = found.iter().map(|d| d.file.as_str()).collect();
    assert_eq!(files, ["CHANGELOG.md", "weights/extra.bin"]);
    let other = ModelName::parse("other").unwrap();
    let found = defects(inspect(&Prefix::new(&world.submissions, prefix), &other, &|_| {}).await);
    assert!(
        found.iter().any(|d| d.file == ANNOUNCEMENT && d.field.as_deref() == Some("model")),
        "{found:#?}"
    );
}

#[tokio::test]
async fn an_announced_submission_is_what_was_announced_or_it_is_refused() {
    let (folder, world) = (Scratch::submission("by-name"), world());
    let inspected = uploaded(&world, &folder).await;
    let (prefix, id) = ("submissions/adult-income/s1/", SubmissionId::parse("s1").unwrap());
    let key = format!("{prefix}{ANNOUNCEMENT}");
    let sue = || Actor { principal: "arn:aws:iam::1:user/sue".into(), auth: Auth::Iam };
    let announced =
        |bytes: &[u8]| Announced::new(model(), id.clone(), sha256(bytes), sue(), jiff::Timestamp::UNIX_EPOCH);
    let look = async |by: &Announced| {
        inspect_announced(&Prefix::new(&world.submissions, prefix), &model(), Some(by), &|_| {}).await
    };
    let bytes = Announcement::of(&model(), &inspected.files, "ann@example.com").to_bytes().unwrap();
    look(&announced(&bytes)).await.unwrap();

    // Another list, even one that fits what lies there, is not hers.
    let other = Announcement::of(&model(), &inspected.files, "eve").to_bytes().unwrap();
    world.submissions.put(&key, other, "application/json").await.unwrap();
    let found = defects(look(&announced(&bytes)).await);
    assert_eq!(found.len(), 1, "{found:#?}");
    let text = found[0].to_string();
    assert!(text.contains("user/sue announced") && text.contains("replaced"), "{text}");

    // A list that is hers and leaves the files open would vouch for nothing.
    let open = Bytes::from_static(br#"{"schema": 1}"#);
    world.submissions.put(&key, open.clone(), "application/json").await.unwrap();
    let found = defects(look(&announced(&open)).await);
    assert_eq!(found[0].field.as_deref(), Some("files"), "{found:#?}");
}

#[tokio::test]
async fn a_submission_by_hand_needs_no_list_of_files() {
    let (folder, world) = (Scratch::submission("hand"), world());
    uploaded(&world, &folder).await;
    let prefix = "submissions/adult-income/s1/";
    let key = format!("{prefix}{ANNOUNCEMENT}");
    world.submissions.put(&key, Bytes::from_static(br#"{"schema": 1}"#), "application/json").await.unwrap();
    inspect(&Prefix::new(&world.submissions, prefix), &model(), &|_| {}).await.unwrap();
    for bad in ["", "[]", r#"{"schema": 2}"#, r#"{"schema": 1, "promote": true}"#] {
        world.submissions.put(&key, Bytes::from(bad), "application/json").await.unwrap();
        let found = defects(inspect(&Prefix::new(&world.submissions, prefix), &model(), &|_| {}).await);
        assert!(found.iter().any(|d| d.file == ANNOUNCEMENT), "{bad:?}: {found:#?}");
    }
}

#[tokio::test]
async fn bytes_that_change_after_they_were_hashed_are_not_packaged() {
    let (folder, world) = (Scratch::submission("swap"), world());
    let inspected = uploaded(&world, &folder).await;
    let package = inspected.package().unwrap();
    let key = "submissions/adult-income/s1/weights/model.onnx";
    world.submissions.put(key, Bytes::from_static(b"other"), "text/plain").await.unwrap();
    let refused = publish(&inspected, &package, &world.submissions, &world.models).await.unwrap_err();
    assert!(!refused.is_transient() && refused.to_string().contains("changed"), "{refused}");
    assert_eq!(
        world.models.head(&blob_key(&model(), &package.digest)).await.unwrap(),
        None,
        "no manifest may appear"
    );
}

#[tokio::test]
async fn damaged_bytes_are_never_given_out() {
    let (folder, world) = (Scratch::submission("damage"), world());
    let (_, package) = published(&world, &folder).await;
    let blob = &package.summary.files["weights/model.onnx"];
    let key = blob_key(&model(), &blob.digest);
    world.models.put(&key, Bytes::from(vec![0; blob.size as usize]), "x").await.unwrap();
    let cache = Scratch::new("damage-cache");
    let refused = fetch(&world, &package.digest, &cache).await.unwrap_err();
    assert!(matches!(refused, ReadError::Store(StoreError::Corrupt { .. })), "{refused:?}");
    let left: Vec<_> = fs::read_dir(&cache.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["weights"], "nothing of the damaged version may be left");
    let target = cache.0.join("blob");
    assert!(fetch_blob(&world.models, &key, &blob.digest, &target).await.is_err());
    assert!(!target.exists());
}

#[tokio::test]
async fn a_manifest_cannot_name_a_path_outside_its_folder() {
    let (folder, world) = (Scratch::submission("escape"), world());
    let (_, package) = published(&world, &folder).await;
    let evil = String::from_utf8(package.manifest.to_vec())
        .unwrap()
        .replace("\"weights/model.onnx\"", "\"../../evil\"");
    let digest = sha256(evil.as_bytes());
    world.models.put(&blob_key(&model(), &digest), Bytes::from(evil), "x").await.unwrap();
    let cache = Scratch::new("escape-cache");
    let refused = fetch(&world, &digest, &cache).await.unwrap_err();
    assert!(matches!(refused, ReadError::Invalid { .. }), "{refused:?}");
}

#[tokio::test]
async fn many_versions_are_named_at_once_and_a_name_never_moves() {
    let (folder, world) = (Scratch::submission("names"), world());
    let (_, package) = published(&world, &folder).await;
    let tasks: Vec<_> = (1..=8)
        .map(|n| {
            let (models, digest) = (world.models.clone(), sha256(&[n]));
            tokio::spawn(async move {
                name_version(&models, &model(), &digest, 1, VersionName::new(n.into())).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let index = world.models.get("adult-income/index.json", 1 << 20).await.unwrap().unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let names: Vec<String> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, (1..=8).map(|n| format!("v{n}")).collect::<Vec<_>>());
    let moved =
        name_version(&world.models, &model(), &package.digest, 1, VersionName::new(3)).await.unwrap_err();
    assert!(moved.to_string().contains("already"), "{moved}");
}

#[tokio::test]
async fn a_card_refers_to_its_version_once_for_each_promotion_and_stands_behind_the_names() {
    let (folder, world) = (Scratch::submission("card"), world());
    let (_, package) = published(&world, &folder).await;
    let size = package.manifest.len() as u64;
    name_version(&world.models, &model(), &package.digest, size, VersionName::new(1)).await.unwrap();
    let at = "2026-11-29T04:00:00Z".parse().unwrap();
    let attach = async |cause: &str, digest| {
        let promotion = PromotionId::derive(&model(), cause, 1);
        attach_card(&world.models, &model(), digest, "# card\n", &promotion, at).await
    };
    let first = attach("one", &package.digest).await.unwrap();
    let writes = world.s3.writes();
    assert_eq!(attach("one", &package.digest).await.unwrap(), first);
    assert_eq!(world.s3.writes(), writes, "the same again is written nowhere");
    let second = attach("two", &package.digest).await.unwrap();
    assert_ne!(second, first);
    name_version(&world.models, &model(), &sha256(b"other"), 1, VersionName::new(2)).await.unwrap();

    let read = async |key: String| -> serde_json::Value {
        serde_json::from_slice(&world.models.get(&key, 1 << 20).await.unwrap().unwrap()).unwrap()
    };
    let index = read("adult-income/index.json".into()).await;
    let digests: Vec<_> =
        index["manifests"].as_array().unwrap().iter().map(|m| m["digest"].clone()).collect();
    assert_eq!(
        digests,
        [package.digest.as_str(), sha256(b"other").as_str(), first.as_str(), second.as_str()]
    );
    assert_eq!(index["manifests"][2]["artifactType"], CARD_TYPE);
    let manifest = read(blob_key(&model(), &first)).await;
    assert_eq!(manifest["subject"]["digest"], package.digest.as_str());
    assert_eq!((&manifest["subject"]["size"], &manifest["artifactType"]), (&size.into(), &CARD_TYPE.into()));
    assert_eq!(manifest["annotations"]["org.opencontainers.image.created"], "2026-11-29T04:00:00Z");
    let layer = &manifest["layers"][0];
    assert_eq!(layer["digest"], sha256(b"# card\n").as_str());
    assert!(manifest["config"]["digest"] == sha256(b"{}").as_str() && layer["size"] == 7, "{manifest}");
    // A card is no version.
    assert!(matches!(load_version(&world.models, &model(), &first).await, Err(ReadError::Invalid { .. })));
    let nowhere = attach("three", &sha256(b"never published")).await.unwrap_err();
    assert!(nowhere.to_string().contains("is not there"), "{nowhere}");
}

#[tokio::test]
async fn evidence_is_written_once_and_checked() {
    let store = world().models;
    let bytes = Bytes::from_static(b"{}");
    let first = put_evidence(&store, "m/pr_1/", "report", bytes.clone()).await.unwrap();
    assert_eq!(first.key, format!("m/pr_1/report-{}.json", &first.digest.hex()[..16]));
    assert_eq!(put_evidence(&store, "m/pr_1", "report", bytes.clone()).await.unwrap(), first);
    assert_eq!(get_evidence(&store, &first, 9).await.unwrap(), bytes);
    store.put(&first.key, Bytes::from_static(b"[]"), "x").await.unwrap();
    assert!(matches!(put_evidence(&store, "m/pr_1", "report", bytes).await, Err(StoreError::Corrupt { .. })));
    assert!(get_evidence(&store, &first, 9).await.is_err());
}

/// The model's part of the bucket as `aws s3 sync` would put it on a disk.
async fn synced(world: &World, folder: &Scratch) -> Scratch {
    let (_, package) = published(world, folder).await;
    let size = package.manifest.len() as u64;
    name_version(&world.models, &model(), &package.digest, size, VersionName::new(1)).await.unwrap();
    let target = Scratch::new(&format!("{}-layout", folder.0.file_name().unwrap().to_str().unwrap()));
    for object in world.models.list("adult-income/").await.unwrap() {
        let path = target.0.join(object.key.strip_prefix("adult-income/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, world.models.get(&object.key, u64::MAX).await.unwrap().unwrap()).unwrap();
    }
    target
}

#[tokio::test]
async fn the_bucket_holds_an_oci_image_layout() {
    let (folder, world) = (Scratch::submission("layout"), world());
    let layout = synced(&world, &folder).await;
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(layout.0.join(path)).unwrap()).unwrap()
    };
    assert_eq!(read("oci-layout")["imageLayoutVersion"], "1.0.0");
    let blob = |descriptor: &serde_json::Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        let bytes = fs::read(layout.0.join("blobs").join(digest.replace(':', "/"))).unwrap();
        assert_eq!(
            (sha256(&bytes).as_str(), bytes.len() as u64),
            (digest, descriptor["size"].as_u64().unwrap())
        );
        bytes
    };
    let index = read("index.json");
    let manifest: serde_json::Value = serde_json::from_slice(&blob(&index["manifests"][0])).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.seatrial.model.v1");
    let config: serde_json::Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    assert_eq!(config["config"]["Labels"]["seatrial.dependency.scikit-learn"], "1.7.2");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 7);
    for layer in layers {
        let title = layer["annotations"]["org.opencontainers.image.title"].as_str().unwrap();
        assert_eq!(blob(layer), fs::read(folder.0.join(title)).unwrap(), "{title}");
    }
}

#[tokio::test]
#[ignore = "needs skopeo on the PATH"]
async fn skopeo_reads_the_layout() {
    let (folder, world) = (Scratch::submission("skopeo"), world());
    let layout = synced(&world, &folder).await;
    let image = format!("oci:{}:v1", layout.0.display());
    let shown = std::process::Command::new("skopeo").args(["inspect", &image]).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.status.success() && text.contains("seatrial.training-data.digest"),
        "{text}{:?}",
        shown.stderr
    );
    let copy = Scratch::new("skopeo-copy");
    let target = format!("oci:{}:v1", copy.0.display());
    let copied = std::process::Command::new("skopeo")
        .args(["--insecure-policy", "copy", &image, &target])
        .status()
        .unwrap();
    assert!(copied.success());
}

//! A submission in one file: read like a folder, and trusted even less.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use seatrial_artifacts::submission::testing::gzip;
use seatrial_artifacts::{
    Defect, Folder, InspectError, Inspected, MemoryS3, ObjectMeta, ObjectStore, StoreError, inspect, unpack,
};
use seatrial_domain::ModelName;
use tar::{Builder, EntryType, Header};

const FILES: [&str; 7] = [
    "CHANGELOG.md",
    "config.yaml",
    "data_manifest.txt",
    "eval_results.json",
    "model_card.md",
    "reference.parquet",
    "weights/model.onnx",
];

fn model() -> ModelName {
    ModelName::parse("adult-income").unwrap()
}

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions/v1")
}

/// An archive in the making. Names go in as they are: `tar` itself would refuse the wicked ones.
struct Archive(Builder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// The first fixture, its names after `before`.
    fn submission(before: &str) -> Self {
        let mut archive = Self::new();
        // In another order than that of a folder's listing.
        for file in FILES.into_iter().rev() {
            archive.file(&format!("{before}{file}"), &fs::read(fixture().join(file)).unwrap());
        }
        archive
    }

    fn entry(&mut self, kind: EntryType, name: &str, size: u64, content: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(EntryType::Regular, name, content.len() as u64, content);
    }

    fn tar(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn gzip(self) -> Vec<u8> {
        gzip(&self.tar())
    }
}

const KEY: &str = "jobs/a/output/model.tar.gz";

async fn put(s3: &MemoryS3, archive: Vec<u8>) -> ObjectMeta {
    s3.bucket("training").put(KEY, Bytes::from(archive), "application/gzip").await.unwrap()
}

async fn inspected(s3: &MemoryS3, archive: Vec<u8>) -> Result<Inspected, InspectError> {
    let at = put(s3, archive).await;
    let to = s3.bucket("submissions");
    let unpacked = unpack(&s3.bucket("training"), &at, &to, "unpacked/p/").await?;
    inspect(&unpacked, &model(), &|_| {}).await
}

async fn refused(archive: Vec<u8>) -> Vec<Defect> {
    match inspected(&MemoryS3::default(), archive).await {
        Err(InspectError::Refused(defects)) => defects,
        other => panic!("{other:?}"),
    }
}

async fn written(s3: &MemoryS3) -> Vec<String> {
    let all = s3.bucket("submissions").list("").await.unwrap();
    all.into_iter().map(|o| o.key).collect()
}

#[tokio::test]
async fn an_archive_is_the_same_package_as_its_folder() {
    let folder = inspect(&Folder::new(fixture()), &model(), &|_| {}).await.unwrap().package().unwrap();
    for before in ["", "./", "././"] {
        let s3 = MemoryS3::default();
        let found = inspected(&s3, Archive::submission(before).gzip()).await.unwrap();
        assert_eq!(found.package().unwrap(), folder, "{before:?}");
        let keys = written(&s3).await;
        assert!(keys.len() == FILES.len() && keys.iter().all(|k| k.starts_with("unpacked/p/")), "{keys:?}");
        let again = inspected(&s3, Archive::submission(before).gzip()).await.unwrap();
        assert_eq!((again.package().unwrap(), written(&s3).await), (folder.clone(), keys), "done twice");
    }
}

#[tokio::test]
async fn folders_comments_and_long_names_are_no_obstacle() {
    let mut archive = Archive::submission("");
    archive.entry(EntryType::Directory, "weights/", 0, b"");
    archive.entry(EntryType::XGlobalHeader, "pax_global_header", 16, b"16 comment=abcd\n");
    let long = format!("weights/{}", "a".repeat(200));
    archive.entry(
        EntryType::GNULongName,
        "././@LongLink",
        long.len() as u64 + 1,
        format!("{long}\0").as_bytes(),
    );
    archive.file("cut", b"gnu");
    let record = |text: &str| format!("{} {text}\n", text.len() + 5);
    let other = format!("path=./weights/{}", "ä".repeat(60));
    let pax = record(&other) + "20 mtime=1795175889\n";
    archive.entry(EntryType::XHeader, "pax", pax.len() as u64, pax.as_bytes());
    archive.file("cut", b"pax");
    let found = inspected(&MemoryS3::default(), archive.gzip()).await.unwrap();
    let paths: Vec<_> = found.files.iter().map(|f| f.path.clone()).collect();
    assert_eq!(paths.len(), FILES.len() + 2, "{paths:?}");
    assert!(paths.contains(&long) && paths.contains(&format!("weights/{}", "ä".repeat(60))), "{paths:?}");
}

#[tokio::test]
async fn what_is_no_file_of_a_submission_is_named_and_written_nowhere() {
    let s3 = MemoryS3::default();
    let mut archive = Archive::submission("");
    for (kind, name) in [
        (EntryType::Symlink, "weights/link"),
        (EntryType::Link, "weights/hard"),
        (EntryType::Char, "weights/char"),
        (EntryType::Block, "weights/block"),
        (EntryType::Fifo, "weights/pipe"),
        (EntryType::GNUSparse, "weights/sparse"),
    ] {
        archive.entry(kind, name, 0, b"");
    }
    let wicked = [
        "../../etc/passwd",
        "/etc/passwd",
        "weights/../../x",
        ".git/config",
        "code/inference.py",
        "weights\\x",
    ];
    for name in wicked {
        archive.file(name, b"x");
    }
    archive.file("weights/model.pkl", b"x");
    archive.file("config.yaml", b"another");
    archive.file("weights/empty", b"");
    let found = match inspected(&s3, archive.gzip()).await {
        Err(InspectError::Refused(defects)) => defects,
        other => panic!("{other:?}"),
    };
    let named: Vec<_> = found.iter().map(|d| d.file.as_str()).collect();
    assert_eq!(found.len(), 6 + wicked.len() + 3, "{named:?}");
    for name in wicked.iter().chain(&[
        "weights/link",
        "weights/pipe",
        "weights/model.pkl",
        "config.yaml",
        "weights/empty",
    ]) {
        assert!(named.contains(name), "{name}: {named:?}");
    }
    let keys = written(&s3).await;
    let pickle = "unpacked/p/weights/model.pkl".to_owned();
    assert!(
        keys.len() == FILES.len() + 1 && keys.contains(&pickle),
        "the pickle is a file, and known by it: {keys:?}"
    );
}

#[tokio::test]
async fn what_is_missing_or_wrong_inside_is_reported_as_in_a_folder() {
    let mut archive = Archive::new();
    archive.file("config.yaml", b"schema: 1\n");
    let found = refused(archive.gzip()).await;
    let named: Vec<_> = found.iter().map(|d| d.file.as_str()).collect();
    for file in ["config.yaml", "eval_results.json", "CHANGELOG.md", "data_manifest.txt", "weights/"] {
        assert!(named.contains(&file), "{file}: {named:?}");
    }
    assert_eq!(refused(Archive::new().gzip()).await[0].found, "no file at all");
}

#[tokio::test]
async fn a_damaged_archive_is_refused_as_such() {
    let whole = Archive::submission("").gzip();
    let mut flipped = whole.clone();
    let trailer = flipped.len() - 6;
    flipped[trailer] ^= 1;
    let mut wrong_sum = Archive::submission("").tar();
    wrong_sum[0] ^= 1;
    let plain = Archive::submission("").tar();
    for (what, archive) in [
        ("no gzip", plain),
        ("nothing", Vec::new()),
        ("a page", b"<html>no access</html>".to_vec()),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("cut in the trailer", whole[..whole.len() - 4].to_vec()),
        ("the checksum of gzip", flipped),
        ("the checksum of tar", gzip(&wrong_sum)),
        ("no tar", gzip(&[7; 4_000])),
    ] {
        let found = refused(archive).await;
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        assert_eq!(found[0].file, "model.tar.gz", "{what}");
        assert!(found[0].expected.contains("tar -czf"), "{what}: {}", found[0]);
    }
}

/// A header that promises `size` bytes, and an end.
fn promise(kind: EntryType, name: &str, size: u64) -> Vec<u8> {
    let mut archive = Archive::new();
    archive.entry(kind, name, size, b"");
    archive.gzip()
}

#[tokio::test]
async fn what_promises_too_much_is_refused_before_it_is_read() {
    let found = refused(promise(EntryType::Regular, "weights/model.onnx", 11 << 30)).await;
    assert!(found.len() == 1 && found[0].found.contains("when it is unpacked"), "{found:?}");
    for kind in [EntryType::GNULongName, EntryType::XHeader] {
        let found = refused(promise(kind, "name", 1 << 30)).await;
        assert!(found.len() == 1 && found[0].found.contains("a header of 1073741824 bytes"), "{found:?}");
    }
    // A document has its own limit, and is passed over.
    let mut large = Archive::new();
    large.file("config.yaml", &vec![b'#'; (1 << 20) + 1]);
    let found = refused(large.gzip()).await;
    assert!(found.iter().any(|d| d.file == "config.yaml" && d.expected.contains("1048576")), "{found:?}");
    let hidden = |field: &str| {
        let record = format!("{} {field}\n", field.len() + 4);
        let mut archive = Archive::new();
        archive.entry(EntryType::XHeader, "pax", record.len() as u64, record.as_bytes());
        archive.file("weights/model.onnx", b"x");
        archive.gzip()
    };
    assert!(refused(hidden("size=1")).await[0].found.contains("extended header"));
    assert!(refused(hidden("GNU.sparse.major=1")).await[0].found.contains("sparse"));
}

#[tokio::test]
async fn too_many_files_or_entries_are_refused() {
    let mut files = Archive::new();
    for n in 0..1_001 {
        files.file(&format!("weights/{n}"), b"x");
    }
    assert!(refused(files.gzip()).await[0].found.contains("more than 1000 files"));
    let mut folders = Archive::new();
    for n in 0..4_001 {
        folders.entry(EntryType::Directory, &format!("weights/{n}/"), 0, b"");
    }
    assert!(refused(folders.gzip()).await[0].found.contains("more than 4000 entries"));
}

#[tokio::test]
async fn an_archive_that_was_overwritten_meanwhile_is_not_read() {
    let s3 = MemoryS3::default();
    let at = put(&s3, Archive::submission("").gzip()).await;
    put(&s3, Archive::new().gzip()).await;
    let to = s3.bucket("submissions");
    let late = unpack(&s3.bucket("training"), &at, &to, "unpacked/p/").await.map(|_| ());
    assert!(matches!(late, Err(InspectError::Store(StoreError::Changed { .. }))), "{late:?}");
    assert!(written(&s3).await.is_empty());
}

#[tokio::test]
async fn files_that_were_changed_after_they_were_unpacked_are_not_inspected() {
    let s3 = MemoryS3::default();
    let at = put(&s3, Archive::submission("").gzip()).await;
    let to = s3.bucket("submissions");
    let unpacked = unpack(&s3.bucket("training"), &at, &to, "unpacked/p/").await.unwrap();
    let swapped = Bytes::from_static(b"# other words");
    to.put("unpacked/p/CHANGELOG.md", swapped, "text/markdown").await.unwrap();
    let found = inspect(&unpacked, &model(), &|_| {}).await;
    assert!(matches!(found, Err(InspectError::Store(StoreError::Changed { .. }))), "{found:?}");
}

//! A large artifact in a small function: what inspection and publication keep in memory.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use bytes::Bytes;
use seatrial_artifacts::{
    Chunks, Folder, ObjectStore, Prefix, S3Store, StoreError, inspect, publish, s3_client, upload_submission,
};
use seatrial_domain::ModelName;

/// What the process may take at its highest, with a 2 GiB artifact.
const LIMIT: u64 = 200 << 20;

/// Bytes that are made as they are asked for.
struct Made {
    left: u64,
    state: u64,
}

#[async_trait]
impl Chunks for Made {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let size = self.left.min(1 << 20);
        self.left -= size;
        let mut chunk = vec![0_u8; size as usize];
        for word in chunk.chunks_mut(8) {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.copy_from_slice(&self.state.to_le_bytes()[..word.len()]);
        }
        Ok((size > 0).then(|| chunk.into()))
    }
}

fn highest_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Runs on the engine at `AWS_ENDPOINT_URL`, in release mode within a minute; the engine needs memory for the object twice.
#[tokio::test]
#[ignore = "needs an engine at AWS_ENDPOINT_URL with some gigabytes of memory"]
async fn two_gibibytes_are_packaged_in_flat_memory() {
    #[expect(clippy::disallowed_methods, reason = "a test is told its engine by the environment")]
    let endpoint = std::env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL names the engine");
    #[expect(clippy::disallowed_methods, reason = "a test is told its size by the environment")]
    let size = std::env::var("SEATRIAL_TEST_BYTES").map_or(2 << 30, |b| b.parse().unwrap());
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("000000000000", "test", None, None, "test"))
        .load()
        .await;
    let client = s3_client(&config);
    let bucket = |name: &str| format!("memory-{name}-{}", std::process::id());
    for name in ["submissions", "models"] {
        client.create_bucket().bucket(bucket(name)).send().await.unwrap();
    }
    let submissions = S3Store::new(client.clone(), bucket("submissions"));
    let models = S3Store::new(client.clone(), bucket("models"));
    let model = ModelName::parse("large").unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions/v1");
    let small = inspect(&Folder::new(&folder), &model, &|_| {}).await.unwrap();
    let made = upload_submission(&submissions, &small, &folder, "s1", "ann", &|_| {}).await.unwrap();
    // Without a list of files another file may lie there; the graph beside it stays the small one.
    let by_hand = Bytes::from_static(br#"{"schema": 1}"#);
    submissions.put(&format!("{}submission.json", made.prefix), by_hand, "application/json").await.unwrap();
    let mut body = Made { left: size, state: 1 };
    let key = format!("{}weights/large.bin", made.prefix);
    submissions.put_stream(&key, size, &mut body, "application/octet-stream").await.unwrap();
    let uploaded = highest_memory();

    let begun = std::time::Instant::now();
    let inspected = inspect(&Prefix::new(&submissions, &made.prefix), &model, &|_| {}).await.unwrap();
    let hashed = begun.elapsed();
    let package = inspected.package().unwrap();
    publish(&inspected, &package, &submissions, &models).await.unwrap();
    let highest = highest_memory();
    println!(
        "upload: {} MiB; package: {} MiB; hashing {hashed:?}, all {:?}",
        uploaded >> 20,
        highest >> 20,
        begun.elapsed()
    );
    assert!(highest < LIMIT, "{highest} bytes at the highest");
    for name in ["submissions", "models"] {
        let store = S3Store::new(client.clone(), bucket(name));
        for object in store.list("").await.unwrap() {
            client.delete_object().bucket(bucket(name)).key(object.key).send().await.unwrap();
        }
        client.delete_bucket().bucket(bucket(name)).send().await.unwrap();
    }
}

//! The store port's contract, in memory and on an engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use seatrial_artifacts::store::{MemoryS3, Parts, S3Store, contract, s3_client};

#[tokio::test]
async fn memory_keeps_the_contract() {
    let world = MemoryS3::default();
    contract::all(&world.bucket("one"), &world.bucket("two"), 3_000_000).await;
}

/// Runs on the engine at `AWS_ENDPOINT_URL`: `cargo nextest run -p seatrial-artifacts --features contract --run-ignored all`.
#[tokio::test]
#[ignore = "needs an engine at AWS_ENDPOINT_URL"]
async fn s3_keeps_the_contract() {
    #[expect(clippy::disallowed_methods, reason = "a test is told its engine by the environment")]
    let endpoint = std::env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL names the engine");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("000000000000", "test", None, None, "test"))
        .load()
        .await;
    let client = s3_client(&config);
    let mut stores = Vec::new();
    for name in ["one", "two"] {
        let bucket = format!("contract-{name}-{}", std::process::id());
        client.create_bucket().bucket(&bucket).send().await.unwrap();
        stores
            .push(S3Store::new(client.clone(), bucket).with_parts(Parts { upload: 5 << 20, copy: 5 << 20 }));
    }
    contract::all(&stores[0], &stores[1], 23_000_000).await;
}

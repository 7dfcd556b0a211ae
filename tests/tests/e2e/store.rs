//! The contract of the object store on the engine's S3: conditional writes, pinned reads and copies, uploads in parts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_artifacts::store::{Parts, S3Store, contract};
use seatrial_tests::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract() {
    let stack = Stack::connect().await;
    let mut stores = Vec::new();
    for name in ["one", "two"] {
        let bucket = format!("contract-{name}-{}", std::process::id());
        stack.s3.create_bucket().bucket(&bucket).send().await.unwrap();
        // The smallest parts S3 takes, so that a small object already has several.
        let parts = Parts { upload: 5 << 20, copy: 5 << 20 };
        stores.push(S3Store::new(stack.s3.clone(), bucket).with_parts(parts));
    }
    contract::all(&stores[0], &stores[1], 23_000_000).await;
    contract::deletes_one_object_and_twice_is_once(&stores[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_on_s3_only_grow() {
    let stack = Stack::connect().await;
    let bucket = format!("contract-locks-{}", std::process::id());
    let created = stack.s3.create_bucket().bucket(&bucket).object_lock_enabled_for_bucket(true);
    created.send().await.unwrap();
    contract::locks_only_grow(&S3Store::new(stack.s3.clone(), bucket)).await;
}

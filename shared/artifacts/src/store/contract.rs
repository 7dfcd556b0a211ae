//! What every implementation of [`ObjectStore`] must do. Run in memory, on an emulator and on AWS.
//!
//! The suite is given two empty places (bucket, or bucket and prefix) and panics with what was not as it must be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use bytes::Bytes;
use jiff::Timestamp;
use seatrial_domain::canonical::sha256;

use super::{BytesChunks, Chunks, DeletingStore, ObjectStore, StoreError, get_to_file};

const TEXT: &str = "text/plain";

fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Runs the suite. `large` is the size of the object for streams and parts, in bytes.
pub async fn all(store: &dyn ObjectStore, other: &dyn ObjectStore, large: usize) {
    reads_what_was_written(store).await;
    writes_once_where_nothing_may_be(store).await;
    swaps_only_what_it_saw(store).await;
    lists_by_prefix_in_order(store).await;
    reads_are_pinned(store).await;
    streams_are_whole(store, large).await;
    copies_are_pinned(store, other, large).await;
    racing_writers_have_one_winner(store).await;
}

/// That locks hold for one version and are never shortened. `store` is a bucket with Object Lock and no default retention.
pub async fn locks_only_grow(store: &dyn ObjectStore) {
    let day = |n: i64| Timestamp::from_second(4_102_444_800 + n * 86_400).unwrap();
    let first = store.put("locked", body("1"), TEXT).await.unwrap().version;
    assert_eq!(store.kept_until("locked", None).await.unwrap(), None);
    store.keep_until("locked", first.as_deref(), day(2)).await.unwrap();
    assert_eq!(store.kept_until("locked", first.as_deref()).await.unwrap(), Some(day(2)));
    store.keep_until("locked", None, day(1)).await.unwrap();
    assert_eq!(store.kept_until("locked", None).await.unwrap(), Some(day(2)), "never shorter");
    store.keep_until("locked", None, day(3)).await.unwrap();
    assert_eq!(store.kept_until("locked", None).await.unwrap(), Some(day(3)));

    let second = store.put("locked", body("2"), TEXT).await.unwrap().version;
    assert_ne!(second, first);
    assert_eq!(store.kept_until("locked", None).await.unwrap(), None, "the new version has its own");
    assert_eq!(store.kept_until("locked", first.as_deref()).await.unwrap(), Some(day(3)));
    let refused = store.keep_until("locked/nothing", None, day(1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Changed { .. }), "{refused:?}");
}

/// That a deletion takes one object and no other, and that what is deleted can be written again.
pub async fn deletes_one_object_and_twice_is_once(store: &dyn DeletingStore) {
    for key in ["d/one", "d/one/two", "d/three"] {
        store.put(key, body("x"), TEXT).await.unwrap();
    }
    for _ in 0..2 {
        store.delete("d/one").await.unwrap();
        assert_eq!(store.head("d/one").await.unwrap(), None);
        assert_eq!(store.get("d/one", 9).await.unwrap(), None);
        let keys: Vec<String> = store.list("d/").await.unwrap().into_iter().map(|m| m.key).collect();
        assert_eq!(keys, ["d/one/two", "d/three"]);
    }
    assert!(store.put_if_absent("d/one", body("again"), TEXT).await.unwrap());
    assert_eq!(store.get("d/one", 9).await.unwrap(), Some(body("again")));
}

async fn reads_what_was_written(store: &dyn ObjectStore) {
    assert_eq!(store.head("a/none").await.unwrap(), None);
    assert_eq!(store.get("a/none", 10).await.unwrap(), None);
    let written = store.put("a/one +ü", body("hello"), TEXT).await.unwrap();
    let (meta, bytes) = store.get_versioned("a/one +ü", 5).await.unwrap().unwrap();
    assert_eq!((bytes, meta.size, &meta.etag), (body("hello"), 5, &written.etag));
    assert_eq!(store.head("a/one +ü").await.unwrap().unwrap().etag, meta.etag);
    let refused = store.get("a/one +ü", 4).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { size: 5, limit: 4, .. }), "{refused:?}");
    assert!(!refused.is_transient());
    store.put("a/empty", Bytes::new(), TEXT).await.unwrap();
    assert_eq!(store.get("a/empty", 0).await.unwrap(), Some(Bytes::new()));
}

async fn writes_once_where_nothing_may_be(store: &dyn ObjectStore) {
    assert!(store.put_if_absent("once", body("first"), TEXT).await.unwrap());
    assert!(!store.put_if_absent("once", body("second"), TEXT).await.unwrap());
    assert_eq!(store.get("once", 99).await.unwrap(), Some(body("first")));
}

async fn swaps_only_what_it_saw(store: &dyn ObjectStore) {
    assert!(
        !store.put_if_match("swap", body("0"), TEXT, "\"00000000000000000000000000000000\"").await.unwrap()
    );
    assert_eq!(store.head("swap").await.unwrap(), None, "a swap must not create");
    let first = store.put("swap", body("1"), TEXT).await.unwrap();
    assert!(store.put_if_match("swap", body("2"), TEXT, &first.etag).await.unwrap());
    assert!(!store.put_if_match("swap", body("3"), TEXT, &first.etag).await.unwrap());
    assert_eq!(store.get("swap", 9).await.unwrap(), Some(body("2")));
}

async fn lists_by_prefix_in_order(store: &dyn ObjectStore) {
    for key in ["l/b", "l/a/1", "l/c", "lx"] {
        store.put(key, body("x"), TEXT).await.unwrap();
    }
    let keys: Vec<String> = store.list("l/").await.unwrap().into_iter().map(|m| m.key).collect();
    assert_eq!(keys, ["l/a/1", "l/b", "l/c"]);
    assert!(store.list("nothing/").await.unwrap().is_empty());
    let listed = store.list("l/b").await.unwrap().remove(0);
    let looked = store.head("l/b").await.unwrap().unwrap();
    assert_eq!((listed.size, listed.etag), (looked.size, looked.etag), "a listing pins as well as a look");
}

async fn reads_are_pinned(store: &dyn ObjectStore) {
    let before = store.put("pin", body("old bytes"), TEXT).await.unwrap();
    assert_eq!(store.get_range(&before, 4, 3).await.unwrap(), body("byt"));
    assert_eq!(store.get_range(&before, 4, 99).await.unwrap(), body("bytes"));
    assert_eq!(store.get_range(&before, 99, 1).await.unwrap(), Bytes::new());
    store.put("pin", body("new bytes"), TEXT).await.unwrap();
    let ranged = store.get_range(&before, 0, 3).await.unwrap_err();
    assert!(matches!(ranged, StoreError::Changed { .. }), "{ranged:?}");
    let streamed = store.get_stream(&before).await.err().expect("an overwritten object must not be read");
    assert!(matches!(streamed, StoreError::Changed { .. }), "{streamed:?}");
}

fn pattern(size: usize) -> Bytes {
    (0..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A body in odd pieces, so that parts and chunks do not fall together.
struct Pieces(Bytes);

#[async_trait::async_trait]
impl Chunks for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let size = self.0.len().min(777_777);
        Ok((size > 0).then(|| self.0.split_to(size)))
    }
}

/// A body that breaks.
struct Broken(u32);

#[async_trait::async_trait]
impl Chunks for Broken {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        self.0 += 1;
        if self.0 < 20 {
            return Ok(Some(pattern(1 << 20)));
        }
        Err(StoreError::file(
            "reading",
            std::path::Path::new("gone"),
            std::io::Error::other("the disk is gone"),
        ))
    }
}

async fn streams_are_whole(store: &dyn ObjectStore, large: usize) {
    let whole = pattern(large);
    let meta = store.put_stream("large", large as u64, &mut Pieces(whole.clone()), TEXT).await.unwrap();
    assert_eq!(meta.size, large as u64);
    let path =
        std::env::temp_dir().join(format!("seatrial-contract-{}-{}", std::process::id(), store.bucket()));
    let digest = get_to_file(store, &meta, &path).await.unwrap();
    assert_eq!(digest, sha256(&whole));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), large as u64);
    std::fs::remove_file(&path).unwrap();
    store.put_stream("small", 5, &mut BytesChunks::new(body("hello")), TEXT).await.unwrap();
    assert_eq!(store.get("small", 5).await.unwrap(), Some(body("hello")));
    let failed = store.put_stream("broken", 64 << 20, &mut Broken(0), TEXT).await;
    assert!(failed.is_err());
    assert_eq!(store.head("broken").await.unwrap(), None, "half an upload must not be visible");
}

async fn copies_are_pinned(store: &dyn ObjectStore, other: &dyn ObjectStore, large: usize) {
    for (key, content) in [("from/small +ü", body("hello")), ("from/large", pattern(large))] {
        let size = content.len() as u64;
        let at = store.put_stream(key, size, &mut Pieces(content.clone()), TEXT).await.unwrap();
        let told = other.copy_from(store.bucket(), &at, "to").await.unwrap();
        assert!(told.is_none_or(|d| d == sha256(&content)));
        assert_eq!(other.get("to", size).await.unwrap(), Some(content));
        store.put(key, body("swapped"), TEXT).await.unwrap();
        let refused = other.copy_from(store.bucket(), &at, "never").await.unwrap_err();
        assert!(matches!(refused, StoreError::Changed { .. }), "{refused:?}");
        assert_eq!(other.head("never").await.unwrap(), None);
    }
}

async fn racing_writers_have_one_winner(store: &dyn ObjectStore) {
    let writes = (0..20_u32).map(|i| store.put_if_absent("race", Bytes::from(i.to_string()), TEXT));
    let mut won = 0;
    for write in join(writes).await {
        won += u32::from(write.unwrap());
    }
    assert_eq!(won, 1);
}

/// All of them at once, on one task.
async fn join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    use std::future::poll_fn;
    use std::task::Poll;
    let mut running: Vec<_> = futures.map(|f| (Box::pin(f), None)).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

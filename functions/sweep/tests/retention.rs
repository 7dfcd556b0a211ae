//! Versions that are out of use: what is due goes, whatever fails on the way, and everything that stays is whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::SignedDuration;
use seatrial_artifacts::package::{self, testing};
use seatrial_artifacts::store::{DeletingStore, Faulty, MemoryS3, MemoryStore, ObjectStore};
use seatrial_artifacts::{
    Folder, Package, Prefix, attach_card, benchmark_key, blob_key, fetch_version, inspect, load_version,
    name_version, publish, signature_key, upload_submission,
};
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::VersionRef;
use seatrial_domain::policy::{After, Policy};
use seatrial_domain::promotion::EvidenceRef;
use seatrial_domain::retention::minute_of;
use seatrial_domain::version::VersionStatus;
use seatrial_domain::{PromotionId, VersionName};
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::{Scenario, policy};
use seatrial_runtime::label;
use serde_json::{Value, json};

use crate::common::Swept;

fn v(n: u32) -> VersionName {
    VersionName::new(n)
}

/// A folder that goes away with the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn scratch(name: &str) -> Scratch {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    Scratch(std::env::temp_dir().join(format!("seatrial-sweep-{name}-{}-{count}", std::process::id())))
}

/// The first fixture with a changelog of its own: all versions share their other files.
fn submission(n: u32) -> Scratch {
    let folder = scratch("submission");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions/v1");
    std::fs::create_dir_all(folder.0.join("weights")).unwrap();
    for file in
        ["config.yaml", "data_manifest.txt", "eval_results.json", "model_card.md", "weights/model.onnx"]
    {
        std::fs::copy(fixture.join(file), folder.0.join(file)).unwrap();
    }
    std::fs::write(folder.0.join("CHANGELOG.md"), format!("# {n}\nThe words of version {n}.\n")).unwrap();
    folder
}

/// v1 is the standby, v2 the champion, v3 retired; all are packaged for real, and v2 and v3 have cards.
struct World {
    s: Scenario<MemoryRegistry>,
    packages: Vec<Package>,
    /// What the models bucket holds.
    stored: Vec<(String, Bytes)>,
}

fn rules() -> Policy {
    let mut rules = policy();
    rules.canary.holdback_percent = 0.0;
    rules
}

impl World {
    async fn new(rules: &Policy) -> Self {
        let s = Scenario::empty(&MemoryRegistry::default());
        s.system().set_policy(&s.model, rules).await.unwrap();
        let mut world = Self { s, packages: Vec::new(), stored: Vec::new() };
        let aside = MemoryS3::default().bucket("aside");
        for n in 1..=3 {
            world.register(n, &aside).await;
        }
        for n in 1..=2 {
            let run = world.s.promote(n).await;
            let evidence = |name: &str| EvidenceRef { key: name.into(), digest: sha256(name.as_bytes()) };
            let (manifest, document) = (evidence("manifest"), evidence("document"));
            world.s.system().attested(&world.s.model, &run.id, &manifest, &document).await.unwrap();
        }
        world.s.system().retire(&world.s.model, v(3), "old").await.unwrap();
        let model = &world.s.model;
        for n in 2..=3 {
            let promotion = PromotionId::derive(model, &format!("v{n}"), 1);
            let (card, at) = (format!("# The card of v{n}\n"), "2026-11-21T10:00:00Z".parse().unwrap());
            attach_card(&aside, model, &world.digest(n), &card, &promotion, at).await.unwrap();
        }
        let benchmark = benchmark_key(model, &sha256(b"rows"));
        aside.put(&benchmark, Bytes::from_static(b"rows"), "x").await.unwrap();
        for at in aside.list("").await.unwrap() {
            world.stored.push((at.key.clone(), aside.get(&at.key, u64::MAX).await.unwrap().unwrap()));
        }
        world
    }

    /// Packages version `n` and registers it, with its objects in `models`.
    async fn register(&mut self, n: u32, models: &MemoryStore) -> VersionName {
        let package = self.publish(n, models).await;
        let (ops, model) = (self.s.system(), &self.s.model);
        let registered =
            ops.register_version(model, &package.digest, &package.summary, "sue@example.com").await;
        let version = registered.unwrap().value.version;
        let size = package.manifest.len() as u64;
        name_version(models, model, &package.digest, size, version).await.unwrap();
        self.packages.push(package);
        version
    }

    async fn publish(&self, n: u32, models: &MemoryStore) -> Package {
        let (folder, model) = (submission(n), &self.s.model);
        // A submission lies in a bucket of the same world as the packages.
        let submissions = models.neighbour("submissions");
        let local = inspect(&Folder::new(&folder.0), model, &|_| {}).await.unwrap();
        let id = format!("s{n}");
        let made = upload_submission(&submissions, &local, &folder.0, &id, "sue", &|_| {}).await.unwrap();
        let inspected = inspect(&Prefix::new(&submissions, &made.prefix), model, &|_| {}).await.unwrap();
        let package = inspected.package().unwrap();
        publish(&inspected, &package, &submissions, models).await.unwrap();
        testing::sign(models, model, &package).await;
        package
    }

    /// A sweep beside which all of it lies in the models bucket.
    async fn swept(&self) -> Swept<'_> {
        let swept = Swept::new(&self.s);
        for (key, body) in &self.stored {
            swept.models.put(key, body.clone(), "x").await.unwrap();
        }
        swept
    }

    fn digest(&self, n: u32) -> seatrial_domain::Digest {
        self.packages[n as usize - 1].digest.clone()
    }

    /// Everything of a version can be loaded, and the index says so.
    async fn whole(&self, models: &MemoryStore, n: u32, name: &str) {
        let (folder, model) = (scratch("whole"), &self.s.model);
        let version = VersionRef { version: v(n), digest: self.digest(n) };
        fetch_version(models, model, &version, &folder.0, testing::trust()).await.unwrap();
        let manifest = load_version(models, model, &version.digest).await.unwrap();
        assert!(models.head(&blob_key(model, &manifest.config.digest)).await.unwrap().is_some());
        assert!(names(models, self).await.contains(&name.to_owned()), "{name}");
    }

    /// What is left of v3 and of nothing else is nothing; what stays is whole.
    async fn is_collected(&self, models: &MemoryStore) {
        let (model, digest) = (&self.s.model, self.digest(3));
        self.whole(models, 1, "v1").await;
        self.whole(models, 2, "v2").await;
        let all: BTreeSet<String> = models.list("").await.unwrap().into_iter().map(|m| m.key).collect();
        for key in [blob_key(model, &digest), signature_key(model, &digest), blob_key(model, &changelog(3))] {
            assert!(!all.contains(&key), "{key}");
        }
        assert!(!all.contains(&blob_key(model, &sha256(b"# The card of v3\n"))));
        assert!(all.contains(&blob_key(model, &sha256(b"# The card of v2\n"))));
        assert!(all.contains(&blob_key(model, &sha256(b"{}"))), "the configuration of every card");
        assert!(all.contains(&benchmark_key(model, &sha256(b"rows"))));
        assert_eq!(names(models, self).await, ["v1", "v2", "card"]);
        let record = self.s.version(3).await;
        assert_eq!(record.status, VersionStatus::Collected);
        assert_eq!(self.s.head().await.collecting, None);
        assert_eq!(
            (self.s.events("version_collected").await, self.s.events("collection_finished").await),
            (1, 1)
        );
        self.s.check().await;
    }
}

fn changelog(n: u32) -> seatrial_domain::Digest {
    sha256(format!("# {n}\nThe words of version {n}.\n").as_bytes())
}

/// The names in the index, and `card` for each card.
async fn names(models: &MemoryStore, world: &World) -> Vec<String> {
    let bytes = models.get(&format!("{}/index.json", world.s.model), 1 << 20).await.unwrap().unwrap();
    let index: Value = serde_json::from_slice(&bytes).unwrap();
    let name = |m: &Value| {
        m["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or("card").to_owned()
    };
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}

async fn keys(store: &MemoryStore) -> Vec<(String, u64)> {
    store.list("").await.unwrap().into_iter().map(|m| (m.key, m.size)).collect()
}

fn done(answer: &Value) -> usize {
    answer["done"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_version_goes_when_the_policys_time_is_over_and_what_stays_is_whole() {
    let world = World::new(&rules()).await;
    let swept = world.swept().await;
    let (before, evidence) = (keys(&swept.models).await, keys(&swept.evidence).await);
    let early = swept.retention().await.unwrap();
    assert_eq!((done(&early), keys(&swept.models).await), (0, before.clone()), "{early}");
    let history = world.s.history().await.len();

    world.s.clock.forward(SignedDuration::from_hours(24 * 90));
    let told = swept.retention().await.unwrap();
    assert_eq!(done(&told), 2, "{told}");
    world.is_collected(&swept.models).await;
    assert_eq!(keys(&swept.evidence).await, evidence, "nothing of the evidence is touched");

    // The history says exactly what went: everything but the index, which was written anew.
    let after = keys(&swept.models).await;
    let gone: Vec<_> = before.iter().filter(|(key, _)| after.iter().all(|(k, _)| k != key)).collect();
    assert!(after.iter().all(|(key, _)| before.iter().any(|(k, _)| k == key)));
    let entries = world.s.history().await;
    assert_eq!(entries.len(), history + 2);
    for entry in &entries[history..] {
        let bytes: u64 = gone.iter().map(|(_, size)| size).sum();
        assert_eq!(entry.details["objects"], json!(gone.len()), "{}", entry.event);
        assert_eq!(entry.details["bytes"], json!(bytes), "{}", entry.event);
        assert_eq!((entry.version, entry.actor.principal.as_str()), (Some(v(3)), "function/sweep"));
        assert_eq!(entry.details["digest"], json!(world.digest(3)));
    }
    // Changelog, manifest, signature, and the two blobs of the card; configurations differ in their layers.
    assert_eq!(gone.len(), 6, "{gone:?}");

    let again = swept.retention().await.unwrap();
    assert_eq!((done(&again), keys(&swept.models).await), (0, after));
}

/// Whichever access fails, before it is done or after, the next minute comes to the same end, and at no time is anything missing of what
/// stays.
#[tokio::test]
async fn a_fault_at_any_step_is_made_good_by_the_next_minute() {
    let mut rules = rules();
    rules.retention.collect_retired_after_days = After::Days(0);
    let mut steps = 0;
    for late in [false, true] {
        for step in 0.. {
            let world = World::new(&rules).await;
            let swept = world.swept().await;
            let models = swept.models.clone();
            let faulty = if late { Faulty::late(models, step) } else { Faulty::new(models, step) };
            let first = swept.sweep_with(&faulty, json!({ "retention": world.s.model })).await;
            if !faulty.failed() {
                first.unwrap();
                world.is_collected(&swept.models).await;
                break;
            }
            steps += 1;
            let failed = first.unwrap_err();
            assert_eq!(failed.label, label::UNAVAILABLE, "step {step}: {}", failed.chain());
            world.whole(&swept.models, 1, "v1").await;
            world.whole(&swept.models, 2, "v2").await;
            // Nothing is deleted of what could still be loaded.
            if world.s.version(3).await.status != VersionStatus::Collected {
                world.whole(&swept.models, 3, "v3").await;
                swept.retention().await.unwrap();
            } else if world.s.head().await.collecting.is_some() {
                // Nobody else deletes while that run may. Then the schedule's own tick takes it up, in whatever minute.
                let before = keys(&swept.models).await;
                swept.retention().await.unwrap();
                assert_eq!(keys(&swept.models).await, before, "step {step}");
                world.s.clock.forward(SignedDuration::from_mins(3));
                swept.sweep().await.unwrap();
            }
            world.is_collected(&swept.models).await;
        }
    }
    assert!(steps > 40, "only {steps} faults");
}

/// v3 is collected, and some of its objects are deleted.
async fn half_collected(rules: &Policy) -> (World, MemoryStore) {
    for step in 20.. {
        let world = World::new(rules).await;
        let swept = world.swept().await;
        let (models, before) = (swept.models.clone(), keys(&swept.models).await.len());
        let faulty = Faulty::new(models.clone(), step);
        swept.sweep_with(&faulty, json!({ "retention": world.s.model })).await.unwrap_err();
        drop(swept);
        if world.s.head().await.collecting.is_some() && keys(&models).await.len() < before {
            return (world, models);
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_collection_that_was_broken_off_waits_for_its_time_and_spares_what_came_meanwhile() {
    let mut rules = rules();
    rules.retention.collect_retired_after_days = After::Days(0);
    let (mut world, models) = half_collected(&rules).await;
    // The run that takes it up dies too: after that it waits for an hour.
    world.s.clock.forward(SignedDuration::from_mins(3));
    let mut swept = Swept::new(&world.s);
    swept.models = models.clone();
    let dies = Faulty::new(models.clone(), 0);
    swept.sweep_with(&dies, json!({ "retention": world.s.model })).await.unwrap_err();
    world.s.clock.forward(SignedDuration::from_mins(3));
    let before = keys(&models).await;
    swept.retention().await.unwrap();
    assert_eq!(keys(&models).await, before, "an hour is not over");
    drop(swept);

    // The same files come again, as v4: what was deleted of them is stored again.
    assert_eq!(world.register(3, &models).await, v(4));
    world.s.clock.forward(SignedDuration::from_mins(60));
    let mut swept = Swept::new(&world.s);
    swept.models = models;
    swept.retention().await.unwrap();
    assert_eq!(world.s.head().await.collecting, None);
    let version = VersionRef { version: v(4), digest: world.digest(3) };
    let folder = scratch("again");
    fetch_version(&swept.models, &world.s.model, &version, &folder.0, testing::trust()).await.unwrap();
    assert_eq!(names(&swept.models, &world).await, ["v1", "v2", "v4", "card", "card"]);
    assert_eq!(world.s.version(3).await.status, VersionStatus::Collected);
    world.s.check().await;
}

#[tokio::test]
async fn nothing_is_collected_beside_a_version_that_cannot_be_read() {
    let mut rules = rules();
    rules.retention.collect_retired_after_days = After::Days(0);
    let world = World::new(&rules).await;
    let swept = world.swept().await;
    swept.models.delete(&blob_key(&world.s.model, &world.digest(1))).await.unwrap();
    let before = keys(&swept.models).await;
    let failed = swept.retention().await.unwrap_err();
    assert!(failed.chain().contains("what stays beside v3"), "{}", failed.chain());
    assert_eq!(keys(&swept.models).await, before);
    assert_eq!(world.s.version(3).await.status, VersionStatus::Retired);
    assert_eq!(world.s.events("version_collected").await, 0);
}

#[tokio::test]
async fn each_model_is_looked_at_in_its_own_minute_and_a_standby_leaves_by_the_policy() {
    let mut rules = rules();
    rules.retention.collect_retired_after_days = After::Days(0);
    rules.retention.retire_standby_after_days = After::Days(2);
    let world = World::new(&rules).await;
    let swept = world.swept().await;
    world.s.clock.forward(SignedDuration::from_hours(48));
    use seatrial_registry::ops::Clock as _;
    let minute = |at: jiff::Timestamp| at.as_second().div_euclid(60).rem_euclid(60);
    let wanted = i64::from(minute_of(&world.s.model));
    // To the beginning of the minute after the model's own.
    let now = world.s.clock.now();
    let to_the_next_minute = 60 - now.as_second().rem_euclid(60);
    world.s.clock.forward(SignedDuration::from_secs(to_the_next_minute));
    let away = (wanted + 1 - minute(world.s.clock.now())).rem_euclid(60);
    world.s.clock.forward(SignedDuration::from_secs(60 * away));
    for _ in 0..59 {
        swept.sweep().await.unwrap();
        assert_eq!(world.s.version(3).await.status, VersionStatus::Retired);
        assert_eq!(world.s.version(1).await.status, VersionStatus::Standby);
        world.s.clock.forward(SignedDuration::from_secs(60));
    }
    swept.sweep().await.unwrap();
    world.is_collected_but_for_the_standby(&swept.models).await;
}

impl World {
    async fn is_collected_but_for_the_standby(&self, models: &MemoryStore) {
        assert_eq!(self.s.version(1).await.status, VersionStatus::Retired);
        assert!(self.s.head().await.standby.is_none());
        let entry = self.s.history().await.into_iter().rfind(|e| e.event == "version_retired").unwrap();
        assert!(
            entry.details["reason"].as_str().unwrap().contains("2 days after the crown"),
            "{}",
            entry.details
        );
        // v1 was retired in this very round: its time is over at the next one.
        self.whole(models, 1, "v1").await;
        assert_eq!(self.s.version(3).await.status, VersionStatus::Collected);
    }
}

#[tokio::test]
async fn what_is_asked_for_by_a_name_that_is_none_is_refused() {
    let world = Scenario::new(&MemoryRegistry::default()).await;
    let swept = Swept::new(&world);
    for wrong in [json!(7), json!("Not A Name"), json!(null)] {
        let refused = swept.sweep_with(&swept.models, json!({ "retention": wrong })).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID);
        assert!(refused.message.contains("expected the name of a model"), "{}", refused.message);
    }
    let unknown = swept.sweep_with(&swept.models, json!({ "retention": "nobody" })).await.unwrap_err();
    assert!(unknown.message.contains("model nobody does not exist"), "{}", unknown.message);
}

#[tokio::test]
async fn what_collecting_frees_is_what_the_plan_said_and_the_few_objects_around_it() {
    let mut rules = rules();
    rules.retention.collect_retired_after_days = After::Days(0);
    let world = World::new(&rules).await;
    let swept = world.swept().await;
    let kept = seatrial_registry::ops::kept(&world.s.registry, &world.s.model).await.unwrap();
    use seatrial_registry::ops::Clock as _;
    let plan = kept.plan(world.s.clock.now());
    assert_eq!(plan.due.objects, 1, "the changelog; all else is shared");
    assert_eq!(plan.due.bytes, format!("# {0}\nThe words of version {0}.\n", 3).len() as u64);
    let staying = kept.staying(v(3));
    let reference = world.s.version(3).await.reference();
    let found = package::remains(&swept.models, &world.s.model, &reference, &staying).await.unwrap();
    let blobs: Vec<_> = found.keys().map(|at| at.key.as_str()).collect();
    assert!(blobs.contains(&blob_key(&world.s.model, &changelog(3)).as_str()));
    assert!(blobs.last().unwrap().ends_with(world.digest(3).hex()), "the manifest goes last: {blobs:?}");
}

//! The `package` task, over memory: what it makes, what it refuses, and that twice is once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod artifact;
mod target;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fn_package::{Ports, handle};
use jiff::Timestamp;
use seatrial_artifacts::package::testing;
use seatrial_artifacts::store::Faulty;
use seatrial_artifacts::{
    Folder, MemoryS3, MemoryStore, ObjectStore, blob_key, fetch_version, inspect, load_version, sign_version,
    signature_key, upload_submission,
};
use seatrial_attestation::model_signing::verify;
use seatrial_attestation::{LocalKey, PublicKey, SignError, Signer};
use seatrial_domain::canonical::sha256;
use seatrial_domain::compliance::{ProfileName, Requirement};
use seatrial_domain::head::BenchmarkRef;
use seatrial_domain::ids::{Actor, Auth, SubmissionId, VersionRef};
use seatrial_domain::policy::{After, ApprovalMode, Explanations, Inventory, Person, Policy, Risk, Role};
use seatrial_domain::promotion::{EvidenceRef, Stage};
use seatrial_domain::retention::{Collecting, Freed};
use seatrial_domain::submission::Announced;
use seatrial_domain::task::{Emergency, Held, PackageTask, PromotionInput, SubmissionRef};
use seatrial_domain::version::VersionStatus;
use seatrial_domain::{Digest, ModelName, PromotionId, VersionName};
use seatrial_registry::contract::Scenario;
use seatrial_registry::ops::Ops;
use seatrial_registry::{MemoryRegistry, Records, Submissions};
use seatrial_runtime::{Failure, label};

fn clock() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn ann() -> Actor {
    Actor { principal: "arn:aws:iam::1:user/ann".into(), auth: Auth::Iam }
}

struct World {
    registry: MemoryRegistry,
    s3: MemoryS3,
    submissions: MemoryStore,
    models: MemoryStore,
    evidence: MemoryStore,
    model: ModelName,
}

impl World {
    async fn new() -> Self {
        let s3 = MemoryS3::default();
        let world = Self {
            registry: MemoryRegistry::default(),
            submissions: s3.bucket("submissions"),
            models: s3.bucket("models"),
            evidence: s3.bucket("evidence"),
            model: ModelName::parse("adult-income").unwrap(),
            s3,
        };
        world.ops().set_policy(&world.model, &policy()).await.unwrap();
        world
    }

    fn ops(&self) -> Ops<'_> {
        Ops::new(&self.registry, ann(), &clock)
    }

    async fn submit(&self, id: &str) -> SubmissionRef {
        let folder = fixture();
        let inspected = inspect(&Folder::new(&folder), &self.model, &|_| {}).await.unwrap();
        upload_submission(&self.submissions, &inspected, &folder, id, "somebody", &|_| {}).await.unwrap()
    }

    fn task(
        &self,
        cause: &str,
        submission: Option<SubmissionRef>,
        version: Option<VersionName>,
    ) -> PackageTask {
        PackageTask {
            input: PromotionInput {
                schema: 1,
                model: self.model.clone(),
                promotion: PromotionId::derive(&self.model, cause, 1),
                submission,
                artifact: None,
                version,
                requested_by: ann(),
                emergency: None,
            },
            execution: "arn:aws:states:r:1:execution:m:pr".into(),
        }
    }

    async fn run(&self, task: &PackageTask) -> Result<Held, Failure> {
        self.run_with(task, testing::key(), &self.models).await
    }

    async fn run_with(
        &self,
        task: &PackageTask,
        signer: &dyn Signer,
        models: &dyn ObjectStore,
    ) -> Result<Held, Failure> {
        self.run_on(task, signer, &self.submissions, models).await
    }

    async fn run_on(
        &self,
        task: &PackageTask,
        signer: &dyn Signer,
        submissions: &dyn ObjectStore,
        models: &dyn ObjectStore,
    ) -> Result<Held, Failure> {
        let (registry, evidence) = (&self.registry, &self.evidence);
        let (buckets, readable) = (&self.s3, &artifact::readable());
        let ports = Ports { registry, submissions, buckets, readable, models, evidence, signer };
        handle(&ports, clock, task.clone()).await
    }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions/v1")
}

fn policy() -> Policy {
    serde_json::from_value(serde_json::json!({
        "task": "binary", "positive_class": ">50K",
        "approval": { "approvers": [{ "email": "ann@example.com", "principals": ["arn:aws:iam::1:user/ann"] }] },
    }))
    .unwrap()
}

#[tokio::test]
async fn a_submission_becomes_a_version_and_its_promotion_holds_the_model() {
    let world = World::new().await;
    let task = world.task("one", Some(world.submit("s1").await), None);
    let held = world.run(&task).await.unwrap();
    assert_eq!((held.version, held.epoch), (VersionName::new(1), 1));
    let version = world.registry.version(&world.model, held.version).await.unwrap().unwrap();
    assert_eq!(
        (version.status, version.submitted_by.as_str()),
        (VersionStatus::Evaluating, "arn:aws:iam::1:user/ann")
    );
    let promotion = world.registry.promotion(&world.model, &held.promotion).await.unwrap().unwrap();
    assert_eq!(promotion.execution.as_deref(), Some("arn:aws:states:r:1:execution:m:pr"));
    let index = world.models.get("adult-income/index.json", 1 << 20).await.unwrap().unwrap();
    let index = String::from_utf8(index.to_vec()).unwrap();
    assert!(index.contains(version.digest.as_str()) && index.contains("\"v1\""), "{index}");
}

#[tokio::test]
async fn a_repeated_task_gives_the_same_answer_and_writes_nothing() {
    let world = World::new().await;
    let task = world.task("one", Some(world.submit("s1").await), None);
    let first = world.run(&task).await.unwrap();
    let (writes, history) = (world.s3.writes(), world.registry.history(&world.model, 0, 99).await.unwrap());
    assert_eq!(world.run(&task).await.unwrap(), first);
    assert_eq!(world.s3.writes(), writes);
    assert_eq!(world.registry.history(&world.model, 0, 99).await.unwrap(), history);
}

#[tokio::test]
async fn the_same_bytes_again_are_no_second_version() {
    let world = World::new().await;
    let first = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "a test").await.unwrap();
    let second = world.run(&world.task("two", Some(world.submit("s2").await), None)).await.unwrap();
    assert_eq!(second.version, first.version);
    assert_ne!(second.promotion, first.promotion);
    assert_eq!(world.registry.versions(&world.model).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_busy_model_refuses_the_promotion_but_keeps_the_version() {
    let world = World::new().await;
    world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    let key = "submissions/adult-income/s2/";
    let other = world.submit("s2").await;
    let changelog = Bytes::from_static(b"# v2\nOther words.");
    world.submissions.put(&format!("{key}CHANGELOG.md"), changelog, "text/markdown").await.unwrap();
    world
        .submissions
        .put(&format!("{key}submission.json"), Bytes::from_static(b"{\"schema\":1}"), "x")
        .await
        .unwrap();
    let refused = world.run(&world.task("two", Some(other), None)).await.unwrap_err();
    assert_eq!(refused.label, label::MODEL_BUSY);
    assert!(refused.message.starts_with("v2 is packaged, but"), "{}", refused.message);
    let version = world.registry.version(&world.model, VersionName::new(2)).await.unwrap().unwrap();
    assert_eq!(version.status, VersionStatus::Packaged);
}

#[tokio::test]
async fn a_version_of_another_task_than_the_policys_is_refused_and_the_unsupported_ones_name_what_there_is() {
    let world = World::new().await;
    // Uploaded by hand, without the announcement that binds the bytes.
    let prefix = "submissions/adult-income/by-hand/";
    for file in ["eval_results.json", "CHANGELOG.md", "data_manifest.txt", "weights/model.onnx"] {
        let bytes = std::fs::read(fixture().join(file)).unwrap();
        world.submissions.put(&format!("{prefix}{file}"), Bytes::from(bytes), "x").await.unwrap();
    }
    let submission = SubmissionRef { bucket: world.submissions.bucket().to_owned(), prefix: prefix.into() };
    let config = std::fs::read_to_string(fixture().join("config.yaml")).unwrap();
    let several: Vec<&str> = config.lines().filter(|l| !l.starts_with("positive_class")).collect();
    for (task, expected) in [
        ("multiclass", "found `multiclass`, expected `binary`, the task of the model's policy"),
        ("multilabel", "binary or multiclass or regression"),
        ("ranking", "binary or multiclass or regression"),
        ("text", "binary or multiclass or regression"),
    ] {
        let changed = several.join("\n").replace("task: binary", &format!("task: {task}")) + "\n";
        world.submissions.put(&format!("{prefix}config.yaml"), Bytes::from(changed), "x").await.unwrap();
        let refused = world.run(&world.task(task, Some(submission.clone()), None)).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID_SUBMISSION);
        assert!(
            refused.message.contains("config.yaml: task: ") && refused.message.contains(expected),
            "{}",
            refused.message
        );
    }
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
    assert!(world.models.list("").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_submission_is_refused_with_all_its_defects_and_nothing_else_is_written() {
    let world = World::new().await;
    let submission = world.submit("s1").await;
    for (file, content) in
        [("config.yaml", "schema: 9\n"), ("eval_results.json", "[]"), ("submission.json", "{\"schema\":1}")]
    {
        let key = format!("{}{file}", submission.prefix);
        world.submissions.put(&key, Bytes::from_static(content.as_bytes()), "x").await.unwrap();
    }
    let task = world.task("one", Some(submission), None);
    let refused = world.run(&task).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID_SUBMISSION);
    let told = world.evidence.list("").await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].key, format!("refused/adult-income/{}.json", task.input.promotion));
    assert!(
        refused.message.contains(&told[0].key) && refused.message.contains("eval_results.json"),
        "{}",
        refused.message
    );
    let document = world.evidence.get(&told[0].key, 1 << 20).await.unwrap().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert!(document["defects"].as_array().unwrap().len() >= 2, "{document}");
    assert!(world.models.list("").await.unwrap().is_empty(), "no blob may be there");
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
    assert_eq!(world.registry.head(&world.model).await.unwrap().unwrap().running, None);
    let writes = world.s3.writes();
    assert_eq!(world.run(&task).await.unwrap_err().label, label::INVALID_SUBMISSION);
    assert_eq!(world.s3.writes(), writes);
}

fn account() -> Actor {
    Actor { principal: "account/123456789012".into(), auth: Auth::Iam }
}

impl World {
    /// Uploads the fixture as `id`, after `by` announced it.
    async fn announce(&self, id: &str, by: &str) -> SubmissionRef {
        let at = self.submit(id).await;
        let key = format!("{}submission.json", at.prefix);
        let bytes = self.submissions.get(&key, 1 << 20).await.unwrap().unwrap();
        let by = Actor { principal: by.into(), auth: Auth::Iam };
        let id = SubmissionId::parse(id).unwrap();
        let announced = Announced::new(self.model.clone(), id, sha256(&bytes), by, clock());
        self.registry.announce(&announced).await.unwrap();
        at
    }

    fn anonymous(&self, cause: &str, submission: SubmissionRef) -> PackageTask {
        let mut task = self.task(cause, Some(submission), None);
        task.input.requested_by = account();
        task
    }
}

#[tokio::test]
async fn an_announced_submission_is_its_announcers_whoever_asked_and_an_unannounced_one_is_nobodys() {
    let world = World::new().await;
    let held = world.run(&world.anonymous("one", world.announce("s1", "AROASUE").await)).await.unwrap();
    let version = world.registry.version(&world.model, held.version).await.unwrap().unwrap();
    assert_eq!((version.submitted_by.as_str(), version.submitted_auth), ("AROASUE", Some(Auth::Iam)));
    let history = world.registry.history(&world.model, 0, 99).await.unwrap();
    let packaged = history.iter().find(|e| e.event == "version_packaged").unwrap();
    assert_eq!(packaged.details["submitted_by"], "AROASUE");
    assert_eq!(packaged.details["submitted_auth"], "iam");

    let world = World::new().await;
    let held = world.run(&world.anonymous("one", world.submit("s1").await)).await.unwrap();
    let version = world.registry.version(&world.model, held.version).await.unwrap().unwrap();
    assert_eq!((version.submitted_by.as_str(), version.submitted_auth), ("account/123456789012", None));
}

#[tokio::test]
async fn what_was_replaced_after_it_was_announced_is_refused() {
    for replaced in ["submission.json", "CHANGELOG.md"] {
        let world = World::new().await;
        let at = world.announce("s1", "AROASUE").await;
        // Somebody else who may write to the bucket puts their own file there, and their own list of files.
        let key = format!("{}{replaced}", at.prefix);
        let other = Bytes::from_static(br#"{"schema": 1}"#);
        world.submissions.put(&key, other, "x").await.unwrap();
        let refused = world.run(&world.anonymous("one", at)).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID_SUBMISSION);
        assert!(refused.message.contains(replaced), "{}", refused.message);
        if replaced == "submission.json" {
            let told = ["AROASUE announced", "replaced the file after it was announced"];
            assert!(told.iter().all(|t| refused.message.contains(t)), "{}", refused.message);
        }
        assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
        assert!(world.models.list("").await.unwrap().is_empty(), "no blob may be there");
    }
}

#[tokio::test]
async fn who_lost_the_role_since_the_announcement_submits_nothing_by_it() {
    let world = World::new().await;
    let at = world.announce("s1", "arn:aws:iam::1:user/ann").await;
    let mut other = policy();
    other.people = vec![Person {
        email: "sue@example.com".into(),
        principals: vec![],
        roles: [Role::Submitter].into(),
        emergency: false,
    }];
    world.ops().set_policy(&world.model, &other).await.unwrap();
    let refused = world.run(&world.anonymous("one", at)).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID_SUBMISSION);
    assert!(refused.message.contains("user/ann may not"), "{}", refused.message);
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_version_is_promoted_again_by_name() {
    let world = World::new().await;
    let first = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "a test").await.unwrap();
    let again = world.run(&world.task("two", None, Some(first.version))).await.unwrap();
    assert_eq!((again.version, again.epoch > first.epoch), (first.version, true));
    let unknown = world.run(&world.task("three", None, Some(VersionName::new(9)))).await.unwrap_err();
    assert!(unknown.message.contains("v9") && unknown.label == label::INVALID, "{}", unknown.message);
    let ended = world.run(&world.task("one", None, Some(first.version))).await.unwrap_err();
    assert_eq!(ended.label, label::SUPERSEDED);
}

/// A policy that has everything its profile asks for.
fn under(profile: ProfileName) -> Policy {
    let mut policy = Policy { profile, protected: vec!["sex".into()], ..policy() };
    policy.explanations = Some(Explanations::default());
    policy.inventory = Some(Inventory {
        owner: "Credit risk".into(),
        purpose: "Estimates income.".into(),
        intended_use: "Tests.".into(),
        risk: Risk::High,
        ..Inventory::default()
    });
    policy.people.push(Person {
        email: "olga@example.com".into(),
        principals: vec!["arn:aws:iam::1:user/olga".into()],
        roles: [Role::Operator].into(),
        emergency: true,
    });
    policy
}

/// The same without `item`, which a policy or a model can lack.
fn without(item: Requirement, profile: ProfileName) -> Policy {
    let mut policy = under(profile);
    match item {
        Requirement::Benchmark => {}
        Requirement::FairnessAudit => policy.protected.clear(),
        Requirement::Explanations => policy.explanations = None,
        Requirement::AccountableApprover => {
            policy.approval.mode = ApprovalMode::AutoUnlessBlocked;
            policy.offline.tracked = vec!["accuracy".into()];
        }
        Requirement::IndependentReview => policy.approval.separation_of_duties = false,
        Requirement::InventoryEntry => policy.inventory = None,
    }
    policy
}

impl World {
    async fn under(policy: &Policy, benchmark: bool) -> Self {
        let world = Self::new().await;
        if benchmark {
            let digest = sha256(b"benchmark");
            let key = format!("adult-income/benchmarks/sha256/{}", digest.hex());
            let benchmark = BenchmarkRef { digest, key, size: 9, set_at: clock() };
            world.ops().set_benchmark(&world.model, &benchmark).await.unwrap();
        }
        world.ops().set_policy(&world.model, policy).await.unwrap();
        world
    }

    async fn holds_nothing(&self) {
        assert!(self.models.list("").await.unwrap().is_empty(), "no blob may be there");
        assert!(self.registry.versions(&self.model).await.unwrap().is_empty());
        assert!(self.registry.promotions(&self.model).await.unwrap().is_empty());
        assert_eq!(self.registry.head(&self.model).await.unwrap().unwrap().running, None);
    }
}

impl World {
    fn signature(&self, digest: &Digest) -> String {
        signature_key(&self.model, digest)
    }

    async fn digest(&self, version: VersionName) -> Digest {
        self.registry.version(&self.model, version).await.unwrap().unwrap().digest
    }

    /// Takes a version's signature away, as if the version were from before there were signatures.
    async fn forget_signature(&self, version: VersionName) -> String {
        let key = self.signature(&self.digest(version).await);
        self.s3.remove("models", &key);
        key
    }
}

#[tokio::test]
async fn an_item_that_a_profile_asks_for_refuses_the_submission_before_anything_is_published() {
    let mut refusals = 0;
    for profile in ProfileName::ALL {
        for required in &profile.profile().requires {
            let item = required.item;
            let world = World::under(&without(item, profile), item != Requirement::Benchmark).await;
            let task = world.task("one", Some(world.submit("s1").await), None);
            let refused = world.run(&task).await.unwrap_err();
            assert_eq!(refused.label, label::INVALID_SUBMISSION, "{profile} {item:?}");
            for told in [item.as_str(), &required.rule, profile.as_str()] {
                assert!(refused.message.contains(told), "{told}: {}", refused.message);
            }
            let key = format!("refused/adult-income/{}.json", task.input.promotion);
            let document = world.evidence.get(&key, 1 << 20).await.unwrap().unwrap();
            let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
            let first = &document["defects"][0];
            assert!(first["file"] == item.as_str() && first["fix"].is_string(), "{document}");
            assert_eq!(document["requested_by"]["principal"], "arn:aws:iam::1:user/ann");
            world.holds_nothing().await;
            refusals += 1;
        }
    }
    assert_eq!(refusals, 12, "the items that the profiles ask for");
}

#[tokio::test]
async fn a_submission_without_a_sample_is_refused_where_the_profile_asks_for_explanations() {
    let world = World::under(&under(ProfileName::EuAiAct), true).await;
    let prefix = "submissions/adult-income/by-hand/";
    for file in
        ["config.yaml", "eval_results.json", "CHANGELOG.md", "data_manifest.txt", "weights/model.onnx"]
    {
        let bytes = std::fs::read(fixture().join(file)).unwrap();
        world.submissions.put(&format!("{prefix}{file}"), Bytes::from(bytes), "x").await.unwrap();
    }
    let submission = SubmissionRef { bucket: world.submissions.bucket().to_owned(), prefix: prefix.into() };
    let refused = world.run(&world.task("one", Some(submission), None)).await.unwrap_err();
    let told = ["explanations", "Article 13", "reference.parquet", "submit again"];
    assert!(told.iter().all(|t| refused.message.contains(t)), "{}", refused.message);
    world.holds_nothing().await;
}

#[tokio::test]
async fn with_everything_there_a_promotion_goes_on_under_each_profile() {
    for profile in ProfileName::ALL {
        let world = World::under(&under(profile), true).await;
        let held = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
        let promotion = world.registry.promotion(&world.model, &held.promotion).await.unwrap().unwrap();
        assert_eq!(promotion.profile, profile);
    }
    let bare = World::under(&policy(), false).await;
    bare.run(&bare.task("one", Some(bare.submit("s1").await), None)).await.unwrap();
}

#[tokio::test]
async fn a_packaged_version_is_held_to_the_profile_of_today_and_its_approval_is_not_skipped() {
    let world = World::under(&policy(), true).await;
    let first = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "a test").await.unwrap();
    world
        .ops()
        .set_policy(&world.model, &without(Requirement::InventoryEntry, ProfileName::RbiFreeAi))
        .await
        .unwrap();
    let refused = world.run(&world.task("two", None, Some(first.version))).await.unwrap_err();
    assert_eq!(refused.label, label::INVALID);
    let told = ["rbi_free_ai", "inventory_entry", "AI inventory", "add `inventory`"];
    assert!(told.iter().all(|t| refused.message.contains(t)), "{}", refused.message);

    world.ops().set_policy(&world.model, &under(ProfileName::RbiFreeAi)).await.unwrap();
    let mut urgent = world.task("three", None, Some(first.version));
    urgent.input.requested_by.principal = "arn:aws:iam::1:user/olga".into();
    urgent.input.emergency = Some(Emergency { skip: vec![Stage::Approval], reason: "it burns".into() });
    let refused = world.run(&urgent).await.unwrap_err();
    assert!(refused.message.contains("accountable_approver (Accountability)"), "{}", refused.message);
    assert_eq!(world.registry.promotions(&world.model).await.unwrap().len(), 1, "nothing was started");

    urgent.input.emergency = Some(Emergency { skip: vec![Stage::Shadow], reason: "it burns".into() });
    world.run(&urgent).await.unwrap();
}

#[tokio::test]
async fn a_version_is_signed_once_and_a_repeated_task_signs_nothing() {
    let world = World::new().await;
    let task = world.task("one", Some(world.submit("s1").await), None);
    let held = world.run(&task).await.unwrap();
    let (digest, key) = (world.digest(held.version).await, testing::key().public().clone());
    let bundle = world.models.get(&world.signature(&digest), 1 << 20).await.unwrap().unwrap();
    let signed = verify(&bundle, &[key]).unwrap();
    assert_eq!(signed.name, format!("adult-income@{digest}"));
    let manifest = load_version(&world.models, &world.model, &digest).await.unwrap();
    signed.check(&manifest.digests()).unwrap();

    world.run(&task).await.unwrap();
    world.ops().end_promotion(&world.model, &held.promotion, held.epoch, "a test").await.unwrap();
    // The same bytes as another submission, and the version by its name.
    let again = world.run(&world.task("two", Some(world.submit("s2").await), None)).await.unwrap();
    world.ops().end_promotion(&world.model, &again.promotion, again.epoch, "a test").await.unwrap();
    let writes = world.s3.writes();
    world.run(&world.task("three", None, Some(held.version))).await.unwrap();
    assert_eq!(world.s3.writes(), writes);
    let after = world.models.get(&world.signature(&digest), 1 << 20).await.unwrap().unwrap();
    assert_eq!(after, bundle, "the first signature stays");
}

#[tokio::test]
async fn a_version_from_before_is_signed_when_it_is_promoted_by_name_and_so_is_the_champion_beside_any() {
    let world = World::new().await;
    let first = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "a test").await.unwrap();
    let key = world.forget_signature(first.version).await;
    let second = world.run(&world.task("two", None, Some(first.version))).await.unwrap();
    assert!(world.models.head(&key).await.unwrap().is_some());
    world.ops().end_promotion(&world.model, &second.promotion, second.epoch, "a test").await.unwrap();

    let mut alone = policy();
    alone.approval.separation_of_duties = false;
    world.ops().set_policy(&world.model, &alone).await.unwrap();
    let mut scenario = Scenario::empty(&world.registry);
    scenario.model = world.model.clone();
    scenario.promote(first.version.number()).await;
    world.forget_signature(first.version).await;
    let unknown = world.run(&world.task("three", None, Some(VersionName::new(9)))).await.unwrap_err();
    assert_eq!(unknown.label, label::INVALID);
    assert!(world.models.head(&key).await.unwrap().is_some(), "the champion is signed first of all");
}

#[tokio::test]
async fn a_version_is_not_signed_by_name_when_its_bytes_are_not_there() {
    let world = World::new().await;
    let first = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "a test").await.unwrap();
    let key = world.forget_signature(first.version).await;
    let manifest =
        load_version(&world.models, &world.model, &world.digest(first.version).await).await.unwrap();
    let blob = &manifest.files["weights/model.onnx"];
    let at = blob_key(&world.model, &blob.digest);
    world.models.put(&at, Bytes::from(vec![0; blob.size as usize]), "x").await.unwrap();
    let refused = world.run(&world.task("two", None, Some(first.version))).await.unwrap_err();
    assert!(refused.label == label::INTERNAL && refused.message.contains("other bytes"), "{refused:?}");
    assert!(world.models.head(&key).await.unwrap().is_none());
    assert_eq!(world.registry.head(&world.model).await.unwrap().unwrap().running, None);
}

#[tokio::test]
async fn a_strangers_signature_in_the_place_keeps_the_version_from_being_registered() {
    let world = World::new().await;
    let inspected = inspect(&Folder::new(fixture()), &world.model, &|_| {}).await.unwrap();
    let package = inspected.package().unwrap();
    let stranger = LocalKey::generate().unwrap();
    sign_version(&world.models, &world.model, &package.digest, &package.summary.files, &stranger)
        .await
        .unwrap();
    let refused = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap_err();
    assert_eq!(refused.label, label::INTERNAL);
    assert!(refused.message.contains("does not hold: none of its signatures"), "{}", refused.message);
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
    assert_eq!(world.registry.head(&world.model).await.unwrap().unwrap().running, None);
}

#[tokio::test]
async fn a_key_that_does_not_answer_is_asked_again_and_nothing_is_registered_before() {
    struct Silent;
    #[async_trait::async_trait]
    impl Signer for Silent {
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
            Err(SignError::Unavailable { key: "k".into(), doing: "signing", message: "no answer".into() })
        }
        async fn public_key(&self) -> Result<PublicKey, SignError> {
            testing::key().public_key().await
        }
    }
    let world = World::new().await;
    let task = world.task("one", Some(world.submit("s1").await), None);
    let failed = world.run_with(&task, &Silent, &world.models).await.unwrap_err();
    assert_eq!(failed.label, label::UNAVAILABLE);
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
    assert!(world.models.list("adult-income/signatures/").await.unwrap().is_empty());
    assert_eq!(world.run(&task).await.unwrap().version, VersionName::new(1));
}

/// Whichever access to the models bucket fails, the task fails as one that may be tried again, and then it goes through with
/// one version and one signature that holds.
#[tokio::test]
async fn a_fault_of_the_store_at_any_step_leaves_nothing_that_the_next_attempt_stumbles_over() {
    for step in 0.. {
        let world = World::new().await;
        let task = world.task("one", Some(world.submit("s1").await), None);
        let faulty = Faulty::new(world.models.clone(), step);
        let first = world.run_with(&task, testing::key(), &faulty).await;
        if !faulty.failed() {
            first.unwrap();
            assert!(step > 10, "only {step} accesses");
            return;
        }
        let failed = first.unwrap_err();
        assert_eq!(failed.label, label::UNAVAILABLE, "step {step}: {}", failed.message);
        let held = world.run(&task).await.unwrap();
        assert_eq!(world.registry.versions(&world.model).await.unwrap().len(), 1, "step {step}");
        let signatures = world.models.list("adult-income/signatures/").await.unwrap();
        assert_eq!(signatures.len(), 1, "step {step}");
        let digest = world.digest(held.version).await;
        let version = VersionRef { version: held.version, digest };
        let cache = std::env::temp_dir().join(format!("seatrial-package-{}-{step}", std::process::id()));
        fetch_version(&world.models, &world.model, &version, &cache, testing::trust()).await.unwrap();
        std::fs::remove_dir_all(&cache).unwrap();
    }
}

/// A version that is retired and collected.
async fn collected(world: &World, version: VersionName) -> Collecting {
    let ops = world.ops();
    let held = world.registry.promotions(&world.model).await.unwrap().pop().unwrap();
    ops.end_promotion(&world.model, &held.id, held.epoch, "enough").await.unwrap();
    let evidence = |name: &str| EvidenceRef { key: name.into(), digest: sha256(name.as_bytes()) };
    ops.attested(&world.model, &held.id, &evidence("manifest"), &evidence("document")).await.unwrap();
    let mut rules = policy();
    rules.retention.collect_retired_after_days = After::Days(0);
    ops.set_policy(&world.model, &rules).await.unwrap();
    ops.retire(&world.model, version, "old").await.unwrap();
    let begun = ops.collect_version(&world.model, version, Freed::default()).await.unwrap();
    begun.value.unwrap()
}

#[tokio::test]
async fn while_bytes_of_the_model_are_deleted_a_submission_waits_and_a_collected_version_is_promoted_by_nobody()
 {
    let world = World::new().await;
    let first = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    let begun = collected(&world, first.version).await;
    let waits = world.run(&world.task("two", Some(world.submit("s2").await), None)).await.unwrap_err();
    assert!(waits.is_transient() && waits.message.contains("are being deleted"), "{}", waits.message);
    let gone = world.run(&world.task("three", None, Some(first.version))).await.unwrap_err();
    assert_eq!(gone.label, label::INVALID);
    assert!(gone.message.contains("submit the same files anew"), "{}", gone.message);
    assert_eq!(world.registry.versions(&world.model).await.unwrap().len(), 1);

    // Once it is over, the same bytes are another version under the same digest.
    world.ops().finish_collection(&world.model, &begun, Freed::default()).await.unwrap();
    let again = world.run(&world.task("two", Some(world.submit("s2").await), None)).await.unwrap();
    assert_eq!(again.version, VersionName::new(2));
    assert_eq!(world.digest(again.version).await, world.digest(first.version).await);
    let index = world.models.get("adult-income/index.json", 1 << 20).await.unwrap().unwrap();
    assert!(String::from_utf8(index.to_vec()).unwrap().contains("\"v2\""));
}

#[tokio::test]
async fn what_a_collection_deletes_before_the_version_is_registered_is_stored_again() {
    let world = World::new().await;
    let task = world.task("one", Some(world.submit("s1").await), None);
    // Everything that was published is taken away in the moment in which it is signed.
    let (bucket, s3) = (world.models.bucket().to_owned(), world.s3.clone());
    let blobs = std::sync::Mutex::new(Some(Vec::new()));
    let racing = Faulty::meanwhile(world.models.clone(), move |key| {
        let mut blobs = blobs.lock().unwrap();
        if key.contains("/signatures/") {
            blobs.take().unwrap_or_default().iter().for_each(|key: &String| s3.remove(&bucket, key));
        } else if let Some(blobs) = blobs.as_mut() {
            blobs.push(key.to_owned());
        }
    });
    let held = world.run_with(&task, testing::key(), &racing).await.unwrap();
    let version = VersionRef { version: held.version, digest: world.digest(held.version).await };
    let cache = std::env::temp_dir().join(format!("seatrial-package-raced-{}", std::process::id()));
    fetch_version(&world.models, &world.model, &version, &cache, testing::trust()).await.unwrap();
    std::fs::remove_dir_all(&cache).unwrap();
}

#[tokio::test]
async fn a_task_reaches_no_further_than_its_own_models_submissions() {
    let world = World::new().await;
    let good = world.submit("s1").await;
    for (bucket, prefix) in [
        ("models", good.prefix.as_str()),
        ("submissions", "submissions/other/s1/"),
        ("submissions", "submissions/adult-income/"),
        ("submissions", "submissions/adult-income/s1"),
        ("submissions", "submissions/adult-income/s1/weights/"),
        ("submissions", ""),
    ] {
        let place = SubmissionRef { bucket: bucket.into(), prefix: prefix.into() };
        let refused = world.run(&world.task(prefix, Some(place), None)).await.unwrap_err();
        assert_eq!(refused.label, label::INVALID, "{bucket}/{prefix}");
    }
    let both = world.run(&world.task("both", Some(good), Some(VersionName::new(1)))).await.unwrap_err();
    assert!(both.message.contains("more than one"), "{}", both.message);
    assert!(world.registry.versions(&world.model).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_model_without_a_policy_takes_nothing() {
    let world = World::new().await;
    let model = ModelName::parse("unknown").unwrap();
    let mut task = world.task("one", None, Some(VersionName::new(1)));
    task.input.promotion = PromotionId::derive(&model, "one", 1);
    task.input.model = model.clone();
    let refused = world.run(&task).await.unwrap_err();
    assert!(refused.message.contains("seatrial policy set unknown"), "{}", refused.message);
    assert_eq!(world.registry.head(&model).await.unwrap(), None);
}

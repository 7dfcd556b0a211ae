//! What is left of a promotion that ended: evidence that holds, once, and says who signed it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(clippy::wildcard_imports)]
#[path = "../../../shared/report/tests/samples/mod.rs"]
mod samples;

use async_trait::async_trait;
use bytes::Bytes;
use fn_attest::{Ports, handle};
use jiff::SignedDuration;
use seatrial_artifacts::evidence::put_evidence;
use seatrial_artifacts::store::ObjectStore as _;
use seatrial_artifacts::{MemoryS3, MemoryStore};
use seatrial_attestation::checkpoint;
use seatrial_attestation::signer::{SignError, Signer};
use seatrial_attestation::verify::{Files, Standing, verify};
use seatrial_attestation::{LocalKey, PublicKey};
use seatrial_domain::adoption::Adoption;
use seatrial_domain::gate::GateKind;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, PromotionStatus, evidence_prefix};
use seatrial_domain::task::{AnchorTask, AttestAnswer, AttestTask, Held, SCHEMA};
use seatrial_domain::{ModelName, PromotionId, Verdict, VersionName, canonical};
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::{Run, Scenario, ann, policy};
use seatrial_registry::ops::{Clock as _, draft_gate};
use seatrial_runtime::Failure;

/// A key that does not answer.
struct Away(PublicKey);

#[async_trait]
impl Signer for Away {
    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError::Unavailable { key: "k".into(), doing: "signing", message: "throttled".into() })
    }
    async fn public_key(&self) -> Result<PublicKey, SignError> {
        Ok(self.0.clone())
    }
}

struct World {
    s: Scenario<MemoryRegistry>,
    run: Run,
    evidence: MemoryStore,
    models: MemoryStore,
    key: LocalKey,
}

impl World {
    /// v1 became champion; its report lies where evidence lies.
    async fn crowned(keep_days: Option<u32>) -> Self {
        let world = Self::running(keep_days).await;
        let (s, run) = (&world.s, &world.run);
        let promotion = s.promotion(run).await;
        let now = s.clock.now();
        let gate = draft_gate(
            GateKind::Approval,
            1,
            &promotion,
            &s.version(1).await,
            now,
            now + SignedDuration::from_hours(1),
        );
        let gate = s.system().open_gate(&gate.unwrap()).await.unwrap().value;
        s.ops(ann()).decide_gate(&gate.id, true, "looks right", None).await.unwrap();
        s.system().crown(&s.model, &run.id, run.epoch).await.unwrap();
        world
    }

    /// v1 served already, and was adopted by whoever set the policy.
    async fn adopted() -> Self {
        let s = Scenario::new(&MemoryRegistry::default()).await;
        s.register(1).await;
        let owner = Actor { principal: "function/contract".into(), auth: Auth::Iam };
        let (id, said) = (
            PromotionId::derive(&s.model, "adopt", 1),
            Adoption { comment: "in use since May".into(), serving_since: None },
        );
        let adopted =
            s.ops(owner).adopt(&s.model, &id, VersionName::new(1), &said, None).await.unwrap().value;
        let stores = MemoryS3::default();
        let (evidence, models) = (stores.bucket("evidence"), stores.bucket("models"));
        let run = Run { id, epoch: adopted.epoch };
        Self { s, run, evidence, models, key: LocalKey::generate().unwrap() }
    }

    async fn running(keep_days: Option<u32>) -> Self {
        let s = Scenario::empty(&MemoryRegistry::default());
        let rules = Policy { evidence_retention_days: keep_days, ..policy() };
        s.system().set_policy(&s.model, &rules).await.unwrap();
        s.register(1).await;
        let run = s.start(1).await;
        let stores = MemoryS3::default();
        let (evidence, models) = (stores.bucket("evidence"), stores.bucket("models"));
        let folder = evidence_prefix(&s.model, &run.id);
        let report = canonical::to_bytes(&samples::report()).unwrap();
        let report = put_evidence(&evidence, &folder, "report", Bytes::from(report));
        let (kind, report) = (EvidenceKind::Report, report.await.unwrap());
        let ops = s.system();
        let told = ops.record_evidence(&s.model, &run.id, run.epoch, kind, &report, Some(Verdict::Pass));
        told.await.unwrap();
        evidence.put(&format!("{folder}summaries/00/part=01.json"), "{}".into(), "x").await.unwrap();
        Self { s, run, evidence, models, key: LocalKey::generate().unwrap() }
    }

    async fn attest_with(&self, signer: &dyn Signer) -> Result<AttestAnswer, Failure> {
        let ports = Ports {
            registry: &self.s.registry,
            evidence: &self.evidence,
            models: &self.models,
            signer,
            data_days: Some(400),
        };
        let held = Held {
            schema: SCHEMA,
            model: self.s.model.clone(),
            promotion: self.run.id.clone(),
            epoch: self.run.epoch,
            version: VersionName::new(1),
        };
        handle(&ports, || self.s.clock.now(), AttestTask::Promotion(held)).await
    }

    async fn attest(&self) -> Result<AttestAnswer, Failure> {
        self.attest_with(&self.key).await
    }

    async fn anchor(&self, model: &ModelName) -> Option<String> {
        let ports = Ports {
            registry: &self.s.registry,
            evidence: &self.evidence,
            models: &self.models,
            signer: &self.key,
            data_days: Some(400),
        };
        let task = AttestTask::Anchor(AnchorTask { schema: SCHEMA, anchor: model.clone() });
        match handle(&ports, || self.s.clock.now(), task).await.unwrap() {
            AttestAnswer::Anchor(anchored) => anchored.checkpoint,
            AttestAnswer::Promotion(_) => panic!("not a promotion"),
        }
    }

    fn folder(&self) -> String {
        evidence_prefix(&self.s.model, &self.run.id)
    }

    async fn files(&self) -> Files {
        let mut files = Files::default();
        let folder = self.folder();
        for object in self.evidence.list("").await.unwrap() {
            let bytes = self.evidence.get(&object.key, 1 << 26).await.unwrap().unwrap().to_vec();
            match object.key.strip_prefix(&folder) {
                Some(path) => files.evidence.insert(path.to_owned(), bytes),
                None => files.checkpoints.insert(object.key, bytes),
            };
        }
        files
    }
}

#[tokio::test]
async fn what_is_attested_holds_in_every_part_and_its_history_is_anchored() {
    let world = World::crowned(None).await;
    world.attest().await.unwrap();
    let files = world.files().await;
    let found = verify(&files, &[world.key.public().clone()]);
    for what in ["manifest and promotion", "approval and evidence", "crown and approval", "policy", "history"]
    {
        assert!(found.findings.iter().any(|f| f.what == what), "{what} is not in {found:#?}");
    }
    let unsure: Vec<_> = found.findings.iter().filter(|f| f.standing != Standing::Holds).collect();
    // The history in the folder ends with the promotion; what attesting added after it is anchored, and reaches beyond.
    let beyond = checkpoint::key(&world.s.model, world.s.head().await.chain.seq);
    assert_eq!(
        unsure.iter().map(|f| (f.what.as_str(), f.standing)).collect::<Vec<_>>(),
        [(beyond.as_str(), Standing::NotChecked)]
    );
    assert_eq!(files.checkpoints.keys().collect::<Vec<_>>(), [&beyond]);
}

#[tokio::test]
async fn an_adoption_is_attested_as_one_and_holds() {
    let world = World::adopted().await;
    let AttestAnswer::Promotion(attested) = world.attest().await.unwrap() else { panic!("no promotion") };
    assert_eq!(attested.status, PromotionStatus::Adopted);
    let found = verify(&world.files().await, &[world.key.public().clone()]);
    assert_eq!(found.doubt(), None, "{found:#?}");
    let told = found.findings.iter().find(|f| f.what == "adoption and history").unwrap();
    assert_eq!(told.standing, Standing::Holds);
    assert!(world.s.promotion(&world.run).await.attested);
    world.s.check().await;
}

#[tokio::test]
async fn attesting_twice_writes_nothing_twice() {
    let world = World::crowned(Some(400)).await;
    let first = world.attest().await.unwrap();
    let (files, entries) = (world.files().await, world.s.head().await.chain.seq);
    assert_eq!(world.attest().await.unwrap(), first);
    assert_eq!(world.files().await.evidence, files.evidence);
    assert_eq!(
        (world.files().await.checkpoints, world.s.head().await.chain.seq),
        (files.checkpoints, entries)
    );
    world.s.check().await;
}

#[tokio::test]
async fn a_key_that_does_not_answer_leaves_the_promotion_to_be_attested_again() {
    let world = World::crowned(None).await;
    let failure = world.attest_with(&Away(world.key.public().clone())).await.unwrap_err();
    assert!(failure.is_transient(), "{failure:?}");
    let files = world.files().await;
    assert!(files.evidence.keys().all(|path| !path.starts_with("manifest-")), "{:?}", files.evidence.keys());
    assert!(!world.s.promotion(&world.run).await.attested);
    world.attest().await.unwrap();
    assert!(world.s.promotion(&world.run).await.attested);
}

#[tokio::test]
async fn the_document_is_sealed_and_verifies_alone() {
    let world = World::crowned(None).await;
    world.attest().await.unwrap();
    let document = world.s.promotion(&world.run).await.evidence[&EvidenceKind::Document].clone();
    assert!(document.key.ends_with("/promotion_first_to_v1_audit.pdf"), "{}", document.key);
    let bytes = world.evidence.get(&document.key, 1 << 26).await.unwrap().unwrap();
    assert_eq!(canonical::sha256(&bytes), document.digest);
    let found = seatrial_audit::verify_pdf(&bytes, &[world.key.public().clone()]);
    assert_eq!(found.doubt(), None, "{found:#?}");
    let last = world.s.history().await.into_iter().find(|e| e.event == "attested").unwrap();
    assert_eq!(last.details["document"]["digest"], serde_json::json!(document.digest));
}

#[tokio::test]
async fn evidence_that_was_replaced_is_told_by_all_that_is_made_of_it_and_counts_as_unattested() {
    let world = World::crowned(None).await;
    let report = world.s.promotion(&world.run).await.evidence[&EvidenceKind::Report].clone();
    world.evidence.put(&report.key, Bytes::from_static(b"{\"verdict\":\"fail\"}"), "x").await.unwrap();
    for _ in 0..2 {
        assert!(world.attest().await.unwrap_err().message.contains(report.digest.hex()));
    }
    assert!(!world.s.promotion(&world.run).await.attested);
    assert_eq!(world.s.events("attested").await, 0);

    let (files, keys) = (world.files().await, [world.key.public().clone()]);
    let found = verify(&files, &keys);
    let doubt = found.doubt().unwrap();
    assert_eq!(doubt.standing, Standing::Contradicts, "{found:#?}");
    assert!(doubt.what.starts_with("recorded report-"), "{doubt:?}");
    let documents: Vec<_> = files.evidence.iter().filter(|(path, _)| path.ends_with(".pdf")).collect();
    let [(_, document)] = documents.as_slice() else { panic!("{} documents", documents.len()) };
    assert!(seatrial_audit::verify_pdf(document, &keys).doubt().is_some(), "no quiet document");
}

#[tokio::test]
async fn what_another_signed_first_is_not_taken_for_ours() {
    let world = World::crowned(None).await;
    let another = World { key: LocalKey::generate().unwrap(), ..world };
    another.attest().await.unwrap();
    let ours = LocalKey::generate().unwrap();
    let refused = another.attest_with(&ours).await.unwrap_err();
    assert!(refused.message.contains("not ours"), "{}", refused.message);
}

#[tokio::test]
async fn a_promotion_that_runs_is_not_attested() {
    let world = World::running(None).await;
    assert!(world.attest().await.unwrap_err().message.contains("still runs"));
    assert_eq!(world.files().await.evidence.len(), 2, "nothing was written");
}

#[tokio::test]
async fn evidence_is_locked_as_long_as_the_policy_asks() {
    for days in [Some(3_650), None] {
        let world = World::crowned(days).await;
        world.attest().await.unwrap();
        let ended = world.s.promotion(&world.run).await.ended_at.unwrap();
        let until = days.map(|days| ended + SignedDuration::from_hours(24 * i64::from(days)));
        let objects = world.evidence.list(&world.folder()).await.unwrap();
        assert!(objects.len() > 6);
        for object in objects {
            assert_eq!(world.evidence.kept_until(&object.key, None).await.unwrap(), until, "{}", object.key);
        }
    }
}

#[tokio::test]
async fn a_history_is_anchored_where_it_stands() {
    let world = World::running(None).await;
    let seq = world.s.head().await.chain.seq;
    let key = checkpoint::key(&world.s.model, seq);
    assert_eq!(world.anchor(&world.s.model).await, Some(key.clone()));
    let first = world.evidence.get(&key, 9_999).await.unwrap();
    assert_eq!(world.anchor(&world.s.model).await, Some(key.clone()));
    assert_eq!(world.evidence.get(&key, 9_999).await.unwrap(), first, "the first signature stays");
    assert_eq!(world.anchor(&ModelName::parse("nothing").unwrap()).await, None);
}

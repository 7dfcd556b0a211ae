//! From an open shadow to the report, over memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use fn_compare::{Answer, Ports, handle, interim, shadow_progress};
use jiff::Timestamp;
use seatrial_artifacts::evidence::get_evidence;
use seatrial_artifacts::{MemoryS3, MemoryStore, ObjectStore};
use seatrial_domain::canonical;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord};
use seatrial_domain::task::{CompareAction, CompareTask, Held, ShadowState};
use seatrial_domain::verdict::Verdict;
use seatrial_evidence::pair::{Pair, Replayed};
use seatrial_evidence::report::{ComparisonReport, FullAgreement};
use seatrial_evidence::{keys, table};
use seatrial_registry::contract::Scenario;
use seatrial_registry::{MemoryRegistry, Records};
use seatrial_runtime::Failure;
use seatrial_runtime::queue::Queue;

struct Line {
    name: &'static str,
    empty: AtomicBool,
}

#[async_trait]
impl Queue for Line {
    fn name(&self) -> &str {
        self.name
    }
    async fn send(&self, _: Vec<String>) -> Result<(), Failure> {
        panic!("compare sends nothing")
    }
    async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(self.empty.load(Ordering::SeqCst))
    }
}

struct World {
    scenario: Scenario<MemoryRegistry>,
    data: MemoryStore,
    evidence: MemoryStore,
    observations: Line,
    shadow: Line,
    held: Held,
}

impl World {
    async fn new() -> Self {
        let scenario = Scenario::empty(&MemoryRegistry::default());
        let policy: Policy = serde_json::from_value(serde_json::json!({
            "approval": { "approvers": [{ "email": "ann@example.com" }] }, "observations": { "lateness_seconds": 0 },
            "shadow": { "window_seconds": 0, "max_seconds": 600, "min_pairs": 100, "min_per_class": 10, "abort_min_pairs": 20 },
        }))
        .unwrap();
        scenario.system().set_policy(&scenario.model, &policy).await.unwrap();
        scenario.register(1).await;
        scenario.promote(1).await;
        scenario.register(2).await;
        let run = scenario.start(2).await;
        scenario.system().open_shadow(&scenario.model, &run.id, run.epoch).await.unwrap();
        let held = Held {
            schema: 1,
            model: scenario.model.clone(),
            promotion: run.id,
            epoch: run.epoch,
            version: seatrial_domain::VersionName::new(2),
        };
        let s3 = MemoryS3::default();
        let line = |name| Line { name, empty: AtomicBool::new(true) };
        Self {
            scenario,
            data: s3.bucket("data"),
            evidence: s3.bucket("evidence"),
            observations: line("observations"),
            shadow: line("shadow"),
            held,
        }
    }

    async fn record(&self) -> PromotionRecord {
        self.scenario.registry.promotion(&self.held.model, &self.held.promotion).await.unwrap().unwrap()
    }

    async fn write(&self, pairs: &[Pair]) {
        let mut parts: BTreeMap<u16, Vec<Pair>> = BTreeMap::new();
        for pair in pairs {
            parts.entry(keys::partition(&pair.observation_id, 64)).or_default().push(pair.clone());
        }
        for (part, pairs) in parts {
            let file = table::write_pairs(&pairs).unwrap();
            let key = keys::pairs(&self.held.model, &self.held.promotion, part, &canonical::sha256(&file));
            self.data.put(&key, Bytes::from(file), "application/octet-stream").await.unwrap();
        }
    }

    async fn ask(&self, action: CompareAction) -> Result<Answer, Failure> {
        let ports = Ports {
            registry: &self.scenario.registry,
            watermarks: &self.scenario.registry,
            data: &self.data,
            evidence: &self.evidence,
            observations: &self.observations,
            shadow: &self.shadow,
        };
        let clock = self.scenario.clock.clone();
        handle(
            &ports,
            move || seatrial_registry::ops::Clock::now(&clock),
            CompareTask { held: self.held.clone(), action },
        )
        .await
    }

    async fn check(&self) -> (ShadowState, String) {
        match self.ask(CompareAction::CheckShadow).await.unwrap() {
            Answer::Check(check) => (check.state, check.why),
            other => panic!("{other:?}"),
        }
    }

    async fn frozen(&self) -> bool {
        match self.ask(CompareAction::Freeze).await.unwrap() {
            Answer::Frozen(frozen) => frozen.frozen,
            other => panic!("{other:?}"),
        }
    }

    async fn close(&self) {
        self.scenario
            .system()
            .close_shadow(&self.held.model, &self.held.promotion, self.held.epoch, false)
            .await
            .unwrap();
    }

    async fn report(&self) -> (Verdict, ComparisonReport, Bytes) {
        let Answer::Compared(compared) = self.ask(CompareAction::Report).await.unwrap() else {
            panic!("no report")
        };
        let reference = self.record().await.evidence[&EvidenceKind::Report].clone();
        let bytes = get_evidence(&self.evidence, &reference, 1 << 26).await.unwrap();
        (compared.verdict, serde_json::from_slice(&bytes).unwrap(), bytes)
    }
}

fn pair(n: u32) -> Pair {
    let label = if n.is_multiple_of(3) { "yes" } else { "no" };
    let answer =
        |label: &str, latency_us| Replayed { label: Some(label.into()), latency_us, ..Replayed::default() };
    Pair {
        observation_id: format!("o{n}#0"),
        client_id: None,
        unit: format!("u{n}"),
        at: Timestamp::UNIX_EPOCH,
        queued_at: Timestamp::UNIX_EPOCH,
        served_version: "v1".into(),
        served_label: Some(label.into()),
        served_score: None,
        served_error: false,
        champion: answer(label, 100 + u64::from(n % 7)),
        challenger: answer(label, 110 + u64::from(n % 5)),
        faithful: Some(true),
        segments: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_shadow_goes_from_its_first_pairs_to_a_report_that_is_the_same_twice() {
    let world = World::new().await;
    world.write(&(0..40).map(pair).collect::<Vec<_>>()).await;
    let (state, why) = world.check().await;
    assert_eq!(state, ShadowState::More);
    assert!(why.contains("40 pairs seen of 100 needed"), "{why}");
    let early = interim(
        &world.scenario.registry,
        &world.data,
        &world.evidence,
        &world.record().await,
        Timestamp::now(),
    )
    .await
    .unwrap();
    assert!(early.interim && early.verdict != Verdict::Pass);

    world.write(&(40..200).map(pair).collect::<Vec<_>>()).await;
    // Redelivered: other latencies, the same observations.
    world
        .write(
            &(0..10)
                .map(|n| Pair { champion: Replayed { latency_us: 900, ..pair(n).champion }, ..pair(n) })
                .collect::<Vec<_>>(),
        )
        .await;
    assert_eq!(world.check().await.0, ShadowState::Enough);
    world.close().await;

    world.observations.empty.store(false, Ordering::SeqCst);
    assert!(!world.frozen().await, "observations still wait");
    world.observations.empty.store(true, Ordering::SeqCst);
    world.shadow.empty.store(false, Ordering::SeqCst);
    assert!(!world.frozen().await, "replays still wait");
    assert!(!world.record().await.evidence.contains_key(&EvidenceKind::Inputs));
    world.shadow.empty.store(true, Ordering::SeqCst);
    assert!(world.frozen().await);

    // What comes after the freeze is not in the report.
    world.write(&(1_000..1_050).map(pair).collect::<Vec<_>>()).await;
    let (verdict, report, bytes) = world.report().await;
    assert_eq!(verdict, Verdict::Inconclusive, "there was no evaluation: {}", report.why);
    let facts = report.shadow.unwrap();
    assert_eq!((facts.pairs, facts.duplicates, facts.agreement), (200, 10, Some(1.0)));
    assert_eq!(facts.cause_of_full_agreement, Some(FullAgreement::TrulyEqual));
    for name in ["pairs", "fidelity", "agreement", "error_rate"] {
        let row = report.rows.iter().find(|r| r.name == name).unwrap();
        println!("{:?} {}", row.verdict, row.why);
    }
    assert!(report.rows.iter().any(|r| r.name == "latency_p95" && r.why.contains("replay, relative")));
    let before = world.evidence.list("").await.unwrap();
    assert_eq!(world.report().await.2, bytes);
    assert_eq!(world.evidence.list("").await.unwrap(), before);
}

#[tokio::test]
async fn a_challenger_that_crashes_is_aborted_and_little_evidence_never_passes() {
    let world = World::new().await;
    let crash =
        |n| Pair { challenger: Replayed { error: Some("crash".into()), ..Replayed::default() }, ..pair(n) };
    world.write(&(0..5).map(crash).collect::<Vec<_>>()).await;
    assert_eq!(world.check().await.0, ShadowState::More, "five pairs are too few to abort on");
    world.write(&(5..40).map(crash).collect::<Vec<_>>()).await;
    let (state, why) = world.check().await;
    assert_eq!(state, ShadowState::Abort, "{why}");
    assert!(why.contains("40 of 40 pairs"), "{why}");
    world.close().await;
    let (verdict, report, _) = world.report().await;
    assert_eq!(verdict, Verdict::Inconclusive);
    let pairs = report.rows.iter().find(|r| r.name == "pairs").unwrap();
    assert_eq!((pairs.verdict, pairs.n, pairs.n_needed), (Verdict::Inconclusive, 40, Some(100)));
    let progress =
        shadow_progress(&world.scenario.registry, &world.data, &world.record().await, Timestamp::now())
            .await
            .unwrap();
    assert_eq!(progress.challenger_errors, 40);
}

#[tokio::test]
async fn a_challenger_that_errs_on_enough_pairs_fails() {
    let world = World::new().await;
    let some = |n: u32| {
        if n.is_multiple_of(10) {
            Pair {
                challenger: Replayed { error: Some("session-failed".into()), ..Replayed::default() },
                ..pair(n)
            }
        } else {
            pair(n)
        }
    };
    world.write(&(0..300).map(some).collect::<Vec<_>>()).await;
    world.close().await;
    let (verdict, report, _) = world.report().await;
    let row = report.rows.iter().find(|r| r.name == "error_rate").unwrap();
    assert_eq!((verdict, row.verdict), (Verdict::Fail, Verdict::Fail), "{}", row.why);
}

#[tokio::test]
async fn changed_evidence_makes_no_report() {
    let world = World::new().await;
    world.write(&(0..120).map(pair).collect::<Vec<_>>()).await;
    world.close().await;
    assert!(world.frozen().await);
    let first = world.data.list("").await.unwrap().remove(0);
    world
        .data
        .put(&first.key, Bytes::from(table::write_pairs(&[pair(7_000)]).unwrap()), "application/octet-stream")
        .await
        .unwrap();
    let error = world.ask(CompareAction::Report).await.unwrap_err();
    assert!(error.message.contains(&first.key) && error.message.contains("SHA-256"), "{}", error.message);
    assert!(!world.record().await.evidence.contains_key(&EvidenceKind::Report));
}

#[tokio::test]
async fn after_a_rollback_nothing_is_written() {
    let world = World::new().await;
    world.scenario.system().roll_back(&world.held.model, "operator", false).await.unwrap();
    for action in [CompareAction::CheckShadow, CompareAction::Freeze, CompareAction::Report] {
        let error = world.ask(action).await.unwrap_err();
        assert_eq!(error.label, seatrial_runtime::label::SUPERSEDED);
    }
    assert!(world.evidence.list("").await.unwrap().is_empty());
}

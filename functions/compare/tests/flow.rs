//! From an open shadow to the report, over memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use bytes::Bytes;
use fn_compare::{Answer, Ports, handle, interim, shadow_progress};
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use seatrial_artifacts::evidence::{get_evidence, put_evidence};
use seatrial_artifacts::{MemoryS3, MemoryStore, ObjectStore};
use seatrial_domain::canonical;
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord};
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::task::{CompareAction, CompareTask, Held, ShadowState};
use seatrial_domain::verdict::Verdict;
use seatrial_evidence::benchmark::Benchmark;
use seatrial_evidence::drift::{BENCHMARK, Profile};
use seatrial_evidence::evaluation::Evaluation;
use seatrial_evidence::observation::{Label, Output, Queued, RouteStamp, SCHEMA, Served};
use seatrial_evidence::pair::{Pair, Replayed};
use seatrial_evidence::report::{ComparisonReport, FullAgreement, MetricGroup, MetricRow};
use seatrial_evidence::shadow_tally::{SHADOW_ARM, ShadowTally, StoredShadowTally};
use seatrial_evidence::{keys, table};
use seatrial_registry::contract::Scenario;
use seatrial_registry::{MemoryRegistry, Records, Tallies, TallyItem};
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
        // As `replay` does: what a look at the running shadow needs.
        let counts = ShadowTally::of(pairs);
        let body = StoredShadowTally { schema: 1, promotion: self.held.promotion.clone(), counts };
        let tally = TallyItem {
            model: self.held.model.clone(),
            epoch: self.held.epoch,
            second: ShadowTally::second(pairs),
            arm: SHADOW_ARM.into(),
            id: ShadowTally::id(pairs),
            body: serde_json::to_string(&body).unwrap(),
            expires_at: Timestamp::MAX,
        };
        self.scenario.registry.put_tally(&tally).await.unwrap();
    }

    async fn label(&self, labels: &[Label]) {
        let queued: Vec<_> = labels.iter().map(|l| Queued { entry: l.clone(), queued_at: l.at }).collect();
        let file = table::write_labels(&queued).unwrap();
        let key = keys::labels(&self.held.model, labels[0].at, &canonical::sha256(&file));
        self.data.put(&key, Bytes::from(file), "application/octet-stream").await.unwrap();
    }

    async fn ask(&self, action: CompareAction) -> Result<Answer, Failure> {
        self.ask_for(action, None).await
    }

    async fn ask_for(&self, action: CompareAction, part: Option<u16>) -> Result<Answer, Failure> {
        let ports = Ports {
            registry: &self.scenario.registry,
            tallies: &self.scenario.registry,
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
            CompareTask { held: self.held.clone(), action, part },
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
        unit: format!("o{n}"),
        at: Timestamp::UNIX_EPOCH,
        queued_at: Timestamp::UNIX_EPOCH,
        served_version: "v1".into(),
        served_label: Some(label.into()),
        served_score: None,
        served_value: None,
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
    let plan = report.rows.iter().find(|row| row.name == "detect_error_rate").unwrap();
    assert!(
        plan.verdict == Verdict::Inconclusive && plan.why.contains("no request of the champion was seen"),
        "{}",
        plan.why
    );
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
    let progress = shadow_progress(
        &world.scenario.registry,
        &world.scenario.registry,
        &world.record().await,
        Timestamp::now(),
    )
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
    for action in
        [CompareAction::CheckShadow, CompareAction::Freeze, CompareAction::Summarise, CompareAction::Report]
    {
        let error = world.ask(action).await.unwrap_err();
        assert_eq!(error.label, seatrial_runtime::label::SUPERSEDED);
    }
    assert!(world.evidence.list("").await.unwrap().is_empty());
}

fn in_shadow<'a>(report: &'a ComparisonReport, name: &str) -> &'a MetricRow {
    report.rows.iter().find(|r| r.group == MetricGroup::Shadow && r.name == name).unwrap()
}

fn truth(n: u32, at: Timestamp) -> Label {
    Label {
        schema: 1,
        observation_id: Some(format!("o{n}#0")),
        client_id: None,
        model: "m".parse().unwrap(),
        label: Some(if n.is_multiple_of(4) { "yes" } else { "no" }.into()),
        value: None,
        at,
    }
}

#[tokio::test]
async fn partitions_counted_apart_make_the_same_report() {
    let mut reports = Vec::new();
    for apart in [0_u16, 20, 64] {
        let world = World::new().await;
        world.write(&(0..300).map(pair).collect::<Vec<_>>()).await;
        world.write(&(0..30).map(pair).collect::<Vec<_>>()).await;
        let now = seatrial_registry::ops::Clock::now(&world.scenario.clock);
        world.label(&(0..200).map(|n| truth(n, now)).collect::<Vec<_>>()).await;
        world.close().await;
        assert!(world.frozen().await);
        for part in 0..apart {
            // Twice, as Step Functions may: it is counted once.
            for _ in 0..2 {
                let answer = world.ask_for(CompareAction::Summarise, Some(part)).await.unwrap();
                assert!(matches!(answer, Answer::Summarised(s) if s.part == part), "{part}");
            }
        }
        let (_, report, _) = world.report().await;
        assert_eq!(report.shadow.as_ref().unwrap().pairs, 300);
        let accuracy = in_shadow(&report, "accuracy");
        assert_eq!(accuracy.n, 200, "{}", accuracy.why);
        // All that rests on the pairs; the worlds themselves differ in their names.
        let of_pairs = (&report.rows, &report.notes, &report.charts, report.verdict, &report.why);
        reports.push(canonical::to_bytes(&of_pairs).unwrap());
    }
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0], reports[2]);
}

#[tokio::test]
async fn a_file_cut_short_is_named_and_nothing_passes_without_its_pairs() {
    let world = World::new().await;
    world.write(&(0..300).map(pair).collect::<Vec<_>>()).await;
    let whole = table::write_pairs(&[pair(900)]).unwrap();
    let part = keys::partition("o900#0", 64);
    let key = keys::pairs(&world.held.model, &world.held.promotion, part, &canonical::sha256(&whole));
    let cut = Bytes::from(whole[..whole.len() / 2].to_vec());
    world.data.put(&key, cut, "application/octet-stream").await.unwrap();
    world.close().await;
    let (verdict, report, _) = world.report().await;
    assert_ne!(verdict, Verdict::Pass);
    let row = report.rows.iter().find(|r| r.name == "complete").unwrap();
    assert!(row.verdict == Verdict::Inconclusive && row.why.contains(&key), "{}", row.why);
    assert!(report.notes.iter().any(|note| note.contains(&key)));
    assert_eq!(report.shadow.unwrap().pairs, 300);
}

#[tokio::test]
async fn labels_from_before_the_shadow_are_not_frozen() {
    let world = World::new().await;
    world.write(&(0..200).map(pair).collect::<Vec<_>>()).await;
    let opened = world.record().await.shadow.unwrap().opened_at;
    let earlier = opened.checked_sub(jiff::SignedDuration::from_hours(72)).unwrap();
    world.label(&(0..50).map(|n| truth(n, earlier)).collect::<Vec<_>>()).await;
    world.label(&(50..150).map(|n| truth(n, opened)).collect::<Vec<_>>()).await;
    world.close().await;
    let (_, report, _) = world.report().await;
    let accuracy = in_shadow(&report, "accuracy");
    assert_eq!(accuracy.n, 100);
}

/// A table with one number and one category.
fn table_of(rows: i64, shift: i64) -> Benchmark {
    let ages: ArrayRef = Arc::new((0..rows).map(|n| Some(20 + n % 40 + shift)).collect::<Int64Array>());
    let jobs: ArrayRef =
        Arc::new((0..rows).map(|n| Some(["clerk", "nurse"][(n % 2) as usize])).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("age", ages), ("job", jobs)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    Benchmark::read(Bytes::from(writer.into_inner().unwrap())).unwrap()
}

#[tokio::test]
async fn live_inputs_that_moved_from_the_reference_are_seen_and_what_is_of_another_time_is_not() {
    let world = World::new().await;
    world.write(&(0..200).map(pair).collect::<Vec<_>>()).await;
    let evaluation: Evaluation = serde_json::from_value(serde_json::json!({
        "schema": 1, "model": world.held.model, "promotion": world.held.promotion,
        "challenger": world.record().await.challenger, "champion": null,
        "policy": canonical::sha256(b"p"), "first": false, "verdict": "pass", "why": "w", "rows": [],
        "challenger_summary": null, "champion_summary": null, "notes": [],
        "benchmark": { "benchmark": canonical::sha256(b"b"), "rows": 4_000 },
        "profiles": [Profile::of(BENCHMARK, &table_of(4_000, 0), |_| true)],
    }))
    .unwrap();
    let folder = keys::evidence_prefix(&world.held.model, &world.held.promotion);
    let bytes = Bytes::from(canonical::to_bytes(&evaluation).unwrap());
    let reference =
        put_evidence(&world.evidence, folder.trim_end_matches('/'), "evaluation", bytes).await.unwrap();
    let Held { model, promotion, epoch, .. } = world.held.clone();
    let kind = EvidenceKind::Evaluation;
    world.scenario.system().record_evidence(&model, &promotion, epoch, kind, &reference, None).await.unwrap();
    let opened = world.record().await.shadow.unwrap().opened_at;
    let row = |n: i64, epoch: u64, queued_at: Timestamp| Queued {
        queued_at,
        entry: Served {
            schema: SCHEMA,
            observation_id: format!("o{n}-{epoch}"),
            client_id: None,
            model: model.clone(),
            version: "v1".parse().unwrap(),
            digest: canonical::sha256(b"x"),
            role: Arm::Champion,
            route: RouteStamp { promotion: None, epoch, weight: Weight::ZERO },
            unit: None,
            at: queued_at,
            inputs: serde_json::from_value(serde_json::json!({ "age": 50 + n % 40, "job": "clerk" }))
                .unwrap(),
            output: Output { label: Some("yes".into()), ..Output::default() },
            latency_us: 5,
            load_us: None,
            warm: None,
            error: None,
            segments: BTreeMap::new(),
            protected: BTreeMap::new(),
        },
    };
    let rows: Vec<_> = (0..1_000).map(|n| row(n, epoch, opened)).collect();
    // Served before this promotion, and before the shadow: neither counts.
    let others =
        (0..50).map(|n| row(n, epoch - 1, opened)).chain((0..50).map(|n| {
            row(n + 5_000, epoch, opened.checked_sub(jiff::SignedDuration::from_secs(60)).unwrap())
        }));
    let file = table::write_served(&rows.into_iter().chain(others).collect::<Vec<_>>()).unwrap();
    let key = keys::observations(&model, opened, &canonical::sha256(&file));
    world.data.put(&key, Bytes::from(file), "application/octet-stream").await.unwrap();
    world.close().await;
    assert!(world.frozen().await);
    let (_, report, bytes) = world.report().await;
    let drift = report.rows.iter().find(|r| r.name == "drift").unwrap();
    assert_eq!((drift.n, drift.verdict), (1_000, Verdict::Fail), "{}", drift.why);
    assert!(drift.why.contains("2 moved beyond 0.2: age") || drift.why.contains("job"), "{}", drift.why);
    let shift = report.offline.unwrap().live_shift.unwrap();
    assert!(shift.starts_with("1000 live rows beside the benchmark"), "{shift}");
    assert_eq!(report.charts.unwrap().drift[0].bars.len(), 2);
    assert_eq!(world.report().await.2, bytes);
    // Changed after it was frozen: no report is made of it.
    let world_data = world.data.list("observations/").await.unwrap();
    assert_eq!(world_data.len(), 1);
}

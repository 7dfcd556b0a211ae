//! What must hold when a promotion is over, whatever struck it.
//!
//! What does not hold fails the case that is looked at, so these functions panic and say what they expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use seatrial_domain::PromotionId;
use seatrial_domain::bound::Bound;
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::{GateKind, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::ids::{GateId, VersionRef};
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, PromotionStatus, evidence_prefix};
use seatrial_domain::route::Weight;
use seatrial_domain::version::VersionStatus;
use seatrial_registry::{Records, Tokens};
use serde_json::Value;

use super::runs::{Run, SHADOW};
use crate::stack::{Model, until};

/// How long `sweep` may take: it is called when an execution ends, and every minute.
const SWEEP: Duration = Duration::from_secs(150);

/// How the model stood before the promotion.
pub struct Before {
    pub champion: Option<VersionRef>,
    standby: Option<VersionRef>,
    epoch: u64,
    entries: usize,
}

impl Before {
    pub async fn of(model: &Model<'_>) -> Self {
        let head = model.head().await;
        assert_eq!(head.running, None, "the model is free");
        Self {
            champion: head.champion().cloned(),
            standby: head.standby.clone(),
            epoch: head.epoch,
            entries: model.history().await.len(),
        }
    }
}

/// The promotion once the registry has done with it: ended and attested, or never there.
///
/// # Panics
/// When it is still waited for after all who bring it to an end have had their turn.
pub async fn settled(model: &Model<'_>, id: &PromotionId) -> Option<PromotionRecord> {
    let since = Instant::now();
    loop {
        let record = model.stack.registry.promotion(&model.name, id).await.expect("the registry");
        match &record {
            None => {
                assert_eq!(model.head().await.running, None, "a promotion without a record holds the model");
                return None;
            }
            Some(record) if record.status != PromotionStatus::Running && record.attested => {
                return Some(record.clone());
            }
            Some(record) => {
                let how = (record.status, record.attested);
                assert!(
                    since.elapsed() < SWEEP,
                    "{id} is not brought to its end: {how:?} {:?}",
                    record.reason
                );
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Looks at everything that is left, and says how the promotion ended.
///
/// # Panics
/// When something does not hold.
pub async fn check(
    model: &Model<'_>,
    before: &Before,
    id: &PromotionId,
    record: Option<&PromotionRecord>,
    run: &Run,
    struck: &Value,
) -> String {
    nothing_runs(model, id).await;
    let entries: Vec<HistoryEntry> = model.history().await.split_off(before.entries);
    let Some(record) = record else {
        let crown = run.crowned() || run.cured();
        assert!(!crown, "it was never started, and its faults are cured");
        let head = model.head().await;
        assert_eq!((head.champion(), head.epoch), (before.champion.as_ref(), before.epoch));
        let own = entries.iter().filter(|entry| entry.promotion.as_ref() == Some(id)).count();
        assert_eq!(own, 0, "a promotion that was never started is in the history: {entries:#?}");
        return "not started".to_owned();
    };
    one_champion(model, before, record, run).await;
    once_each(&entries, id, run, struck);
    gates_are_closed(model, id, run).await;
    audited(model, record).await;
    format!("{:?}", record.status).to_lowercase()
}

/// No execution of this promotion waits for anything.
async fn nothing_runs(model: &Model<'_>, id: &PromotionId) {
    let canary = format!("{id}-canary");
    for (machine, name) in [("Promotion", id.as_str()), ("Canary", canary.as_str())] {
        until(&format!("the end of the execution {name}"), 90, async || {
            let found = model.stack.execution_of(machine, name).await;
            found.is_none_or(|(status, _, _)| status != "RUNNING").then_some(())
        })
        .await;
    }
}

/// Exactly one champion: the old one, or the challenger if it was crowned; and a lawful route.
async fn one_champion(model: &Model<'_>, before: &Before, record: &PromotionRecord, run: &Run) {
    let head = model.head().await;
    let crowned = record.status == PromotionStatus::Crowned;
    assert_eq!(crowned, run.crowned(), "it ended as {:?}: {:?}", record.status, record.reason);
    let champion = if crowned { Some(&record.challenger) } else { before.champion.as_ref() };
    assert_eq!(head.champion(), champion);
    let route = &head.route;
    assert_eq!(
        (&head.running, &route.challenger),
        (&None, &None),
        "the lock is free, the challenger off the route"
    );
    assert_eq!((route.weight, route.shadow, route.holdback), (Weight::ZERO, Weight::ZERO, Weight::ZERO));
    assert_eq!(route.standby, None, "nothing is held back");
    let standby = if crowned { before.champion.as_ref() } else { before.standby.as_ref() };
    assert_eq!(head.standby.as_ref(), standby, "the version to go back to");
    versions_are_what_the_head_says(model, &head, record).await;
    assert!(head.epoch > before.epoch, "an end moves the epoch on, so that nothing in flight can write");
    assert!(record.ended_at.is_some());
    // No traffic and no crown without the approval of these very bytes.
    if crowned || !record.steps.is_empty() {
        let gate = GateId::derive(&record.id, GateKind::Approval.as_str(), 1);
        let gate = model.stack.registry.gate(&gate).await.expect("the registry").expect("a gate");
        let bound = Bound {
            package: record.challenger.digest.clone(),
            report: record.evidence[&EvidenceKind::Report].digest.clone(),
            benchmark: record.benchmark.as_ref().map(|benchmark| benchmark.digest.clone()),
            policy: record.policy.digest.clone(),
        };
        assert_eq!((gate.status, gate.bound), (GateStatus::Approved, bound));
    }
}

/// Each version is in the state of the place that the head gives it, and the challenger shows whether callers saw it.
async fn versions_are_what_the_head_says(model: &Model<'_>, head: &Head, record: &PromotionRecord) {
    let challenger = match (record.status, record.steps.is_empty()) {
        (PromotionStatus::Crowned, _) => VersionStatus::Champion,
        (_, true) => VersionStatus::Rejected,
        (_, false) => VersionStatus::RolledBack,
    };
    let places = [
        (head.champion(), VersionStatus::Champion),
        (head.standby.as_ref(), VersionStatus::Standby),
        (Some(&record.challenger), challenger),
    ];
    for (version, status) in places.into_iter().filter_map(|(version, status)| Some((version?, status))) {
        let found = model.stack.registry.version(&model.name, version.version).await.expect("the registry");
        assert_eq!(found.map(|found| found.status), Some(status), "{}", version.version);
    }
}

/// Each thing that happened is in the history once, and no function did twice what it does once.
fn once_each(entries: &[HistoryEntry], id: &PromotionId, run: &Run, struck: &Value) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.promotion.as_ref() == Some(id)) {
        // Of gates and evidence there are several kinds, and each of them comes once.
        let details = &entry.details;
        let what = [&details["kind"], &details["gate"], &details["weight"], &details["stage"]];
        let what: Vec<String> = what.iter().filter(|v| !v.is_null()).map(ToString::to_string).collect();
        *counts.entry(format!("{} {}", entry.event, what.join(" "))).or_default() += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, n)| **n > 1).collect();
    assert!(
        twice.is_empty(),
        "these are in the history more than once: {twice:?}; called: {}",
        struck["called"]
    );
    let of =
        |event: &str| entries.iter().filter(|e| e.event == event && e.promotion.as_ref() == Some(id)).count();
    assert_eq!(of("promotion_started"), 1, "{counts:?}");
    assert_eq!(of("attested"), 1, "{counts:?}");
    let ends = of("crowned") + of("promotion_ended") + of("canary_rolled_back");
    assert_eq!((ends, of("crowned")), (1, usize::from(run.crowned())), "{counts:?}");
}

/// No gate waits for anybody, and no token is kept for an execution that is gone. Only a shadow's wait that ran out because its
/// answer was given up leaves one: it answers nobody, and the table forgets it by itself.
async fn gates_are_closed(model: &Model<'_>, id: &PromotionId, run: &Run) {
    let registry = &model.stack.registry;
    for kind in [GateKind::ShadowWindow, GateKind::Approval] {
        let gate = GateId::derive(id, kind.as_str(), 1);
        let kept = kind == GateKind::ShadowWindow && run.forgets(SHADOW);
        until(
            &format!("the {} gate of {id} to be closed and its token forgotten", kind.as_str()),
            90,
            async || {
                let open = registry.gate(&gate).await.expect("the registry");
                let pending = open.is_some_and(|gate| gate.status == GateStatus::Pending);
                let token = registry.token(&gate).await.expect("the registry");
                (!pending && (kept || token.is_none())).then_some(())
            },
        )
        .await;
    }
}

/// The audit is there, of these very bytes, and verifies.
async fn audited(model: &Model<'_>, record: &PromotionRecord) {
    let stack = model.stack;
    for kind in [EvidenceKind::Manifest, EvidenceKind::Document] {
        let reference = record.evidence.get(&kind).unwrap_or_else(|| panic!("there is no {kind:?}"));
        let bytes = stack.object("EvidenceBucket", &reference.key).await;
        assert_eq!(sha256(&bytes), reference.digest, "{kind:?}");
    }
    let key = model.folder().join("seatrial.pem");
    let key = key.display().to_string();
    drop(stack.cli(&["key", "--file", &key]).await.json());
    let folder = format!("s3://{}/{}", stack.out("EvidenceBucket"), evidence_prefix(&model.name, &record.id));
    let verified = stack.cli(&["verify", &folder, "--key", &key]).await.json();
    assert_eq!(verified["doubt"], Value::Null, "{verified:#}");
}

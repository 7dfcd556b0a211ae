//! A model of its own, and the way of a promotion on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::head::Head;
use seatrial_domain::history::{self, HistoryEntry};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::package::PackageSummary;
use seatrial_domain::policy::{Approver, Policy};
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef, PromotionRecord, PromotionStatus};
use seatrial_domain::route::Weight;
use seatrial_domain::version::{VersionRecord, VersionStatus};
use seatrial_domain::{Digest, ModelName, PromotionId, Verdict, VersionName};

use crate::ops::{Clock, Ops, draft_gate};
use crate::ports::{Attempts, Capabilities, Commits, Records, Submissions, Tallies, Tokens, Watermarks};
use crate::sessions::Sessions;
use crate::targets::Targets;

/// Everything a registry is.
pub trait Full:
    Records
    + Commits
    + Tokens
    + Capabilities
    + Sessions
    + Submissions
    + Tallies
    + Watermarks
    + Attempts
    + Targets
    + Clone
    + Send
    + Sync
    + 'static
{
}
impl<R> Full for R where
    R: Records
        + Commits
        + Tokens
        + Capabilities
        + Sessions
        + Submissions
        + Tallies
        + Watermarks
        + Attempts
        + Targets
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// A clock that never shows the same time twice, so that no two callers make the very same change.
#[derive(Clone)]
pub struct Ticks(Arc<AtomicI64>);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.fetch_add(1_000, Ordering::SeqCst)).unwrap()
    }
}

impl Ticks {
    pub fn forward(&self, by: SignedDuration) {
        self.0.fetch_add(by.as_micros() as i64, Ordering::SeqCst);
    }
}

/// The promotion that a scenario is in.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: PromotionId,
    pub epoch: u64,
}

/// A model with a policy, and a clock.
#[derive(Clone)]
pub struct Scenario<R> {
    pub registry: R,
    pub model: ModelName,
    pub clock: Ticks,
}

pub fn person(principal: &str, auth: Auth) -> Actor {
    Actor { principal: principal.into(), auth }
}

pub fn ann() -> Actor {
    person("ann@example.com", Auth::Oidc)
}

pub fn evidence(name: &str) -> EvidenceRef {
    EvidenceRef { key: format!("evidence/{name}"), digest: sha256(name.as_bytes()) }
}

pub fn v(n: u32) -> VersionName {
    VersionName::new(n)
}

/// Two approvers; a canary of two steps.
pub fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.canary.steps = vec![5.0, 50.0];
    for email in ["ann@example.com", "bob@example.com"] {
        policy.approval.approvers.push(Approver { email: email.into(), principals: vec![] });
    }
    policy
}

/// A policy under which a link alone decides.
pub fn links_decide() -> Policy {
    let mut policy = policy();
    policy.approval.separation_of_duties = false;
    policy
}

pub fn package() -> PackageSummary {
    PackageSummary {
        runtime: "onnx".into(),
        task: "binary".into(),
        title: Some("Größe \"1\"".into()),
        size: 7,
        files: BTreeMap::new(),
        labels: BTreeMap::from([("source".to_owned(), "tests".to_owned())]),
        changelog: "# 1\n- first".into(),
        config: Default::default(),
    }
}

impl<R: Full> Scenario<R> {
    /// A model with a name that no other run has, and nothing in it.
    pub fn empty(registry: &R) -> Self {
        static NUMBER: AtomicI64 = AtomicI64::new(0);
        let now = Timestamp::now();
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let unique = sha256(format!("{} {} {number}", std::process::id(), now.as_nanosecond()).as_bytes());
        let model = ModelName::parse(&format!("c-{}", unique.short())).unwrap();
        Self {
            registry: registry.clone(),
            model,
            clock: Ticks(Arc::new(AtomicI64::new(now.as_microsecond()))),
        }
    }

    /// A model with a policy.
    pub async fn new(registry: &R) -> Self {
        let scenario = Self::empty(registry);
        scenario.system().set_policy(&scenario.model, &policy()).await.unwrap();
        scenario
    }

    /// A model whose champion is v1, with v2 registered.
    pub async fn with_champion(registry: &R) -> Self {
        let scenario = Self::new(registry).await;
        scenario.register(1).await;
        scenario.promote(1).await;
        scenario.register(2).await;
        scenario
    }

    /// As [`Self::with_champion`], and v2 approved.
    pub async fn approved(registry: &R) -> (Self, Run) {
        let scenario = Self::with_champion(registry).await;
        let run = scenario.start(2).await;
        scenario.approve(&run).await;
        (scenario, run)
    }

    /// As [`Self::approved`], and v2 through all steps of its canary.
    pub async fn through_canary(registry: &R) -> (Self, Run) {
        let (scenario, run) = Self::approved(registry).await;
        for step in 0..2 {
            scenario.system().shift(&scenario.model, &run.id, run.epoch, step).await.unwrap();
        }
        (scenario, run)
    }

    pub fn ops(&self, actor: Actor) -> Ops<'_> {
        Ops::new(&self.registry, actor, &self.clock)
    }

    pub fn system(&self) -> Ops<'_> {
        self.ops(Actor::function("contract"))
    }

    pub fn digest(&self, n: u32) -> Digest {
        sha256(format!("{} {n}", self.model).as_bytes())
    }

    pub async fn register(&self, n: u32) -> VersionRecord {
        let ops = self.system();
        ops.register_version(&self.model, &self.digest(n), &package(), "sue@example.com").await.unwrap().value
    }

    pub async fn start(&self, version: u32) -> Run {
        self.start_attempt(version, 1).await
    }

    pub async fn start_attempt(&self, version: u32, attempt: u32) -> Run {
        let id = PromotionId::derive(&self.model, &format!("v{version}"), attempt);
        let asker = Actor::function("intake");
        let started =
            self.system().start_promotion(&self.model, &id, v(version), &asker, Some("arn:x")).await;
        Run { id, epoch: started.unwrap().value.epoch }
    }

    pub async fn report(&self, run: &Run, name: &str) -> PromotionRecord {
        let ops = self.system();
        let (kind, object) = (EvidenceKind::Report, evidence(name));
        ops.record_evidence(&self.model, &run.id, run.epoch, kind, &object, Some(Verdict::Pass))
            .await
            .unwrap()
            .value
    }

    pub async fn promotion(&self, run: &Run) -> PromotionRecord {
        self.registry.promotion(&self.model, &run.id).await.unwrap().unwrap()
    }

    pub async fn version(&self, n: u32) -> VersionRecord {
        self.registry.version(&self.model, v(n)).await.unwrap().unwrap()
    }

    /// A report, and an open gate that waits an hour.
    pub async fn open_gate(&self, run: &Run) -> GateRecord {
        let promotion = self.report(run, "report").await;
        let version = self.version(promotion.challenger.version.number()).await;
        let now = self.clock.now();
        let expires = now + SignedDuration::from_hours(1);
        let gate = draft_gate(GateKind::Approval, 1, &promotion, &version, now, expires).unwrap();
        self.system().open_gate(&gate).await.unwrap().value
    }

    pub async fn approve(&self, run: &Run) -> GateRecord {
        let gate = self.open_gate(run).await;
        self.ops(ann()).decide_gate(&gate.id, true, "looks right", None).await.unwrap().value
    }

    /// A whole promotion.
    pub async fn promote(&self, version: u32) -> Run {
        let run = self.start(version).await;
        self.approve(&run).await;
        if self.head().await.champion().is_some() {
            for step in 0..2 {
                self.system().shift(&self.model, &run.id, run.epoch, step).await.unwrap();
            }
        }
        self.system().crown(&self.model, &run.id, run.epoch).await.unwrap();
        run
    }

    pub async fn head(&self) -> Head {
        self.registry.head(&self.model).await.unwrap().unwrap()
    }

    pub async fn history(&self) -> Vec<HistoryEntry> {
        self.registry.history(&self.model, 0, 10_000).await.unwrap()
    }

    pub async fn events(&self, event: &str) -> usize {
        self.history().await.iter().filter(|e| e.event == event).count()
    }

    /// Everything that must hold of a model at any moment.
    pub async fn check(&self) {
        let head = self.head().await;
        let entries = self.history().await;
        history::verify(&self.model, &entries, Some(&head.chain)).unwrap();
        assert_eq!(head.revision, entries.len() as u64, "every revision has its entry");
        let versions = self.registry.versions(&self.model).await.unwrap();
        let with = |status| versions.iter().filter(move |v| v.status == status).map(VersionRecord::reference);
        assert_eq!(
            with(VersionStatus::Champion).collect::<Vec<_>>(),
            head.champion().cloned().into_iter().collect::<Vec<_>>()
        );
        assert_eq!(
            with(VersionStatus::Standby).collect::<Vec<_>>(),
            head.standby.clone().into_iter().collect::<Vec<_>>()
        );
        let promotions = self.registry.promotions(&self.model).await.unwrap();
        let running: Vec<_> = promotions
            .iter()
            .filter(|p| p.status == PromotionStatus::Running)
            .map(|p| p.id.clone())
            .collect();
        assert_eq!(running, head.running.iter().map(|r| r.promotion.clone()).collect::<Vec<_>>());
        if head.route.weight > Weight::ZERO {
            let promotion = promotions.iter().find(|p| Some(&p.id) == running.first()).expect("a promotion");
            let gate = self.registry.gate(promotion.gate.as_ref().unwrap()).await.unwrap().unwrap();
            assert_eq!((gate.status, gate.epoch), (GateStatus::Approved, head.epoch));
        }
    }

    /// The model as it is: to assert later that nothing was written.
    pub async fn snapshot(&self) -> (Head, usize, Vec<VersionRecord>, Vec<PromotionRecord>) {
        (
            self.head().await,
            self.history().await.len(),
            self.registry.versions(&self.model).await.unwrap(),
            self.registry.promotions(&self.model).await.unwrap(),
        )
    }
}

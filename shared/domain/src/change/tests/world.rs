//! A model in memory: applies changes and checks after each what must always hold.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::access::Access;
use crate::adoption::Adoption;
use crate::canonical::sha256;
use crate::change::{self, Change, Context, PolicyRecord, Right, bound_now};
use crate::gate::{self, Decision, GateKind, GateRecord, GateStatus};
use crate::head::Head;
use crate::history::{self, HistoryEntry};
use crate::ids::{Actor, Auth, GateId, ModelName, PromotionId, VersionName};
use crate::package::{PackageSummary, label};
use crate::policy::{Approver, LambdaAlias, Person, Policy, Role, Target};
use crate::promotion::{EvidenceKind, EvidenceRef, PromotionRecord, PromotionStatus, Stage};
use crate::refusal::Refusal;
use crate::retention::{self, Crown, Freed};
use crate::route::Weight;
use crate::verdict::Verdict;
use crate::version::{VersionRecord, VersionStatus};

pub(super) type Answer = Result<Change, Refusal>;

pub(super) fn actor(principal: &str) -> Actor {
    Actor { principal: principal.into(), auth: Auth::Oidc }
}

/// Two approvers, one of whom has a second name; an operator for emergencies; a canary of two steps.
pub(super) fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.canary.steps = vec![5.0, 50.0];
    policy.approval.approvers = vec![
        Approver { email: "ann@example.com".into(), principals: vec!["arn:aws:iam::1:user/ann".into()] },
        Approver { email: "bob@example.com".into(), principals: vec![] },
    ];
    policy.people = vec![Person {
        email: "olga@example.com".into(),
        principals: vec![],
        roles: [Role::Operator].into(),
        emergency: true,
    }];
    policy.offline.tracked = policy.offline.metrics.keys().take(1).cloned().collect();
    policy.approval.window_seconds = 1_000;
    policy.approval.reminders_seconds = vec![600];
    policy
}

/// The target of a model that is served by a Lambda function.
pub(super) fn alias() -> Target {
    Target::LambdaAlias(LambdaAlias { function: "m".into(), alias: "live".into(), role: None })
}

pub(super) fn evidence(name: &str) -> EvidenceRef {
    EvidenceRef { key: format!("evidence/{name}"), digest: sha256(name.as_bytes()) }
}

pub(super) struct World {
    pub(super) head: Head,
    pub(super) versions: BTreeMap<VersionName, VersionRecord>,
    pub(super) promotions: BTreeMap<PromotionId, PromotionRecord>,
    pub(super) gates: BTreeMap<GateId, GateRecord>,
    pub(super) policies: BTreeMap<u32, PolicyRecord>,
    pub(super) entries: Vec<HistoryEntry>,
    /// Promotions as they last were while they held the model.
    pub(super) held: BTreeMap<PromotionId, PromotionRecord>,
    pub(super) now: Timestamp,
    pub(super) actor: Actor,
}

impl World {
    /// A model with a policy and no version.
    pub(super) fn new() -> Self {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let mut world = Self {
            head: Head::new(ModelName::parse("m").unwrap(), now),
            versions: BTreeMap::new(),
            promotions: BTreeMap::new(),
            gates: BTreeMap::new(),
            policies: BTreeMap::new(),
            entries: Vec::new(),
            held: BTreeMap::new(),
            now,
            actor: Actor::function("test"),
        };
        world.act(|w| change::set_policy(&w.context(), policy(), &Right::Owner(None))).unwrap();
        world
    }

    /// A model whose champion is v1, with v2 registered.
    pub(super) fn with_champion() -> Self {
        let mut world = Self::new();
        world.register();
        world.promote(1, 1);
        world.register();
        world
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context { head: &self.head, actor: &self.actor, now: self.now }
    }

    /// Asks for a change and applies it; a refusal changes nothing.
    pub(super) fn act(&mut self, ask: impl FnOnce(&Self) -> Answer) -> Result<(), Refusal> {
        self.now += SignedDuration::from_secs(1);
        let change = ask(self)?;
        self.apply(&change);
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        let before = std::mem::replace(&mut self.head, change.head.clone());
        check_line(&before, change);
        assert_eq!(change.head.revision, before.revision + 1);
        assert!(change.head.epoch >= before.epoch);
        for version in &change.versions {
            if let Some(known) = self.versions.insert(version.version, version.clone()) {
                assert_eq!(known.digest, version.digest, "a version's bytes changed");
            }
        }
        if let Some(promotion) = &change.promotion {
            self.promotions.insert(promotion.id.clone(), promotion.clone());
            if promotion.status == PromotionStatus::Running {
                self.held.insert(promotion.id.clone(), promotion.clone());
            }
        }
        if let Some(gate) = &change.gate {
            let known = self.gates.insert(gate.id.clone(), gate.clone());
            let final_again = |g: GateRecord| {
                g.status == gate.status
                    && g.decisions == gate.decisions
                    && change.entry.event == "gate_orphaned"
            };
            assert!(
                known.is_none_or(|g| g.status == GateStatus::Pending || final_again(g)),
                "a closed gate was written again"
            );
        }
        if let Some(policy) = &change.policy {
            assert!(self.policies.insert(policy.reference.number, policy.clone()).is_none());
        }
        self.entries.push(change.entry.clone());
        Self::check_targets(&before, change);
        self.check_traffic(&before, change);
        self.check();
    }

    /// Whatever writes the route, or may name another target, is an event by which targets are looked at, and a split that is another one
    /// has another time.
    fn check_targets(before: &Head, change: &Change) {
        let split = |h: &Head| {
            let r = &h.route;
            (r.champion.clone(), r.challenger.clone(), r.weight, r.standby.clone(), r.holdback, r.epoch)
        };
        let written = before.route.since != change.head.route.since;
        assert!(written || split(before) == split(&change.head), "{}", change.entry.event);
        if written || before.policy != change.head.policy {
            assert!(crate::target::MOVES.contains(&change.entry.event.as_str()), "{}", change.entry.event);
        }
    }

    /// No share of traffic and no crown without the approval that covers exactly it.
    fn check_traffic(&self, before: &Head, change: &Change) {
        let (now, then) = (&change.head.route, &before.route);
        if change.entry.event == "adopted" {
            self.check_adoption(before, change);
        }
        let adopted = change.entry.event == "adopted";
        let crowned = now.champion != then.champion && now.champion != before.standby && !adopted;
        let raised =
            now.weight > then.weight || (now.weight > Weight::ZERO && now.challenger != then.challenger);
        if crowned || raised {
            let check = change.approval.as_ref().expect("an approval that covers the traffic");
            let running = before.running.as_ref().expect("a promotion that holds the model");
            let gate = &self.gates[&check.gate];
            assert_eq!((gate.status, gate.kind), (GateStatus::Approved, GateKind::Approval));
            assert_eq!((&check.promotion, check.epoch), (&running.promotion, running.epoch));
            assert_eq!((&gate.promotion, gate.epoch), (&running.promotion, running.epoch));
            assert_eq!(check.bound, gate.bound);
            assert_eq!(check.bound, bound_now(&self.promotions[&running.promotion]).unwrap());
            assert!(gate.decisions.iter().any(|d| d.approve));
            let promotion = &self.promotions[&running.promotion];
            for decision in &gate.decisions {
                if decision.emergency {
                    let bypass = promotion.bypass(Stage::Approval).expect("who skipped the approval");
                    assert_eq!(bypass.by, decision.by);
                }
                if decision.automatic {
                    let window = gate.window.as_ref().expect("a window");
                    assert!(window.blocked.is_none() && decision.at >= window.ends_at);
                }
            }
        }
        let ended = before.running.is_some() && change.head.running.is_none();
        if ended || change.entry.event == "rolled_back" {
            assert_eq!(now.weight, Weight::ZERO);
            assert_eq!(now.shadow, Weight::ZERO);
            assert!(now.challenger.is_none());
            assert!(change.head.epoch > before.epoch);
        }
    }

    /// The only champion without an approval is the first one, of a model where nothing runs, by a person who said why.
    fn check_adoption(&self, before: &Head, change: &Change) {
        assert!(before.champion().is_none() && before.running.is_none() && before.standby.is_none());
        assert!(change.head.champion().is_some() && change.head.running.is_none());
        assert_eq!((change.head.route.weight, change.head.route.holdback), (Weight::ZERO, Weight::ZERO));
        assert!(change.entry.actor.is_person() && change.approval.is_none());
        let record = change.promotion.as_ref().expect("a record of it");
        assert_eq!((record.status, &record.requested_by), (PromotionStatus::Adopted, &change.entry.actor));
        assert!(!record.adoption.as_ref().expect("who says why").comment.is_empty());
        let others =
            self.promotions.values().filter(|p| p.challenger == record.challenger && p.id != record.id);
        assert_eq!(others.count(), 0, "no promotion has judged it");
    }

    fn check(&self) {
        let head = &self.head;
        let with =
            |status| self.versions.values().filter(move |v| v.status == status).map(VersionRecord::reference);
        let champions: Vec<_> = with(VersionStatus::Champion).collect();
        assert_eq!(champions, head.champion().cloned().into_iter().collect::<Vec<_>>(), "one champion");
        let standbys: Vec<_> = with(VersionStatus::Standby).collect();
        assert_eq!(standbys, head.standby.clone().into_iter().collect::<Vec<_>>(), "the standby");
        assert!(head.route.standby.is_none() || head.route.standby == head.standby);
        assert!(head.route.holdback == Weight::ZERO || head.route.standby.is_some());
        assert!(head.standby.is_none() || head.champion().is_some());
        let running: Vec<_> = self
            .promotions
            .values()
            .filter(|p| p.status == PromotionStatus::Running)
            .map(|p| &p.id)
            .collect();
        assert_eq!(running, head.running.iter().map(|r| &r.promotion).collect::<Vec<_>>(), "one lock");
        assert!(head.running.as_ref().is_none_or(|r| r.epoch == head.epoch));
        match &head.route.challenger {
            Some(challenger) => assert_eq!(Some(challenger), head.running.as_ref().map(|r| &r.challenger)),
            None => assert_eq!(head.route.weight, Weight::ZERO),
        }
        if head.route.weight > Weight::ZERO {
            let challenger = head.route.challenger.as_ref().unwrap();
            assert_eq!(self.versions[&challenger.version].status, VersionStatus::Canary);
        }
        if let Some(collecting) = &head.collecting {
            let record = &self.versions[&collecting.version.version];
            assert_eq!(record.status, VersionStatus::Collected, "only what nobody can load is deleted");
        }
        let mut loadable: Vec<_> = self
            .versions
            .values()
            .filter(|v| v.status != VersionStatus::Collected)
            .map(|v| &v.digest)
            .collect();
        let all = loadable.len();
        loadable.sort();
        loadable.dedup();
        assert_eq!(loadable.len(), all, "the same bytes are two versions");
        let last = self.entries.last().unwrap();
        assert_eq!((last.seq, &last.hash), (head.chain.seq, &head.chain.hash));
        self.check_superseded();
    }

    /// The whole history holds.
    pub(super) fn verify(&self) {
        history::verify(&self.head.model, &self.entries, Some(&self.head.chain)).unwrap();
    }

    /// Whatever an older holder of the model asks for is refused as superseded.
    fn check_superseded(&self) {
        let context = self.context();
        for old in self.held.values().filter(|p| p.epoch < self.head.epoch) {
            let version = &self.versions[&old.challenger.version];
            let policy = &self.policies[&old.policy.number].policy;
            let gate = old.gate.as_ref().and_then(|g| self.gates.get(g));
            let champion = self.version_of(self.head.champion());
            let standby = self.version_of(self.head.standby.as_ref());
            let share = Weight::ZERO;
            let answers = [
                change::shift(&context, old, version, gate, policy, old.steps.len() as u32),
                change::crown(&context, old, version, champion, standby, gate, policy),
                change::open_shadow(&context, old, version, share, share),
                change::close_shadow(&context, old, version, false),
                change::record_evidence(&context, old, version, EvidenceKind::Canary, evidence("late"), None),
                change::open_gate(&context, old, draft_gate(old, version, self.now)),
                change::end_promotion(&context, old, version, gate, "late"),
            ];
            for answer in answers {
                assert!(matches!(answer, Err(Refusal::Superseded { .. })), "{answer:?}");
            }
        }
    }

    pub(super) fn version_of(&self, named: Option<&crate::ids::VersionRef>) -> Option<&VersionRecord> {
        named.map(|n| &self.versions[&n.version])
    }

    /// The champion and the standby.
    pub(super) fn serving(&self) -> Vec<VersionRecord> {
        let named = self.head.champion().into_iter().chain(&self.head.standby);
        named.map(|n| self.versions[&n.version].clone()).collect()
    }

    pub(super) fn running(&self) -> Option<&PromotionRecord> {
        self.head.running.as_ref().map(|r| &self.promotions[&r.promotion])
    }

    /// Who set the policy in force, as a principal: they own a model whose policy names no owner.
    pub(super) fn owner(&self) -> String {
        self.policies[&self.head.policy.as_ref().unwrap().number].set_by.principal.clone()
    }

    /// Who may do what now.
    pub(super) fn access(&self) -> Access {
        self.policies[&self.head.policy.as_ref().unwrap().number].policy.access()
    }

    pub(super) fn gate_of(&self, promotion: &PromotionRecord) -> Option<&GateRecord> {
        promotion.gate.as_ref().map(|g| &self.gates[g])
    }
}

/// Nobody takes the model past those who wait for it but in an emergency, and the others keep their order.
fn check_line(before: &Head, change: &Change) {
    let left: Vec<_> = before.waiting.iter().filter(|w| change.head.waiting.contains(w)).collect();
    assert!(change.head.waiting.iter().zip(&left).all(|(now, then)| now == *then), "the order changed");
    assert!(change.head.waiting.len() <= left.len() + 1 && left.len() + 1 >= before.waiting.len());
    if before.running.is_none()
        && let (Some(running), Some(first)) = (&change.head.running, before.waiting.first())
        && running.promotion != first.promotion
    {
        let started = change.promotion.as_ref().unwrap();
        assert!(!started.bypasses.is_empty(), "a promotion began past those who wait");
    }
    let running = change.head.running.as_ref().map(|r| &r.promotion);
    assert!(change.head.waiting.iter().all(|w| Some(&w.promotion) != running), "it waits and runs");
}

/// The approval gate of `promotion`; it binds what the promotion has, or the package where there is no report.
pub(super) fn draft_gate(promotion: &PromotionRecord, version: &VersionRecord, now: Timestamp) -> GateRecord {
    let package = promotion.challenger.digest.clone();
    let unreported = gate::Bound {
        package: package.clone(),
        report: package,
        benchmark: None,
        policy: promotion.policy.digest.clone(),
    };
    GateRecord {
        id: GateId::derive(&promotion.id, "approval", 1),
        kind: GateKind::Approval,
        model: promotion.model.clone(),
        promotion: promotion.id.clone(),
        epoch: promotion.epoch,
        challenger: promotion.challenger.clone(),
        champion: promotion.champion.clone(),
        status: GateStatus::Pending,
        bound: bound_now(promotion).unwrap_or(unreported),
        verdict: promotion.verdict,
        requested_by: promotion.requested_by.principal.clone(),
        submitted_by: version.submitted_by.clone(),
        opened_at: now,
        expires_at: now + SignedDuration::from_hours(1),
        decisions: Vec::new(),
        window: None,
        reminders: Vec::new(),
        orphaned: None,
        link_orders: vec![],
    }
}

/// The steps of a promotion, one at a time.
impl World {
    pub(super) fn register(&mut self) {
        let number = self.head.next_version;
        let package = PackageSummary {
            runtime: "onnx".into(),
            task: "binary".into(),
            title: None,
            size: 1,
            files: BTreeMap::new(),
            labels: BTreeMap::new(),
            changelog: String::new(),
            config: Default::default(),
            remote: None,
        };
        let digest = sha256(format!("package {number}").as_bytes());
        self.act(|w| change::register_version(&w.context(), digest, package, "sue@example.com", None))
            .unwrap();
    }

    /// Registers the bytes of a version again.
    pub(super) fn register_again(&mut self, version: u32) -> Result<(), Refusal> {
        self.act(|w| {
            let before = &w.versions[&VersionName::new(version)];
            let (digest, package) = (before.digest.clone(), before.package.clone());
            change::register_version(&w.context(), digest, package, "sue@example.com", Some(before))
        })
    }

    /// The crown that made the present standby.
    pub(super) fn crown_made(&self) -> Option<Crown> {
        let versions: Vec<_> = self.versions.values().cloned().collect();
        let promotions: Vec<_> = self.promotions.values().cloned().collect();
        let by = retention::crowned_by(&self.head, &versions, &promotions)?;
        Crown::of(by, &self.policies[&by.policy.number].policy)
    }

    /// Gives a version this name at Lambda aliases.
    pub(super) fn name(&mut self, version: u32, name: &str) {
        let version = self.versions.get_mut(&VersionName::new(version)).unwrap();
        version.package.labels.insert(label::LAMBDA_VERSION.into(), name.into());
    }

    pub(super) fn retire(&mut self, version: u32) -> Result<(), Refusal> {
        let crown = self.crown_made();
        self.act(|w| {
            let version = &w.versions[&VersionName::new(version)];
            change::retire(&w.context(), version, crown.as_ref(), "old")
        })
    }

    pub(super) fn collect(&mut self, version: u32) -> Result<(), Refusal> {
        self.act(|w| {
            let versions: Vec<_> = w.versions.values().cloned().collect();
            let promotions: Vec<_> = w.promotions.values().cloned().collect();
            let facts = retention::Facts {
                head: &w.head,
                versions: &versions,
                promotions: &promotions,
                policy: &w.policies[&w.head.policy.as_ref().unwrap().number].policy,
                crown: w.crown_made(),
                retirements: &BTreeMap::new(),
            };
            let found = Freed { objects: 1, bytes: 1 };
            change::collect_version(&w.context(), &facts, VersionName::new(version), found)
        })
    }

    pub(super) fn start(&mut self, version: u32, attempt: u32) -> Result<(), Refusal> {
        let id = PromotionId::derive(&self.head.model, &format!("v{version}"), attempt);
        let asker = Actor::function("intake");
        self.act(|w| {
            let policy = &w.policies[&w.head.policy.as_ref().unwrap().number];
            let version = &w.versions[&VersionName::new(version)];
            let request = change::Request::new(&asker, None);
            change::start_promotion(&w.context(), &id, version, policy, &w.serving(), &request)
        })
    }

    /// Lets a promotion of `version` stand in line.
    pub(super) fn join(&mut self, version: u32, attempt: u32) -> Result<(), Refusal> {
        let id = PromotionId::derive(&self.head.model, &format!("v{version}"), attempt);
        let asker = Actor::function("intake");
        self.act(|w| {
            let policy = &w.policies[&w.head.policy.as_ref().unwrap().number];
            let version = &w.versions[&VersionName::new(version)];
            change::wait_for_model(&w.context(), &id, version, policy, &asker, None)
        })
    }

    pub(super) fn leave(&mut self, version: u32, attempt: u32) -> Result<(), Refusal> {
        let id = PromotionId::derive(&self.head.model, &format!("v{version}"), attempt);
        self.act(|w| change::leave_line(&w.context(), &id, "another comes instead"))
    }

    pub(super) fn adopt(&mut self, version: u32, by: &Actor) -> Result<(), Refusal> {
        let id = PromotionId::derive(&self.head.model, &format!("adopt v{version}"), 1);
        let adoption = Adoption { comment: "in use since May".into(), serving_since: None };
        self.act(|w| {
            let policy = &w.policies[&w.head.policy.as_ref().unwrap().number];
            let context = Context { actor: by, ..w.context() };
            change::adopt(&context, &id, &w.versions[&VersionName::new(version)], policy, &adoption, None)
        })
    }

    pub(super) fn on_running(
        &mut self,
        ask: impl FnOnce(&Self, &PromotionRecord, &VersionRecord) -> Answer,
    ) -> Result<(), Refusal> {
        self.act(|w| {
            let promotion = w.running().ok_or(Refusal::NotFound { what: "a running promotion".into() })?;
            ask(w, promotion, &w.versions[&promotion.challenger.version])
        })
    }

    pub(super) fn record(&mut self, kind: EvidenceKind, name: &str) -> Result<(), Refusal> {
        self.on_running(|w, p, v| {
            change::record_evidence(&w.context(), p, v, kind, evidence(name), Some(Verdict::Pass))
        })
    }

    pub(super) fn open_shadow(&mut self) -> Result<(), Refusal> {
        self.on_running(|w, p, v| change::open_shadow(&w.context(), p, v, Weight::FULL, Weight::FULL))
    }

    pub(super) fn open_gate(&mut self) -> Result<(), Refusal> {
        self.on_running(|w, p, v| {
            let mut gate = draft_gate(p, v, w.now);
            gate.window = gate::window_of(p, &w.policies[&p.policy.number].policy.approval, gate.opened_at);
            if w.gates.contains_key(&gate.id) {
                return Err(Refusal::Invalid { why: "it is open".into() });
            }
            change::open_gate(&w.context(), p, gate)
        })
    }

    pub(super) fn decide(&mut self, by: &Actor, approve: bool) -> Result<(), Refusal> {
        self.on_running(|w, p, v| {
            let gate = w.gate_of(p).ok_or(Refusal::NotFound { what: "a gate".into() })?;
            let decision = Decision::new(by.clone(), w.now, approve, "seen");
            change::decide_gate(&w.context(), p, v, gate, decision, &w.access(), None)
        })
    }

    fn on_gate(
        &mut self,
        ask: impl FnOnce(&Self, &PromotionRecord, &VersionRecord, &GateRecord) -> Answer,
    ) -> Result<(), Refusal> {
        self.on_running(|w, p, v| {
            let gate = w.gate_of(p).ok_or(Refusal::NotFound { what: "a gate".into() })?;
            ask(w, p, v, gate)
        })
    }

    pub(super) fn block(&mut self, by: &str) -> Result<(), Refusal> {
        let by = actor(by);
        self.on_gate(|w, _, _, gate| {
            let context = Context { actor: &by, ..w.context() };
            change::block_gate(&context, gate, "wait", &w.access())
        })
    }

    pub(super) fn remind(&mut self) -> Result<(), Refusal> {
        self.on_gate(|w, _, _, gate| change::remind_gate(&w.context(), gate, &[600]))
    }

    pub(super) fn automatic(&mut self, told: bool) -> Result<(), Refusal> {
        self.on_gate(|w, p, v, gate| {
            change::approve_automatically(&w.context(), p, v, gate, told, &w.access())
        })
    }

    pub(super) fn emergency(&mut self) -> Result<(), Refusal> {
        self.on_gate(|w, p, v, gate| change::approve_in_emergency(&w.context(), p, v, gate))
    }

    pub(super) fn skip(&mut self, stage: Stage, by: &str) -> Result<(), Refusal> {
        let by = actor(by);
        self.on_running(|w, p, v| {
            let context = Context { actor: &by, ..w.context() };
            change::bypass(&context, p, v, w.gate_of(p), stage, "it burns", &w.access())
        })
    }

    pub(super) fn shift(&mut self, step: u32) -> Result<(), Refusal> {
        self.on_running(|w, p, v| {
            change::shift(&w.context(), p, v, w.gate_of(p), &w.policies[&p.policy.number].policy, step)
        })
    }

    pub(super) fn crown(&mut self) -> Result<(), Refusal> {
        self.on_running(|w, p, v| {
            let (champion, standby) =
                (w.version_of(w.head.champion()), w.version_of(w.head.standby.as_ref()));
            let policy = &w.policies[&p.policy.number].policy;
            change::crown(&w.context(), p, v, champion, standby, w.gate_of(p), policy)
        })
    }

    pub(super) fn end(&mut self, reason: &str) -> Result<(), Refusal> {
        self.on_running(|w, p, v| change::end_promotion(&w.context(), p, v, w.gate_of(p), reason))
    }

    pub(super) fn roll_back(&mut self) -> Result<(), Refusal> {
        self.act(|w| {
            let Some(champion) = w.version_of(w.head.champion()) else {
                return Err(Refusal::NoStandby { model: w.head.model.clone() });
            };
            let running = w.running().map(|p| change::Running {
                promotion: p,
                challenger: &w.versions[&p.challenger.version],
                gate: w.gate_of(p),
            });
            change::roll_back(
                &w.context(),
                champion,
                w.version_of(w.head.standby.as_ref()),
                running,
                "errors",
            )
        })
    }

    /// The next step on the way of the running promotion to its crown.
    pub(super) fn advance(&mut self) -> Result<(), Refusal> {
        let Some(promotion) = self.running().cloned() else {
            return Err(Refusal::NotFound { what: "a running promotion".into() });
        };
        let steps = self.policies[&promotion.policy.number].policy.canary.steps.len();
        match self.versions[&promotion.challenger.version].status {
            VersionStatus::Evaluating if promotion.champion.is_some() => self.open_shadow(),
            VersionStatus::Evaluating | VersionStatus::Shadowing => {
                self.record(EvidenceKind::Report, "report")
            }
            VersionStatus::InReview if promotion.gate.is_none() => self.open_gate(),
            VersionStatus::InReview => self.decide(&actor("ann@example.com"), true),
            VersionStatus::Approved | VersionStatus::Canary
                if promotion.champion.is_some() && promotion.steps.len() < steps =>
            {
                self.shift(promotion.steps.len() as u32)
            }
            _ => self.crown(),
        }
    }

    /// A whole promotion.
    pub(super) fn promote(&mut self, version: u32, attempt: u32) {
        self.start(version, attempt).unwrap();
        while self.head.running.is_some() {
            self.advance().unwrap();
        }
    }

    /// The running promotion of v2 up to this status of its challenger.
    pub(super) fn advance_to(&mut self, status: VersionStatus) {
        if self.head.running.is_none() {
            self.start(2, 1).unwrap();
        }
        while self.versions[&VersionName::new(2)].status != status {
            self.advance().unwrap();
        }
    }
}

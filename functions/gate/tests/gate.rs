//! Gates from the task's side: opened twice, decided, expired, and the mails that go out, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use fn_answer::{CallbackError, Callbacks};
use fn_gate::{Ports, handle, work};
use jiff::{SignedDuration, Timestamp};
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::package::PackageSummary;
use seatrial_domain::policy::{ApprovalMode, Approver, Person, Policy, Role};
use seatrial_domain::promotion::{Automatic, EvidenceKind, EvidenceRef, Stage};
use seatrial_domain::task::{GateAction, GateAnswer, GateOutcome, GateTask, Held, LONGEST_WAIT_SECONDS};
use seatrial_domain::verdict::Verdict;
use seatrial_domain::{GateId, ModelName, PromotionId};
use seatrial_mail::Mailer;
use seatrial_registry::ops::Ops;
use seatrial_registry::{Attempts, Capabilities, MemoryRegistry, Records, TaskToken, Tokens};
use seatrial_report::mail::Mail;
use seatrial_runtime::Failure;
use seatrial_runtime::link::LinkSecret;

const URL: &str = "https://approvals.example.com";
const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

#[derive(Default)]
struct Execution {
    answers: Mutex<Vec<(String, GateOutcome)>>,
    gone: AtomicBool,
}

#[async_trait::async_trait]
impl Callbacks for Execution {
    async fn succeed(&self, token: &TaskToken, answer: &GateAnswer) -> Result<(), CallbackError> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(CallbackError::NobodyWaits { why: "TaskTimedOut" });
        }
        self.answers.lock().unwrap().push((token.expose().to_owned(), answer.outcome));
        Ok(())
    }
}

#[derive(Default)]
struct Post {
    sent: Mutex<Vec<(String, Mail)>>,
    broken: AtomicBool,
}

impl Post {
    fn to(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|(to, _)| to.clone()).collect()
    }

    /// The address in the n-th mail, without the base.
    fn link(&self, n: usize) -> String {
        let text = self.sent.lock().unwrap()[n].1.text.clone();
        text.lines().find_map(|l| l.strip_prefix(URL)).unwrap_or_default().to_owned()
    }
}

#[async_trait::async_trait]
impl Mailer for Post {
    async fn send(&self, to: &str, mail: &Mail) -> Result<(), Failure> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Failure::unavailable("handing a mail to SES", "out of order"));
        }
        self.sent.lock().unwrap().push((to.to_owned(), mail.clone()));
        Ok(())
    }
}

struct World {
    registry: MemoryRegistry,
    execution: Execution,
    post: Post,
    held: Held,
    now: Mutex<Timestamp>,
}

fn person(principal: &str) -> Actor {
    Actor { principal: principal.into(), auth: Auth::Iam }
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.approval.separation_of_duties = false;
    policy.approval.expires_seconds = 3_600;
    policy.approval.approvers =
        [ANN, BOB].map(|email| Approver { email: email.into(), principals: vec![] }).to_vec();
    policy
}

impl World {
    /// A first version whose shadow is open.
    async fn new(policy: Policy) -> Self {
        let (registry, now) = (MemoryRegistry::default(), Timestamp::from_second(1_800_000_000).unwrap());
        let clock = move || now;
        let ops = Ops::new(&registry, person("dana@example.com"), &clock);
        let model = ModelName::parse("credit-risk").unwrap();
        ops.set_policy(&model, &policy).await.unwrap();
        let package = PackageSummary {
            runtime: "onnx".into(),
            task: "binary".into(),
            title: Some("https://evil.example".into()),
            size: 1,
            files: BTreeMap::new(),
            labels: BTreeMap::new(),
            changelog: "https://evil.example <b>click</b>".into(),
            config: Default::default(),
            remote: None,
        };
        let version = ops.register_version(&model, &sha256(b"v1"), &package, "evil").await.unwrap().value;
        let id = PromotionId::derive(&model, "x", 1);
        let dana = person("dana@example.com");
        let promotion = ops.start_promotion(&model, &id, version.version, &dana, None).await.unwrap().value;
        ops.open_shadow(&model, &id, promotion.epoch).await.unwrap();
        let held = Held { schema: 1, model, promotion: id, epoch: promotion.epoch, version: version.version };
        Self { registry, execution: Execution::default(), post: Post::default(), held, now: Mutex::new(now) }
    }

    /// The same with a report: ready for an approval.
    async fn reported(policy: Policy) -> Self {
        let world = Self::new(policy).await;
        world.report().await;
        world
    }

    async fn report(&self) {
        let report = EvidenceRef { key: "report".into(), digest: sha256(b"report") };
        let Held { model, promotion, epoch, .. } = &self.held;
        let clock = self.clock();
        let ops = Ops::new(&self.registry, Actor::function("compare"), &clock);
        ops.record_evidence(model, promotion, *epoch, EvidenceKind::Report, &report, Some(Verdict::Pass))
            .await
            .unwrap();
    }

    async fn end(&self) {
        let Held { model, promotion, epoch, .. } = &self.held;
        let clock = self.clock();
        let ops = Ops::new(&self.registry, person("dana@example.com"), &clock);
        ops.end_promotion(model, promotion, *epoch, "enough").await.unwrap();
    }

    fn clock(&self) -> impl Fn() -> Timestamp + Send + Sync + use<> {
        let now = *self.now.lock().unwrap();
        move || now
    }

    fn pass(&self, seconds: i64) {
        *self.now.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    async fn run(&self, action: GateAction, token: Option<&str>) -> Result<GateAnswer, Failure> {
        let (callbacks, mailer) = (&self.execution, Some(&self.post as &dyn Mailer));
        let ports = Ports { registry: &self.registry, callbacks, mailer, approvals_url: URL };
        let task = GateTask { held: self.held.clone(), action, task_token: token.map(str::to_owned) };
        handle(&ports, self.clock(), task).await
    }

    async fn open(&self, token: &str) -> GateOutcome {
        self.run(GateAction::OpenApproval, Some(token)).await.unwrap().outcome
    }

    async fn gate(&self, kind: GateKind) -> GateRecord {
        let id = GateId::derive(&self.held.promotion, kind.as_str(), 1);
        self.registry.gate(&id).await.unwrap().unwrap()
    }

    async fn token(&self, kind: GateKind) -> Option<String> {
        let token = self.registry.token(&self.gate(kind).await.id).await.unwrap();
        token.map(|t| t.expose().to_owned())
    }

    async fn decide(&self, kind: GateKind, who: &str, approve: bool) {
        let clock = self.clock();
        let id = self.gate(kind).await.id;
        Ops::new(&self.registry, person(who), &clock).decide_gate(&id, approve, "seen", None).await.unwrap();
    }

    fn answers(&self) -> Vec<(String, GateOutcome)> {
        self.execution.answers.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn an_approval_gate_binds_the_evidence_and_each_approver_gets_a_link_of_their_own() {
    let world = World::reported(policy()).await;
    let answer = world.run(GateAction::OpenApproval, Some("token-1")).await.unwrap();
    assert_eq!((answer.outcome, answer.wait_seconds), (GateOutcome::Pending, LONGEST_WAIT_SECONDS));
    let gate = world.gate(GateKind::Approval).await;
    assert_eq!((&gate.bound.package, &gate.bound.report), (&sha256(b"v1"), &sha256(b"report")));
    assert_eq!(world.token(GateKind::Approval).await.as_deref(), Some("token-1"));
    assert_eq!(world.post.to(), [ANN, BOB]);
    for (n, approver) in [ANN, BOB].into_iter().enumerate() {
        let link = world.post.link(n);
        let secret = LinkSecret::parse(link.strip_prefix("/l/").unwrap()).unwrap();
        let capability = world.registry.capability(&secret.hash()).await.unwrap().unwrap();
        assert_eq!(
            (capability.approver.as_str(), &capability.gate, capability.used_at),
            (approver, &gate.id, None)
        );
        assert_eq!(capability.expires_at, gate.expires_at);
    }
    let mail = world.post.sent.lock().unwrap()[0].1.clone();
    assert_eq!(mail.subject, "Review: promote credit-risk v1 as its first champion");
    assert!(mail.html.contains(&world.post.link(0)) && mail.text.contains("Verdict: pass"));
    assert!(!mail.text.contains("evil") && !mail.html.contains("evil"), "the mail holds a submitter's text");
    assert!(!mail.text.contains(&world.post.link(1)), "a mail holds another approver's link");
    assert!(!format!("{mail:?} {gate:?}").contains("token-1") && !format!("{mail:?}").contains("/l/"));
}

#[tokio::test]
async fn opening_again_takes_the_new_token_and_writes_to_nobody_twice() {
    let world = World::reported(policy()).await;
    world.open("token-1").await;
    let first = world.gate(GateKind::Approval).await;
    world.pass(60);
    world.open("token-2").await;
    assert_eq!(world.gate(GateKind::Approval).await, first, "a retry moves neither the gate nor its expiry");
    assert_eq!(world.token(GateKind::Approval).await.as_deref(), Some("token-2"));
    assert_eq!(world.post.to(), [ANN, BOB]);
    assert!(world.answers().is_empty());
}

#[tokio::test]
async fn a_decided_gate_answers_a_new_token_at_once() {
    for (approve, outcome) in [(true, GateOutcome::Approved), (false, GateOutcome::Rejected)] {
        let world = World::reported(policy()).await;
        world.open("token-1").await;
        world.decide(GateKind::Approval, BOB, approve).await;
        let answer = world.run(GateAction::OpenApproval, Some("token-2")).await.unwrap();
        assert_eq!(answer.outcome, outcome);
        assert!(answer.why.contains(BOB) && answer.why.contains("seen"), "{}", answer.why);
        assert_eq!(world.answers(), [("token-2".to_owned(), outcome)]);
        assert_eq!(world.token(GateKind::Approval).await, None);
        assert_eq!(world.post.to(), [ANN, BOB], "nobody is written to about a decided gate");
    }
}

#[tokio::test]
async fn mail_that_fails_does_not_keep_the_gate_shut_and_is_tried_again_when_the_gate_is_opened_again() {
    let world = World::reported(policy()).await;
    world.post.broken.store(true, Ordering::SeqCst);
    assert_eq!(world.open("token-1").await, GateOutcome::Pending);
    world.post.broken.store(false, Ordering::SeqCst);
    world.open("token-2").await;
    world.open("token-3").await;
    assert_eq!(world.post.to(), [ANN, BOB]);
}

#[tokio::test]
async fn where_a_login_is_needed_the_mail_carries_no_right() {
    let strict: [fn(&mut Policy); 2] =
        [|p| p.approval.separation_of_duties = true, |p| p.approval.quorum = 2];
    for change in strict {
        let mut policy = policy();
        change(&mut policy);
        let world = World::reported(policy).await;
        world.open("token-1").await;
        let gate = world.gate(GateKind::Approval).await;
        assert_eq!(world.post.to(), [ANN, BOB]);
        for (_, mail) in world.post.sent.lock().unwrap().iter() {
            assert!(mail.text.contains(&format!("{URL}/g/{}", gate.id)) && mail.text.contains("login"));
            assert!(!mail.text.contains("/l/") && !mail.html.contains("/l/"));
        }
    }
}

#[tokio::test]
async fn the_registrys_expiry_decides_and_not_the_machines_timeout() {
    let world = World::reported(policy()).await;
    world.open("token-1").await;
    world.pass(3_599);
    let early = world.run(GateAction::CloseApproval, None).await.unwrap();
    assert_eq!((early.outcome, early.wait_seconds), (GateOutcome::Pending, LONGEST_WAIT_SECONDS));
    world.pass(1);
    for _ in 0..2 {
        assert_eq!(world.run(GateAction::CloseApproval, None).await.unwrap().outcome, GateOutcome::Expired);
    }
    assert_eq!(world.gate(GateKind::Approval).await.status, GateStatus::Expired);
    assert_eq!(world.open("token-2").await, GateOutcome::Expired);
    assert_eq!(world.answers(), [("token-2".to_owned(), GateOutcome::Expired)]);
}

#[tokio::test]
async fn a_gate_that_expired_while_nobody_waited_answers_the_next_wait() {
    let world = World::reported(policy()).await;
    world.open("token-1").await;
    world.pass(4_000);
    assert_eq!(world.open("token-2").await, GateOutcome::Expired);
    assert_eq!(world.answers(), [("token-2".to_owned(), GateOutcome::Expired)]);
}

#[tokio::test]
async fn a_shadows_wait_ends_with_a_look_at_the_evidence_until_a_person_stops_it() {
    let world = World::new(policy()).await;
    for token in ["token-1", "token-2"] {
        let opened = world.run(GateAction::OpenShadowWindow, Some(token)).await.unwrap();
        assert_eq!(opened.outcome, GateOutcome::Pending);
        world.pass(60);
        assert_eq!(
            world.run(GateAction::CloseShadowWindow, None).await.unwrap().outcome,
            GateOutcome::Expired
        );
        assert_eq!(
            world.gate(GateKind::ShadowWindow).await.status,
            GateStatus::Pending,
            "it can still be stopped"
        );
    }
    assert!(world.post.to().is_empty(), "nobody is asked to decide a shadow");
    world.decide(GateKind::ShadowWindow, "dana@example.com", true).await;
    let again = world.run(GateAction::OpenShadowWindow, Some("token-3")).await.unwrap();
    assert_eq!(again.outcome, GateOutcome::Stopped);
    assert_eq!(world.answers(), [("token-3".to_owned(), GateOutcome::Stopped)]);
    assert_eq!(world.run(GateAction::CloseShadowWindow, None).await.unwrap().outcome, GateOutcome::Stopped);
}

#[tokio::test]
async fn the_window_of_an_ended_shadow_does_not_stay_open() {
    let world = World::new(policy()).await;
    world.run(GateAction::OpenShadowWindow, Some("token-1")).await.unwrap();
    world.report().await;
    world.open("token-2").await;
    let window = world.gate(GateKind::ShadowWindow).await;
    assert_eq!(
        (window.status, window.decisions[0].by.principal.as_str()),
        (GateStatus::Approved, "function/gate")
    );
    assert_eq!(world.token(GateKind::ShadowWindow).await, None);
    assert_eq!(world.gate(GateKind::Approval).await.status, GateStatus::Pending);
    assert!(world.answers().is_empty());
}

#[tokio::test]
async fn a_promotion_that_ended_gets_no_gate_and_its_open_gate_sends_its_execution_home() {
    let world = World::reported(policy()).await;
    world.open("token-1").await;
    world.end().await;
    assert_eq!(world.open("token-2").await, GateOutcome::Rejected);
    assert_eq!(world.gate(GateKind::Approval).await.status, GateStatus::Cancelled);

    let fresh = World::reported(policy()).await;
    fresh.end().await;
    let failure = fresh.run(GateAction::OpenApproval, Some("token-1")).await.unwrap_err();
    assert_eq!(failure.label, seatrial_runtime::label::SUPERSEDED);
    assert!(fresh.post.to().is_empty());
}

#[tokio::test]
async fn a_task_without_what_it_needs_is_refused_before_anything_is_written() {
    let world = World::new(policy()).await;
    let before = world.registry.head(&world.held.model).await.unwrap();
    let failure = world.run(GateAction::OpenShadowWindow, None).await.unwrap_err();
    assert!(failure.message.contains("task_token"));
    let failure = world.run(GateAction::OpenApproval, Some("t")).await.unwrap_err();
    assert_eq!(
        failure.label,
        seatrial_runtime::label::NOT_APPROVED,
        "there is no report yet: {}",
        failure.message
    );
    assert_eq!(world.registry.head(&world.held.model).await.unwrap(), before);
    assert_eq!(world.run(GateAction::CloseApproval, None).await.unwrap().outcome, GateOutcome::Pending);
}

#[tokio::test]
async fn a_token_nobody_waits_with_is_forgotten() {
    let world = World::reported(policy()).await;
    world.open("token-1").await;
    world.decide(GateKind::Approval, ANN, true).await;
    world.execution.gone.store(true, Ordering::SeqCst);
    assert_eq!(world.open("token-2").await, GateOutcome::Approved);
    assert_eq!(world.token(GateKind::Approval).await, None);
}

/// Approvals come by themselves after 600 s; olga may skip stages.
fn unattended() -> Policy {
    let mut policy = policy();
    policy.offline.tracked = policy.offline.metrics.keys().take(1).cloned().collect();
    policy.approval.mode = ApprovalMode::AutoUnlessBlocked;
    policy.approval.window_seconds = 600;
    policy.approval.reminders_seconds = vec![120];
    policy.people = vec![Person {
        email: "olga@example.com".into(),
        principals: vec![],
        roles: [Role::Operator].into(),
        emergency: true,
    }];
    policy
}

impl World {
    /// A second version with a report that allows an approval by itself, and its gate open.
    async fn windowed() -> Self {
        let mut world = Self::reported(unattended()).await;
        let clock = world.clock();
        let model = world.held.model.clone();
        world.open("token-0").await;
        assert!(world.gate(GateKind::Approval).await.window.is_none(), "a first version waits for people");
        world.decide(GateKind::Approval, ANN, true).await;
        world.post.sent.lock().unwrap().clear();
        let ops = Ops::new(&world.registry, Actor::function("test"), &clock);
        ops.crown(&model, &world.held.promotion, world.held.epoch).await.unwrap();
        let package = world.registry.version(&model, world.held.version).await.unwrap().unwrap().package;
        let two = ops.register_version(&model, &sha256(b"v2"), &package, "evil").await.unwrap().value;
        let id = PromotionId::derive(&model, "y", 1);
        let dana = person("dana@example.com");
        let run = ops.start_promotion(&model, &id, two.version, &dana, None).await.unwrap().value;
        ops.open_shadow(&model, &id, run.epoch).await.unwrap();
        let report = EvidenceRef { key: "report 2".into(), digest: sha256(b"report 2") };
        let automatic = Automatic { eligible: true, why: vec![] };
        ops.record_report((&model, &id, run.epoch), &report, Verdict::Pass, Some(&automatic)).await.unwrap();
        world.held = Held { promotion: id, epoch: run.epoch, version: two.version, ..world.held.clone() };
        world.open("token-1").await;
        world
    }

    async fn close(&self) -> GateAnswer {
        self.run(GateAction::CloseApproval, None).await.unwrap()
    }

    async fn remind(&self) {
        let clock = self.clock();
        let id = self.gate(GateKind::Approval).await.id;
        let ops = Ops::new(&self.registry, Actor::function("sweep"), &clock);
        assert!(ops.remind_gate(&id).await.unwrap().fresh);
    }

    /// What `notify` leaves once it has delivered a reminder.
    async fn reminder_arrives(&self) {
        let gate = self.gate(GateKind::Approval).await;
        let mark = format!("told#{}#reminded", gate.id);
        self.registry.mark_attempt(&gate.promotion, &mark, gate.expires_at).await.unwrap();
        self.registry.finish_attempt(&gate.promotion, &mark).await.unwrap();
    }
}

#[tokio::test]
async fn an_approval_comes_by_itself_when_its_window_ends_and_everybody_was_told() {
    let world = World::windowed().await;
    let opened = world.run(GateAction::OpenApproval, Some("token-2")).await.unwrap();
    assert_eq!((opened.outcome, opened.wait_seconds), (GateOutcome::Pending, 601), "it is looked at then");
    world.pass(500);
    assert_eq!(world.close().await.outcome, GateOutcome::Pending);
    world.remind().await;
    world.reminder_arrives().await;
    world.pass(101);
    let answer = world.close().await;
    assert_eq!(answer.outcome, GateOutcome::Approved);
    assert!(answer.why.contains("automatically"), "{}", answer.why);
    let decision = world.gate(GateKind::Approval).await.decisions[0].clone();
    assert!(decision.automatic && decision.by.auth == Auth::System);
    assert_eq!(world.close().await.outcome, GateOutcome::Approved, "again is the same");
}

#[tokio::test]
async fn an_approval_never_comes_by_itself_when_people_were_not_told_or_somebody_blocked() {
    // Nobody was reminded; reminded, and it arrived nowhere; told, and blocked.
    for (remind, arrives, block) in [(false, false, false), (true, false, false), (true, true, true)] {
        let world = World::windowed().await;
        world.pass(500);
        if remind {
            world.remind().await;
        }
        if arrives {
            world.reminder_arrives().await;
        }
        if block {
            let clock = world.clock();
            let ops = Ops::new(&world.registry, person("olga@example.com"), &clock);
            ops.block_gate(&world.gate(GateKind::Approval).await.id, "wait").await.unwrap();
        }
        world.pass(101);
        let answer = world.close().await;
        assert_eq!(answer.outcome, GateOutcome::Pending, "{remind} {arrives} {block}: {}", answer.why);
        assert!(answer.wait_seconds >= 60, "it does not spin");
        let gate = world.gate(GateKind::Approval).await;
        assert_eq!((gate.status, gate.decisions.len()), (GateStatus::Pending, 0));
        world.decide(GateKind::Approval, ANN, true).await;
        assert_eq!(world.close().await.outcome, GateOutcome::Approved, "people still decide");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_an_approval_that_was_skipped_before_its_gate_opened() {
    let world = World::new(unattended()).await;
    world.run(GateAction::OpenShadowWindow, Some("token-0")).await.unwrap();
    world.report().await;
    let clock = world.clock();
    let ops = Ops::new(&world.registry, person("olga@example.com"), &clock);
    ops.bypass(&world.held.model, Stage::Approval, "it burns").await.unwrap();
    assert_eq!(world.open("token-1").await, GateOutcome::Approved);
    assert_eq!(world.answers(), [("token-1".to_owned(), GateOutcome::Approved)]);
    assert_eq!(world.gate(GateKind::ShadowWindow).await.status, GateStatus::Approved, "the shadow is over");
    assert_eq!(world.token(GateKind::ShadowWindow).await, None);
    let decision = world.gate(GateKind::Approval).await.decisions[0].clone();
    assert!(decision.emergency && decision.by.principal == "olga@example.com");
    assert!(world.post.to().is_empty());
}

impl World {
    async fn order(&self, of: Option<&str>, renew: bool) {
        let (clock, id) = (self.clock(), self.gate(GateKind::Approval).await.id);
        let ops = Ops::new(&self.registry, person("dana@example.com"), &clock);
        ops.order_links(&id, of, renew).await.unwrap();
    }

    async fn tick(&self) -> Result<serde_json::Value, Failure> {
        let (callbacks, mailer) = (&self.execution, Some(&self.post as &dyn Mailer));
        let ports = Ports { registry: &self.registry, callbacks, mailer, approvals_url: URL };
        work(&ports, self.clock(), serde_json::json!({ "tick": "send_links" })).await
    }

    /// The generation of the link in the n-th mail.
    async fn generation(&self, n: usize) -> u32 {
        let secret = LinkSecret::parse(self.post.link(n).strip_prefix("/l/").unwrap()).unwrap();
        self.registry.capability(&secret.hash()).await.unwrap().unwrap().generation
    }
}

#[tokio::test]
async fn new_links_go_to_whom_they_are_owed_once_and_to_their_own_address() {
    let world = World::reported(policy()).await;
    world.open("token-1").await;
    assert_eq!(world.tick().await.unwrap()["sent"], 0, "nothing is owed");
    world.order(Some("Ann@example.com"), true).await;
    assert_eq!(world.tick().await.unwrap()["sent"], 1);
    assert_eq!(world.tick().await.unwrap()["sent"], 0);
    assert_eq!(world.post.to(), [ANN, BOB, ANN]);
    assert_eq!((world.generation(0).await, world.generation(1).await, world.generation(2).await), (0, 0, 1));
    let gate = world.gate(GateKind::Approval).await;
    assert!(gate.status == GateStatus::Pending && !gate.owes_links());
    // A second time is a link of its own; a retry of the wait sends nothing by itself.
    world.order(None, true).await;
    world.open("token-2").await;
    assert_eq!(world.post.to().len(), 3);
    assert_eq!(world.tick().await.unwrap()["sent"], 2);
    assert_eq!(world.post.to()[3..], [ANN, BOB]);
    assert_eq!((world.generation(3).await, world.generation(4).await), (2, 1));
    assert!(world.answers().is_empty());
}

#[tokio::test]
async fn links_taken_back_are_not_sent_anew_and_a_mail_that_fails_is_tried_again() {
    let world = World::reported(policy()).await;
    world.open("token-1").await;
    world.order(None, false).await;
    world.tick().await.unwrap();
    world.open("token-2").await;
    assert_eq!(
        world.post.to(),
        [ANN, BOB],
        "taking back sends nothing, and neither does a retry of the wait"
    );
    world.order(Some(BOB), true).await;
    world.post.broken.store(true, Ordering::SeqCst);
    let failure = world.tick().await.unwrap_err();
    assert!(failure.is_transient() && world.gate(GateKind::Approval).await.owes_link(BOB));
    world.post.broken.store(false, Ordering::SeqCst);
    assert_eq!(world.tick().await.unwrap()["sent"], 1);
    assert_eq!(world.post.to(), [ANN, BOB, BOB]);
    // Whoever is no approver any more gets none, and a closed gate owes none.
    world.order(None, true).await;
    let mut only_bob = policy();
    only_bob.approval.approvers.remove(0);
    let clock = world.clock();
    let ops = Ops::new(&world.registry, person("dana@example.com"), &clock);
    ops.set_policy(&world.held.model, &only_bob).await.unwrap();
    assert_eq!(world.tick().await.unwrap()["sent"], 1);
    assert_eq!(world.post.to()[3..], [BOB]);
    world.order(None, true).await;
    world.decide(GateKind::Approval, BOB, false).await;
    assert_eq!(world.tick().await.unwrap()["sent"], 0);
}

#[tokio::test]
async fn a_payload_that_is_neither_task_nor_tick_is_refused() {
    let world = World::reported(policy()).await;
    let ports =
        Ports { registry: &world.registry, callbacks: &world.execution, mailer: None, approvals_url: URL };
    for wrong in
        [serde_json::json!({ "tick": "open" }), serde_json::json!({ "tick": 1 }), serde_json::json!({})]
    {
        let refused = work(&ports, world.clock(), wrong).await.unwrap_err();
        assert!(!refused.is_transient(), "{}", refused.message);
    }
}

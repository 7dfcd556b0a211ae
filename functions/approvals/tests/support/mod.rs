//! A model with a champion, a challenger under review, and an open gate, all in memory.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use fn_approvals::{App, BaseUrl};
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::{MemoryS3, ObjectStore, put_evidence};
use seatrial_domain::canonical::sha256;
use seatrial_domain::flat::flatten;
use seatrial_domain::gate::{Capability, GateKind, GateRecord, Window};
use seatrial_domain::head::BenchmarkRef;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::package::{Blob, PackageSummary};
use seatrial_domain::policy::{Approver, Margin, Person, Policy, Role};
use seatrial_domain::promotion::{Automatic, EvidenceRef, PromotionRecord, Stage};
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{Digest, ModelName, PromotionId};
use seatrial_evidence::report::{
    ComparisonReport, Disagreement, Fidelity, MetricGroup, MetricRow, MetricUnit, OfflineFacts, ShadowFacts,
};
use seatrial_registry::ops::{Ops, draft_gate};
use seatrial_registry::{Capabilities, MemoryRegistry, Registry};
use seatrial_runtime::lambda_http::request::RequestContext;
use seatrial_runtime::link::LinkSecret;
use serde_json::{Value, json};

pub const ANN: &str = "ann@example.com";
pub const BOB: &str = "bob@example.com";
pub const ANN_AS_USER: &str = "arn:aws:iam::000000000000:user/ann";
pub const OLGA: &str = "olga@example.com";
pub const CONTEXT: &str = "Decides whether a loan over 5,000 is offered without a person looking at it.\n\nA wrong yes costs about 4,000 on average; a wrong no sends the customer to a clerk, which costs a day.";
/// Text that would be markup if it were not escaped.
pub const HOSTILE: &str = "<script>document.title='scripts ran'</script><img src=x onerror=alert(1)>";

pub struct World {
    pub registry: MemoryRegistry,
    pub evidence: Arc<dyn ObjectStore>,
    pub model: ModelName,
    pub gate: GateRecord,
    pub promotion: PromotionRecord,
}

pub fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.approval.separation_of_duties = false;
    policy.approval.approvers = vec![
        Approver { email: ANN.into(), principals: vec![ANN_AS_USER.into()] },
        Approver { email: BOB.into(), principals: vec![] },
    ];
    policy.canary.steps = vec![5.0, 25.0, 50.0];
    policy.segments = vec!["occupation".into()];
    policy.protected = vec!["sex".into()];
    policy.context = CONTEXT.into();
    policy.people = vec![Person {
        email: OLGA.into(),
        principals: vec![],
        roles: BTreeSet::from([Role::Operator]),
        emergency: true,
    }];
    policy
}

/// A request as API Gateway hands it on, with the caller that its authorizer found.
pub fn signed(method: &str, path: &str, user: Option<&str>, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    let mut request = request.body(Body::from(body.to_string())).unwrap();
    if let Some(user) = user {
        request.extensions_mut().insert(authorized(method, path, user));
    }
    request
}

/// What the API's authorizer says of a caller.
pub fn authorized(method: &str, path: &str, user: &str) -> RequestContext {
    let context = json!({
        "accountId": "000000000000", "requestId": "r", "stage": "$default", "timeEpoch": 0,
        "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "t" },
        "authorizer": { "iam": { "userId": "AIDAEXAMPLE", "userArn": user } },
    });
    RequestContext::ApiGatewayV2(serde_json::from_value(context).unwrap())
}

fn operator() -> Actor {
    Actor { principal: "arn:aws:iam::000000000000:user/dana".into(), auth: Auth::Iam }
}

fn summary(title: &str, changelog: &str, config: &Value) -> PackageSummary {
    let file = |path: &str, content: &str| {
        (path.to_owned(), Blob { digest: sha256(content.as_bytes()), size: content.len() as u64 })
    };
    PackageSummary {
        runtime: "onnx".into(),
        task: "binary".into(),
        title: Some(title.into()),
        size: 118_204,
        files: BTreeMap::from([
            file("config.yaml", &config.to_string()),
            file("weights/model.onnx", title),
            file("model_card.md", "a card"),
        ]),
        labels: BTreeMap::new(),
        changelog: changelog.into(),
        config: flatten(config),
        remote: None,
    }
}

/// The settings of a version.
fn config(learner: &str, threads: u32, more: &str) -> Value {
    json!({
        "task": "binary", "runtime": "onnx", "title": learner, "model": "weights/model.onnx", "threads": threads,
        "inputs": [
            { "name": "age", "datatype": "FP32", "shape": [-1, 1], "nullable": false },
            { "name": format!("capital-gain{more}"), "datatype": "FP32", "shape": [-1, 1], "nullable": threads > 1 },
        ],
        "outputs": { "label": "label", "scores": "probabilities", "score_kind": "probability" },
        "classes": ["<=50K", ">50K"], "positive_class": ">50K",
        "dependencies": { "scikit-learn": if threads > 1 { "1.7.2" } else { "1.5.1" }, "skl2onnx": "1.18" },
    })
}

pub async fn set_policy(registry: &dyn Registry, model: &ModelName, policy: Policy) {
    let clock = seatrial_runtime::now;
    Ops::new(registry, operator(), &clock).set_policy(model, &policy).await.unwrap();
}

/// How a model's gate comes to be.
pub struct Wanted {
    pub model: &'static str,
    /// The policy in force, also once the gate is open.
    pub policy: Policy,
    pub verdict: Verdict,
    /// How long after its opening the gate expires.
    pub open_for: SignedDuration,
    /// For an approval that comes by itself: how long it can be blocked.
    pub window: Option<SignedDuration>,
    /// Stages that an operator skips before the gate opens.
    pub skipped: Vec<Stage>,
    /// What stands in every text that others wrote.
    pub hostile: &'static str,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            model: "credit-risk",
            policy: policy(),
            verdict: Verdict::Pass,
            open_for: SignedDuration::from_hours(51),
            window: None,
            skipped: vec![],
            hostile: HOSTILE,
        }
    }
}

/// v1 of a model is the champion; v2 waits at a gate.
pub async fn waiting_gate(
    registry: &MemoryRegistry,
    evidence: &Arc<dyn ObjectStore>,
    wanted: Wanted,
) -> (GateRecord, PromotionRecord) {
    let model = ModelName::parse(wanted.model).unwrap();
    let mut earlier = policy();
    earlier.offline.min_n = 500;
    earlier.canary.steps = vec![1.0, 10.0, 50.0];
    set_policy(registry, &model, earlier).await;
    let clock = seatrial_runtime::now;
    let ops = Ops::new(registry, operator(), &clock);
    let benchmark =
        BenchmarkRef { digest: sha256(b"benchmark"), key: "b".into(), size: 9_768, set_at: clock() };
    ops.set_benchmark(&model, &benchmark).await.unwrap();

    let first = summary("Logistic regression", "First version.", &config("logistic", 1, ""));
    let version = register(&ops, &model, &sha256(b"v1"), &first).await;
    let promotion = start(&ops, &model, &version).await;
    let promotion = review(&ops, evidence, &promotion, &Wanted::default()).await;
    let gate = draft(&promotion, &version, SignedDuration::from_hours(1));
    let gate = ops.open_gate(&gate).await.unwrap().value;
    let ann = Actor { principal: ANN_AS_USER.into(), auth: Auth::Iam };
    Ops::new(registry, ann, &clock).decide_gate(&gate.id, true, "first", None).await.unwrap();
    ops.crown(&model, &promotion.id, promotion.epoch).await.unwrap();

    set_policy(registry, &model, wanted.policy.clone()).await;
    let second = summary(
        "Gradient boosting, 200 trees",
        &format!(
            "Gradient boosting in place of the logistic regression.\n\n- trained on 2026-10, 22,622 rows\n- capital-gain and capital-loss are used as they are\n- known weakness: few examples of occupation=Armed-Forces\n{}",
            wanted.hostile
        ),
        &config("boosting", 2, wanted.hostile),
    );
    let version = register(&ops, &model, &sha256(b"v2"), &second).await;
    let mut promotion = start(&ops, &model, &version).await;
    let olga = Ops::new(registry, Actor { principal: OLGA.into(), auth: Auth::Iam }, &clock);
    for stage in &wanted.skipped {
        let reason = format!("v1 leaks card numbers; v2 fixes it. {}", wanted.hostile);
        promotion = olga.bypass(&model, *stage, &reason).await.unwrap().value;
    }
    let promotion = review(&ops, evidence, &promotion, &wanted).await;
    let mut gate = draft(&promotion, &version, wanted.open_for);
    gate.window = wanted.window.map(|length| Window { ends_at: gate.opened_at + length, blocked: None });
    let gate = ops.open_gate(&gate).await.unwrap().value;
    (gate, promotion)
}

impl World {
    /// v1 is the champion; v2 waits at a gate that expires after `open_for`.
    pub async fn new(verdict: Verdict, open_for: SignedDuration) -> Self {
        Self::of(Wanted { verdict, open_for, ..Wanted::default() }).await
    }

    /// A world with this gate and nothing else.
    pub async fn of(wanted: Wanted) -> Self {
        let registry = MemoryRegistry::default();
        let evidence: Arc<dyn ObjectStore> = Arc::new(MemoryS3::default().bucket("evidence"));
        let (gate, promotion) = waiting_gate(&registry, &evidence, wanted).await;
        Self { registry, evidence, model: gate.model.clone(), gate, promotion }
    }

    pub fn app(&self, base: &str) -> App {
        App {
            registry: Arc::new(self.registry.clone()),
            evidence: Arc::clone(&self.evidence),
            base: BaseUrl::parse(base).unwrap(),
            local_identity: None,
            issuer: None,
            clock: seatrial_runtime::now,
        }
    }

    pub async fn link(&self, approver: &str) -> LinkSecret {
        self.link_until(approver, self.gate.expires_at).await
    }

    pub async fn link_until(&self, approver: &str, expires_at: Timestamp) -> LinkSecret {
        let secret = LinkSecret::mint().unwrap();
        let (gate, model) = (self.gate.id.clone(), self.model.clone());
        let capability = Capability {
            gate,
            model,
            approver: approver.into(),
            expires_at,
            used_at: None,
            revoked: false,
            generation: 0,
        };
        self.registry.put_capability(&secret.hash(), &capability).await.unwrap();
        secret
    }
}

async fn register(
    ops: &Ops<'_>,
    model: &ModelName,
    digest: &Digest,
    package: &PackageSummary,
) -> VersionRecord {
    ops.register_version(model, digest, package, "dana@example.com").await.unwrap().value
}

async fn start(ops: &Ops<'_>, model: &ModelName, version: &VersionRecord) -> PromotionRecord {
    let id = PromotionId::derive(model, version.digest.as_str(), 1);
    ops.start_promotion(model, &id, version.version, &operator(), None).await.unwrap().value
}

fn draft(promotion: &PromotionRecord, version: &VersionRecord, open_for: SignedDuration) -> GateRecord {
    let now = seatrial_runtime::now();
    draft_gate(GateKind::Approval, 1, promotion, version, now, now + open_for).unwrap()
}

/// Gives the promotion its report.
async fn review(
    ops: &Ops<'_>,
    evidence: &Arc<dyn ObjectStore>,
    promotion: &PromotionRecord,
    wanted: &Wanted,
) -> PromotionRecord {
    let (model, id) = (&promotion.model, &promotion.id);
    let report = report(promotion, wanted);
    let bytes = Bytes::from(serde_json::to_vec(&report).unwrap());
    let object = put_evidence(evidence.as_ref(), &format!("{model}/{id}"), "report", bytes).await.unwrap();
    let held = (model, id, promotion.epoch);
    ops.record_report(held, &object, wanted.verdict, report.automatic.as_ref()).await.unwrap().value
}

#[allow(clippy::too_many_arguments)]
fn row(
    group: MetricGroup,
    name: &str,
    segment: Option<&str>,
    unit: MetricUnit,
    values: (f64, f64),
    half: f64,
    n: u64,
    rule: (Margin, Direction, MetricClass, Verdict),
    why: &str,
) -> MetricRow {
    let (champion, challenger) = values;
    let delta = challenger - champion;
    MetricRow {
        group,
        name: name.into(),
        segment: segment.map(str::to_owned),
        unit,
        champion: Some(champion),
        challenger: Some(challenger),
        delta: Some(delta),
        interval: Some([delta - half, delta + half]),
        confidence: Some(0.95),
        n,
        n_needed: (rule.3 == Verdict::Inconclusive).then_some(200),
        margin: Some(rule.0),
        limit: None,
        direction: rule.1,
        class: rule.2,
        verdict: rule.3,
        why: why.into(),
    }
}

pub fn report(promotion: &PromotionRecord, wanted: &Wanted) -> ComparisonReport {
    let Wanted { verdict, hostile, .. } = *wanted;
    let skipped = promotion.bypass(Stage::Shadow).is_some();
    use Direction::{HigherIsBetter as Higher, LowerIsBetter as Lower};
    use MetricClass::{Guardrail, Info, Signal};
    use MetricGroup::{Offline, Shadow};
    use MetricUnit::{Microseconds, Number, Share};
    use Verdict::{Fail, Inconclusive, Pass};
    let pt = Margin::Absolute(0.01);
    let five = Margin::Absolute(0.05);
    let (armed, why_armed) = match verdict {
        Pass => (Pass, "n = 214; −0.8 pt lies within 5 pt: the interval ends at −3.9 pt."),
        Inconclusive => (Inconclusive, "n = 14 of the 200 that are needed: too few rows to judge."),
        Fail => (Fail, "n = 214; −9.1 pt is beyond the margin of 5 pt."),
    };
    let mut rows = vec![
        row(
            Offline,
            "accuracy",
            None,
            Share,
            (0.8514, 0.8741),
            0.0049,
            9_768,
            (pt, Higher, Guardrail, Pass),
            "McNemar on 9,768 paired rows: +2.27 pt, 95 % interval +1.78 to +2.76 pt, wholly inside the margin of 1 pt.",
        ),
        row(
            Offline,
            "macro_f1",
            None,
            Share,
            (0.7803, 0.8092),
            0.0081,
            9_768,
            (Margin::Absolute(0.02), Higher, Guardrail, Pass),
            "Paired bootstrap: +2.89 pt, interval wholly inside the margin of 2 pt.",
        ),
        row(
            Offline,
            "auc",
            None,
            Share,
            (0.9048, 0.9270),
            0.0031,
            9_768,
            (pt, Higher, Guardrail, Pass),
            "DeLong: +2.22 pt, interval wholly inside the margin of 1 pt.",
        ),
        row(
            Offline,
            "log_loss",
            None,
            Number,
            (0.3187, 0.2811),
            0.0064,
            9_768,
            (Margin::Absolute(0.02), Lower, Signal, Pass),
            "−0.0376, better.",
        ),
        row(
            Offline,
            "latency_p99",
            None,
            Microseconds,
            (41.0, 88.0),
            6.0,
            9_768,
            (Margin::Relative(0.5), Lower, Signal, Fail),
            "88 µs against 41 µs: 115 % longer, the margin is 50 %.",
        ),
        row(
            Offline,
            "demographic_parity",
            Some("sex=Female"),
            Share,
            (0.1740, 0.1812),
            0.0120,
            9_768,
            (five, Lower, Guardrail, Pass),
            "The paired increase is +0.72 pt; the margin is 5 pt.",
        ),
        row(
            Offline,
            "segment_accuracy",
            Some("occupation=Sales"),
            Share,
            (0.8390, 0.8610),
            0.0150,
            1_104,
            (five, Higher, Guardrail, Pass),
            "+2.20 pt, interval wholly inside 5 pt.",
        ),
        row(
            Offline,
            "segment_accuracy",
            Some(&format!("occupation=Armed-Forces{hostile}")),
            Share,
            (0.8571, 0.8491),
            0.0310,
            if armed == Inconclusive { 14 } else { 214 },
            (five, Higher, Guardrail, armed),
            why_armed,
        ),
        row(
            Shadow,
            "error_rate",
            None,
            Share,
            (0.0, 0.0),
            0.0016,
            2_406,
            (pt, Lower, Guardrail, Pass),
            "0 errors in 2,406 pairs on both sides; the interval's upper end is +0.16 pt, the margin 1 pt.",
        ),
        row(
            Shadow,
            "latency_p99",
            None,
            Microseconds,
            (1_310.0, 1_420.0),
            240.0,
            2_406,
            (Margin::Relative(1.0), Lower, Signal, Pass),
            "+8 %, within 100 % of the champion's.",
        ),
        row(
            Shadow,
            "accuracy",
            None,
            Share,
            (0.8480, 0.8710),
            0.0210,
            611,
            (pt, Higher, Info, Pass),
            "611 pairs have a label so far.",
        ),
    ];
    rows.retain(|r| !skipped || r.group == Offline);
    let opened = Timestamp::now() - SignedDuration::from_hours(26);
    ComparisonReport {
        schema: 1,
        model: promotion.model.clone(),
        promotion: promotion.id.clone(),
        epoch: promotion.epoch,
        challenger: promotion.challenger.clone(),
        champion: promotion.champion.clone(),
        created_at: Timestamp::now() - SignedDuration::from_mins(4),
        interim: false,
        verdict,
        why: match verdict {
            Pass => "All 7 guardrails are within their margins.".into(),
            Inconclusive => "6 of 7 guardrails are within their margins; segment accuracy of occupation=Armed-Forces has too few rows.".into(),
            Fail => "segment accuracy of occupation=Armed-Forces is beyond its margin.".into(),
        },
        rows,
        offline: Some(OfflineFacts {
            benchmark: sha256(b"benchmark"),
            set_at: Some(opened),
            rows: 9_768,
            judged_candidates: Some(2),
            live_shift: Some("Live traffic differs most in hours-per-week (PSI 0.04, small).".into()),
        }),
        shadow: (!skipped).then(|| ShadowFacts {
            opened_at: opened,
            closed_at: Some(opened + SignedDuration::from_hours(24)),
            stopped_early: false,
            pairs: 2_406,
            duplicates: 3,
            fidelity: Some(Fidelity { n: 2_406, share: 1.0 }),
            agreement: Some(0.9314),
            cause_of_full_agreement: None,
            disagreement: vec![
                Disagreement { champion: "<=50K".into(), challenger: Some(format!(">50K{hostile}")), n: 121 },
                Disagreement { champion: ">50K".into(), challenger: Some("<=50K".into()), n: 44 },
            ],
        }),
        inputs: Some(EvidenceRef { key: "inputs".into(), digest: sha256(b"inputs") }),
        evaluation: None,
        explanations: None,
            policy: promotion.policy.digest.clone(),
        charts: None,
        notes: vec![],
        bypasses: promotion.bypasses.clone(),
        automatic: wanted.window.map(|_| Automatic { eligible: true, why: vec!["accuracy is surely better".into()] }),
    }
}

//! Who submitted: from the announcement over the upload to the gate, and that no alias gets around it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use fn_control::{Control, Execution, Start, Starter, app};
use fn_intake::Places;
use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::{Announcement, Folder, MemoryS3, MemoryStore, inspect, upload_submission};
use seatrial_domain::artifact::Readable;
use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::{GateKind, GateRecord, GateStatus};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::{EvidenceKind, EvidenceRef};
use seatrial_domain::task::{Held, PackageTask, PromotionInput};
use seatrial_domain::{ModelName, PromotionId, Refusal, Verdict};
use seatrial_registry::ops::{By, Ops, draft_gate};
use seatrial_registry::{MemoryRegistry, OpError, Records};
use seatrial_runtime::Failure;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support;

const SUE_AS_USER: &str = "arn:aws:iam::123456789012:user/sue";
const SUE: &str = "sue@example.com";
const SUE_AS_SUBJECT: &str = "https://login.example.com#sue";
const ANN: &str = "ann@example.com";

/// Remembers what was started, and says that its execution ended with this cause, or runs.
#[derive(Clone, Default)]
struct Started(Arc<Mutex<Vec<PromotionInput>>>, Arc<Mutex<Option<String>>>);

#[async_trait]
impl Starter for Started {
    async fn start(&self, _: &PromotionInput) -> Result<Start, Failure> {
        panic!("nothing here is started through the API");
    }

    async fn execution(&self, promotion: &PromotionId) -> Result<Execution, Failure> {
        let started = self.0.lock().unwrap();
        assert!(started.iter().any(|input| input.promotion == *promotion), "{promotion} was never started");
        let ended = self.1.lock().unwrap().clone();
        Ok(ended.map_or(Execution::Runs, |cause| Execution::Failed { cause }))
    }
}

#[async_trait]
impl fn_intake::Starter for Started {
    async fn start(&self, _name: &str, input: &str) -> Result<bool, Failure> {
        self.0.lock().unwrap().push(serde_json::from_str(input).unwrap());
        Ok(true)
    }
}

struct World {
    registry: MemoryRegistry,
    s3: MemoryS3,
    submissions: MemoryStore,
    started: Started,
    model: ModelName,
}

/// Sue and Ann may approve; Sue has three names, and may submit.
fn policy() -> Policy {
    serde_json::from_value(json!({
        "task": "binary", "positive_class": ">50K",
        "people": [
            { "email": SUE, "principals": [SUE_AS_USER, SUE_AS_SUBJECT], "roles": ["submitter", "approver"] },
            { "email": "owen@example.com", "roles": ["owner"] },
        ],
        "approval": { "approvers": [{ "email": ANN }] },
    }))
    .unwrap()
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/submissions/v1")
}

fn iam_context(user_arn: &str) -> seatrial_runtime::lambda_http::request::RequestContext {
    let context = json!({
        "accountId": "123456789012", "requestId": "r", "stage": "$default", "timeEpoch": 0,
        "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "t" },
        "authorizer": { "iam": { "userId": "AIDASUE", "userArn": user_arn } },
    });
    seatrial_runtime::lambda_http::request::RequestContext::ApiGatewayV2(
        serde_json::from_value(context).unwrap(),
    )
}

impl World {
    async fn new() -> Self {
        let s3 = MemoryS3::default();
        let world = Self {
            registry: MemoryRegistry::default(),
            submissions: s3.bucket("subs"),
            s3,
            started: Started::default(),
            model: ModelName::parse("adult-income").unwrap(),
        };
        let clock = Timestamp::now;
        let ops = Ops::new(&world.registry, Actor::function("test"), &clock);
        ops.set_policy_by(&world.model, &policy(), By::Platform).await.unwrap();
        world
    }

    async fn send(&self, who: &str, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let control = Control {
            starter: Arc::new(self.started.clone()),
            platform_owners: vec!["arn:aws:iam::123456789012:user/platform".into()],
            ..support::control(&self.registry)
        };
        let request = Request::builder().method(method).uri(path).extension(iam_context(who));
        let request = request.body(Body::from(body.to_string())).unwrap();
        let answer = app(control).oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn announce(&self, who: &str, id: &str, bytes: &[u8]) -> (StatusCode, Value) {
        let path = format!("/v1/models/{}/submissions", self.model);
        self.send(who, "POST", &path, json!({ "id": id, "digest": sha256(bytes) })).await
    }

    /// What the API says of a submission.
    async fn became(&self, id: &str) -> (StatusCode, Value) {
        let path = format!("/v1/models/{}/submissions/{id}", self.model);
        self.send(SUE_AS_USER, "GET", &path, Value::Null).await
    }

    /// Announces the fixture as `who`, if given, uploads it, and lets `intake` and `package` do their work.
    async fn submit(&self, id: &str, who: Option<&str>) -> Held {
        self.upload(id, who).await;
        self.package().await
    }

    /// Announces the fixture as `who`, if given, uploads it, and lets `intake` start its promotion.
    async fn upload(&self, id: &str, who: Option<&str>) {
        let folder = fixture();
        let inspected = inspect(&Folder::new(&folder), &self.model, &|_| {}).await.unwrap();
        if let Some(who) = who {
            let bytes = Announcement::of(&self.model, &inspected.files, "sue").to_bytes().unwrap();
            let (status, answer) = self.announce(who, id, &bytes).await;
            assert_eq!(status, StatusCode::CREATED, "{answer}");
        }
        upload_submission(&self.submissions, &inspected, &folder, id, "sue", &|_| {}).await.unwrap();
        let event = json!({
            "id": "e", "source": "aws.s3", "detail-type": "Object Created",
            "detail": {
                "bucket": { "name": "subs" }, "requester": "123456789012",
                "object": { "key": format!("submissions/{}/{id}/submission.json", self.model), "version-id": id },
            },
        });
        let places = Places { submissions: "subs", readable: &Readable::default() };
        fn_intake::handle(&self.registry, &self.started, &self.s3, places, event).await.unwrap();
    }

    /// Packages what was started last.
    async fn package(&self) -> Held {
        let input = self.started.0.lock().unwrap().last().unwrap().clone();
        let (models, evidence) = (self.s3.bucket("models"), self.s3.bucket("evidence"));
        let ports = fn_package::Ports {
            registry: &self.registry,
            submissions: &self.submissions,
            buckets: &self.s3,
            readable: &Readable::default(),
            models: &models,
            evidence: &evidence,
            signer: seatrial_artifacts::package::testing::key(),
            network: &seatrial_remote::testing::nowhere(),
        };
        let task = PackageTask { input, execution: "arn:x".into(), may_wait: false };
        fn_package::handle(&ports, Timestamp::now, task).await.unwrap().taken().unwrap().held
    }

    /// The approval gate of what was submitted.
    async fn gate(&self, held: &Held) -> GateRecord {
        let clock = Timestamp::now;
        let ops = Ops::new(&self.registry, Actor::function("test"), &clock);
        let report = EvidenceRef { key: "report".into(), digest: sha256(b"report") };
        let (kind, verdict) = (EvidenceKind::Report, Some(Verdict::Pass));
        let promotion = ops
            .record_evidence(&held.model, &held.promotion, held.epoch, kind, &report, verdict)
            .await
            .unwrap()
            .value;
        let version = self.registry.version(&held.model, held.version).await.unwrap().unwrap();
        let expires = clock() + SignedDuration::from_hours(1);
        let gate = draft_gate(GateKind::Approval, 1, &promotion, &version, clock(), expires).unwrap();
        ops.open_gate(&gate).await.unwrap().value
    }

    async fn decide(
        &self,
        gate: &GateRecord,
        who: &str,
        auth: Auth,
        approve: bool,
    ) -> Result<GateStatus, OpError> {
        let clock = Timestamp::now;
        let by = Actor { principal: who.into(), auth };
        let ops = Ops::new(&self.registry, by, &clock);
        Ok(ops.decide_gate(&gate.id, approve, "looks right", None).await?.value.status)
    }
}

#[tokio::test]
async fn who_announced_as_an_iam_user_approves_under_none_of_their_names() {
    let world = World::new().await;
    let gate = world.gate(&world.submit("s1", Some(SUE_AS_USER)).await).await;
    assert_eq!((gate.submitted_by.as_str(), gate.requested_by.as_str()), (SUE_AS_USER, SUE_AS_USER));
    let history = world.registry.history(&world.model, 0, 99).await.unwrap().len();
    for (alias, auth) in [
        (SUE_AS_USER, Auth::Iam),
        (SUE_AS_SUBJECT, Auth::Oidc),
        (SUE, Auth::Oidc),
        ("Sue@Example.com", Auth::Oidc),
        (SUE, Auth::Link),
    ] {
        let refused = world.decide(&gate, alias, auth, true).await.unwrap_err();
        let OpError::Refused(Refusal::Forbidden { why, .. }) = refused else {
            panic!("{alias}: {refused:?}")
        };
        assert!(why.contains("separation of duties"), "{alias}: {why}");
    }
    assert_eq!(
        world.registry.history(&world.model, 0, 99).await.unwrap().len(),
        history,
        "nothing was written"
    );
    assert_eq!(world.decide(&gate, ANN, Auth::Oidc, true).await.unwrap(), GateStatus::Approved);
}

#[tokio::test]
async fn what_nobody_announced_is_no_submitters_to_approve() {
    let world = World::new().await;
    let gate = world.gate(&world.submit("s1", None).await).await;
    assert_eq!(gate.submitted_by, "account/123456789012");
    assert!(world.decide(&gate, SUE, Auth::Oidc, true).await.is_err(), "it may be hers");
    assert_eq!(world.decide(&gate, ANN, Auth::Oidc, true).await.unwrap(), GateStatus::Approved);
}

#[tokio::test]
async fn an_id_is_announced_once_by_one_person_who_may_submit() {
    let world = World::new().await;
    let owen = "arn:aws:iam::123456789012:user/owen";
    let (status, first) = world.announce(SUE_AS_USER, "s1", b"a").await;
    assert_eq!((status, &first["by"]["auth"]), (StatusCode::CREATED, &json!("iam")), "{first}");
    let (status, again) = world.announce(SUE_AS_USER, "s1", b"a").await;
    assert_eq!((status, &again), (StatusCode::OK, &first), "the first one stays as it is");
    let (status, other) = world.announce(SUE_AS_USER, "s1", b"b").await;
    assert_eq!((status, &other["code"]), (StatusCode::CONFLICT, &json!("already_announced")), "{other}");
    let (status, _) = world.announce(owen, "s2", b"a").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the policy knows owen under another name");
    let mut with_owen = policy();
    with_owen.people[1].principals.push(owen.into());
    let clock = Timestamp::now;
    let ops = Ops::new(&world.registry, Actor::function("test"), &clock);
    ops.set_policy_by(&world.model, &with_owen, By::Platform).await.unwrap();
    let (status, taken) = world.announce(owen, "s1", b"a").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(taken["detail"].as_str().unwrap().contains(SUE_AS_USER), "{taken}");
    for bad in ["", "a/b", "..", "a b"] {
        let (status, problem) = world.announce(SUE_AS_USER, bad, b"a").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad:?}: {problem}");
    }
    let path = "/v1/models/unknown/submissions";
    let (status, _) =
        world.send(SUE_AS_USER, "POST", path, json!({ "id": "s", "digest": sha256(b"") })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn people_see_who_they_are_and_what_they_may_do() {
    let world = World::new().await;
    let (status, me) = world.send(SUE_AS_USER, "GET", "/v1/whoami", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(me, json!({ "principal": SUE_AS_USER, "auth": "iam", "platform_owner": false }));
    let (_, me) = world.send(SUE_AS_USER, "GET", "/v1/whoami?model=adult-income", Value::Null).await;
    let model = &me["model"];
    assert_eq!((&model["person"], &model["policy"]), (&json!(SUE), &json!(1)));
    assert_eq!(model["roles"], json!(["submitter", "approver"]));
    let may = |standing: &Value| -> Vec<String> {
        let rights = standing["rights"].as_array().unwrap().iter();
        rights.filter(|r| r["may"] == true).map(|r| r["right"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(may(model), ["decide", "promote", "roll_back", "stop_shadow", "retire", "block", "links"]);
    let stranger = "arn:aws:iam::123456789012:user/platform";
    let (_, me) = world.send(stranger, "GET", "/v1/whoami?model=adult-income", Value::Null).await;
    assert_eq!((&me["platform_owner"], &me["model"]["person"]), (&json!(true), &Value::Null));
    let (status, _) = world.send(SUE_AS_USER, "GET", "/v1/whoami?model=unknown", Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let (status, all) = world.send(SUE_AS_USER, "GET", "/v1/models/adult-income/people", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let emails: Vec<_> = all["people"].as_array().unwrap().iter().map(|p| p["person"].clone()).collect();
    assert_eq!(emails, [json!(SUE), json!("owen@example.com"), json!(ANN)]);
    assert_eq!(
        may(&all["people"][1]),
        ["promote", "roll_back", "stop_shadow", "retire", "block", "links", "own", "adopt"]
    );
    assert_eq!(all["separation_of_duties"], true);
    let notes = all["notes"].to_string();
    assert!(notes.contains("nobody is operator") && !notes.contains("submitter"), "{notes}");
}

#[tokio::test]
async fn whoever_submitted_hears_what_became_of_it_and_why_it_was_refused() {
    let world = World::new().await;
    assert_eq!(world.became("s1").await.0, StatusCode::NOT_FOUND, "nobody announced it");
    assert_eq!(world.became("a%20b").await.0, StatusCode::BAD_REQUEST);
    world.announce(SUE_AS_USER, "s0", b"never uploaded").await;
    let (status, waits) = world.became("s0").await;
    assert_eq!((status, &waits["state"]), (StatusCode::OK, &json!("announced")));
    assert_eq!(
        (&waits["promotion"], &waits["version"], &waits["refusal"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );

    world.upload("s1", Some(SUE_AS_USER)).await;
    assert_eq!(world.became("s1").await.1["state"], "packaging");
    let cause = "Seatrial.ModelBusy: promotion pr_1 of v2 is running for this model: wait for it";
    *world.started.1.lock().unwrap() = Some(cause.into());
    let (_, refused) = world.became("s1").await;
    assert_eq!(refused["state"], "refused");
    let told = json!({ "code": "Seatrial.ModelBusy", "detail": "promotion pr_1 of v2 is running for this model: wait for it" });
    assert_eq!(refused["refusal"], told);

    *world.started.1.lock().unwrap() = None;
    let held = world.package().await;
    // However its execution ends later: a promotion that began is told of by its own record.
    *world.started.1.lock().unwrap() = Some("Seatrial.Rejected: by ann".into());
    let (_, promoted) = world.became("s1").await;
    assert_eq!((&promoted["state"], &promoted["refusal"]), (&json!("promoted"), &Value::Null));
    assert_eq!((&promoted["version"], &promoted["promotion"]), (&json!("v1"), &json!(held.promotion)));
}

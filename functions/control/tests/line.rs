//! Who waits for a model, over the operator API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use fn_control::{Control, Execution, Start, Starter, app};
use seatrial_domain::PromotionId;
use seatrial_domain::change;
use seatrial_domain::ids::{Actor, VersionName};
use seatrial_domain::policy::{BusyMode, Person, Role};
use seatrial_domain::task::PromotionInput;
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::{Scenario, policy};
use seatrial_runtime::Failure;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{self, Started};

/// Step Functions where every execution stands thus, and none is started.
struct Standing(Execution);

#[async_trait]
impl Starter for Standing {
    async fn start(&self, input: &PromotionInput) -> Result<Start, Failure> {
        panic!("{input:?} was started");
    }

    async fn execution(&self, _: &PromotionId) -> Result<Execution, Failure> {
        Ok(self.0.clone())
    }
}

/// Step Functions whose executions all run: who asks for a name that has one is told that it runs, and begins nothing.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<Vec<PromotionInput>>>);

impl Running {
    /// What began, in order.
    fn begun(&self) -> Vec<PromotionInput> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Starter for Running {
    async fn start(&self, input: &PromotionInput) -> Result<Start, Failure> {
        let mut begun = self.0.lock().unwrap();
        if !begun.iter().any(|known| known.promotion == input.promotion) {
            begun.push(input.clone());
        }
        Ok(Start::Runs)
    }

    async fn execution(&self, _: &PromotionId) -> Result<Execution, Failure> {
        Ok(Execution::Runs)
    }
}

struct World {
    s: Scenario<MemoryRegistry>,
    started: Started,
}

impl World {
    /// v2 is being promoted, v3 and v4 are packaged.
    async fn new(mode: BusyMode) -> Self {
        let s = Scenario::with_champion(&MemoryRegistry::default()).await;
        let mut rules = policy();
        rules.when_busy.mode = mode;
        let person = |email: &str, role| Person {
            email: email.into(),
            principals: vec![],
            roles: [role].into(),
            emergency: role == Role::Operator,
        };
        rules.people = vec![
            person("olga@example.com", Role::Operator),
            person("sue@example.com", Role::Submitter),
            person("uwe@example.com", Role::Auditor),
        ];
        s.system().set_policy(&s.model, &rules).await.unwrap();
        s.register(3).await;
        s.register(4).await;
        s.start(2).await;
        Self { s, started: Started::default() }
    }

    async fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        self.ask_with(Arc::new(self.started.clone()), who, method, path, body).await
    }

    async fn ask_with(
        &self,
        starter: Arc<dyn Starter>,
        who: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let control =
            Control { starter, local_identity: Some(who.into()), ..support::control(&self.s.registry) };
        let path = format!("/v1/models/{}{path}", self.s.model);
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_string())).unwrap();
        let answer = app(control).oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn join(&self, version: u32) -> PromotionId {
        let id = PromotionId::derive(&self.s.model, &format!("v{version}"), 1);
        self.join_as(&id, version).await;
        id
    }

    async fn join_as(&self, id: &PromotionId, version: u32) {
        let (asker, version) = (Actor::function("intake"), VersionName::new(version));
        let request = change::Request::new(&asker, None);
        self.s.system().wait_for_model(&self.s.model, id, version, &request).await.unwrap();
    }
}

#[tokio::test]
async fn a_promotion_of_a_busy_model_is_begun_where_it_may_wait_and_refused_at_once_where_it_may_not() {
    let world = World::new(BusyMode::Wait).await;
    let (status, answer) =
        world.ask("sue@example.com", "POST", "/promotions", json!({ "version": "v3" })).await;
    assert_eq!((status, &answer["waits"]), (StatusCode::ACCEPTED, &json!(true)), "{answer}");
    assert_eq!(world.started.0.lock().unwrap().len(), 1);
    let urgent = json!({ "version": "v3", "emergency": { "skip": ["shadow"], "reason": "it burns" } });
    let (status, answer) = world.ask("olga@example.com", "POST", "/promotions", urgent).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("model_busy")), "{answer}");

    let world = World::new(BusyMode::Refuse).await;
    let (status, answer) =
        world.ask("sue@example.com", "POST", "/promotions", json!({ "version": "v3" })).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("model_busy")), "{answer}");
    assert!(world.started.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_emergency_begins_although_a_promotion_of_the_same_version_stands_in_line() {
    let world = World::new(BusyMode::Wait).await;
    let running = Running::default();
    let promote = async |who: &str, body: Value| {
        world.ask_with(Arc::new(running.clone()), who, "POST", "/promotions", body).await
    };
    let (status, first) = promote("sue@example.com", json!({ "version": "v3" })).await;
    assert_eq!((status, &first["waits"]), (StatusCode::ACCEPTED, &json!(true)), "{first}");
    let waiting = running.begun()[0].promotion.clone();
    world.join_as(&waiting, 3).await;
    world.s.system().roll_back(&world.s.model, "it burns", false).await.unwrap();

    let emergency = json!({ "skip": ["shadow"], "reason": "it burns" });
    let urgent = json!({ "version": "v3", "emergency": emergency });
    let (status, second) = promote("olga@example.com", urgent.clone()).await;
    assert_eq!((status, &second["waits"]), (StatusCode::ACCEPTED, &json!(false)), "{second}");
    let begun = running.begun();
    assert_eq!(begun.len(), 2, "it is not the one in line: {second}");
    assert_eq!(second["promotion"], json!(begun[1].promotion));
    assert!(begun[0].emergency.is_none() && begun[1].emergency.is_some());
    assert_eq!(world.s.head().await.waiting[0].promotion, waiting, "which keeps its place");
    let (_, again) = promote("olga@example.com", urgent).await;
    assert_eq!((&again["promotion"], running.begun().len()), (&second["promotion"], 2), "twice is once");
}

#[tokio::test]
async fn who_asks_again_after_a_withdrawal_gets_a_promotion_and_not_the_one_that_ends() {
    let world = World::new(BusyMode::Wait).await;
    let running = Running::default();
    let promote = async || {
        let body = json!({ "version": "v3" });
        let starter = Arc::new(running.clone());
        let (status, answer) = world.ask_with(starter, "sue@example.com", "POST", "/promotions", body).await;
        assert_eq!((status, &answer["waits"]), (StatusCode::ACCEPTED, &json!(true)), "{answer}");
        answer["promotion"].clone()
    };
    let mut asked = Vec::new();
    for n in 0..3 {
        asked.push(promote().await);
        assert_eq!(promote().await, asked[n], "twice is once");
        let begun = running.begun();
        assert_eq!(begun.len(), n + 1, "each of them begins: {asked:?}");
        assert_eq!(asked[n], json!(begun[n].promotion));
        world.join_as(&begun[n].promotion, 3).await;
        assert_eq!(promote().await, asked[n], "it stands in line");
        let path = format!("/promotions/{}/withdraw", begun[n].promotion);
        let reason = json!({ "reason": "not yet" });
        let (status, answer) = world.ask("sue@example.com", "POST", &path, reason).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    assert_eq!(world.s.events("promotion_withdrawn").await, 3);
}

#[tokio::test]
async fn the_line_is_shown_and_who_may_promote_or_roll_back_takes_a_promotion_out_of_it() {
    let world = World::new(BusyMode::Wait).await;
    let (first, second) = (world.join(3).await, world.join(4).await);
    let (_, view) = world.ask("uwe@example.com", "GET", "", Value::Null).await;
    let notices: Vec<_> = view["notices"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let said = |n: &str, id: &PromotionId, v: &str| {
        let wanted = format!("WAITS, number {n} in line: promotion {id} of {v}, since ");
        notices.iter().any(|notice| notice.starts_with(&wanted))
    };
    assert!(said("1", &first, "v3") && said("2", &second, "v4"), "{notices:?}");
    assert_eq!(view["head"]["waiting"][1]["promotion"], json!(second));

    let withdraw = |id: &PromotionId| format!("/promotions/{id}/withdraw");
    let reason = || json!({ "reason": "v5 comes instead" });
    let (status, answer) = world.ask("uwe@example.com", "POST", &withdraw(&first), reason()).await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")), "{answer}");
    let (status, _) = world.ask("sue@example.com", "POST", &withdraw(&first), json!({ "reason": " " })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "why is kept, so it is asked for");
    assert_eq!(world.s.head().await.waiting.len(), 2, "nothing changed");
    let (status, answer) = world.ask("sue@example.com", "POST", &withdraw(&first), reason()).await;
    assert_eq!((status, &answer["withdrawn"]), (StatusCode::OK, &json!(true)), "{answer}");
    let (status, _) = world.ask("olga@example.com", "POST", &withdraw(&second), reason()).await;
    assert_eq!(status, StatusCode::OK);
    let (status, answer) = world.ask("olga@example.com", "POST", &withdraw(&second), reason()).await;
    assert_eq!((status, &answer["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{answer}");
    let head = world.s.head().await;
    assert!(head.waiting.is_empty() && head.running.is_some(), "who runs is not touched");
    assert_eq!(world.s.events("promotion_withdrawn").await, 2);
    world.s.check().await;
}

#[tokio::test]
async fn a_promotion_without_a_record_says_whether_it_comes_waits_or_came_to_nothing() {
    let world = World::new(BusyMode::Wait).await;
    let id = PromotionId::derive(&world.s.model, "v3", 1);
    let ask = async |execution: Execution, what: &str| {
        let path = format!("/promotions/{id}{what}");
        world.ask_with(Arc::new(Standing(execution)), "uwe@example.com", "GET", &path, Value::Null).await
    };
    let failed = |cause: &str| Execution::Failed { cause: cause.into() };
    let cases = [
        (Execution::Missing, StatusCode::NOT_FOUND, "not_found", "does not exist"),
        (Execution::Succeeded, StatusCode::NOT_FOUND, "not_found", "does not exist"),
        (Execution::Runs, StatusCode::NOT_FOUND, "not_found", "has not taken the model yet"),
        (failed("Seatrial.Missing: v3 lacks its files"), StatusCode::GONE, "not_begun", "v3 lacks its files"),
        (failed(""), StatusCode::GONE, "not_begun", "its execution was stopped"),
    ];
    for (execution, status, code, said) in cases {
        for what in ["", "/report"] {
            let (found, answer) = ask(execution.clone(), what).await;
            assert_eq!((found, &answer["code"]), (status, &json!(code)), "{execution:?}: {answer}");
            assert!(answer["detail"].as_str().unwrap().contains(said), "{answer}");
        }
    }
    assert_eq!(world.join(3).await, id);
    let (status, answer) = ask(Execution::Runs, "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(answer["detail"].as_str().unwrap().contains("waits in line"), "{answer}");
}

//! A traffic target on the running stack: it follows the registry, nothing waits for it, and what somebody else does to it is put right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use seatrial_domain::VersionName;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_domain::route::Weight;
use seatrial_domain::target::{HookAnswer, HookCall, TargetState};
use seatrial_registry::Targets;
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, until};
use serde_json::{Value, json};

use crate::receiver::{Got, listen};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A mesh that keeps to the documented form: what it does, the highest revision that it carried out, and why it takes no change.
#[derive(Default)]
struct Mesh {
    shares: BTreeMap<VersionName, Weight>,
    revision: u64,
    busy: Option<String>,
    /// Everything that it was moved to, in order.
    moves: Vec<BTreeMap<VersionName, Weight>>,
}

impl Mesh {
    fn answer(&mut self, got: &Got) -> (&'static str, String) {
        let at = &got.headers["seatrial-timestamp"];
        let expected = seatrial_outbound::signature(&[KEY], at, &got.body);
        if got.headers["seatrial-signature"] != expected {
            return ("401 Unauthorized", "the signature does not hold".into());
        }
        let call: HookCall = serde_json::from_str(&got.body).unwrap();
        let mut answer =
            HookAnswer { shares: self.shares.clone(), pending: self.busy.clone(), refused: None };
        if let Some(route) = call.route {
            if route.revision < self.revision {
                answer.refused = Some(format!("revision {} is carried out already", self.revision));
            } else if self.busy.is_none() {
                let some = route.shares.iter().filter(|s| s.weight > Weight::ZERO);
                self.shares = some.map(|s| (s.version, s.weight)).collect();
                self.revision = route.revision;
                self.moves.push(self.shares.clone());
                answer.shares = self.shares.clone();
            }
        }
        ("200 OK", serde_json::to_string(&answer).unwrap())
    }
}

fn split(of: &[(u32, u16)]) -> BTreeMap<VersionName, Weight> {
    of.iter().map(|(n, bps)| (VersionName::new(*n), Weight::from_bps(*bps).unwrap())).collect()
}

/// Waits until the mesh does this.
async fn does(mesh: &Arc<Mutex<Mesh>>, of: &[(u32, u16)], patience: u64) {
    let wanted = split(of);
    until(&format!("{of:?} at the mesh"), patience, async || {
        (mesh.lock().unwrap().shares == wanted).then_some(())
    })
    .await;
}

async fn status(stack: &Stack, model: &Model<'_>) -> Value {
    stack.cli(&["status", model.name.as_str()]).await.json()["traffic"].clone()
}

#[tokio::test]
async fn a_mesh_follows_the_registry_and_a_rollback_waits_for_no_mesh() {
    let stack = Stack::connect().await;
    let mesh = Arc::<Mutex<Mesh>>::default();
    let same = Arc::clone(&mesh);
    let (base, _) = listen(Arc::new(move |got: &Got, _: &[Got]| same.lock().unwrap().answer(got))).await;
    let rules = json!({
        "shadow": { "enabled": false }, "target": { "http": { "url": format!("{base}/weights") } },
        "canary": { "steps": [50], "hold_seconds": 1, "max_hold_seconds": 300, "check_seconds": 1 },
    });
    let model = Model::new(&stack, "mesh", &rules).await;
    let prefix = stack.out("ReconcileFunctionName").trim_end_matches("-reconcile");
    let name = format!("/{prefix}/targets/{}/key", model.name);
    let body = json!({ "Name": name, "Value": KEY, "Type": "SecureString", "Overwrite": true });
    let _ = stack.call("ssm", "AmazonSSM.PutParameter", &body).await;

    model.first_champion("v1").await;
    does(&mesh, &[(1, 10_000)], 90).await;
    let said = until("the target in step", 30, async || {
        let said = status(&stack, &model).await;
        (said["state"] == "in_step").then_some(said)
    })
    .await;
    assert!(said["took_ms"].as_i64().is_some() && said["kind"] == "http", "{said}");

    // A canary reaches the mesh when the mesh takes it, and is not judged before.
    mesh.lock().unwrap().busy = Some("a rollout is under way".into());
    let promotion = model.submit("v2").await;
    model.decide(&promotion, "approve").await;
    model.canary().await;
    let said = until("the target behind", 60, async || {
        let said = status(&stack, &model).await;
        said["why"].as_str().is_some_and(|why| why.contains("a rollout is under way")).then_some(said)
    })
    .await;
    assert_eq!((&said["state"], &said["actual"]["v1"]), (&json!("behind"), &json!(1.0)), "{said}");
    assert_eq!(said["desired"], json!({ "v1": 5_000, "v2": 5_000 }));
    mesh.lock().unwrap().busy = None;
    does(&mesh, &[(1, 5_000), (2, 5_000)], 90).await;

    // The rollback is done before the mesh knows of it.
    mesh.lock().unwrap().busy = Some("another rollout is under way".into());
    let _ = stack.cli(&["rollback", model.name.as_str(), "--reason", "the suite rolls back"]).await.json();
    assert_eq!(model.head().await.route.weight.bps(), 0);
    assert_eq!(status(&stack, &model).await["state"], "behind");
    assert_eq!(mesh.lock().unwrap().shares, split(&[(1, 5_000), (2, 5_000)]));
    mesh.lock().unwrap().busy = None;
    does(&mesh, &[(1, 10_000)], 90).await;
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Aborted);

    // Somebody moves it by hand: it is put back within the minute, and told.
    mesh.lock().unwrap().shares = split(&[(1, 4_000), (2, 6_000)]);
    does(&mesh, &[(1, 10_000)], 150).await;
    let said = until("what somebody else did", 30, async || {
        let said = status(&stack, &model).await;
        said["put_right"]["found"].is_string().then_some(said)
    })
    .await;
    assert!(
        said["put_right"]["found"].as_str().unwrap().contains("v2 has 60 % instead of nothing"),
        "{said}"
    );
    let moves = mesh.lock().unwrap().moves.clone();
    let canaries = moves.iter().filter(|m| m.contains_key(&VersionName::new(2))).count();
    assert_eq!(canaries, 1, "the challenger got its step once and nothing after the rollback: {moves:?}");

    // A target that is not named any more is left as it is, and forgotten.
    model.set_policy(&json!({ "shadow": { "enabled": false } })).await;
    until("the target forgotten", 150, async || {
        stack.registry.target(&model.name).await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(mesh.lock().unwrap().shares, split(&[(1, 10_000)]));
    let record = status(&stack, &model).await;
    assert_eq!((&record["kind"], &record["state"]), (&json!("route"), &json!(TargetState::InStep)));
}

/// The function that the stack's parameter `TargetFunctions` names; it belongs to no stack.
const SCORER: &str = "seatrial-e2e-scorer";

/// A function of the model's owner, with the alias `live` at its first version. Nobody calls it: the suite looks at the alias.
struct Scorer<'a> {
    stack: &'a Stack,
}

impl<'a> Scorer<'a> {
    /// Versions 1 and 2, the alias at the first; no tag says whose it is.
    async fn new(stack: &'a Stack) -> Self {
        let scorer = Self { stack };
        let _ = scorer.call("DELETE", "", &json!({})).await;
        let code = json!({ "S3Bucket": stack.out("ArtifactBucket"), "S3Key": scorer.code().await });
        // Any role that Lambda may take: nobody calls the function.
        let path = format!("/2015-03-31/functions/{}/configuration", stack.out("CrownFunctionName"));
        let role = scorer.ask("GET", &path, &Value::Null).await["Role"].clone();
        let function = json!({
            "FunctionName": SCORER, "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role, "Code": code,
        });
        scorer.ask("POST", "/2015-03-31/functions", &function).await;
        scorer.is_ready().await;
        for version in ["1", "2"] {
            let note = json!({ "Description": format!("version {version}") });
            scorer.called("PUT", "/configuration", &note).await;
            scorer.is_ready().await;
            assert_eq!(scorer.called("POST", "/versions", &json!({})).await["Version"], version);
        }
        scorer.called("POST", "/aliases", &json!({ "Name": "live", "FunctionVersion": "1" })).await;
        scorer
    }

    /// Waits until it takes the next change.
    async fn is_ready(&self) {
        until("the function to be ready", 60, async || {
            let found = self.called("GET", "/configuration", &Value::Null).await;
            // An engine without states is always ready.
            let is = |field: &str, wanted: &str| found[field].as_str().is_none_or(|state| state == wanted);
            (is("State", "Active") && is("LastUpdateStatus", "Successful")).then_some(())
        })
        .await;
    }

    /// Any code that can be deployed: that of one of the stack's functions.
    async fn code(&self) -> String {
        let keys = self.stack.keys("ArtifactBucket", "").await;
        keys.into_iter().find(|key| key.ends_with(".zip")).expect("a zip of a function")
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.stack.api("lambda"));
        let json = [("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.stack.signed("lambda", method, &url, &json, &body).await;
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.text);
        if answer.text.is_empty() { Value::Null } else { answer.json() }
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> u16 {
        let url = format!("{}/2015-03-31/functions/{SCORER}{path}", self.stack.api("lambda"));
        self.stack.signed("lambda", method, &url, &[], &body.to_string()).await.status
    }

    async fn called(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, &format!("/2015-03-31/functions/{SCORER}{path}"), body).await
    }

    /// Says whose it is.
    async fn belongs_to(&self, model: &Model<'_>) {
        let arn = self.called("GET", "/configuration", &Value::Null).await["FunctionArn"].clone();
        let path = format!("/2017-03-31/tags/{}", arn.as_str().unwrap());
        self.ask("POST", &path, &json!({ "Tags": { "seatrial:model": model.name } })).await;
    }

    /// The main version of the alias, and what others get.
    async fn alias(&self) -> (String, Value) {
        let found = self.called("GET", "/aliases/live", &Value::Null).await;
        let more = found.pointer("/RoutingConfig/AdditionalVersionWeights").cloned().unwrap_or(json!({}));
        (found["FunctionVersion"].as_str().unwrap().to_owned(), more)
    }

    async fn is_at(&self, main: &str, more: Value, patience: u64) {
        let wanted = (main.to_owned(), more);
        until(&format!("the alias at {wanted:?}"), patience, async || {
            (self.alias().await == wanted).then_some(())
        })
        .await;
    }
}

/// A fixture whose version is called so at the function.
fn called(model: &Model<'_>, fixture: &str, version: u32) -> String {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
            match from.is_dir() {
                true => copy(&from, &to),
                false => assert!(std::fs::copy(&from, &to).is_ok(), "{}", from.display()),
            }
        }
    }
    let folder = model.folder().join(fixture);
    copy(&repository("tests/fixtures/submissions").join(fixture), &folder);
    let config = folder.join("config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\nserving: {{lambda_version: {version}}}\n")).unwrap();
    folder.display().to_string()
}

#[tokio::test]
async fn an_alias_of_a_function_follows_the_registry_once_it_says_whose_it_is() {
    let stack = Stack::connect().await;
    let scorer = Scorer::new(&stack).await;
    let rules = json!({
        "shadow": { "enabled": false }, "target": { "lambda_alias": { "function": SCORER, "alias": "live" } },
        "canary": { "steps": [25], "hold_seconds": 1, "max_hold_seconds": 300, "check_seconds": 1 },
    });
    let model = Model::new(&stack, "alias", &rules).await;
    model.first_champion(&called(&model, "v1", 1)).await;
    let promotion = model.submit(&called(&model, "v2", 2)).await;
    model.decide(&promotion, "approve").await;
    model.canary().await;

    // The function belongs to nobody yet: a policy cannot take it.
    let said = until("the refusal", 90, async || {
        let said = status(&stack, &model).await;
        (said["state"] == "refused").then_some(said)
    })
    .await;
    assert!(said["why"].as_str().unwrap().contains(&format!("seatrial:model={}", model.name)), "{said}");
    assert_eq!(scorer.alias().await, ("1".into(), json!({})), "it was not moved");
    scorer.belongs_to(&model).await;
    scorer.is_at("1", json!({ "2": 0.25 }), 150).await;

    let _ = stack.cli(&["rollback", model.name.as_str(), "--reason", "the suite rolls back"]).await.json();
    scorer.is_at("1", json!({}), 90).await;
    assert_eq!(model.ended(&promotion).await.status, PromotionStatus::Aborted);

    // What somebody does by hand is put back, and told.
    let by_hand = json!({ "FunctionVersion": "2", "RoutingConfig": { "AdditionalVersionWeights": {} } });
    scorer.called("PUT", "/aliases/live", &by_hand).await;
    scorer.is_at("1", json!({}), 150).await;
    let said = until("what was found", 30, async || {
        let said = status(&stack, &model).await;
        (said["state"] == "in_step" && said["put_right"]["found"].is_string()).then_some(said)
    })
    .await;
    assert_eq!(said["kind"], "lambda_alias", "{said}");
    model.set_policy(&json!({ "shadow": { "enabled": false } })).await;
}

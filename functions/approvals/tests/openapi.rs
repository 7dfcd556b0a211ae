//! The OpenAPI document says what the API does: the same addresses, and every answer holds to its schema.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::world as support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fn_approvals::{ADDRESSES, ApprovalsRegistry, BASES, router};
use jiff::SignedDuration;
use seatrial_domain::gate::{Blocked, Decision, GateRecord, Orphaned, Reminder, Window};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::links::LinkOrder;
use seatrial_domain::verdict::Verdict;
use seatrial_evidence::report::ComparisonReport;
use seatrial_registry::table::{Attr, Item, Key, Range, Table, Transacted, Write};
use seatrial_registry::{StoreError, TableRegistry};
use serde_json::{Value, json};
use support::{ANN_AS_USER, BOB, Wanted, World, policy, signed};
use tower::ServiceExt as _;

const BASE: &str = "https://approvals.example.com";
const EVE: &str = "arn:aws:iam::000000000000:user/eve";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json")
}

fn document() -> Value {
    serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap()
}

/// A validator for a part of the document; `#/components/…` resolves as in the document.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema], "components": document["components"],
    });
    jsonschema::options().should_validate_formats(true).build(&root).unwrap()
}

fn errors(validator: &jsonschema::Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

fn resolve<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    match part["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect(reference),
        None => part,
    }
}

/// Calls `see` with every object in `value`.
fn walk<'a>(value: &'a Value, see: &mut dyn FnMut(&'a serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            see(map);
            map.values().for_each(|v| walk(v, see));
        }
        Value::Array(list) => list.iter().for_each(|v| walk(v, see)),
        _ => {}
    }
}

#[test]
fn the_document_has_the_addresses_of_the_router() {
    let document = document();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{path}");
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let routed: BTreeSet<_> = ADDRESSES.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(described, routed);
    let servers: Vec<_> =
        document["servers"].as_array().unwrap().iter().map(|s| s["url"].as_str().unwrap()).collect();
    assert_eq!(servers, BASES);
}

#[test]
fn every_reference_leads_somewhere_every_component_is_used_and_every_example_holds() {
    let document = document();
    let mut used = BTreeSet::new();
    walk(&document, &mut |map| {
        if let Some(Value::String(reference)) = map.get("$ref") {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            used.insert(reference.clone());
        }
    });
    for kind in ["schemas", "responses", "parameters", "links"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(used.contains(&format!("#/components/{kind}/{name}")), "{kind}/{name} is used nowhere");
        }
    }
    let mut examples = 0;
    walk(&document, &mut |map| {
        if let Some(Value::Array(list)) = map.get("examples") {
            let validator = validator(&document, &Value::Object(map.clone()));
            for example in list {
                assert_eq!(errors(&validator, example), Vec::<String>::new(), "{example}");
                examples += 1;
            }
        }
    });
    assert!(examples >= 8, "{examples}");
}

/// The components of the report, from the code.
fn report_schemas() -> Vec<(String, Value)> {
    fn rename(value: &mut Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get_mut("$ref") {
                    *reference = reference.replace("#/$defs/", "#/components/schemas/Report");
                }
                map.values_mut().for_each(rename);
            }
            Value::Array(list) => list.iter_mut().for_each(rename),
            _ => {}
        }
    }
    let mut schema = serde_json::to_value(schemars::schema_for!(ComparisonReport)).unwrap();
    rename(&mut schema);
    let map = schema.as_object_mut().unwrap();
    map.shift_remove("$schema");
    let Some(Value::Object(parts)) = map.shift_remove("$defs") else { panic!("no $defs") };
    let parts = parts.into_iter().map(|(name, part)| (format!("Report{name}"), part));
    std::iter::once(("ComparisonReport".to_owned(), schema)).chain(parts).collect()
}

/// `UPDATE_SCHEMAS=1 cargo test -p fn-approvals --test openapi` writes these parts of the file anew.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test's switch, not a function's setting")]
fn the_report_in_the_document_is_the_codes() {
    let mut wanted = document();
    let schemas = wanted["components"]["schemas"].as_object_mut().unwrap();
    schemas.retain(|name, _| name != "ComparisonReport" && !name.starts_with("Report"));
    schemas.extend(report_schemas());
    let text = format!("{}\n", serde_json::to_string_pretty(&wanted).unwrap());
    if std::env::var("UPDATE_SCHEMAS").is_ok() {
        std::fs::write(path(), &text).unwrap();
    }
    let published = std::fs::read_to_string(path()).unwrap();
    assert!(published == text, "openapi.json is not what the code says; write it anew with UPDATE_SCHEMAS=1");
}

/// A gate with everything that a gate can have. It names every field, so that whoever adds one comes by here.
fn full_gate(plain: GateRecord) -> GateRecord {
    let GateRecord {
        id, kind, model, promotion, epoch, challenger, champion, status, bound, verdict, ..
    } = plain;
    let (at, by) = (plain.opened_at, Actor { principal: BOB.into(), auth: Auth::Oidc });
    GateRecord {
        decisions: vec![Decision {
            by: by.clone(),
            at,
            comment: "as agreed".into(),
            approve: true,
            self_approval: true,
            on_behalf_of: Some("ann@example.com".into()),
            emergency: true,
            automatic: true,
            bound: Some(bound.clone()),
        }],
        window: Some(Window {
            ends_at: at,
            blocked: Some(Blocked { by: by.clone(), at, comment: "wait".into() }),
        }),
        reminders: vec![Reminder { ends_at: at, before_seconds: 3_600, at }],
        orphaned: Some(Orphaned { at, why: "TaskDoesNotExist".into() }),
        link_orders: vec![LinkOrder { of: Some(BOB.into()), renew: true, by, at, done_at: Some(at) }],
        requested_by: plain.requested_by,
        submitted_by: plain.submitted_by,
        opened_at: at,
        expires_at: plain.expires_at,
        id,
        kind,
        model,
        promotion,
        epoch,
        challenger,
        champion,
        status,
        bound,
        verdict,
    }
}

#[tokio::test]
async fn every_part_that_a_gate_can_have_is_described() {
    let document = document();
    let world = World::new(Verdict::Pass, SignedDuration::from_hours(1)).await;
    let shown = world.gate.bound.fingerprint();
    let mut gate = serde_json::to_value(full_gate(world.gate)).unwrap();
    gate["shown"] = json!(shown);
    gate["page"] = json!("https://approvals.example.com/g/x");
    let described = validator(&document, &json!({ "$ref": "#/components/schemas/Approval" }));
    assert_eq!(errors(&described, &gate), Vec::<String>::new());
    let properties = document["components"]["schemas"]["Approval"]["properties"].as_object().unwrap();
    for name in properties.keys() {
        assert!(gate.get(name).is_some(), "a gate has no {name}");
    }
    let in_full = &document["components"]["schemas"]["ApprovalInFull"]["properties"];
    for (name, property) in properties {
        assert_eq!(&in_full[name], property);
    }
}

/// A table that does not answer, or whose items cannot be read.
#[derive(Default)]
struct Broken<const READABLE: bool>;

impl<const READABLE: bool> Broken<READABLE> {
    fn item() -> Result<Item, StoreError> {
        if READABLE {
            return Ok(Item::from([("doc".to_owned(), Attr::S("{".into()))]));
        }
        Err(StoreError::Unavailable { action: "answer".into(), source: "connection reset".into() })
    }
}

#[async_trait]
impl<const READABLE: bool> Table for Broken<READABLE> {
    async fn get(&self, _: &Key) -> Result<Option<Item>, StoreError> {
        Self::item().map(Some)
    }
    async fn query(&self, _: &str, _: &Range, _: Option<u32>) -> Result<Vec<Item>, StoreError> {
        Self::item().map(|i| vec![i])
    }
    async fn query_index(&self, _: &str) -> Result<Vec<Item>, StoreError> {
        Self::item().map(|i| vec![i])
    }
    async fn write(&self, _: &Write) -> Result<bool, StoreError> {
        Self::item().map(|_| false)
    }
    async fn bump(&self, _: &Key, _: &'static str, _: &Item) -> Result<Item, StoreError> {
        Self::item()
    }
    async fn transact(&self, _: &[Write], _: &str) -> Result<Transacted, StoreError> {
        Self::item().map(|_| Transacted::Busy)
    }
}

/// Sends requests and holds every answer against the document.
struct Corpus<'a> {
    world: &'a World,
    document: Value,
    /// Which answers were seen: operation and status.
    seen: BTreeSet<(String, String)>,
}

impl Corpus<'_> {
    async fn send(&mut self, template: &str, request: Request<Body>) -> (StatusCode, Value) {
        let registry: Arc<dyn ApprovalsRegistry> = Arc::new(self.world.registry.clone());
        self.send_to(registry, template, request).await
    }

    async fn send_to(
        &mut self,
        registry: Arc<dyn ApprovalsRegistry>,
        template: &str,
        request: Request<Body>,
    ) -> (StatusCode, Value) {
        let operation = &self.document["paths"][template][request.method().as_str().to_lowercase()];
        let name = operation["operationId"].as_str().expect(template).to_owned();
        let mut app = self.world.app(BASE);
        app.registry = registry;
        let response = router(app).oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = &operation["responses"][status.as_str()];
        assert!(answer.is_object(), "{name} answers {status}, which the document does not know");
        let answer = resolve(&self.document, answer);
        let kind = headers[header::CONTENT_TYPE].to_str().unwrap();
        let schema = &answer["content"][kind]["schema"];
        assert!(schema.is_object(), "{name} answers {status} with {kind}, which the document does not know");
        for (header, described) in answer["headers"].as_object().into_iter().flatten() {
            assert!(
                described["required"] != true || headers.contains_key(header),
                "{name} {status}: {header}"
            );
        }
        let body = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let found = errors(&validator(&self.document, schema), &body);
        assert_eq!(found, Vec::<String>::new(), "{name} {status}: {body:#}");
        if !status.is_success() {
            assert_eq!(body["status"], status.as_u16());
        }
        self.seen.insert((name, status.as_str().to_owned()));
        (status, body)
    }

    /// One request with the status that it must have.
    async fn expect(&mut self, status: u16, template: &str, gate: &str, user: Option<&str>, body: &Value) {
        let method = if self.document["paths"][template]["post"].is_object() { "POST" } else { "GET" };
        let path = format!("/iam/v1{}", template.replace("{gate}", gate));
        let (found, answer) = self.send(template, signed(method, &path, user, body)).await;
        assert_eq!(found.as_u16(), status, "{method} {path} {body}: {answer}");
    }
}

const DECISIONS: [&str; 3] =
    ["/approvals/{gate}/approve", "/approvals/{gate}/reject", "/approvals/{gate}/block"];
const NO_GATE: &str = "ga_000000000000000000000000";

#[tokio::test]
async fn every_answer_holds_to_the_document_and_every_documented_answer_is_seen() {
    let mut all = BTreeSet::new();
    for with_window in [true, false] {
        let window = with_window.then(|| SignedDuration::from_hours(1));
        let wanted = Wanted {
            model: "credit-risk",
            policy: policy(),
            verdict: Verdict::Pass,
            open_for: SignedDuration::from_hours(2),
            window,
            ..Wanted::default()
        };
        let world = World::of(wanted).await;
        let mut corpus = Corpus { world: &world, document: document(), seen: BTreeSet::new() };
        wrong_requests(&mut corpus).await;
        right_requests(&mut corpus, with_window).await;
        all.extend(corpus.seen);
    }
    let document = document();
    for (_, methods) in document["paths"].as_object().unwrap() {
        for (_, operation) in methods.as_object().unwrap() {
            for status in operation["responses"].as_object().unwrap().keys() {
                let name = operation["operationId"].as_str().unwrap();
                // The gateway's own answer.
                let answered = status == "429" || all.contains(&(name.to_owned(), status.clone()));
                // Listing asks for no right: whoever is known sees what there is for them.
                let gateway = name == "list" && status == "403";
                assert!(answered || gateway, "nothing in this test answers {status} to {name}");
            }
        }
    }
}

async fn wrong_requests(corpus: &mut Corpus<'_>) {
    let gate = corpus.world.gate.id.to_string();
    let gate = gate.as_str();
    let good = json!({ "comment": "fine" });
    for template in DECISIONS {
        corpus.expect(401, template, gate, None, &good).await;
        corpus.expect(404, template, NO_GATE, Some(ANN_AS_USER), &good).await;
        corpus.expect(404, template, "nonsense", Some(ANN_AS_USER), &good).await;
        corpus.expect(404, template, "%FF", Some(ANN_AS_USER), &good).await;
        for body in [
            json!({}),
            json!(null),
            json!([]),
            json!("x"),
            json!({ "comment": null }),
            json!({ "comment": 1 }),
            json!({ "comment": "x", "principal": BOB }),
            json!({ "comment": "x", "auth": "iam" }),
        ] {
            corpus.expect(400, template, gate, Some(ANN_AS_USER), &body).await;
        }
        let path = format!("/iam/v1{}", template.replace("{gate}", gate));
        for raw in
            ["", "{", "comment=fine", "{\"comment\":\"a\",\"comment\":\"b\"}", "{\"comment\":\"\\ud800\"}"]
        {
            let mut request = signed("POST", &path, Some(ANN_AS_USER), &Value::Null);
            *request.body_mut() = Body::from(raw);
            assert_eq!(corpus.send(template, request).await.0, StatusCode::BAD_REQUEST, "{raw}");
        }
        let mut request = signed("POST", &path, Some(ANN_AS_USER), &Value::Null);
        *request.body_mut() = Body::from(b"{\"comment\":\"\xff\"}".to_vec());
        assert_eq!(corpus.send(template, request).await.0, StatusCode::BAD_REQUEST);
        for kind in
            [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
        {
            let mut request = signed("POST", &path, Some(ANN_AS_USER), &good);
            request.headers_mut().remove(header::CONTENT_TYPE);
            if let Some(kind) = kind {
                request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
            }
            assert_eq!(
                corpus.send(template, request).await.0,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{kind:?}"
            );
        }
        let large = json!({ "comment": "x".repeat(70_000) });
        corpus.expect(413, template, gate, Some(ANN_AS_USER), &large).await;
        for (registry, status) in broken() {
            let request = signed("POST", &path, Some(ANN_AS_USER), &good);
            assert_eq!(corpus.send_to(registry, template, request).await.0.as_u16(), status);
        }
    }
    corpus.expect(401, "/approvals", "", None, &Value::Null).await;
    let beyond =
        signed("GET", &format!("/iam/v1/approvals?after={NO_GATE}"), Some(ANN_AS_USER), &Value::Null);
    assert_eq!(corpus.send("/approvals", beyond).await.0, StatusCode::NOT_FOUND);
    corpus.expect(401, "/approvals/{gate}", gate, None, &Value::Null).await;
    for name in [NO_GATE, "nonsense", "%FF", "%00", "a%2Fb"] {
        corpus.expect(404, "/approvals/{gate}", name, Some(ANN_AS_USER), &Value::Null).await;
    }
    for query in [
        "status=open",
        "status=",
        "model=Upper",
        "model=",
        "modle=x",
        "status=pending&status=pending",
        "status=%FF",
    ] {
        let request = signed("GET", &format!("/iam/v1/approvals?{query}"), Some(ANN_AS_USER), &Value::Null);
        assert_eq!(corpus.send("/approvals", request).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
    for (registry, status) in broken() {
        let request = signed("GET", "/iam/v1/approvals", Some(ANN_AS_USER), &Value::Null);
        assert_eq!(corpus.send_to(Arc::clone(&registry), "/approvals", request).await.0.as_u16(), status);
        let request = signed("GET", &format!("/iam/v1/approvals/{gate}"), Some(ANN_AS_USER), &Value::Null);
        assert_eq!(corpus.send_to(registry, "/approvals/{gate}", request).await.0.as_u16(), status);
    }
}

fn broken() -> [(Arc<dyn ApprovalsRegistry>, u16); 2] {
    [
        (Arc::new(TableRegistry::<Broken<false>>::default()), 503),
        (Arc::new(TableRegistry::<Broken<true>>::default()), 500),
    ]
}

async fn right_requests(corpus: &mut Corpus<'_>, with_window: bool) {
    let gate = corpus.world.gate.id.to_string();
    let gate = gate.as_str();
    let (ann, good) = (Some(ANN_AS_USER), json!({ "comment": "fine" }));
    corpus.expect(200, "/openapi.json", "", None, &Value::Null).await;
    let list = signed("GET", "/iam/v1/approvals?status=pending&model=credit-risk", ann, &Value::Null);
    let (_, list) = corpus.send("/approvals", list).await;
    assert_eq!(list["approvals"].as_array().unwrap().len(), 1);
    corpus.expect(200, "/approvals/{gate}", gate, ann, &Value::Null).await;
    corpus.expect(403, "/approvals/{gate}", gate, Some(EVE), &Value::Null).await;
    for template in DECISIONS {
        if with_window || !template.ends_with("block") {
            corpus.expect(403, template, gate, Some(EVE), &good).await;
            for comment in [" ".to_owned(), "x".repeat(4_001)] {
                corpus.expect(422, template, gate, ann, &json!({ "comment": comment })).await;
            }
        }
    }
    if with_window {
        corpus.expect(200, "/approvals/{gate}/block", gate, ann, &good).await;
        corpus.expect(200, "/approvals/{gate}/block", gate, ann, &good).await;
        corpus.expect(409, "/approvals/{gate}/block", gate, ann, &json!({ "comment": "again" })).await;
        corpus.expect(200, "/approvals/{gate}/approve", gate, ann, &good).await;
        corpus.expect(409, "/approvals/{gate}/reject", gate, ann, &good).await;
    } else {
        corpus.expect(409, "/approvals/{gate}/block", gate, ann, &good).await;
        corpus.expect(200, "/approvals/{gate}/reject", gate, ann, &good).await;
        corpus.expect(409, "/approvals/{gate}/approve", gate, ann, &good).await;
    }
    corpus.expect(200, "/approvals/{gate}", gate, ann, &Value::Null).await;
    for status in ["approved", "rejected", "expired", "cancelled"] {
        let path = format!("/iam/v1/approvals?status={status}");
        corpus.send("/approvals", signed("GET", &path, ann, &Value::Null)).await;
    }
}

#[tokio::test]
async fn the_served_document_names_this_installation_and_differs_in_nothing_else() {
    let world = World::new(Verdict::Pass, SignedDuration::from_hours(1)).await;
    let path = "https://proxy.example.com/some/path";
    for base in BASES {
        let request = Request::get(format!("{base}/openapi.json")).body(Body::empty()).unwrap();
        let response = router(world.app(path)).oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
        let mut served: Value = serde_json::from_slice(&body).unwrap();
        let mut document = document();
        for (server, base) in served["servers"].as_array().unwrap().iter().zip(BASES) {
            assert_eq!(server["url"], format!("{path}{base}"));
        }
        served["servers"] = Value::Null;
        document["servers"] = Value::Null;
        assert_eq!(served, document);
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_understood() {
    let world = World::new(Verdict::Pass, SignedDuration::from_hours(1)).await;
    for base in BASES {
        for (known, path, _) in ADDRESSES {
            let path = format!("{base}{}", path.replace("{gate}", world.gate.id.as_str()));
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
                if method == known {
                    continue;
                }
                let request = signed(method, &path, Some(ANN_AS_USER), &json!({ "comment": "x" }));
                let response = router(world.app(BASE)).oneshot(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
                let allow = response.headers()[header::ALLOW].to_str().unwrap().to_owned();
                assert!(allow.split(',').any(|m| m == known), "{path}: {allow}");
            }
        }
    }
}

//! A Lambda alias, against a server that speaks as Lambda does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use seatrial_domain::policy::LambdaAlias;
use seatrial_targets::contract::{Harness, Trouble};
use seatrial_targets::{AliasOf, Hindrance, TrafficTarget};
use serde_json::{Value, json};

use crate::fake::{aws, common, error, is_signed, serve, text};

pub struct Lambda {
    main: String,
    more: BTreeMap<String, f64>,
    revision: u64,
    trouble: Option<Trouble>,
    /// The function's tags.
    pub tags: Value,
    /// The bodies of calls that were to move it.
    pub puts: Vec<Value>,
}

pub type Shared = Arc<Mutex<Lambda>>;

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:fraud";

impl Lambda {
    fn document(&self) -> Value {
        let mut alias = json!({
            "AliasArn": format!("{ARN}:live"), "Name": "live", "FunctionVersion": self.main, "Description": "",
            "RevisionId": format!("rev-{}", self.revision),
        });
        if !self.more.is_empty() {
            alias["RoutingConfig"] = json!({ "AdditionalVersionWeights": self.more });
        }
        alias
    }
}

pub fn router(lambda: Shared) -> Router {
    Router::new()
        .route("/2015-03-31/functions/{function}/aliases/{alias}", get(read).put(write))
        .route("/2017-03-31/tags/{arn}", get(tags))
        .with_state(lambda)
}

/// Why a call comes to nothing, if it does.
fn refused(headers: &HeaderMap, lambda: &Lambda, function: &str, alias: &str) -> Option<Response> {
    if !is_signed(headers, "lambda") {
        return Some(error(403, "MissingAuthenticationTokenException", "not signed"));
    }
    if let Some(trouble) = common(lambda.trouble) {
        return Some(trouble);
    }
    if (function != "fraud" && function != ARN) || alias != "live" {
        return Some(error(
            404,
            "ResourceNotFoundException",
            &format!("Alias not found: {function}:{alias}"),
        ));
    }
    None
}

async fn read(
    State(lambda): State<Shared>,
    Path((function, alias)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let lambda = lambda.lock().unwrap();
    refused(&headers, &lambda, &function, &alias).unwrap_or_else(|| text(&lambda.document()))
}

async fn write(
    State(lambda): State<Shared>,
    Path((function, alias)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let mut lambda = lambda.lock().unwrap();
    if let Some(refused) = refused(&headers, &lambda, &function, &alias) {
        return refused;
    }
    if lambda.trouble == Some(Trouble::Changing) {
        let said = "The operation cannot be performed at this time. An update is in progress for resource";
        return error(409, "ResourceConflictException", said);
    }
    if body["RevisionId"] != json!(format!("rev-{}", lambda.revision)) {
        return error(412, "PreconditionFailedException", "The RevisionId provided does not match");
    }
    lambda.puts.push(body.clone());
    let main = body["FunctionVersion"].as_str().unwrap().to_owned();
    let more = body.pointer("/RoutingConfig/AdditionalVersionWeights").unwrap().as_object().unwrap();
    let more: BTreeMap<String, f64> = more.iter().map(|(k, v)| (k.clone(), v.as_f64().unwrap())).collect();
    if more.len() > 1 || more.contains_key(&main) {
        return error(400, "InvalidParameterValueException", "Routing config is invalid");
    }
    for version in more.keys().chain([&main]) {
        if !["11", "12", "13"].contains(&version.as_str()) {
            return error(404, "ResourceNotFoundException", &format!("Function not found: {ARN}:{version}"));
        }
    }
    lambda.main = main;
    lambda.more = more;
    lambda.revision += 1;
    text(&lambda.document())
}

async fn tags(State(lambda): State<Shared>, Path(arn): Path<String>, headers: HeaderMap) -> Response {
    let lambda = lambda.lock().unwrap();
    if let Some(trouble) = common(lambda.trouble) {
        return trouble;
    }
    if arn != ARN || !is_signed(&headers, "lambda") {
        return error(404, "ResourceNotFoundException", &arn);
    }
    text(&json!({ "Tags": lambda.tags }))
}

pub fn lambda() -> Shared {
    Arc::new(Mutex::new(Lambda {
        main: "11".into(),
        more: BTreeMap::new(),
        revision: 1,
        trouble: None,
        tags: json!({ "team": "risk", "seatrial:model": "m" }),
        puts: Vec::new(),
    }))
}

pub fn alias(function: &str, role: Option<&str>) -> LambdaAlias {
    LambdaAlias { function: function.into(), alias: "live".into(), role: role.map(Into::into) }
}

struct Fake {
    lambda: Shared,
    target: AliasOf,
}

async fn fake() -> Fake {
    let lambda = lambda();
    let endpoint = serve(router(Arc::clone(&lambda))).await;
    Fake { lambda, target: AliasOf::new(aws(&endpoint), "m".parse().unwrap(), alias("fraud", None)) }
}

#[async_trait]
impl Harness for Fake {
    fn target(&self) -> &dyn TrafficTarget {
        &self.target
    }
    fn name(&self, n: u32) -> String {
        format!("1{n}")
    }
    async fn set(&self, shares: &[(u32, u16)]) {
        let mut lambda = self.lambda.lock().unwrap();
        lambda.main = self.name(shares[0].0);
        lambda.more =
            shares[1..].iter().map(|(n, bps)| (self.name(*n), f64::from(*bps) / 10_000.0)).collect();
        lambda.revision += 1;
    }
    async fn does(&self) -> BTreeMap<String, u16> {
        let lambda = self.lambda.lock().unwrap();
        let more: BTreeMap<String, u16> =
            lambda.more.iter().map(|(name, w)| (name.clone(), (w * 10_000.0).round() as u16)).collect();
        let rest = 10_000 - more.values().sum::<u16>();
        let all = more.into_iter().chain([(lambda.main.clone(), rest)]);
        all.filter(|(_, bps)| *bps > 0).collect()
    }
    async fn trouble(&self, trouble: Option<Trouble>) {
        self.lambda.lock().unwrap().trouble = trouble;
    }
    fn fences(&self) -> bool {
        true
    }
    fn knows_its_versions(&self) -> bool {
        true
    }
}

seatrial_targets::contract_tests!(fake());

#[tokio::test]
async fn a_function_that_another_model_owns_is_not_moved() {
    let fake = fake().await;
    let seen = fake.target.observe().await.unwrap();
    for tags in [json!({}), json!({ "seatrial:model": "other" }), Value::Null] {
        fake.lambda.lock().unwrap().tags = tags.clone();
        let wanted = crate::sagemaker::wanted("12");
        let hindered = fake.target.drive(&wanted, &seen).await.unwrap_err();
        assert!(
            matches!(&hindered, Hindrance::Refused(why) if why.contains("seatrial:model=m")),
            "{hindered:?}"
        );
        assert!(fake.lambda.lock().unwrap().puts.is_empty(), "{tags}");
    }
}

#[tokio::test]
async fn three_versions_with_traffic_are_refused_and_an_alias_that_is_not_there_is_named() {
    let fake = fake().await;
    let seen = fake.target.observe().await.unwrap();
    let mut wanted = crate::sagemaker::wanted("11");
    for name in ["12", "13"] {
        wanted.shares.push(crate::sagemaker::share(name, 100));
    }
    let hindered = fake.target.drive(&wanted, &seen).await.unwrap_err();
    assert!(matches!(&hindered, Hindrance::Refused(why) if why.contains("two versions")), "{hindered:?}");
    assert!(fake.lambda.lock().unwrap().puts.is_empty());
    let endpoint = serve(router(lambda())).await;
    let other = AliasOf::new(aws(&endpoint), "m".parse().unwrap(), alias("payments", None));
    let hindered = other.observe().await.unwrap_err();
    assert!(
        matches!(&hindered, Hindrance::Refused(why) if why.contains("alias live of payments")),
        "{hindered:?}"
    );
}

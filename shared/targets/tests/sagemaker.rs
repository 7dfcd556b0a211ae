//! A SageMaker endpoint, against a server that speaks as SageMaker does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use jiff::Timestamp;
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::{VersionName, VersionRef};
use seatrial_domain::policy::SagemakerEndpoint;
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::target::{Desired, Share};
use seatrial_targets::contract::{Harness, Trouble};
use seatrial_targets::{Endpoint, Hindrance, TrafficTarget};
use serde_json::{Value, json};

use crate::fake::{aws, common, error, is_signed, serve, text};

struct SageMaker {
    weights: BTreeMap<String, f32>,
    /// Weights that hold after so many more looks: until then it is `Updating`.
    next: Option<(u32, BTreeMap<String, f32>)>,
    trouble: Option<Trouble>,
    tags: Vec<Value>,
    updates: usize,
    /// Its state, where it is neither `InService` nor `Updating`.
    status: Option<&'static str>,
}

type Shared = Arc<Mutex<SageMaker>>;

const ARN: &str = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/fraud";

async fn answer(State(sagemaker): State<Shared>, headers: HeaderMap, body: String) -> Response {
    assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
    let body: Value = serde_json::from_str(&body).unwrap();
    let mut s = sagemaker.lock().unwrap();
    if !is_signed(&headers, "sagemaker") {
        return error(403, "MissingAuthenticationTokenException", "not signed");
    }
    match s.trouble {
        Some(Trouble::Throttled) => return error(400, "ThrottlingException", "Rate exceeded"),
        trouble => {
            if let Some(trouble) = common(trouble) {
                return trouble;
            }
        }
    }
    let target = headers["x-amz-target"].to_str().unwrap();
    if target != "SageMaker.ListTags" && body["EndpointName"] != "fraud" {
        return error(400, "ValidationException", "Could not find endpoint \"arn:aws:sagemaker:…\".");
    }
    match target {
        "SageMaker.DescribeEndpoint" => {
            let described = describe(&s);
            // A look later the change has come a little further.
            match s.next.take() {
                Some((0, weights)) => s.weights = weights,
                Some((looks, weights)) => s.next = Some((looks - 1, weights)),
                None => {}
            }
            text(&described)
        }
        "SageMaker.UpdateEndpointWeightsAndCapacities" => {
            if s.next.is_some() || s.trouble == Some(Trouble::Changing) {
                return error(400, "ValidationException", "Cannot update in-progress endpoint \"fraud\".");
            }
            let mut weights = s.weights.clone();
            for variant in body["DesiredWeightsAndCapacities"].as_array().unwrap() {
                let name = variant["VariantName"].as_str().unwrap();
                let Some(weight) = weights.get_mut(name) else {
                    return error(400, "ValidationException", &format!("Could not find variant {name}"));
                };
                *weight = variant["DesiredWeight"].as_f64().unwrap() as f32;
            }
            s.updates += 1;
            s.next = Some((3, weights));
            text(&json!({ "EndpointArn": ARN }))
        }
        // One tag a page.
        "SageMaker.ListTags" if body["ResourceArn"] == ARN => {
            let at: usize = body["NextToken"].as_str().map_or(0, |t| t.parse().unwrap());
            let mut page = json!({ "Tags": s.tags.get(at).into_iter().collect::<Vec<_>>() });
            if at + 1 < s.tags.len() {
                page["NextToken"] = json!((at + 1).to_string());
            }
            text(&page)
        }
        other => error(400, "UnknownOperationException", other),
    }
}

fn describe(s: &SageMaker) -> Value {
    let desired = s.next.as_ref().map_or(&s.weights, |(_, weights)| weights);
    let variants: Vec<Value> = s
        .weights
        .iter()
        .map(|(name, weight)| {
            json!({ "VariantName": name, "CurrentWeight": weight, "DesiredWeight": desired[name], "CurrentInstanceCount": 1 })
        })
        .collect();
    let updating = s.next.is_some() || s.trouble == Some(Trouble::Changing);
    json!({
        "EndpointName": "fraud", "EndpointArn": ARN, "ProductionVariants": variants,
        "EndpointStatus": s.status.unwrap_or(if updating { "Updating" } else { "InService" }),
    })
}

struct Fake {
    sagemaker: Shared,
    target: Endpoint,
}

fn named(role: Option<&str>) -> SagemakerEndpoint {
    SagemakerEndpoint { endpoint: "fraud".into(), role: role.map(Into::into) }
}

async fn fake() -> Fake {
    let names = ["variant-1", "variant-2", "variant-3"];
    let sagemaker = Arc::new(Mutex::new(SageMaker {
        weights: names.iter().zip([1.0, 0.0, 0.0]).map(|(name, w)| ((*name).to_owned(), w)).collect(),
        next: None,
        trouble: None,
        tags: vec![
            json!({ "Key": "team", "Value": "risk" }),
            json!({ "Key": "seatrial:model", "Value": "m" }),
        ],
        updates: 0,
        status: None,
    }));
    let endpoint = serve(Router::new().route("/", post(answer)).with_state(Arc::clone(&sagemaker))).await;
    Fake { sagemaker, target: Endpoint::new(aws(&endpoint), "m".parse().unwrap(), named(None)) }
}

#[async_trait]
impl Harness for Fake {
    fn target(&self) -> &dyn TrafficTarget {
        &self.target
    }
    fn name(&self, n: u32) -> String {
        format!("variant-{n}")
    }
    async fn set(&self, shares: &[(u32, u16)]) {
        let mut s = self.sagemaker.lock().unwrap();
        // As people write weights: in whatever unit.
        let of = |name: &str| shares.iter().find(|(n, _)| self.name(*n) == name).map_or(0, |(_, bps)| *bps);
        s.weights = s.weights.keys().map(|name| (name.clone(), f32::from(of(name)) / 100.0)).collect();
        s.next = None;
    }
    async fn does(&self) -> BTreeMap<String, u16> {
        let s = self.sagemaker.lock().unwrap();
        let sum: f32 = s.weights.values().sum();
        let bps = |weight: f32| (weight / sum * 10_000.0).round() as u16;
        s.weights.iter().map(|(name, w)| (name.clone(), bps(*w))).filter(|(_, bps)| *bps > 0).collect()
    }
    async fn trouble(&self, trouble: Option<Trouble>) {
        self.sagemaker.lock().unwrap().trouble = trouble;
    }
    fn fences(&self) -> bool {
        false
    }
    fn knows_its_versions(&self) -> bool {
        true
    }
}

seatrial_targets::contract_tests!(fake());

pub fn share(name: &str, bps: u16) -> Share {
    let version = VersionRef { version: VersionName::new(1), digest: sha256(name.as_bytes()) };
    Share { name: name.into(), version, role: Arm::Champion, weight: Weight::from_bps(bps).unwrap() }
}

pub fn wanted(name: &str) -> Desired {
    Desired {
        model: "m".parse().unwrap(),
        revision: 1,
        epoch: 1,
        promotion: None,
        since: Timestamp::UNIX_EPOCH,
        shares: vec![share(name, 10_000)],
    }
}

#[tokio::test]
async fn while_it_updates_it_is_behind_with_the_weights_that_callers_still_meet() {
    let fake = fake().await;
    let seen = fake.target.observe().await.unwrap();
    fake.target.drive(&wanted("variant-2"), &seen).await.unwrap();
    let between = fake.target.observe().await.unwrap();
    assert!(between.busy.as_deref().unwrap().contains("Updating"), "{between:?}");
    assert_eq!(between.shares["variant-1"], 1.0, "the new weights do not hold yet");
    let hindered = fake.target.drive(&wanted("variant-3"), &between).await.unwrap_err();
    assert!(matches!(hindered, Hindrance::Pending(_)), "{hindered:?}");
    let hindered = fake.target.drive(&wanted("variant-3"), &seen).await.unwrap_err();
    assert!(matches!(hindered, Hindrance::Pending(_)), "AWS says so too: {hindered:?}");
    assert_eq!(fake.sagemaker.lock().unwrap().updates, 1);
}

#[tokio::test]
async fn a_state_that_no_waiting_ends_is_told_as_one_in_which_somebody_must_act() {
    let fake = fake().await;
    for status in ["Failed", "UpdateRollbackFailed", "OutOfService", "Deleting"] {
        fake.sagemaker.lock().unwrap().status = Some(status);
        let seen = fake.target.observe().await.unwrap();
        let hindered = fake.target.drive(&wanted("variant-2"), &seen).await.unwrap_err();
        assert!(matches!(&hindered, Hindrance::Refused(why) if why.contains(status)), "{hindered:?}");
    }
    fake.sagemaker.lock().unwrap().status = Some("SystemUpdating");
    let seen = fake.target.observe().await.unwrap();
    let hindered = fake.target.drive(&wanted("variant-2"), &seen).await.unwrap_err();
    assert!(matches!(hindered, Hindrance::Pending(_)), "{hindered:?}");
    assert_eq!(fake.sagemaker.lock().unwrap().updates, 0);
}

#[tokio::test]
async fn an_endpoint_that_another_model_owns_or_that_is_not_there_is_not_moved() {
    let fake = fake().await;
    let seen = fake.target.observe().await.unwrap();
    for tags in [vec![], vec![json!({ "Key": "seatrial:model", "Value": "other" })]] {
        fake.sagemaker.lock().unwrap().tags = tags;
        let hindered = fake.target.drive(&wanted("variant-2"), &seen).await.unwrap_err();
        assert!(
            matches!(&hindered, Hindrance::Refused(why) if why.contains("seatrial:model=m")),
            "{hindered:?}"
        );
    }
    assert_eq!(fake.sagemaker.lock().unwrap().updates, 0);
}

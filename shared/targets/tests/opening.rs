//! With whose rights a target is reached.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use seatrial_domain::policy::{HttpTarget, Target};
use seatrial_outbound::Allowed;
use seatrial_targets::{Hindrance, OwnTargets, Targets};
use serde_json::json;

use crate::fake::{serve, whole};
use crate::lambda;

const ROLE: &str = "arn:aws:iam::123456789012:role/mover";

/// STS: its role trusts whoever names the external id of model `m`.
async fn sts(State(asked): State<Arc<Mutex<Vec<String>>>>, headers: HeaderMap, body: String) -> Response {
    if headers.contains_key("x-amz-target") {
        let none = json!({ "__type": "ParameterNotFound" }).to_string();
        return (StatusCode::BAD_REQUEST, none).into_response();
    }
    asked.lock().unwrap().push(body.clone());
    let xml = [(header::CONTENT_TYPE, "text/xml")];
    if !body.contains("ExternalId=prod%2Fm&") && !body.ends_with("ExternalId=prod%2Fm") {
        let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>";
        return (StatusCode::FORBIDDEN, xml, denied).into_response();
    }
    let assumed = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
        <AccessKeyId>ASIAOFTHEOWNER</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId>\
        <Arn>arn:aws:sts::123456789012:assumed-role/mover/s</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>";
    (xml, assumed).into_response()
}

async fn targets(lambda: &lambda::Shared) -> (OwnTargets, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let sts = Router::new().route("/", post(sts)).with_state(Arc::clone(&asked));
    let endpoint = serve(sts.merge(lambda::router(Arc::clone(lambda)))).await;
    let targets = OwnTargets {
        aws: whole(&endpoint).await,
        stack: "prod".into(),
        parameters: "/prod/targets".into(),
        allowed: Allowed::of("TargetHosts", "mesh.example.com", true),
        clock: || Timestamp::UNIX_EPOCH,
    };
    (targets, asked)
}

#[tokio::test]
async fn a_role_of_the_owners_is_assumed_with_an_external_id_that_the_model_makes_and_no_policy() {
    let lambda = lambda::lambda();
    lambda.lock().unwrap().tags = json!({});
    let (targets, asked) = targets(&lambda).await;
    let target = Target::LambdaAlias(lambda::alias("fraud", Some(ROLE)));
    let opened = targets.open(&"m".parse().unwrap(), &target).await.unwrap();
    let seen = opened.observe().await.unwrap();
    opened.drive(&crate::sagemaker::wanted("12"), &seen).await.unwrap();
    assert_eq!(lambda.lock().unwrap().puts.len(), 1, "whoever holds the role needs no tag");
    // Another model's policy names the same role: the id is another, and the role trusts it not.
    let hindered = targets.open(&"other".parse().unwrap(), &target).await.err().unwrap();
    assert!(matches!(&hindered, Hindrance::Refused(why) if why.contains("prod/other")), "{hindered:?}");
    let asked = asked.lock().unwrap();
    assert!(
        asked.iter().all(|a| a.contains("Action=AssumeRole") && a.contains("seatrial-reconcile")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_function_of_another_region_is_asked_there_and_a_hook_needs_its_key() {
    let (targets, asked) = targets(&lambda::lambda()).await;
    let arn = "arn:aws:lambda:us-east-2:123456789012:function:fraud";
    let target = Target::LambdaAlias(lambda::alias(arn, None));
    let opened = targets.open(&"m".parse().unwrap(), &target).await.unwrap();
    // The fake is in eu-west-1: it refuses what is signed for another region.
    let hindered = opened.observe().await.unwrap_err();
    assert!(hindered.to_string().contains("MissingAuthenticationToken"), "{hindered:?}");
    let hook = Target::Http(HttpTarget { url: "https://mesh.example.com/".into() });
    let hindered = targets.open(&"m".parse().unwrap(), &hook).await.err().unwrap();
    assert!(
        matches!(&hindered, Hindrance::Refused(why) if why.contains("/prod/targets/m/key")),
        "{hindered:?}"
    );
    assert!(asked.lock().unwrap().is_empty(), "no role is assumed where none is named");
}

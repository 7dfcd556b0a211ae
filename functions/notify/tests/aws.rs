//! What AWS is asked, and how its answers are read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use fn_notify::{Parameters, Sns, Ssm, Topics, Tried};
use seatrial_domain::ModelName;
use seatrial_domain::ids::Actor;
use seatrial_domain::notice::{Notice, NoticeKind};
use serde_json::{Value, json};

type Script = Arc<Mutex<(u16, String, Vec<(HeaderMap, String)>)>>;

async fn aws() -> (SdkConfig, Script) {
    let script = Script::default();
    let answer = |State(script): State<Script>, headers: HeaderMap, body: String| async move {
        let mut script = script.lock().unwrap();
        script.2.push((headers, body));
        (StatusCode::from_u16(script.0).unwrap(), script.1.clone())
    };
    let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&script));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    (config, script)
}

fn says(script: &Script, status: u16, body: &Value) {
    let mut script = script.lock().unwrap();
    (script.0, script.1) = (status, body.to_string());
}

fn asked(script: &Script) -> (HeaderMap, String) {
    script.lock().unwrap().2.pop().unwrap()
}

#[tokio::test]
async fn a_parameter_is_read_by_its_whole_name_and_what_is_missing_is_told_from_what_is_late() {
    let (config, script) = aws().await;
    let ssm = Ssm::new(config, "/seatrial/webhooks/");
    says(&script, 200, &json!({ "Parameter": { "Name": "x", "Value": "s3cret" } }));
    assert_eq!(ssm.value("m/chat/url").await.unwrap().expose(), "s3cret");
    let (headers, body) = asked(&script);
    assert_eq!(body, r#"{"Name":"/seatrial/webhooks/m/chat/url","WithDecryption":true}"#);
    assert_eq!(headers["x-amz-target"], "AmazonSSM.GetParameter");
    let signed = headers["authorization"].to_str().unwrap();
    assert!(signed.contains("AKIDEXAMPLE/") && signed.contains("/eu-west-1/ssm/aws4_request"), "{signed}");
    for (status, kind, never) in [
        (400, "ParameterNotFound", true),
        (400, "com.amazonaws.ssm#AccessDeniedException", true),
        (400, "ThrottlingException", false),
        (500, "InternalServerError", false),
    ] {
        says(&script, status, &json!({ "__type": kind, "message": "s3cret" }));
        let tried = ssm.value("m/chat/url").await.unwrap_err();
        assert_eq!(matches!(tried, Tried::Never { .. }), never, "{kind}: {tried:?}");
        assert!(!format!("{tried:?}").contains("s3cret"), "{tried:?}");
    }
}

#[tokio::test]
async fn a_topic_gets_text_for_people_and_json_for_machines() {
    let (config, script) = aws().await;
    let sns = Sns::new(config);
    let notice = Notice {
        id: "no_1".into(),
        kind: NoticeKind::RolledBack,
        model: ModelName::parse("credit-risk").unwrap(),
        sequence: 1,
        at: jiff::Timestamp::UNIX_EPOCH,
        by: Actor::function("x"),
        emergency: false,
        promotion: None,
        version: None,
        gate: None,
        outcome: None,
        automatic: false,
        ends_at: None,
        weight: None,
        from: None,
        to: None,
        skipped: vec![],
        setting: None,
        policy: None,
        comment: None,
    };
    let arn = "arn:aws:sns:eu-west-1:1:seatrial-news";
    let publish =
        || sns.publish(arn, &notice, "Zurück\r\nBcc: x", "for people & all", r#"{"event":"rolled_back"}"#);
    says(&script, 200, &json!("ok"));
    assert_eq!(publish().await, Tried::Taken);
    let (headers, body) = asked(&script);
    assert!(headers["authorization"].to_str().unwrap().contains("/eu-west-1/sns/aws4_request"));
    let fields: BTreeMap<String, String> = body
        .split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), decoded(value))
        })
        .collect();
    assert_eq!((fields["Action"].as_str(), fields["TopicArn"].as_str()), ("Publish", arn));
    assert_eq!(fields["Subject"], "Zur?ck??Bcc: x", "one line of ASCII");
    let message: Value = serde_json::from_str(&fields["Message"]).unwrap();
    assert_eq!(
        (&message["default"], &message["email"]),
        (&json!("for people & all"), &json!("for people & all"))
    );
    assert_eq!(message["sqs"], r#"{"event":"rolled_back"}"#);
    assert_eq!(fields["MessageAttributes.entry.1.Value.StringValue"], "rolled_back");
    assert_eq!(fields["MessageAttributes.entry.2.Value.StringValue"], "credit-risk");

    for (status, text, never) in [
        (404, "NotFound", true),
        (403, "AuthorizationError", true),
        (400, "Throttling", false),
        (503, "", false),
    ] {
        says(&script, status, &json!(text));
        let tried = publish().await;
        assert_eq!(matches!(tried, Tried::Never { .. }), never, "{status} {text}: {tried:?}");
        assert_ne!(tried, Tried::Taken);
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

//! Who runs there: asked before anything is used, and never taken for granted.

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use axum::http::StatusCode;
use seatrial_inference::{Batch, Runner};
use seatrial_remote::testing::aws_at;
use seatrial_remote::{Network, RemoteError};
use serde_json::json;

use crate::fakes::{Fake, KINDS, Kind, ROLE, Says, image, rows};

async fn refused(fake: &Fake) -> RemoteError {
    let connected = fake.network().connect("adult-income", &fake.config(|_| {})).await;
    connected.map(|_| ()).expect_err("it is not what was pinned")
}

#[tokio::test]
async fn what_the_service_says_it_runs_is_what_was_pinned_or_it_is_not_used() {
    type Change = fn(&mut Says);
    let changes: [(Kind, Change, &str); 3] = [
        (Kind::Lambda, |s| s.code = "AAAA".into(), "the code is AAAA"),
        (Kind::Http, |s| s.image = Some(format!("sha256:{}", "ab".repeat(32))), "the image is sha256:abab"),
        (Kind::Sagemaker, |s| s.package = Some("arn:…/4".into()), "the model package is arn:…/4"),
    ];
    for (kind, change, word) in changes {
        let fake = Fake::start(kind).await;
        let network = fake.network();
        let config = fake.config(|_| {});
        let found = network.identity("adult-income", &config).await.unwrap();
        assert!(found.checked, "{found:?}");
        fake.say(change);
        let why = refused(&fake).await;
        assert!(!why.is_transient() && why.to_string().contains(word), "{why}");
        assert!(network.identity("adult-income", &config).await.is_err());
        assert_eq!(fake.asked(), 0, "nothing is predicted by what is not known");
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_says_nothing_about_the_version() {
    for kind in KINDS {
        let fake = Fake::start(kind).await;
        fake.say(|s| s.answer = StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused(&fake).await.is_transient(), "{kind:?}");
        fake.say(|s| (s.answer, s.error) = (StatusCode::BAD_REQUEST, "ThrottlingException"));
        assert!(refused(&fake).await.is_transient(), "{kind:?}: a throttle is no answer");
        fake.say(|s| (s.answer, s.error) = (StatusCode::FORBIDDEN, "AccessDeniedException"));
        assert!(!refused(&fake).await.is_transient(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_say_its_image_is_its_owners_word() {
    let fake = Fake::start(Kind::Http).await;
    fake.say(|s| s.image = None);
    let found = fake.network().identity("adult-income", &fake.config(|_| {})).await.unwrap();
    assert!(!found.checked && found.why.contains("its owner's word"), "{found:?}");
}

#[tokio::test]
async fn an_endpoint_that_changes_or_has_no_single_package_is_not_used() {
    let fake = Fake::start(Kind::Sagemaker).await;
    fake.say(|s| s.status = "Updating");
    let why = refused(&fake).await;
    assert!(why.is_transient() && why.to_string().contains("is Updating"), "{why}");
    fake.say(|s| (s.status, s.package) = ("InService", None));
    let why = refused(&fake).await;
    assert!(why.to_string().contains("comes of no model package"), "{why}");
}

#[tokio::test]
async fn an_address_is_reached_only_where_the_deployment_allows_it() {
    let fake = Fake::start(Kind::Http).await;
    for ((hosts, local), config) in [
        (("", false), fake.config(|_| {})),
        (
            ("other.example", true),
            fake.config(|c| {
                c["remote"]["http"] =
                    json!({ "url": "https://models.example/v2/models/m", "image": image() });
            }),
        ),
    ] {
        let network = Network::of(aws_at(&fake.base), "seatrial", hosts, local);
        let why = network.connect("adult-income", &config).await.map(|_| ()).unwrap_err();
        assert!(!why.is_transient() && why.to_string().contains("not reached"), "{why}");
    }
    assert!(fake.state.seen.lock().unwrap().is_empty());
}

/// A network as a function has it: with a client of AWS's own for STS.
async fn own(fake: &Fake) -> Network {
    let aws = aws_config::defaults(BehaviorVersion::latest()).region(Region::new("eu-west-1"));
    let aws =
        aws.endpoint_url(&fake.base).credentials_provider(Credentials::new("k", "s", None, None, "test"));
    Network::of(aws.load().await, "seatrial", "", true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_refused_is_told_with_its_reason_and_not_asked_for_for_ever() {
    let fake = Fake::start(Kind::Lambda).await;
    fake.say(|s| s.trusts = false);
    let config = fake.config(|c| c["remote"]["role"] = json!(ROLE));
    let why = own(&fake).await.connect("adult-income", &config).await.map(|_| ()).unwrap_err();
    assert!(!why.is_transient(), "{why}");
    let told = why.to_string();
    for word in [ROLE, "the external id seatrial/adult-income", "AccessDenied"] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_role_is_taken_with_the_models_own_external_id() {
    let fake = Fake::start(Kind::Lambda).await;
    let config = fake.config(|c| c["remote"]["role"] = json!(ROLE));
    let model = own(&fake).await.connect("adult-income", &config).await.unwrap();
    tokio::task::spawn_blocking(move || model.predict(&Batch::from_rows(&rows(1)).unwrap()).unwrap())
        .await
        .unwrap();
    let seen = fake.state.seen.lock().unwrap();
    let taken: Vec<_> = seen.iter().filter(|(.., text)| text.contains("Action=AssumeRole")).collect();
    let [(_, _, asked)] = taken.as_slice() else { panic!("taken {} times", taken.len()) };
    assert!(asked.contains("ExternalId=seatrial%2Fadult-income"), "{asked}");
    let (_, headers, _) = seen.last().unwrap();
    let signed = headers["authorization"].to_str().unwrap();
    assert!(signed.contains("Credential=ASIAOWNER/"), "with the role's rights: {signed}");
}

//! A hook, against a server that keeps to the documented form.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use seatrial_domain::VersionName;
use seatrial_domain::policy::HttpTarget;
use seatrial_domain::route::Weight;
use seatrial_domain::target::{HookAnswer, HookCall, HookKind};
use seatrial_outbound::{Allowed, Secret, signature};
use seatrial_targets::contract::{Harness, Trouble};
use seatrial_targets::{Hindrance, Hook, TrafficTarget};
use serde_json::json;

use crate::fake::serve;
use crate::sagemaker::wanted;

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct Mesh {
    shares: BTreeMap<VersionName, Weight>,
    /// The highest revision that was carried out.
    revision: u64,
    trouble: Option<Trouble>,
    /// What it answers in place of all that.
    says: Option<(u16, String)>,
    heard: Vec<HookCall>,
}

type Shared = Arc<Mutex<Mesh>>;

async fn answer(State(mesh): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let mut mesh = mesh.lock().unwrap();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let expected = signature(&[KEY], &header("seatrial-timestamp"), &body);
    if header("seatrial-signature") != expected {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let call: HookCall = serde_json::from_str(&body).unwrap();
    assert_eq!(header("seatrial-event"), call.kind.event());
    mesh.heard.push(call.clone());
    if let Some((status, said)) = &mesh.says {
        return (StatusCode::from_u16(*status).unwrap(), said.clone()).into_response();
    }
    match mesh.trouble {
        Some(Trouble::Throttled) => return StatusCode::TOO_MANY_REQUESTS.into_response(),
        Some(Trouble::Dead) => return StatusCode::BAD_GATEWAY.into_response(),
        Some(Trouble::Denied) => return (StatusCode::FORBIDDEN, "not you").into_response(),
        Some(Trouble::Changing) | None => {}
    }
    let pending = (mesh.trouble == Some(Trouble::Changing)).then(|| "a rollout is under way".to_owned());
    let mut refused = None;
    if let Some(route) = &call.route {
        if route.revision < mesh.revision {
            refused = Some(format!("revision {} is carried out already", mesh.revision));
        } else if pending.is_none() {
            let some = route.shares.iter().filter(|s| s.weight > Weight::ZERO);
            mesh.shares = some.map(|s| (s.version, s.weight)).collect();
            mesh.revision = route.revision;
        }
    }
    axum::Json(HookAnswer { shares: mesh.shares.clone(), pending, refused }).into_response()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

struct Fake {
    mesh: Shared,
    target: Hook,
}

async fn hook(key: &str) -> Fake {
    let mesh = Shared::default();
    let address = serve(Router::new().route("/weights", post(answer)).with_state(Arc::clone(&mesh))).await;
    let http = HttpTarget { url: format!("{address}/weights") };
    let allowed = Allowed::of("TargetHosts", "", true);
    let target = Hook::new(allowed, "m".parse().unwrap(), http, Secret::new(key.into()), now);
    Fake { mesh, target }
}

#[async_trait]
impl Harness for Fake {
    fn target(&self) -> &dyn TrafficTarget {
        &self.target
    }
    fn name(&self, n: u32) -> String {
        format!("v{n}")
    }
    async fn set(&self, shares: &[(u32, u16)]) {
        let shares = shares.iter().map(|(n, bps)| (VersionName::new(*n), Weight::from_bps(*bps).unwrap()));
        self.mesh.lock().unwrap().shares = shares.collect();
    }
    async fn does(&self) -> BTreeMap<String, u16> {
        self.mesh.lock().unwrap().shares.iter().map(|(v, w)| (v.to_string(), w.bps())).collect()
    }
    async fn trouble(&self, trouble: Option<Trouble>) {
        self.mesh.lock().unwrap().trouble = trouble;
    }
    fn fences(&self) -> bool {
        false
    }
    fn knows_its_versions(&self) -> bool {
        false
    }
}

seatrial_targets::contract_tests!(hook(KEY));

#[tokio::test]
async fn it_is_told_versions_digests_and_a_revision_that_an_older_order_cannot_pass() {
    let fake = hook(KEY).await;
    let mut newer = wanted("v1");
    newer.revision = 42;
    let seen = fake.target.observe().await.unwrap();
    fake.target.drive(&newer, &seen).await.unwrap();
    let heard = fake.mesh.lock().unwrap().heard.clone();
    let (looked, driven) = (&heard[0], heard[1].route.as_ref().unwrap());
    assert!(looked.kind == HookKind::Observe && looked.route.is_none());
    assert_eq!((driven.idempotency_key.as_str(), driven.revision), ("m#42", 42));
    assert_eq!(driven.shares[0].digest, newer.shares[0].version.digest);
    let hindered = fake.target.drive(&wanted("v1"), &seen).await.unwrap_err();
    assert!(matches!(&hindered, Hindrance::Refused(why) if why.contains("revision 42")), "{hindered:?}");
}

#[tokio::test]
async fn what_it_answers_is_read_with_care_and_what_passes_is_told_from_what_does_not() {
    let fake = hook(KEY).await;
    let half = json!({ "shares": { "v1": 5_000 } }).to_string();
    let noisy = json!({ "shares": {}, "refused": "no\u{1b}[31m\n way" }).to_string();
    for (status, body, pending) in [
        (200, half.as_str(), false),
        (200, "<html>", false),
        (200, r#"{"shares":{"7":10000}}"#, false),
        (200, noisy.as_str(), false),
        (301, "", false),
        (404, "", false),
        (422, "", false),
        (409, "", true),
        (500, "", true),
    ] {
        fake.mesh.lock().unwrap().says = Some((status, body.to_owned()));
        let hindered = fake.target.drive(&wanted("v1"), &Default::default()).await.unwrap_err();
        assert_eq!(matches!(hindered, Hindrance::Pending(_)), pending, "{status} {body}: {hindered:?}");
        assert!(!hindered.to_string().chars().any(char::is_control), "{hindered:?}");
    }
}

#[tokio::test]
async fn without_a_key_or_with_a_short_one_nothing_is_sent() {
    for key in ["", "short"] {
        let fake = hook(key).await;
        let hindered = fake.target.observe().await.unwrap_err();
        assert!(matches!(&hindered, Hindrance::Refused(why) if why.contains("openssl")), "{hindered:?}");
        assert!(fake.mesh.lock().unwrap().heard.is_empty());
    }
}

#[tokio::test]
async fn a_host_that_the_deployment_does_not_allow_is_not_called() {
    let http = HttpTarget { url: "https://mesh.example.com/".into() };
    let allowed = Allowed::of("TargetHosts", "other.example.com", false);
    let target = Hook::new(allowed, "m".parse().unwrap(), http, Secret::new(KEY.into()), now);
    let hindered = target.observe().await.unwrap_err();
    assert!(matches!(&hindered, Hindrance::Refused(why) if why.contains("TargetHosts")), "{hindered:?}");
}

//! Which tokens are believed, against an issuer that can be told to do anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seatrial_identity::testing::{
    AUDIENCE, CLIENT, LocalIssuer, SigningKey, TestClock, sign_none, sign_with_secret, usual, with,
};
use seatrial_identity::{COOL_DOWN, Clock as _, FRESH, Issuer, IssuerError, STALE, TOKEN_BYTES};
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

struct World {
    local: LocalIssuer,
    clock: TestClock,
    issuer: Arc<Issuer>,
}

impl World {
    async fn new() -> Self {
        Self::with(SigningKey::es256("key-1")).await
    }

    async fn with(key: SigningKey) -> Self {
        let local = LocalIssuer::start_with(key, ANN).await;
        let clock = TestClock::default();
        let issuer = local.seen_at(Arc::new(clock.clone()));
        Self { local, clock, issuer }
    }

    /// The claims of a good token at the clock's time.
    fn claims(&self, changes: &Value) -> Value {
        with(usual(self.local.address(), self.clock.now()), changes)
    }

    async fn accepts(&self, token: &str) -> bool {
        self.issuer.bearer(token).await.is_ok()
    }

    async fn why(&self, token: &str) -> String {
        match self.issuer.bearer(token).await {
            Err(IssuerError::Refused(why)) => why,
            other => panic!("it should be refused: {other:?}"),
        }
    }
}

#[tokio::test]
async fn each_algorithm_is_believed_with_its_own_key() {
    for key in [SigningKey::es256("k"), SigningKey::rs256("k"), SigningKey::ps256("k")] {
        let world = World::with(key).await;
        let verified = json!({ "email": ANN, "email_verified": true });
        let token = world.local.key().sign(&world.claims(&verified));
        let found = world.issuer.bearer(&token).await.unwrap();
        assert_eq!((found.principal.as_str(), found.subject.as_str()), (ANN, "user-1"));
        let nameless = world.local.key().sign(&world.claims(&json!({})));
        let by_subject = format!("{}#user-1", world.local.address());
        assert_eq!(world.issuer.bearer(&nameless).await.unwrap().principal, by_subject);
    }
}

#[tokio::test]
async fn a_signature_with_nothing_or_with_a_public_key_as_its_secret_is_refused() {
    let world = World::with(SigningKey::rs256("key-1")).await;
    let claims = world.claims(&json!({}));
    assert!(world.accepts(&world.local.key().sign(&claims)).await);
    assert!(world.why(&sign_none("key-1", &claims)).await.contains("RS256"));
    // The classic: the verifier takes its public key for the secret of an HMAC.
    let public = world.local.key().public();
    let modulus = public["n"].as_str().unwrap();
    for secret in [
        modulus.as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(modulus).unwrap(),
        public.to_string().into_bytes(),
        Vec::new(),
    ] {
        assert!(!world.accepts(&sign_with_secret("key-1", &secret, &claims)).await);
    }
}

#[tokio::test]
async fn a_signature_fits_its_key_its_algorithm_and_its_claims() {
    let world = World::with(SigningKey::rs256("key-1")).await;
    let (ours, claims) = (world.local.key(), world.claims(&json!({})));
    let other = SigningKey::rs256("key-1");
    assert!(
        world.why(&other.sign(&claims)).await.contains("signature"),
        "another's key under our key's name"
    );
    for alg in ["PS256", "ES256", "RS384", "RS512", "EdDSA"] {
        let token = ours.sign_as(&json!({ "alg": alg, "kid": "key-1" }), &claims);
        assert!(!world.accepts(&token).await, "{alg}");
    }
    for header in [json!({ "alg": "RS256" }), json!({ "alg": "RS256", "kid": "" }), json!({ "kid": "key-1" })]
    {
        assert!(!world.accepts(&ours.sign_as(&header, &claims)).await, "{header}");
    }
    // A key that the token brings along, or says where to find, is not asked.
    let mut own = json!({ "alg": "RS256", "kid": "key-9", "jku": "http://127.0.0.1:1/keys" });
    own["jwk"] = other.public();
    assert!(!world.accepts(&other.sign_as(&own, &claims)).await);
    let critical = ours.sign_as(&json!({ "alg": "RS256", "kid": "key-1", "crit": ["x"], "x": 1 }), &claims);
    assert!(!world.accepts(&critical).await, "an extension that must be understood and is not");

    let good = ours.sign(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let more = URL_SAFE_NO_PAD.encode(world.claims(&json!({ "sub": "root" })).to_string());
    for forged in [
        format!("{}.{more}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], &parts[2][..parts[2].len() - 4]),
    ] {
        assert!(!world.accepts(&forged).await);
    }
    assert!(world.accepts(&good).await);
}

#[tokio::test]
async fn a_token_of_another_issuer_audience_or_time_is_refused() {
    let world = World::new().await;
    let sign = |changes: Value| world.local.key().sign(&world.claims(&changes));
    let now = world.clock.now().as_second();
    for good in [json!({ "exp": now - 59 }), json!({ "nbf": now + 60 }), json!({ "aud": ["x", AUDIENCE] })] {
        assert!(world.accepts(&sign(good.clone())).await, "{good}");
    }
    for (changes, part) in [
        (json!({ "iss": format!("{}/", world.local.address()) }), "its issuer is"),
        (json!({ "iss": "https://evil.example" }), "its issuer is"),
        (json!({ "aud": CLIENT }), "audience"),
        (json!({ "aud": "other" }), "audience"),
        (json!({ "exp": now - 120 }), "it ended 120 seconds ago"),
        (json!({ "nbf": now + 120 }), "it begins in 120 seconds"),
        (json!({ "exp": null }), "exp"),
        (json!({ "aud": null }), "aud"),
        (json!({ "iss": null }), "iss"),
        (json!({ "sub": null }), "sub"),
        (json!({ "sub": "" }), "subject"),
    ] {
        let why = world.why(&sign(changes.clone())).await;
        assert!(why.contains(part), "{changes}: {why}");
    }
    let token = sign(json!({}));
    world.clock.pass(Duration::from_secs(359));
    assert!(world.accepts(&token).await, "300 seconds and the leeway");
    world.clock.pass(Duration::from_secs(1));
    assert!(world.why(&token).await.contains("it ended"));
}

#[tokio::test]
async fn a_claim_that_is_there_twice_is_read_by_nobody() {
    let world = World::new().await;
    let claims = world.claims(&json!({})).to_string();
    let twice = claims.replacen('{', "{\"sub\":\"root\",", 1);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"key-1"}"#);
    // Signed by the issuer itself: only the reading is at fault.
    let token = world.local.key().sign_text(&format!("{header}.{}", URL_SAFE_NO_PAD.encode(twice)));
    assert!(world.why(&token).await.contains("each once"));
}

#[tokio::test]
async fn garbage_is_refused_without_a_question_to_the_issuer() {
    let world = World::new().await;
    let long = format!("{}.x.x", "a".repeat(TOKEN_BYTES));
    for garbage in ["", ".", "..", "a.b.c", "e30.e30.e30", "ÿ", "Bearer x", "\0", long.as_str()] {
        world.why(garbage).await;
    }
    assert!(world.why(&long).await.contains("longer than"));
    assert_eq!(world.local.key_sets_fetched(), 0);
}

#[tokio::test]
async fn a_rotated_key_is_picked_up_and_one_that_is_gone_is_believed_no_longer() {
    let world = World::new().await;
    let old = world.local.key();
    assert!(world.accepts(&old.sign(&world.claims(&json!({})))).await);
    world.clock.pass(COOL_DOWN);
    world.local.rotate(true);
    assert!(world.accepts(&world.local.key().sign(&world.claims(&json!({})))).await, "the new key");
    assert!(world.accepts(&old.sign(&world.claims(&json!({})))).await, "the old one is still published");
    assert_eq!(world.local.key_sets_fetched(), 2);
    world.local.rotate(false);
    world.clock.pass(FRESH);
    let why = world.why(&old.sign(&world.claims(&json!({})))).await;
    assert!(why.contains("publishes no key"), "{why}");
}

#[tokio::test]
async fn ten_thousand_forged_keys_make_one_question_per_cool_down() {
    let world = World::new().await;
    assert!(world.accepts(&world.local.key().sign(&world.claims(&json!({})))).await);
    let forger = SigningKey::es256("forged");
    let claims = world.claims(&json!({}));
    let forged = |n: u32| forger.sign_as(&json!({ "alg": "ES256", "kid": format!("forged-{n}") }), &claims);
    for n in 0..5_000 {
        assert!(!world.accepts(&forged(n)).await);
    }
    assert_eq!(world.local.key_sets_fetched(), 1, "the keys are younger than the cool-down");
    world.clock.pass(COOL_DOWN);
    for n in 5_000..10_000 {
        assert!(!world.accepts(&forged(n)).await);
    }
    assert_eq!(world.local.key_sets_fetched(), 2);
    assert!(
        world.accepts(&world.local.key().sign(&world.claims(&json!({})))).await,
        "and nobody else is hurt"
    );
}

#[tokio::test]
async fn an_issuer_that_is_down_keeps_its_keys_for_a_while_and_is_not_asked_without_end() {
    let world = World::new().await;
    let token = |w: &World| w.local.key().sign(&w.claims(&json!({})));
    assert!(world.accepts(&token(&world)).await);
    world.local.fail(true);
    world.clock.pass(FRESH);
    for _ in 0..10 {
        assert!(world.accepts(&token(&world)).await, "the keys it had do");
    }
    world.clock.pass(STALE - FRESH);
    let error = world.issuer.bearer(&token(&world)).await.unwrap_err();
    assert!(matches!(error, IssuerError::Unavailable { .. }), "not for ever: {error}");
    world.local.fail(false);
    world.clock.pass(COOL_DOWN);
    assert!(world.accepts(&token(&world)).await, "and it is back");
}

#[tokio::test]
async fn an_issuer_that_never_answered_is_unavailable_and_says_why() {
    let world = World::new().await;
    world.local.fail(true);
    let token = world.local.key().sign(&world.claims(&json!({})));
    let error = world.issuer.bearer(&token).await.unwrap_err();
    let IssuerError::Unavailable { source, .. } = &error else { panic!("{error}") };
    assert!(source.0.contains("503") && !source.0.contains(&token), "{source}");
    world.local.fail(false);
    assert!(!world.accepts(&token).await, "within the cool-down it is not asked again");
    world.clock.pass(COOL_DOWN);
    assert!(world.accepts(&token).await);
}

#[tokio::test]
async fn many_callers_at_once_ask_once() {
    let world = World::new().await;
    let token = world.local.key().sign(&world.claims(&json!({})));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (issuer, token) = (Arc::clone(&world.issuer), token.clone());
            tokio::spawn(async move { issuer.bearer(&token).await.is_ok() })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert_eq!(world.local.key_sets_fetched(), 1);
}

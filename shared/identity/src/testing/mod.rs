//! An OpenID Connect issuer on 127.0.0.1, for tests and for trying logins without an identity provider.
//!
//! It logs in whoever it is told to, without a question, and can be told to fail, to rotate its keys, and to sign what no
//! honest issuer signs. It checks what an honest one checks: client, redirect address, PKCE, and that a code is used once.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "for tests: what it is given is the test's own")]

mod keys;
mod routes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::fetch::HttpFetch;
use crate::issuer::Issuer;
use crate::settings::Settings;

pub use keys::{SigningKey, sign_none, sign_with_secret};

/// The audience of the issuer's bearer tokens.
pub const AUDIENCE: &str = "seatrial-api";
/// The only client that it logs people in for.
pub const CLIENT: &str = "seatrial-web";

/// A running issuer. It ends with the value.
pub struct LocalIssuer {
    address: String,
    state: Shared,
    server: tokio::task::JoinHandle<()>,
}

type Shared = Arc<Mutex<State>>;

#[derive(Default)]
struct State {
    issuer: String,
    keys: Vec<Arc<SigningKey>>,
    made: u32,
    user: Value,
    failing: bool,
    denying: bool,
    codes: BTreeMap<String, Issued>,
    discoveries: usize,
    key_sets: usize,
}

/// A code that waits to be redeemed.
struct Issued {
    redirect: String,
    challenge: String,
    nonce: String,
    user: Value,
}

impl Drop for LocalIssuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl LocalIssuer {
    /// Starts one with a P-256 key, which logs in `email`.
    pub async fn start(email: &str) -> Self {
        Self::start_with(SigningKey::es256("key-1"), email).await
    }

    /// Starts one on this port, for a deployment that was told of it before.
    pub async fn start_on(port: u16, email: &str) -> Self {
        Self::listening(port, SigningKey::es256("key-1"), email).await
    }

    /// Starts one with this key.
    pub async fn start_with(key: SigningKey, email: &str) -> Self {
        Self::listening(0, key, email).await
    }

    async fn listening(port: u16, key: SigningKey, email: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let keys = vec![Arc::new(key)];
        let state = State { issuer: address.clone(), keys, made: 1, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let router = routes::router(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
        let issuer = Self { address, state, server };
        issuer.log_in_as(email);
        issuer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name, which is also its address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whoever logs in from now on has this verified mail address.
    pub fn log_in_as(&self, email: &str) {
        self.log_in_with(json!({ "sub": format!("user-{email}"), "email": email, "email_verified": true }));
    }

    /// Whoever logs in from now on has these claims.
    pub fn log_in_with(&self, claims: Value) {
        self.state().user = claims;
    }

    /// Answers nothing but errors while `failing`.
    pub fn fail(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// Sends people back without a login while `denying`.
    pub fn deny(&self, denying: bool) {
        self.state().denying = denying;
    }

    /// Signs with a new key from now on; with `keep` the old ones stay published.
    pub fn rotate(&self, keep: bool) {
        let mut state = self.state();
        state.made += 1;
        let key = Arc::new(SigningKey::es256(&format!("key-{}", state.made)));
        if !keep {
            state.keys.clear();
        }
        state.keys.push(key);
    }

    /// How often its key set was fetched.
    #[must_use]
    pub fn key_sets_fetched(&self) -> usize {
        self.state().key_sets
    }

    /// A bearer token for [`AUDIENCE`], good for five minutes, with these claims beside or in the place of the usual ones.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let state = self.state();
        let key = state.keys.last().expect("a key");
        key.sign(&with(usual(&state.issuer, Timestamp::now()), claims))
    }

    /// The key that it signs with now.
    #[must_use]
    pub fn key(&self) -> Arc<SigningKey> {
        Arc::clone(self.state().keys.last().expect("a key"))
    }

    /// The settings of a deployment that believes this issuer.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::new(&self.address, Some(AUDIENCE), Some(CLIENT), None).expect("settings")
    }

    /// This issuer as a deployment sees it, over HTTP.
    #[must_use]
    pub fn seen(&self) -> Arc<Issuer> {
        self.seen_at(Arc::new(crate::clock::SystemClock::default()))
    }

    /// The same by this clock.
    #[must_use]
    pub fn seen_at(&self, clock: Arc<dyn Clock>) -> Arc<Issuer> {
        Arc::new(Issuer::new(self.settings(), Arc::new(HttpFetch::new().expect("a client")), clock))
    }
}

/// The claims of a bearer token that is good from `now` on.
#[must_use]
pub fn usual(issuer: &str, now: Timestamp) -> Value {
    let now = now.as_second();
    json!({ "iss": issuer, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + 300 })
}

/// The claims `base` with `changes` beside or in the place of them; `null` takes one away.
#[must_use]
pub fn with(mut base: Value, changes: &Value) -> Value {
    if let (Some(all), Some(changes)) = (base.as_object_mut(), changes.as_object()) {
        for (name, value) in changes {
            if value.is_null() {
                all.remove(name);
            } else {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    base
}

/// A clock that a test moves.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<(Timestamp, Duration)>>);

impl Default for TestClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Timestamp::now(), Duration::ZERO))))
    }
}

impl TestClock {
    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.0 += time;
        at.1 += time;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

//! The issuer's addresses.

use std::collections::BTreeMap;

use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{CLIENT, Issued, Shared, usual, with};

type Fields = BTreeMap<String, String>;

pub(super) fn router(state: Shared) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(key_set))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .with_state(state)
}

fn down() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the issuer was told to fail").into_response()
}

async fn discovery(State(state): State<Shared>) -> Response {
    let mut state = state.lock().unwrap();
    state.discoveries += 1;
    if state.failing {
        return down();
    }
    let at = |path: &str| format!("{}{path}", state.issuer);
    Json(json!({
        "issuer": state.issuer,
        "jwks_uri": at("/jwks"),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }))
    .into_response()
}

async fn key_set(State(state): State<Shared>) -> Response {
    let mut state = state.lock().unwrap();
    state.key_sets += 1;
    if state.failing {
        return down();
    }
    let keys: Vec<Value> = state.keys.iter().map(|k| k.public()).collect();
    Json(json!({ "keys": keys })).into_response()
}

/// Sends the browser back with a code, as if its user had just typed a password. `login_hint` names another user.
async fn authorize(State(state): State<Shared>, Query(asked): Query<Fields>) -> Response {
    let mut state = state.lock().unwrap();
    let field = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let right = field("client_id") == CLIENT
        && field("response_type") == "code"
        && field("code_challenge_method") == "S256"
        && field("scope").split(' ').any(|s| s == "openid");
    if state.failing || !right {
        return (StatusCode::BAD_REQUEST, "not a login that this issuer knows").into_response();
    }
    let mut back = reqwest::Url::parse(&field("redirect_uri")).unwrap();
    back.query_pairs_mut().append_pair("state", &field("state")).append_pair("iss", &state.issuer);
    if state.denying {
        back.query_pairs_mut().append_pair("error", "access_denied");
    } else {
        let mut random = [0; 16];
        getrandom::fill(&mut random).unwrap();
        let code = URL_SAFE_NO_PAD.encode(random);
        let user = match asked.get("login_hint") {
            Some(mail) => json!({ "sub": format!("user-{mail}"), "email": mail, "email_verified": true }),
            None => state.user.clone(),
        };
        let issued = Issued {
            redirect: field("redirect_uri"),
            challenge: field("code_challenge"),
            nonce: field("nonce"),
            user,
        };
        state.codes.insert(code.clone(), issued);
        back.query_pairs_mut().append_pair("code", &code);
    }
    (StatusCode::SEE_OTHER, [(header::LOCATION, back.to_string())]).into_response()
}

/// Redeems a code, once, for whoever has its verifier.
async fn token(State(state): State<Shared>, Form(sent): Form<Fields>) -> Response {
    let mut state = state.lock().unwrap();
    if state.failing {
        return down();
    }
    let field = |name: &str| sent.get(name).cloned().unwrap_or_default();
    let issued = state.codes.remove(&field("code"));
    let right = |i: &Issued| {
        field("grant_type") == "authorization_code"
            && field("client_id") == CLIENT
            && field("redirect_uri") == i.redirect
            && URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier").as_bytes())) == i.challenge
    };
    let Some(issued) = issued.filter(right) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    };
    let claims = with(usual(&state.issuer, Timestamp::now()), &issued.user);
    let claims = with(claims, &json!({ "aud": CLIENT, "nonce": issued.nonce }));
    let id_token = state.keys.last().unwrap().sign(&claims);
    Json(json!({ "access_token": "unused", "token_type": "Bearer", "expires_in": 300, "id_token": id_token }))
        .into_response()
}

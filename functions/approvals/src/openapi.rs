//! The OpenAPI document of the JSON API.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::App;
use crate::api_routes::BASES;

/// The document as it lies in the repository. It parses: `tests/openapi.rs` reads the same bytes.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../openapi.json")).unwrap_or_default());

/// `GET …/openapi.json`: the document, with the addresses of this installation.
pub(crate) async fn document(State(app): State<Arc<App>>) -> Json<Value> {
    let mut document = DOCUMENT.clone();
    let described = document.get("servers").cloned().unwrap_or_default();
    let servers = BASES.iter().enumerate().map(|(place, base)| {
        let mut server = described.get(place).cloned().unwrap_or_else(|| json!({}));
        server["url"] = app.base.to(base).into();
        server
    });
    document["servers"] = servers.collect();
    Json(document)
}

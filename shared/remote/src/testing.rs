//! For tests of whoever uses remote versions.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use http::StatusCode;
use seatrial_inference::{Model, OipTensor, oip};
use serde_json::{Value, json};

use crate::Network;

/// AWS at an address of this machine.
#[must_use]
pub fn aws_at(base: &str) -> SdkConfig {
    let credentials = Credentials::new("k", "s", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(base)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// A network that leads nowhere: no host is allowed, and AWS does not answer.
#[must_use]
pub fn nowhere() -> Network {
    Network::of(aws_at("http://127.0.0.1:9"), "seatrial", "", false)
}

/// A network in which AWS, and every address of this machine, may be asked.
#[must_use]
pub fn local(base: &str) -> Network {
    Network::of(aws_at(base), "seatrial", "", true)
}

/// A server of the Open Inference Protocol at an address of this machine, with a graph behind it.
#[derive(Debug, Clone)]
pub struct Server {
    /// The model's address, as `remote.http.url` names it.
    pub url: String,
    /// The image that it says it runs; it says none without.
    pub image: Arc<Mutex<Option<String>>>,
    /// How often it was asked for predictions.
    pub asked: Arc<Mutex<u64>>,
    /// Whether it has no room for predictions now.
    pub away: Arc<Mutex<bool>>,
}

#[derive(Clone)]
struct Behind {
    model: Arc<Model>,
    server: Server,
}

impl Server {
    /// Starts it in the runtime of the caller.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(model: Model, image: &str) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let server = Self {
            url: format!("http://{}/v2/models/adult", listener.local_addr()?),
            image: Arc::new(Mutex::new(Some(image.to_owned()))),
            asked: Arc::default(),
            away: Arc::default(),
        };
        let app = axum::Router::new()
            .route("/v2/models/adult", get(metadata))
            .route("/v2/models/adult/infer", post(infer))
            .with_state(Behind { model: Arc::new(model), server: server.clone() });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(server)
    }

    /// Lets it say that it runs another image.
    pub fn runs(&self, image: &str) {
        *self.image.lock().unwrap_or_else(PoisonError::into_inner) = Some(image.to_owned());
    }

    /// Lets it have no room for predictions, or have it again. What it runs it says all the same.
    pub fn is_away(&self, away: bool) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = away;
    }
}

async fn metadata(State(behind): State<Behind>) -> Json<Value> {
    let image = behind.server.image.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Json(json!({ "name": "adult", "platform": "test", "parameters": { "image": image } }))
}

async fn infer(State(behind): State<Behind>, Json(asked): Json<Value>) -> (StatusCode, Json<Value>) {
    *behind.server.asked.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    if *behind.server.away.lock().unwrap_or_else(PoisonError::into_inner) {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": "no room" })));
    }
    let inputs: Result<Vec<OipTensor>, _> = serde_json::from_value(asked["inputs"].clone());
    let predicted = inputs.map_err(|e| e.to_string()).and_then(|inputs| {
        let batch = behind.model.batch_from_oip(&inputs).map_err(|e| e.to_string())?;
        behind.model.predict(&batch).map_err(|e| e.to_string())
    });
    match predicted {
        Ok(predictions) => {
            let outputs = oip::outputs(behind.model.config(), &predictions);
            (StatusCode::OK, Json(json!({ "model_name": "adult", "outputs": outputs })))
        }
        Err(why) => (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))),
    }
}

/// The `config.yaml` of a submission (`text`) with `remote` in the place of its graph.
#[must_use]
pub fn elsewhere(text: &str, remote: &Value) -> String {
    let keep =
        |line: &&str| !["runtime:", "model:", "threads:", "outputs:"].iter().any(|k| line.starts_with(k));
    let lines: Vec<&str> = text.lines().filter(keep).collect();
    format!("{}\nruntime: remote\nremote: {remote}\n", lines.join("\n"))
}

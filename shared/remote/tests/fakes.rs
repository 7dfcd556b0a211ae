//! The services, as they speak: each on 127.0.0.1, with a real graph behind it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use seatrial_inference::{Model, ModelConfig, OipTensor, Runtime, oip};
use seatrial_remote::Network;
use seatrial_remote::testing::local;
use serde_json::{Value, json};

pub const CODE: &str = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";
pub const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:scorer:7";
pub const ENDPOINT: &str = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/credit";
pub const PACKAGE: &str = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/credit/3";
pub const ROLE: &str = "arn:aws:iam::123456789012:role/seatrial-credit";

/// The services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Lambda,
    Http,
    Sagemaker,
}

pub const KINDS: [Kind; 3] = [Kind::Lambda, Kind::Http, Kind::Sagemaker];

/// How a service behaves when it is asked for predictions.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// As the graph answers.
    Right,
    /// With this status and body, so many times, then right.
    Then(StatusCode, String, usize),
    /// With this status and body.
    Always(StatusCode, String),
    /// Lambda's own way to say that the function failed.
    FunctionError,
    /// Never.
    Hangs,
}

/// What a service says it runs.
#[derive(Debug, Clone)]
pub struct Says {
    pub code: String,
    pub image: Option<String>,
    pub package: Option<String>,
    pub status: &'static str,
    /// The status of the answer itself.
    pub answer: StatusCode,
    /// AWS's word for what went wrong, where the answer is none.
    pub error: &'static str,
    /// Whether the owner's role trusts who asks for it.
    pub trusts: bool,
}

pub struct Fake {
    pub kind: Kind,
    pub base: String,
    pub state: Arc<Service>,
}

pub struct Service {
    pub model: Model,
    pub behaviour: Mutex<Behaviour>,
    pub says: Mutex<Says>,
    /// Every request: method, path and headers, and the body.
    pub seen: Mutex<Vec<(String, HeaderMap, String)>>,
}

pub fn image() -> String {
    format!("sha256:{}", "0f".repeat(32))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn fixture() -> PathBuf {
    workspace().join("tests/fixtures/submissions/v1")
}

/// The version in process: what the remote ones must equal. A test without the library fails: skipping would look like passing.
pub fn in_process() -> Model {
    let library = workspace().join("target/onnxruntime/1.24.4/libonnxruntime.so");
    let runtime = Runtime::load(&library).unwrap_or_else(|e| panic!("{e}: run `cargo xtask onnxruntime`"));
    Model::from_folder(runtime, &fixture()).unwrap()
}

/// The rows of the suite's traffic.
pub fn rows(n: usize) -> Vec<serde_json::Map<String, Value>> {
    let text = std::fs::read_to_string(workspace().join("tests/fixtures/live.jsonl")).unwrap();
    let row = |l: &str| serde_json::from_str::<Value>(l).unwrap()["features"].as_object().unwrap().clone();
    text.lines().take(n).map(row).collect()
}

impl Fake {
    pub async fn start(kind: Kind) -> Self {
        let says = Says {
            code: CODE.into(),
            image: Some(image()),
            package: Some(PACKAGE.into()),
            status: "InService",
            answer: StatusCode::OK,
            error: "NotNow",
            trusts: true,
        };
        let state = Arc::new(Service {
            model: in_process(),
            behaviour: Mutex::new(Behaviour::Right),
            says: Mutex::new(says),
            seen: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { kind, base, state }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    pub fn say(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.state.says.lock().unwrap());
    }

    /// How often it was asked for predictions.
    pub fn asked(&self) -> usize {
        let seen = self.state.seen.lock().unwrap();
        seen.iter().filter(|(what, ..)| what.starts_with("POST") && is_inference(what)).count()
    }

    /// A deployment that may reach it.
    pub fn network(&self) -> Network {
        local(&self.base)
    }

    /// The `remote` of a version that runs there.
    pub fn remote(&self) -> Value {
        match self.kind {
            Kind::Lambda => json!({ "lambda": { "function": FUNCTION, "code_sha256": CODE } }),
            Kind::Http => {
                json!({ "http": { "url": format!("{}/v2/models/adult", self.base), "image": image() } })
            }
            Kind::Sagemaker => json!({ "sagemaker": {
                "endpoint": ENDPOINT, "variant": "blue", "model_package": PACKAGE,
            } }),
        }
    }

    /// The version's configuration: that of the graph, but for where it runs.
    pub fn config(&self, change: impl FnOnce(&mut Value)) -> ModelConfig {
        let text = std::fs::read_to_string(fixture().join("config.yaml")).unwrap();
        let mut config: Value = serde_yaml_ng::from_str(&text).unwrap();
        config["runtime"] = json!("remote");
        config["outputs"] = json!({ "label": "label", "scores": "scores" });
        config["remote"] = self.remote();
        config["remote"]["timeout_ms"] = json!(1_000);
        for key in ["model", "threads"] {
            config.as_object_mut().unwrap().remove(key);
        }
        change(&mut config);
        ModelConfig::from_yaml(&config.to_string()).unwrap_or_else(|e| panic!("{e:?}"))
    }
}

fn is_inference(what: &str) -> bool {
    what.ends_with("/invocations") || what.ends_with("/infer")
}

async fn answer(
    State(service): State<Arc<Service>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let what = format!("{method} {}", uri.path());
    let text = String::from_utf8(body.to_vec()).unwrap();
    service.seen.lock().unwrap().push((what.clone(), headers.clone(), text.clone()));
    if is_inference(&what) {
        return infer(&service, &text).await;
    }
    let says = service.says.lock().unwrap().clone();
    if text.contains("Action=AssumeRole") {
        return if says.trusts { assumed() } else { denied() };
    }
    if says.answer != StatusCode::OK {
        let told = json!({ "__type": says.error, "message": "not now" }).to_string();
        return (says.answer, told).into_response();
    }
    let target = headers.get("x-amz-target").map(|t| t.to_str().unwrap().to_owned()).unwrap_or_default();
    let described = match (what.as_str(), target.as_str()) {
        (_, "SageMaker.DescribeEndpoint") => {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({ "EndpointName": "credit" }));
            json!({ "EndpointName": "credit", "EndpointConfigName": "credit-9", "EndpointStatus": says.status })
        }
        (_, "SageMaker.DescribeEndpointConfig") => json!({ "ProductionVariants": [
            { "VariantName": "green", "ModelName": "other" }, { "VariantName": "blue", "ModelName": "credit-3" },
        ] }),
        (_, "SageMaker.DescribeModel") => {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({ "ModelName": "credit-3" }));
            json!({ "PrimaryContainer": { "ModelPackageName": says.package } })
        }
        ("GET /v2/models/adult", _) => {
            let mut metadata = json!({ "name": "adult", "platform": "test", "inputs": [], "outputs": [] });
            if let Some(image) = says.image {
                metadata["parameters"] = json!({ "image": image });
            }
            metadata
        }
        (path, _) if path.ends_with("/configuration") => {
            assert!(headers["authorization"].to_str().unwrap().contains("/eu-west-1/lambda/"), "{headers:?}");
            json!({ "FunctionArn": FUNCTION, "CodeSha256": says.code })
        }
        other => panic!("nobody asks {other:?}"),
    };
    axum::Json(described).into_response()
}

async fn infer(service: &Service, text: &str) -> Response {
    let behaviour = {
        let mut behaviour = service.behaviour.lock().unwrap();
        let now = behaviour.clone();
        if let Behaviour::Then(status, body, times) = &now {
            *behaviour = match times {
                1 => Behaviour::Right,
                more => Behaviour::Then(*status, body.clone(), more - 1),
            };
        }
        now
    };
    match behaviour {
        Behaviour::Right => axum::Json(predict(&service.model, text)).into_response(),
        Behaviour::Then(status, body, _) | Behaviour::Always(status, body) => (status, body).into_response(),
        Behaviour::FunctionError => {
            let told = [("x-amz-function-error", "Unhandled")];
            (StatusCode::OK, told, "{\"errorType\": \"KeyError\"}").into_response()
        }
        Behaviour::Hangs => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::OK.into_response()
        }
    }
}

/// What a server of the protocol answers that runs this graph.
fn predict(model: &Model, text: &str) -> Value {
    let asked: Value = serde_json::from_str(text).unwrap();
    let inputs: Vec<OipTensor> = serde_json::from_value(asked["inputs"].clone()).unwrap();
    let predictions = model.predict(&model.batch_from_oip(&inputs).unwrap()).unwrap();
    json!({ "model_name": "adult", "outputs": oip::outputs(model.config(), &predictions) })
}

fn assumed() -> Response {
    let xml = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
        <AccessKeyId>ASIAOWNER</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    ([("content-type", "text/xml")], xml).into_response()
}

fn denied() -> Response {
    let xml = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>AccessDenied</Code>\
        <Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>";
    (StatusCode::FORBIDDEN, [("content-type", "text/xml")], xml).into_response()
}

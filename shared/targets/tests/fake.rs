//! A server of this machine that stands for AWS, and the configuration that leads there.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seatrial_targets::contract::Trouble;
use serde_json::{Value, json};

/// The address of a server of `router`.
pub async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub fn aws(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// The same as a function has it, with everything that assuming a role takes.
pub async fn whole(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .load()
        .await
}

/// An error as AWS's JSON services say it.
pub fn error(status: u16, kind: &str, message: &str) -> Response {
    let body = json!({ "__type": kind, "message": message }).to_string();
    let status = StatusCode::from_u16(status).unwrap();
    let named = format!("{kind}:http://internal.amazon.com/coral/com.amazon.coral.service/");
    (
        status,
        [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::HeaderName::from_static("x-amzn-errortype"), named),
        ],
        body,
    )
        .into_response()
}

/// The trouble that every AWS service has in the same words.
pub fn common(trouble: Option<Trouble>) -> Option<Response> {
    match trouble? {
        Trouble::Throttled => Some(error(429, "TooManyRequestsException", "Rate exceeded")),
        Trouble::Dead => Some(error(503, "ServiceUnavailableException", "")),
        Trouble::Denied => {
            Some(error(403, "AccessDeniedException", "User is not authorized to perform this"))
        }
        Trouble::Changing => None,
    }
}

/// Whether a request is signed for a service of the region.
pub fn is_signed(headers: &HeaderMap, service: &str) -> bool {
    let signature = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    signature.contains(&format!("/eu-west-1/{service}/aws4_request"))
}

pub fn text(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

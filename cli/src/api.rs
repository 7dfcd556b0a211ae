//! The APIs over HTTPS, each request signed with the caller's AWS credentials.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

/// One API of the deployment.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    aws: SdkConfig,
    http: reqwest::Client,
}

impl Api {
    /// The API at `base`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(base: &str, aws: SdkConfig) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .timeout(std::time::Duration::from_secs(35))
            .build()
            .map_err(|e| Failure::unexpected(format!("no HTTP client: {e}")))?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), aws, http })
    }

    /// Reads.
    ///
    /// # Errors
    /// What the API's problem document says, or that it does not answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send("GET", path, None).await
    }

    /// Changes.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        self.send("POST", path, Some(body)).await
    }

    /// Sets.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let body = serde_json::to_value(body).map_err(|e| Failure::unexpected(e.to_string()))?;
        self.send("PUT", path, Some(&body)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        let url = format!("{}{path}", self.base);
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = self.signed(method, &url, body).await?;
        let answer = self
            .http
            .execute(request)
            .await
            .map_err(|e| Failure::unavailable(format!("{url} does not answer: {}", root(&e))))?;
        let status = answer.status();
        let text = answer
            .text()
            .await
            .map_err(|e| Failure::unavailable(format!("{url} broke off: {}", root(&e))))?;
        if !status.is_success() {
            return Err(Failure::of_problem(status.as_u16(), &text));
        }
        serde_json::from_str(&text)
            .map_err(|e| Failure::unexpected(format!("{url} answered something unexpected: {e}")))
    }

    async fn signed(&self, method: &str, url: &str, body: String) -> Result<reqwest::Request, Failure> {
        let provider = self.aws.credentials_provider().ok_or_else(no_credentials)?;
        let credentials = provider.provide_credentials().await.map_err(|_| no_credentials())?;
        let identity: Identity = credentials.into();
        let region = self.aws.region().map_or("us-east-1", |r| r.as_ref());
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("execute-api")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| Failure::unexpected(format!("the request cannot be signed: {e}")))?;
        let headers = [("content-type", "application/json")];
        let signable =
            SignableRequest::new(method, url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
                .map_err(|e| Failure::unexpected(format!("the request cannot be signed: {e}")))?;
        let (instructions, _) = sign(signable, &parameters.into())
            .map_err(|e| Failure::unexpected(format!("the request cannot be signed: {e}")))?
            .into_parts();
        let mut request = http::Request::builder()
            .method(method)
            .uri(url)
            .header("content-type", "application/json")
            .body(body)
            .map_err(|e| Failure::invalid(format!("{url} is not an address: {e}")))?;
        instructions.apply_to_request_http1x(&mut request);
        request.try_into().map_err(|e| Failure::invalid(format!("{url} is not an address: {e}")))
    }
}

fn no_credentials() -> Failure {
    Failure::new(
        crate::failure::FORBIDDEN,
        "no_credentials",
        "no AWS credentials are set up: log in (for example `aws sso login`) or set AWS_PROFILE",
    )
}

fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

//! The APIs over HTTPS: each request is signed with the caller's AWS credentials, or carries a bearer token.

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
    caller: Caller,
    http: reqwest::Client,
}

/// As whom requests are sent.
#[derive(Clone)]
pub enum Caller {
    /// With AWS credentials.
    Aws(Box<SdkConfig>),
    /// With a token of the deployment's OIDC issuer.
    Token(String),
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Aws(_) => "Aws(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

impl Api {
    /// The API at `base`.
    ///
    /// # Errors
    /// When no HTTP client can be made, or a token would be sent where others can read it.
    pub fn new(base: &str, caller: Caller) -> Result<Self, Failure> {
        if matches!(caller, Caller::Token(_)) && !keeps_a_secret(base) {
            return Err(Failure::invalid(format!(
                "SEATRIAL_TOKEN is not sent to {base}: expected https (or http on this machine)"
            )));
        }
        let http = reqwest::Client::builder()
            .timeout(std::time::Duration::from_secs(35))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Failure::unexpected(format!("no HTTP client: {e}")))?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), caller, http })
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
        let request = match &self.caller {
            Caller::Aws(aws) => signed(aws, method, &url, body).await?,
            Caller::Token(token) => self.with_token(token, method, &url, body)?,
        };
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

    fn with_token(
        &self,
        token: &str,
        method: &str,
        url: &str,
        body: String,
    ) -> Result<reqwest::Request, Failure> {
        let method = method.parse().map_err(|_| Failure::unexpected(format!("{method} is not a method")))?;
        let request = self.http.request(method, url).header("content-type", "application/json").body(body);
        // The error would print the header, and with it the token.
        request.bearer_auth(token).build().map_err(|_| {
            Failure::invalid(format!(
                "the request to {url} cannot be made; is SEATRIAL_TOKEN a token in one line?"
            ))
        })
    }
}

/// Whether nobody on the way to `base` can read what is sent there.
fn keeps_a_secret(base: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(base) else { return false };
    let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

async fn signed(aws: &SdkConfig, method: &str, url: &str, body: String) -> Result<reqwest::Request, Failure> {
    let provider = aws.credentials_provider().ok_or_else(no_credentials)?;
    let credentials = provider.provide_credentials().await.map_err(|_| no_credentials())?;
    let identity: Identity = credentials.into();
    let region = aws.region().map_or("us-east-1", |r| r.as_ref());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_https_or_to_this_machine_only() {
        let token = || Caller::Token("secret".into());
        for good in ["https://a.example", "http://127.0.0.1:4566/_aws/x", "http://localhost"] {
            assert!(Api::new(good, token()).is_ok(), "{good}");
        }
        for bad in ["http://a.example", "http://127.0.0.1.a.example", "ftp://127.0.0.1", "a.example"] {
            let refused = Api::new(bad, token()).map(|_| ()).unwrap_err().message;
            assert!(refused.contains("SEATRIAL_TOKEN") && !refused.contains("secret"), "{refused}");
        }
        assert_eq!(format!("{:?}", token()), "Token(..)");
    }
}

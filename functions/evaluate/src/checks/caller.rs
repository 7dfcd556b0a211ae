//! Calls hooks over HTTPS, and Lambda functions by their API.
//!
//! Both go through one HTTP client: a Lambda is invoked by a single signed POST, and the generated SDK of that service would
//! cost more to build than all of `evaluate`.

use std::net::SocketAddr;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client, ClientBuilder, Response};
use seatrial_domain::policy::IntegrationCheck;
use serde_json::Value;

use super::address::{Allowed, Hook, is_public};
use super::{ANSWER_LIMIT, Checks};

/// What the names of Lambda functions that may be invoked begin with; the function's role says the same.
const PREFIX: &str = "seatrial-check-";

/// Checks as they really are.
#[derive(Debug, Clone)]
pub struct HttpChecks {
    allowed: Allowed,
    aws: SdkConfig,
}

impl HttpChecks {
    /// Checks that reach what is allowed, and invoke functions with these credentials.
    #[must_use]
    pub fn new(allowed: Allowed, aws: SdkConfig) -> Self {
        Self { allowed, aws }
    }

    async fn hook(&self, url: &str, body: &str) -> Result<Bytes, String> {
        let hook = self.allowed.url(url)?;
        let client = client(&hook, &addresses(&hook).await?)?;
        let request = client.post(hook.url).header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.map_err(|e| format!("it cannot be reached ({})", root(&e)))?;
        succeeded(answer).await
    }

    async fn invoke(&self, name: &str, body: &str) -> Result<Bytes, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !name.starts_with(PREFIX) || !name.chars().all(plain) || name.len() > 64 {
            return Err(format!(
                "the function {name:?} may not be invoked; expected a name of letters, digits, '-' and '_' that begins with {PREFIX}"
            ));
        }
        let url = format!("{}/2015-03-31/functions/{name}/invocations", self.endpoint()?);
        let request = self.signed(&url, body.to_owned()).await?;
        let client = plain_client().build().map_err(|e| format!("no HTTP client ({e})"))?;
        let answer =
            client.execute(request).await.map_err(|e| format!("Lambda cannot be reached ({})", root(&e)))?;
        let failed = answer.headers().contains_key("x-amz-function-error");
        let bytes = succeeded(answer).await?;
        if failed {
            return Err(format!("the function failed: {}", text(&bytes)));
        }
        Ok(bytes)
    }

    fn endpoint(&self) -> Result<String, String> {
        if let Some(endpoint) = self.aws.endpoint_url() {
            return Ok(endpoint.trim_end_matches('/').to_owned());
        }
        let region = self.aws.region().ok_or("no AWS region is set")?.as_ref();
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(format!("https://lambda.{region}.{suffix}"))
    }

    async fn signed(&self, url: &str, body: String) -> Result<reqwest::Request, String> {
        let failed = |e: &dyn std::fmt::Display| format!("the request to Lambda cannot be signed ({e})");
        let provider = self.aws.credentials_provider().ok_or("no AWS credentials are set up")?;
        let credentials = provider.provide_credentials().await.map_err(|e| failed(&e))?;
        let identity: Identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.aws.region().map_or("us-east-1", |r| r.as_ref()))
            .name("lambda")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| failed(&e))?;
        let headers = [("content-type", "application/json")];
        let signable =
            SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
                .map_err(|e| failed(&e))?;
        let (instructions, _) = sign(signable, &parameters.into()).map_err(|e| failed(&e))?.into_parts();
        let mut request = http::Request::builder()
            .method("POST")
            .uri(url)
            .header("content-type", "application/json")
            .body(body)
            .map_err(|e| failed(&e))?;
        instructions.apply_to_request_http1x(&mut request);
        request.try_into().map_err(|e: reqwest::Error| failed(&e))
    }
}

#[async_trait]
impl Checks for HttpChecks {
    async fn ask(&self, check: &IntegrationCheck, question: &Value) -> Result<Bytes, String> {
        let body = question.to_string();
        match (&check.lambda, &check.url) {
            (Some(name), None) => self.invoke(name, &body).await,
            (None, Some(url)) => self.hook(url, &body).await,
            _ => Err("it names both or neither of lambda and url".into()),
        }
    }
}

/// What the host's name leads to, all of it public.
async fn addresses(hook: &Hook) -> Result<Vec<SocketAddr>, String> {
    let bare = hook.host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, hook.port))
        .await
        .map_err(|e| format!("the host {} is not known ({e})", hook.host))?
        .collect();
    if found.is_empty() {
        return Err(format!("the host {} has no address", hook.host));
    }
    match found.iter().find(|a| !hook.local && !is_public(a.ip())) {
        Some(private) => Err(format!(
            "the host {} leads to {}, which is no public address; checks reach public machines only",
            hook.host,
            private.ip()
        )),
        None => Ok(found),
    }
}

/// No redirects, no proxy of the environment: nothing may lead elsewhere than where it was allowed.
fn plain_client() -> ClientBuilder {
    Client::builder().redirect(Redirects::none()).no_proxy()
}

/// A client that connects to the addresses that were looked at, and to no others the name may lead to a moment later.
fn client(hook: &Hook, addresses: &[SocketAddr]) -> Result<Client, String> {
    plain_client()
        .https_only(!hook.local)
        .resolve_to_addrs(&hook.host, addresses)
        .build()
        .map_err(|e| format!("no HTTP client ({e})"))
}

/// The body of a successful answer, within the limit.
async fn succeeded(mut answer: Response) -> Result<Bytes, String> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(format!("it answered with {status}; redirects are not followed"));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) =
        answer.chunk().await.map_err(|e| format!("its answer broke off ({})", root(&e)))?
    {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(format!("its answer is larger than {ANSWER_LIMIT} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        return Err(format!("it answered with {status}: {}", text(&body)));
    }
    Ok(body.freeze())
}

/// The beginning of a body, in one line.
fn text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

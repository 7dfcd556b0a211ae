//! Single calls to AWS, signed with the function's own credentials.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use reqwest::Client;

use crate::{Answer, CallError, Read, answered, plain_client, unreachable};

/// What owners' roles are asked for with: `<stack>/<model>`. It is made here and of nothing that an owner wrote, so a role whose trust
/// asks for it is taken for that model of that deployment, and for no other one whose policy or package names it.
#[must_use]
pub fn external_id(stack: &str, model: &str) -> String {
    format!("{stack}/{model}")
}

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET, without a body.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The service, as in its host and in signatures: `lambda`, `ssm`, `sns`.
    pub service: &'static str,
    /// The path, from the slash on.
    pub path: &'a str,
    /// Headers, `content-type` among them.
    pub headers: &'a [(&'static str, &'a str)],
    /// The body.
    pub body: &'a str,
    /// The largest answer, in bytes.
    pub limit: usize,
}

/// Makes the call.
///
/// # Errors
/// When nobody answered, or no rights to call with were given; a refusal by the service is an answer.
pub async fn post(config: &SdkConfig, call: &Call<'_>) -> Result<Answer, CallError> {
    send(&client()?, config, &Request { method: Method::Post, signing: call.service, call: *call }).await
}

/// A call that is no plain POST, or whose host is not called as its service is in signatures.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is done at the path.
    pub method: Method,
    /// The service in signatures: `sagemaker` of the host `runtime.sagemaker`.
    pub signing: &'static str,
    /// The rest; its `service` is how the host begins.
    pub call: Call<'a>,
}

/// Makes the call by another method than POST.
///
/// # Errors
/// When nobody answered, or no rights to call with were given; a refusal by the service is an answer.
pub async fn call(config: &SdkConfig, method: Method, call: &Call<'_>) -> Result<Answer, CallError> {
    send(&client()?, config, &Request { method, signing: call.service, call: *call }).await
}

/// A client for many calls: it keeps its connections.
///
/// # Errors
/// When there can be none.
pub fn client() -> Result<Client, CallError> {
    plain_client().build().map_err(|e| CallError::NoAnswer(format!("no HTTP client ({e})")))
}

/// Makes a call with a client that is kept.
///
/// # Errors
/// When nobody answered, or no rights to call with were given; a refusal by the service is an answer.
pub async fn send(client: &Client, config: &SdkConfig, request: &Request<'_>) -> Result<Answer, CallError> {
    let signed = signed(config, request).await?;
    let answer = client.execute(signed).await.map_err(|e| unreachable(request.call.service, e))?;
    answered(answer, Read::Whole(request.call.limit)).await
}

/// Why there are no credentials: a role that may not be assumed is a refusal, which trying again does not change.
#[must_use]
pub fn no_credentials(error: &CredentialsError) -> CallError {
    let whole = chain(error);
    let text = whole.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
    match whole.contains("AccessDenied") {
        true => CallError::NotAllowed(text),
        false => CallError::NoAnswer(text),
    }
}

/// An error with its causes: of credentials, only the last of them says who refused what.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Invokes a Lambda function and gives its answer. `name` may carry a qualifier (`name:live`).
///
/// # Errors
/// When nobody answered, the service refused, or the function itself failed: with how it failed.
pub async fn invoke(config: &SdkConfig, name: &str, body: &str, limit: usize) -> Result<Bytes, String> {
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let headers = [("content-type", "application/json")];
    let call = Call { service: "lambda", path: &path, headers: &headers, body, limit };
    let answer = post(config, &call).await.map_err(|e| e.to_string())?;
    if answer.headers.contains_key("x-amz-function-error") && answer.status.is_success() {
        return Err(format!("the function failed: {}", answer.beginning()));
    }
    answer.succeeded()
}

/// Fields as the body of a form, for services that take one.
#[must_use]
pub fn form(fields: &[(String, String)]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let encoded = |text: &str| {
        text.bytes().fold(String::with_capacity(text.len()), |mut out, b| {
            match plain(b) {
                true => out.push(char::from(b)),
                false => out.push_str(&format!("%{b:02X}")),
            }
            out
        })
    };
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn endpoint(config: &SdkConfig, service: &str) -> Result<String, String> {
    if let Some(endpoint) = config.endpoint_url() {
        return Ok(endpoint.trim_end_matches('/').to_owned());
    }
    let region = config.region().ok_or("no AWS region is set")?.as_ref();
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    // The one service here whose host is not its name in signatures.
    let host = if service == "sagemaker" { "api.sagemaker" } else { service };
    Ok(format!("https://{host}.{region}.{suffix}"))
}

async fn signed(config: &SdkConfig, request: &Request<'_>) -> Result<reqwest::Request, CallError> {
    let Request { method, signing, call } = *request;
    let unsigned =
        |e: &dyn std::fmt::Display| format!("the request to {} cannot be signed ({e})", call.service);
    let failed = |e: &dyn std::fmt::Display| CallError::NoAnswer(unsigned(e));
    let endpoint = endpoint(config, call.service).map_err(CallError::NoAnswer)?;
    let url = format!("{endpoint}{}", call.path);
    let none = || CallError::NoAnswer("no AWS credentials are set up".into());
    let provider = config.credentials_provider().ok_or_else(none)?;
    let credentials = provider.provide_credentials().await.map_err(|e| match no_credentials(&e) {
        CallError::NotAllowed(why) => CallError::NotAllowed(unsigned(&why)),
        CallError::NoAnswer(why) => failed(&why),
    })?;
    let identity: Identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(config.region().map_or("us-east-1", |r| r.as_ref()))
        .name(signing)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|e| failed(&e))?;
    let body = SignableBody::Bytes(call.body.as_bytes());
    let signable = SignableRequest::new(method.as_str(), url.as_str(), call.headers.iter().copied(), body)
        .map_err(|e| failed(&e))?;
    let (instructions, _) = sign(signable, &parameters.into()).map_err(|e| failed(&e))?.into_parts();
    let mut request = http::Request::builder().method(method.as_str()).uri(&url);
    for (name, value) in call.headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(call.body.to_owned()).map_err(|e| failed(&e))?;
    instructions.apply_to_request_http1x(&mut request);
    request.try_into().map_err(|e: reqwest::Error| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What STS says lies below what the SDK says of it.
    #[derive(Debug, thiserror::Error)]
    #[error("service error")]
    struct Said(#[source] std::io::Error);

    #[test]
    fn a_role_that_is_refused_is_told_from_one_that_nobody_answers_for() {
        let said = |why: &str| CredentialsError::provider_error(Said(std::io::Error::other(why.to_owned())));
        let refused = no_credentials(&said("AccessDenied: not authorized to perform sts:AssumeRole"));
        assert!(
            matches!(&refused, CallError::NotAllowed(why) if why.contains("sts:AssumeRole")),
            "{refused}"
        );
        let away = no_credentials(&said("dispatch failure"));
        assert!(matches!(&away, CallError::NoAnswer(why) if why.contains("dispatch failure")), "{away}");
    }

    #[test]
    fn a_form_says_everything_in_plain_characters() {
        let fields = [("Message".to_owned(), "a b&c=d+ä\n%".to_owned()), ("x.1".to_owned(), String::new())];
        assert_eq!(form(&fields), "Message=a%20b%26c%3Dd%2B%C3%A4%0A%25&x.1=");
    }
}

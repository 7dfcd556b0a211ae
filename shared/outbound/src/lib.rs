//! Calls to the outside.
//!
//! [`post`] reaches what owners of models name in their policies, within what the deployment allows: https only, named hosts,
//! public addresses (the ones that were looked at, not what the name leads to a moment later), no redirects, no proxy, answers
//! up to a limit. What they get is signed with a key of their owner's ([`signature`], [`parameter`]). [`aws`] calls AWS by single signed requests, where the generated SDK of a service would cost more to build
//! than the function that needs one call of it.

mod address;
pub mod aws;
mod kept;
mod secret;
mod sign;

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client, ClientBuilder, Response};

pub use address::{Allowed, is_public};
pub use kept::Kept;
pub use secret::{NoSecret, Secret, parameter};
pub use sign::{SHORTEST_KEY, keys, signature};

use address::Hook;

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    pub body: Bytes,
}

impl Answer {
    /// The beginning of the body in one line, for messages.
    #[must_use]
    pub fn beginning(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    /// AWS's own word for what went wrong, without what stands around it; empty where the answer has none.
    #[must_use]
    pub fn error_kind(&self) -> String {
        let header = self.headers.get("x-amzn-errortype").and_then(|v| v.to_str().ok());
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let field = ["__type", "code"].iter().find_map(|name| document[*name].as_str());
        let word = header.or(field).unwrap_or_default();
        word.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned()
    }

    /// Whether the service says that it has no room now, and so did not run the call. Some of AWS's say so in a 400.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        if self.status.is_success() {
            return false;
        }
        let kind = self.error_kind();
        matches!(self.status.as_u16(), 429 | 503)
            || kind.contains("Throttl")
            || kind.contains("TooManyRequests")
    }

    /// The body of a successful answer; else what it answered, in words.
    ///
    /// # Errors
    /// On any status but 2xx.
    pub fn succeeded(self) -> Result<Bytes, String> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        if self.status.is_redirection() {
            return Err(format!("it answered with {}; redirects are not followed", self.status));
        }
        Err(format!("it answered with {}: {}", self.status, self.beginning()))
    }
}

/// Why there is no answer. The texts name hosts and never a whole address, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The address may not be called, or not with these rights. Trying again does not help.
    #[error("{0}")]
    NotAllowed(String),
    /// Nobody answered, or not wholly. Trying again may help.
    #[error("{0}")]
    NoAnswer(String),
}

/// Posts `body` to an address that an owner named.
///
/// # Errors
/// [`CallError`], by whether trying again may help.
pub async fn post(
    allowed: &Allowed,
    url: &str,
    headers: &[(&'static str, String)],
    body: String,
    read: Read,
) -> Result<Answer, CallError> {
    let hook = allowed.url(url).map_err(CallError::NotAllowed)?;
    let client = client(&hook, &addresses(&hook).await?)?;
    let mut request = client.post(hook.url).header("content-type", "application/json").body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await.map_err(|e| unreachable(&hook.host, e))?;
    answered(answer, read).await
}

/// What the host's name leads to, all of it public.
pub(crate) async fn addresses(hook: &Hook) -> Result<Vec<SocketAddr>, CallError> {
    let bare = hook.host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, hook.port))
        .await
        .map_err(|e| CallError::NoAnswer(format!("the host {} is not known ({e})", hook.host)))?
        .collect();
    if found.is_empty() {
        return Err(CallError::NoAnswer(format!("the host {} has no address", hook.host)));
    }
    match found.iter().find(|a| !hook.local && !is_public(a.ip())) {
        Some(private) => Err(CallError::NotAllowed(format!(
            "the host {} leads to {}, which is no public address; only public machines are called",
            hook.host,
            private.ip()
        ))),
        None => Ok(found),
    }
}

/// No redirects, no proxy of the environment: nothing may lead elsewhere than where it was allowed.
fn plain_client() -> ClientBuilder {
    Client::builder().redirect(Redirects::none()).no_proxy()
}

/// A client that connects to the addresses that were looked at, and to no others the name may lead to a moment later.
fn client(hook: &Hook, addresses: &[SocketAddr]) -> Result<Client, CallError> {
    let client = plain_client().https_only(!hook.local).resolve_to_addrs(&hook.host, addresses).build();
    client.map_err(|e| CallError::NoAnswer(format!("no HTTP client ({e})")))
}

/// How much of an answer's body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// All of it; an answer of more than so many bytes is none.
    Whole(usize),
    /// The first so many bytes: what counts is the status.
    Beginning(usize),
}

/// The answer with its body, as much of it as is asked for.
async fn answered(mut answer: Response, read: Read) -> Result<Answer, CallError> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let broke_off =
        |e: reqwest::Error| CallError::NoAnswer(format!("its answer broke off ({})", root(&e.without_url())));
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(broke_off)? {
        body.extend_from_slice(&chunk);
        match read {
            Read::Whole(limit) if body.len() > limit => {
                return Err(CallError::NotAllowed(format!("its answer is larger than {limit} bytes")));
            }
            Read::Beginning(limit) if body.len() > limit => {
                body.truncate(limit);
                break;
            }
            _ => {}
        }
    }
    Ok(Answer { status, headers, body: body.freeze() })
}

fn unreachable(host: &str, error: reqwest::Error) -> CallError {
    CallError::NoAnswer(format!("{host} cannot be reached ({})", root(&error.without_url())))
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

    fn answer(status: u16, body: &'static str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        Answer { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn who_has_no_room_says_so_by_its_status_or_by_its_word() {
        let throttled = "{\"__type\": \"com.amazon.coral.availability#ThrottlingException\"}";
        for (status, body) in
            [(429, ""), (503, "busy"), (400, throttled), (400, "{\"code\": \"TooManyRequestsException\"}")]
        {
            assert!(answer(status, body).is_busy(), "{status} {body}");
        }
        for (status, body) in
            [(200, throttled), (400, "{\"__type\": \"ValidationException\"}"), (403, ""), (500, "")]
        {
            assert!(!answer(status, body).is_busy(), "{status} {body}");
        }
    }
}

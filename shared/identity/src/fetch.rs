//! Asking the issuer.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client, Response};

/// The largest answer that is read, in bytes: key sets of large issuers have a few kilobytes.
const ANSWER_BYTES: usize = 256 * 1024;

/// An issuer that does not answer, or not as it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// Asking an issuer over HTTP.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// What is at `url`.
    async fn get(&self, url: &str) -> Result<Bytes, NoAnswer>;
    /// What `url` answers to a form: the status, and the body.
    async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<(u16, Bytes), NoAnswer>;
}

/// The real way: short timeouts, no redirects, small answers.
#[derive(Debug, Clone)]
pub struct HttpFetch(Client);

impl HttpFetch {
    /// A client.
    ///
    /// # Errors
    /// When none can be made.
    pub fn new() -> Result<Self, NoAnswer> {
        let client = Client::builder()
            .redirect(Redirects::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(5))
            .build()
            .map_err(|e| NoAnswer(format!("no HTTP client ({})", root(&e))))?;
        Ok(Self(client))
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn get(&self, url: &str) -> Result<Bytes, NoAnswer> {
        let answer = self.0.get(url).header("accept", "application/json").send().await;
        let (status, body) = read(url, answer).await?;
        if status != 200 {
            return Err(NoAnswer(format!("{url} answered with status {status}; expected 200")));
        }
        Ok(body)
    }

    async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<(u16, Bytes), NoAnswer> {
        let body = encode(form);
        let request = self.0.post(url).header("accept", "application/json");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        read(url, request.send().await).await
    }
}

/// A form as it is sent.
fn encode(form: &[(&str, &str)]) -> String {
    // The query of an address and the body of a form are written the same way.
    let url = reqwest::Url::parse_with_params("https://form.invalid/", form);
    url.ok().and_then(|u| u.query().map(str::to_owned)).unwrap_or_default()
}

async fn read(url: &str, answer: Result<Response, reqwest::Error>) -> Result<(u16, Bytes), NoAnswer> {
    let silent = |e: &reqwest::Error| NoAnswer(format!("{url} does not answer ({})", root(e)));
    let mut answer = answer.map_err(|e| silent(&e))?;
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| silent(&e))? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(NoAnswer(format!("{url} answered more than {ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((answer.status().as_u16(), body.freeze()))
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
    fn a_form_is_percent_encoded() {
        assert_eq!(encode(&[("code", "a b&c=d"), ("x", "é")]), "code=a+b%26c%3Dd&x=%C3%A9");
    }
}

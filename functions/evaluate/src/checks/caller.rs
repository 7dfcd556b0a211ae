//! Calls hooks over HTTPS, and Lambda functions by their API.

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use seatrial_domain::policy::IntegrationCheck;
use seatrial_outbound::aws;
use seatrial_outbound::{Allowed, Read, post};
use serde_json::Value;

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

    async fn hook(&self, url: &str, body: String) -> Result<Bytes, String> {
        let answer = post(&self.allowed, url, &[], body, Read::Whole(ANSWER_LIMIT)).await;
        answer.map_err(|e| e.to_string())?.succeeded()
    }

    async fn invoke(&self, name: &str, body: &str) -> Result<Bytes, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !name.starts_with(PREFIX) || !name.chars().all(plain) || name.len() > 64 {
            return Err(format!(
                "the function {name:?} may not be invoked; expected a name of letters, digits, '-' and '_' that begins with {PREFIX}"
            ));
        }
        aws::invoke(&self.aws, name, body, ANSWER_LIMIT).await
    }
}

#[async_trait]
impl Checks for HttpChecks {
    async fn ask(&self, check: &IntegrationCheck, question: &Value) -> Result<Bytes, String> {
        let body = question.to_string();
        match (&check.lambda, &check.url) {
            (Some(name), None) => self.invoke(name, &body).await,
            (None, Some(url)) => self.hook(url, body).await,
            _ => Err("it names both or neither of lambda and url".into()),
        }
    }
}

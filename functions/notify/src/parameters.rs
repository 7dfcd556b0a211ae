//! The secrets of webhooks: parameters of the account's parameter store.

use async_trait::async_trait;
use aws_config::SdkConfig;
use seatrial_outbound::aws::{self, Call};
use serde_json::{Value, json};

use crate::Tried;

/// A secret. It has no text form but [`Secret::expose`], so it comes into no log.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    #[must_use]
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret, for signing or calling and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Reads secrets. One that is not there, or may not be read, is [`Tried::Never`]: somebody has to put it there.
#[async_trait]
pub trait Parameters: Send + Sync {
    /// The value of `name`, which is given without the deployment's prefix.
    ///
    /// # Errors
    /// As how the delivery that needs it ends.
    async fn value(&self, name: &str) -> Result<Secret, Tried>;
}

/// AWS Systems Manager. Values are read each time: a new key counts at once.
#[derive(Debug, Clone)]
pub struct Ssm {
    aws: SdkConfig,
    prefix: String,
}

impl Ssm {
    /// Parameters whose names begin with `prefix` and a slash.
    #[must_use]
    pub fn new(aws: SdkConfig, prefix: &str) -> Self {
        Self { aws, prefix: prefix.trim_end_matches('/').to_owned() }
    }
}

#[async_trait]
impl Parameters for Ssm {
    async fn value(&self, name: &str) -> Result<Secret, Tried> {
        let name = format!("{}/{name}", self.prefix);
        let body = json!({ "Name": name, "WithDecryption": true }).to_string();
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AmazonSSM.GetParameter")];
        let call = Call { service: "ssm", path: "/", headers: &headers, body: &body, limit: 64 << 10 };
        let answer = aws::post(&self.aws, &call).await;
        let answer = answer.map_err(|e| Tried::Later { after: None, why: e.to_string() })?;
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if answer.status.is_success() {
            let value = document.pointer("/Parameter/Value").and_then(Value::as_str);
            let missing =
                || Tried::Later { after: None, why: format!("parameter {name} came without a value") };
            return value.map(|v| Secret::new(v.to_owned())).ok_or_else(missing);
        }
        // The service's own word for it; never its message, which is not ours to pass on.
        let kind = document["__type"].as_str().unwrap_or_default();
        let kind = kind.rsplit('#').next().unwrap_or_default().to_owned();
        let why = format!("parameter {name} cannot be read ({} {kind})", answer.status);
        Err(match kind.as_str() {
            "ParameterNotFound" => Tried::Never {
                why: format!("there is no parameter {name}; put the webhook's secret there (docs/notify.md)"),
            },
            "AccessDeniedException" | "ValidationException" | "InvalidKeyId" => Tried::Never { why },
            _ => Tried::Later { after: None, why },
        })
    }
}

//! Secrets of owners: parameters of the account's parameter store (AWS Systems Manager).

use aws_config::SdkConfig;
use serde_json::{Value, json};

use crate::CallError;
use crate::aws::{self, Call};

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

/// Why there is no secret. The texts hold no part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSecret {
    /// There is no such parameter.
    #[error("there is no parameter {name}")]
    Missing {
        /// The whole name.
        name: String,
    },
    /// It may not be read, or not as it is. Trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// Nobody answered. Trying again may help.
    #[error("{0}")]
    Unavailable(String),
}

/// The value of the parameter `name`. It is read each time: a new one counts at once.
///
/// # Errors
/// [`NoSecret`], by what can be done about it.
pub async fn parameter(config: &SdkConfig, name: &str) -> Result<Secret, NoSecret> {
    let body = json!({ "Name": name, "WithDecryption": true }).to_string();
    let headers =
        [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AmazonSSM.GetParameter")];
    let call = Call { service: "ssm", path: "/", headers: &headers, body: &body, limit: 64 << 10 };
    let answer = aws::post(config, &call).await.map_err(|e| match e {
        CallError::NotAllowed(why) => NoSecret::Refused(why),
        CallError::NoAnswer(why) => NoSecret::Unavailable(why),
    })?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if answer.status.is_success() {
        let value = document.pointer("/Parameter/Value").and_then(Value::as_str);
        let missing = || NoSecret::Unavailable(format!("parameter {name} came without a value"));
        return value.map(|v| Secret::new(v.to_owned())).ok_or_else(missing);
    }
    // The service's own word for it; never its message, which is not ours to pass on.
    let kind = answer.error_kind();
    let why = format!("parameter {name} cannot be read ({} {kind})", answer.status);
    Err(match kind.as_str() {
        "ParameterNotFound" => NoSecret::Missing { name: name.to_owned() },
        "AccessDeniedException" | "ValidationException" | "InvalidKeyId" => NoSecret::Refused(why),
        _ => NoSecret::Unavailable(why),
    })
}

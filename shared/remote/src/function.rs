//! A published version of a Lambda function.

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use reqwest::Client;
use seatrial_inference::RemoteCode;
use seatrial_outbound::aws::{Call, Method, Request, send};
use serde::Deserialize;

use crate::failure::{CallFailed, body};
use crate::network::LARGEST_ANSWER;
use crate::{Identity, RemoteError, Transport};

/// The function, as whom it is called.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) aws: SdkConfig,
    pub(crate) client: Client,
    /// Its ARN, the version's number included.
    pub(crate) arn: String,
    pub(crate) code_sha256: String,
}

/// What Lambda says of a function's version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    code_sha256: String,
    function_arn: String,
}

impl Function {
    async fn send(
        &self,
        method: Method,
        path: &str,
        text: &str,
    ) -> Result<seatrial_outbound::Answer, seatrial_outbound::CallError> {
        let headers = [("content-type", "application/json")];
        let call = Call { service: "lambda", path, headers: &headers, body: text, limit: LARGEST_ANSWER };
        send(&self.client, &self.aws, &Request { method, signing: "lambda", call }).await
    }
}

#[async_trait]
impl Transport for Function {
    async fn call(&self, text: String) -> Result<Bytes, CallFailed> {
        let path = format!("/2015-03-31/functions/{}/invocations", self.arn);
        let answer = self.send(Method::Post, &path, &text).await?;
        if answer.status.is_success() && answer.headers.contains_key("x-amz-function-error") {
            let why = format!("the function failed: {}", answer.beginning());
            return Err(CallFailed::Ended(RemoteCode::Failed, why));
        }
        body(answer)
    }

    async fn identity(&self) -> Result<Identity, RemoteError> {
        let path = format!("/2015-03-31/functions/{}/configuration", self.arn);
        let what = format!("the function {}", self.arn);
        let answer = self.send(Method::Get, &path, "").await.map_err(|e| RemoteError::of(&what, e))?;
        let bytes = RemoteError::read(&what, answer)?;
        let found: Configuration = serde_json::from_slice(&bytes)
            .map_err(|e| RemoteError::Unavailable(format!("{what} is described in an unknown form ({e})")))?;
        if found.function_arn != self.arn {
            return Err(RemoteError::Refused(format!("{what} is described as {}", found.function_arn)));
        }
        Identity::same(&what, "the code", &self.code_sha256, &found.code_sha256)
    }
}

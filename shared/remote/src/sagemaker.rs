//! A variant of a SageMaker endpoint.

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use reqwest::Client;
use seatrial_outbound::aws::{Call, Method, Request, send};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::failure::{CallFailed, body};
use crate::network::LARGEST_ANSWER;
use crate::{Identity, RemoteError, Transport};

/// The endpoint's variant, as whom it is called.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) aws: SdkConfig,
    pub(crate) client: Client,
    /// The endpoint's name.
    pub(crate) name: String,
    pub(crate) variant: String,
    pub(crate) model_package: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointDescribed {
    endpoint_config_name: String,
    endpoint_status: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigDescribed {
    #[serde(default)]
    production_variants: Vec<Variant>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Variant {
    variant_name: String,
    model_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModelDescribed {
    primary_container: Option<Container>,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    model_package_name: Option<String>,
}

impl Endpoint {
    async fn describe<T: DeserializeOwned>(
        &self,
        operation: &str,
        asked: &(impl Serialize + Sync),
    ) -> Result<T, RemoteError> {
        let what = format!("the endpoint {}", self.name);
        let target = format!("SageMaker.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let text = json!(asked).to_string();
        let call = Call {
            service: "api.sagemaker",
            path: "/",
            headers: &headers,
            body: &text,
            limit: LARGEST_ANSWER,
        };
        let request = Request { method: Method::Post, signing: "sagemaker", call };
        let answer = send(&self.client, &self.aws, &request).await.map_err(|e| RemoteError::of(&what, e))?;
        let bytes = RemoteError::read(&what, answer)?;
        serde_json::from_slice(&bytes).map_err(|e| {
            RemoteError::Unavailable(format!("{what} is described in an unknown form by {operation} ({e})"))
        })
    }
}

#[async_trait]
impl Transport for Endpoint {
    async fn call(&self, text: String) -> Result<Bytes, CallFailed> {
        let path = format!("/endpoints/{}/invocations", self.name);
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("x-amzn-sagemaker-target-variant", self.variant.as_str()),
        ];
        let call = Call {
            service: "runtime.sagemaker",
            path: &path,
            headers: &headers,
            body: &text,
            limit: LARGEST_ANSWER,
        };
        let request = Request { method: Method::Post, signing: "sagemaker", call };
        body(send(&self.client, &self.aws, &request).await?)
    }

    /// Endpoint → its configuration → the variant's model → its model package: each is asked, since each can be exchanged.
    async fn identity(&self) -> Result<Identity, RemoteError> {
        let what = format!("variant {} of the endpoint {}", self.variant, self.name);
        let endpoint: EndpointDescribed =
            self.describe("DescribeEndpoint", &json!({ "EndpointName": self.name })).await?;
        if endpoint.endpoint_status != "InService" {
            let status = endpoint.endpoint_status;
            let text = format!(
                "the endpoint {} is {status}, expected InService: while it changes, what it runs is not known",
                self.name
            );
            return Err(RemoteError::Unavailable(text));
        }
        let asked = json!({ "EndpointConfigName": endpoint.endpoint_config_name });
        let config: ConfigDescribed = self.describe("DescribeEndpointConfig", &asked).await?;
        let variant = config.production_variants.into_iter().find(|v| v.variant_name == self.variant);
        let Some(model) = variant.and_then(|v| v.model_name) else {
            return Err(RemoteError::Refused(format!("{what} does not exist, or names no model")));
        };
        let model: ModelDescribed = self.describe("DescribeModel", &json!({ "ModelName": model })).await?;
        let containers: Vec<Container> =
            model.primary_container.into_iter().chain(model.containers).collect();
        // A pipeline of several containers would be pinned by none of them alone.
        let found = match containers.as_slice() {
            [Container { model_package_name: Some(package) }] => package.clone(),
            [_] => "a model that comes of no model package".to_owned(),
            all => format!("{} containers", all.len()),
        };
        Identity::same(&what, "the model package", &self.model_package, &found)
    }
}

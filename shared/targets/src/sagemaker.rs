//! The production variants of a SageMaker endpoint: it draws a variant for each request.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_config::SdkConfig;
use seatrial_domain::ModelName;
use seatrial_domain::policy::{OWNER_TAG, SagemakerEndpoint};
use seatrial_domain::target::{Actual, Desired};
use seatrial_outbound::aws::{self, Call};
use serde_json::{Value, json};

use crate::lambda::not_anothers;
use crate::refusal::{document, no_answer};
use crate::{Hindrance, TrafficTarget};

/// The largest answer, in bytes.
const LIMIT: usize = 1 << 20;

/// States that no waiting ends: <https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html>.
const BROKEN: [&str; 4] = ["Failed", "UpdateRollbackFailed", "OutOfService", "Deleting"];

/// The only state in which an endpoint takes new weights.
const READY: &str = "InService";

/// An endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    aws: SdkConfig,
    model: ModelName,
    endpoint: SagemakerEndpoint,
}

impl Endpoint {
    /// The endpoint, with these credentials. Without a role of the owner's it must carry [`OWNER_TAG`].
    #[must_use]
    pub const fn new(aws: SdkConfig, model: ModelName, endpoint: SagemakerEndpoint) -> Self {
        Self { aws, model, endpoint }
    }

    async fn call(&self, action: &str, body: &Value, doing: &str) -> Result<Value, Hindrance> {
        let target = format!("SageMaker.{action}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let body = body.to_string();
        let call = Call { service: "sagemaker", path: "/", headers: &headers, body: &body, limit: LIMIT };
        let answer = aws::post(&self.aws, &call).await.map_err(no_answer)?;
        document(doing, &answer)
    }

    async fn described(&self) -> Result<Value, Hindrance> {
        let name = &self.endpoint.endpoint;
        self.call(
            "DescribeEndpoint",
            &json!({ "EndpointName": name }),
            &format!("asking for endpoint {name}"),
        )
        .await
    }

    async fn is_owned(&self, arn: &str) -> Result<(), Hindrance> {
        if self.endpoint.role.is_some() {
            return Ok(());
        }
        let mut page = json!({ "ResourceArn": arn, "MaxResults": 50 });
        loop {
            let found = self.call("ListTags", &page, "asking for the endpoint's tags").await?;
            let tags = found["Tags"].as_array().cloned().unwrap_or_default();
            let tag = tags.iter().find(|tag| tag["Key"] == OWNER_TAG).and_then(|tag| tag["Value"].as_str());
            match (tag, found["NextToken"].as_str()) {
                (None, Some(next)) => page["NextToken"] = json!(next),
                _ => {
                    return not_anothers(
                        &format!("the endpoint {}", self.endpoint.endpoint),
                        tag,
                        &self.model,
                    );
                }
            }
        }
    }
}

#[async_trait]
impl TrafficTarget for Endpoint {
    async fn observe(&self) -> Result<Actual, Hindrance> {
        let found = self.described().await?;
        let name = &self.endpoint.endpoint;
        let status = found["EndpointStatus"].as_str().unwrap_or("in no state that it names");
        let variants = found["ProductionVariants"].as_array().cloned().unwrap_or_default();
        let mut weights = BTreeMap::new();
        for variant in &variants {
            let (variant_name, weight) = (variant["VariantName"].as_str(), variant["CurrentWeight"].as_f64());
            let unreadable =
                || Hindrance::Pending(format!("endpoint {name} has a variant without a name or a weight"));
            weights.insert(variant_name.ok_or_else(unreadable)?.to_owned(), weight.ok_or_else(unreadable)?);
        }
        // Weights are relative to their sum.
        let sum: f64 = weights.values().sum();
        let shares =
            weights.into_iter().map(|(name, w)| (name, if sum > 0.0 { w / sum } else { 0.0 })).collect();
        let busy = (status != READY)
            .then(|| format!("endpoint {name} is {status}; it takes new weights when it is {READY}"));
        Ok(Actual { shares, busy, fence: None })
    }

    async fn drive(&self, wanted: &Desired, seen: &Actual) -> Result<(), Hindrance> {
        let name = &self.endpoint.endpoint;
        let found = self.described().await?;
        let status = found["EndpointStatus"].as_str().unwrap_or_default();
        if BROKEN.contains(&status) {
            return Err(Hindrance::Refused(format!(
                "endpoint {name} is {status} and takes no weights before somebody repairs it or names another target"
            )));
        }
        if let Some(busy) = &seen.busy {
            return Err(Hindrance::Pending(busy.clone()));
        }
        let weights = wanted.weights();
        if let Some(missing) = weights.keys().find(|variant| !seen.shares.contains_key(*variant)) {
            return Err(Hindrance::Refused(format!(
                "endpoint {name} has no variant {missing}; it has {}. Bring it in with a new endpoint configuration, with weight 0",
                seen.shares.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            )));
        }
        self.is_owned(found["EndpointArn"].as_str().unwrap_or_default()).await?;
        // Every variant is named: one that is left out keeps its weight.
        let all: Vec<Value> = seen
            .shares
            .keys()
            .map(|variant| {
                let weight = weights.get(variant).map_or(0.0, |w| w.fraction());
                json!({ "VariantName": variant, "DesiredWeight": weight })
            })
            .collect();
        let body = json!({ "EndpointName": name, "DesiredWeightsAndCapacities": all });
        let doing = format!("moving endpoint {name}");
        self.call("UpdateEndpointWeightsAndCapacities", &body, &doing).await.map(|_| ())
    }
}

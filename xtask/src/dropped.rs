//! What the engine's CloudFormation silently leaves out is applied by API and read back, each property by name.
//!
//! The template stays the one source: its properties are what is applied and what the answer is compared with. On AWS none of this
//! runs, since CloudFormation does it.

use anyhow::{Context, Result, bail, ensure};
use aws_config::SdkConfig;
use serde_json::{Value, json};

use crate::dropped_buckets;
use crate::engine::{ACCOUNT, REGION};
use crate::say;
use crate::template::{Scope, Template};

/// Clients and lookups that each kind of resource needs.
pub struct World<'a> {
    /// The template, for what is wanted.
    pub template: &'a Template,
    /// What its intrinsic functions refer to.
    pub scope: &'a Scope<'a>,
    /// The engine.
    pub sdk: &'a SdkConfig,
}

impl World<'_> {
    /// The physical id of a resource.
    pub fn physical(&self, logical: &str) -> Result<&str> {
        let id = self.scope.physical.get(logical);
        id.map(String::as_str).with_context(|| format!("the stack has no resource {logical}"))
    }

    /// Calls one of the engine's JSON APIs for which no client is built in; no signature is checked there.
    async fn call(
        &self,
        service: &str,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let url = format!("{}{path}", self.sdk.endpoint_url().unwrap_or_default());
        let scope = format!("{ACCOUNT}/20260101/{REGION}/{service}/aws4_request");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=local");
        let mut request = reqwest::Client::new().request(method, &url).header("authorization", authorization);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("cannot call {url}"))?;
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }
}

/// The sender of mail on a local engine, which only takes mail of a sender it knows.
pub const MAIL_FROM: &str = "seatrial@example.com";

/// Applies and verifies everything; returns how many properties were read back.
pub async fn apply(world: &World<'_>) -> Result<usize> {
    sender(world).await?;
    let checked = dropped_buckets::apply(world).await?
        + tables(world).await?
        + functions(world).await?
        + stages(world).await?;
    say::note(format!(
        "{checked} properties that the engine's CloudFormation drops were applied where needed and read back"
    ));
    Ok(checked)
}

/// Makes the sender known. On AWS this is a person's confirmation, so it is no part of the template.
async fn sender(world: &World<'_>) -> Result<()> {
    let path = format!("/v2/email/identities/{MAIL_FROM}");
    if world.call("ses", reqwest::Method::GET, &path, None).await.is_err() {
        let body = json!({ "EmailIdentity": MAIL_FROM });
        world.call("ses", reqwest::Method::POST, "/v2/email/identities", Some(body)).await?;
    }
    Ok(())
}

/// An error that names the resource and the property that is not as the template wants it.
pub fn differs(logical: &str, property: &str, wanted: &Value, found: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{logical}.{property} is not in effect on the engine: the template asks for {wanted}, found {found}"
    )
}

/// `AWS::DynamoDB::Table`: expiry and point-in-time recovery.
async fn tables(world: &World<'_>) -> Result<usize> {
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::types::{PointInTimeRecoverySpecification, TimeToLiveSpecification};
    let client = Client::new(world.sdk);
    let mut checked = 0;
    for (logical, properties) in world.template.resources("AWS::DynamoDB::Table", world.scope)? {
        let table = world.physical(&logical)?;
        if let Some(wanted) = world.template.property(&properties, "TimeToLiveSpecification", world.scope)? {
            let attribute =
                wanted.get("AttributeName").and_then(Value::as_str).context("TTL without AttributeName")?;
            let current = client.describe_time_to_live().table_name(table).send().await?;
            let named = |found: Option<&aws_sdk_dynamodb::types::TimeToLiveDescription>| {
                found.is_some_and(|ttl| ttl.attribute_name() == Some(attribute))
            };
            if is_on(wanted.get("Enabled")) && !named(current.time_to_live_description()) {
                let spec =
                    TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build()?;
                client
                    .update_time_to_live()
                    .table_name(table)
                    .time_to_live_specification(spec)
                    .send()
                    .await?;
                let again = client.describe_time_to_live().table_name(table).send().await?;
                if !named(again.time_to_live_description()) {
                    return Err(differs(
                        &logical,
                        "TimeToLiveSpecification",
                        &wanted,
                        &format!("{:?}", again.time_to_live_description()),
                    ));
                }
            }
            checked += 1;
        }
        if let Some(wanted) =
            world.template.property(&properties, "PointInTimeRecoverySpecification", world.scope)?
        {
            let on = is_on(wanted.get("PointInTimeRecoveryEnabled"));
            let spec =
                PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(on).build()?;
            client
                .update_continuous_backups()
                .table_name(table)
                .point_in_time_recovery_specification(spec)
                .send()
                .await?;
            let found = client.describe_continuous_backups().table_name(table).send().await?;
            let status = found
                .continuous_backups_description()
                .and_then(|description| description.point_in_time_recovery_description())
                .and_then(|description| description.point_in_time_recovery_status())
                .map_or("nothing", |status| status.as_str());
            if status != if on { "ENABLED" } else { "DISABLED" } {
                return Err(differs(&logical, "PointInTimeRecoverySpecification", &wanted, status));
            }
            checked += 1;
        }
    }
    Ok(checked)
}

/// `AWS::Lambda::Function`: reserved concurrency.
async fn functions(world: &World<'_>) -> Result<usize> {
    let mut checked = 0;
    for (logical, properties) in world.template.resources("AWS::Lambda::Function", world.scope)? {
        let Some(wanted) =
            world.template.property(&properties, "ReservedConcurrentExecutions", world.scope)?
        else {
            continue;
        };
        let number =
            number(&wanted).with_context(|| format!("{logical}.ReservedConcurrentExecutions is {wanted}"))?;
        let path = format!("/2017-10-31/functions/{}/concurrency", world.physical(&logical)?);
        let body = json!({ "ReservedConcurrentExecutions": number });
        world.call("lambda", reqwest::Method::PUT, &path, Some(body)).await?;
        let path = format!("/2019-09-30/functions/{}/concurrency", world.physical(&logical)?);
        let found = world.call("lambda", reqwest::Method::GET, &path, None).await?;
        if found.get("ReservedConcurrentExecutions").and_then(Value::as_i64) != Some(number) {
            return Err(differs(&logical, "ReservedConcurrentExecutions", &wanted, &found.to_string()));
        }
        checked += 1;
    }
    Ok(checked)
}

/// `AWS::ApiGatewayV2::Stage`: throttles.
async fn stages(world: &World<'_>) -> Result<usize> {
    let mut checked = 0;
    for (logical, properties) in world.template.resources("AWS::ApiGatewayV2::Stage", world.scope)? {
        let Some(wanted) = world.template.property(&properties, "DefaultRouteSettings", world.scope)? else {
            continue;
        };
        let wanted_fields = wanted.as_object().cloned().unwrap_or_default();
        if wanted_fields.is_empty() {
            continue;
        }
        let api = world.template.property(&properties, "ApiId", world.scope)?;
        let api =
            api.as_ref().and_then(Value::as_str).with_context(|| format!("{logical} names no ApiId"))?;
        let name = world.template.property(&properties, "StageName", world.scope)?;
        let name =
            name.as_ref().and_then(Value::as_str).with_context(|| format!("{logical} names no StageName"))?;
        let settings: serde_json::Map<String, Value> = wanted_fields
            .iter()
            .map(|(field, value)| (camel(field), number(value).map_or_else(|_| value.clone(), Value::from)))
            .collect();
        let path = format!("/v2/apis/{api}/stages/{name}");
        world
            .call(
                "apigateway",
                reqwest::Method::PATCH,
                &path,
                Some(json!({ "defaultRouteSettings": settings })),
            )
            .await?;
        let found = world.call("apigateway", reqwest::Method::GET, &path, None).await?;
        let there = found.get("defaultRouteSettings").cloned().unwrap_or(Value::Null);
        if settings.iter().any(|(field, value)| there.get(field).map(as_number) != Some(as_number(value))) {
            return Err(differs(&logical, "DefaultRouteSettings", &wanted, &there.to_string()));
        }
        checked += 1;
    }
    Ok(checked)
}

/// CloudFormation's `ThrottlingRateLimit` is the API's `throttlingRateLimit`.
fn camel(name: &str) -> String {
    name.split_at_checked(1).map_or_else(String::new, |(first, rest)| first.to_lowercase() + rest)
}

/// A value as a number where it is one, so that 5, 5.0 and "5" compare equal.
fn as_number(value: &Value) -> String {
    value
        .as_f64()
        .or_else(|| value.as_str()?.parse().ok())
        .map_or_else(|| value.to_string(), |number| number.to_string())
}

/// A whole number that CloudFormation may carry as text.
pub fn number(value: &Value) -> Result<i64> {
    match value {
        Value::Number(_) => {
            value.as_i64().or_else(|| value.as_f64().map(|n| n as i64)).context("not a whole number")
        }
        Value::String(text) => text.parse().with_context(|| format!("{text:?} is not a whole number")),
        other => bail!("{other} is not a whole number"),
    }
}

/// A switch that CloudFormation may carry as text.
pub fn is_on(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(on)) => *on,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_text() {
        assert_eq!(number(&json!("7")).unwrap(), 7);
        assert_eq!(number(&json!(7)).unwrap(), 7);
        assert!(number(&json!("seven")).is_err());
        assert_eq!(as_number(&json!("5")), as_number(&json!(5.0)));
    }

    #[test]
    fn switches_may_be_text() {
        assert!(is_on(Some(&json!(true))) && is_on(Some(&json!("true"))));
        assert!(!is_on(Some(&json!("false"))) && !is_on(None));
    }

    #[test]
    fn names_follow_the_api() {
        assert_eq!(camel("ThrottlingBurstLimit"), "throttlingBurstLimit");
    }
}

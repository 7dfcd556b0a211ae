//! Taking back, and out of use.

use std::time::Instant;

use seatrial_domain::ModelName;
use seatrial_domain::ids::{Actor, Auth, VersionName};
use seatrial_domain::target::Standing;
use seatrial_registry::ops::{Ops, SystemClock};
use seatrial_registry::{DynamoRegistry, OpError, standing};
use serde_json::{Value, json};

use super::{Session, retention};
use crate::failure::{Failure, REFUSED};
use crate::output::{self, text};

/// Rolls back through the API, or directly on the table.
pub(crate) async fn rollback(
    session: &Session,
    model: &ModelName,
    reason: &str,
    champion: bool,
    direct: bool,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut done: Value = if direct {
        on_the_table(session, model, reason, champion).await?
    } else {
        let body = json!({ "reason": reason, "champion": champion });
        session.control().await?.post(&format!("/v1/models/{model}/rollback"), &body).await?
    };
    done["milliseconds"] = json!(started.elapsed().as_millis() as u64);
    output::print(session.format, &done, |d| {
        let serves = text(d, "/champion/version");
        let what = match (text(d, "/from/version"), d.get("champion_changed").and_then(Value::as_bool)) {
            (from, Some(true)) => format!("{from} was taken back"),
            (from, _) => format!("{from} was taken off the route"),
        };
        let took = format!("(epoch {}, {} ms)", text(d, "/epoch"), text(d, "/milliseconds"));
        let unknown = d.get("traffic_unknown").and_then(Value::as_str);
        match followed(d).or_else(|| unknown.map(|why| format!("What callers meet cannot be told: {why}"))) {
            None => format!("{what}; {serves} serves everyone {took}"),
            Some(traffic) => format!("{what}; {serves} is to serve everyone {took}\n{traffic}"),
        }
    })
}

/// What callers meet where a target follows the registry, which is rolled back already.
fn followed(done: &Value) -> Option<String> {
    let traffic: Standing = serde_json::from_value(done.get("traffic")?.clone()).ok()?;
    (traffic.kind != "route").then(|| {
        let now = traffic.sentence(jiff::Timestamp::now());
        format!(
            "The registry is rolled back, and the target follows; that takes {}.\n{now}",
            traffic.rollback_takes
        )
    })
}

async fn on_the_table(
    session: &Session,
    model: &ModelName,
    reason: &str,
    champion: bool,
) -> Result<Value, Failure> {
    let aws = session.deployment.aws().await;
    let registry =
        DynamoRegistry::new(aws_sdk_dynamodb::Client::new(&aws), session.deployment.need("TableName")?);
    let ops = Ops::new(&registry, direct_actor(&aws).await, &SystemClock).leaving_gates();
    let done = ops.roll_back(model, reason, champion).await.map_err(|e| match e {
        OpError::Refused(refusal) => Failure::new(REFUSED, refusal.code(), refusal.to_string()),
        other => Failure::unavailable(chain(&other)),
    })?;
    let done = done.value;
    // The rollback is done, whether or not anybody can say what a target makes of it.
    let (traffic, unknown) = match standing(&registry, model).await {
        Ok(traffic) => (traffic, None),
        Err(error) => (None, Some(chain(&error))),
    };
    let mut told = json!({
        "model": model, "epoch": done.epoch, "ended": done.ended, "from": done.from, "champion": done.champion,
        "champion_changed": done.champion_changed, "history": done.seq, "traffic": traffic,
    });
    if let Some(why) = unknown {
        told["traffic_unknown"] = json!(why);
    }
    Ok(told)
}

/// Who writes the table directly: the access key, which AWS's own logs tie to a person.
async fn direct_actor(aws: &aws_config::SdkConfig) -> Actor {
    use aws_credential_types::provider::ProvideCredentials;
    let key = match aws.credentials_provider() {
        Some(provider) => {
            provider.provide_credentials().await.map(|c| c.access_key_id().to_owned()).unwrap_or_default()
        }
        None => String::new(),
    };
    Actor { principal: format!("access-key/{key}"), auth: Auth::Iam }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Takes a version out of use.
pub(crate) async fn retire(
    session: &Session,
    model: &ModelName,
    version: VersionName,
    reason: &str,
) -> Result<(), Failure> {
    let path = format!("/v1/models/{model}/versions/{version}/retire");
    let record: Value = session.control().await?.post(&path, &json!({ "reason": reason })).await?;
    output::print(session.format, &record, |r| {
        format!("{version} of {model} is retired\n{}", retention::bytes_of(model, version, r))
    })
}

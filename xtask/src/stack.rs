//! The stack `seatrial` on an engine: artifacts uploaded, the template created or updated, failures told with their reasons.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_cloudformation::Client as CloudFormation;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, StackStatus};
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use tokio::time::sleep;

use crate::engine::{ACCOUNT, REGION};
use crate::template::Template;
use crate::zips::Packed;
use crate::{digest, paths};

/// The stack's name on every engine.
pub const STACK: &str = "seatrial";
/// A template longer than this goes through S3.
const BODY_LIMIT: usize = 51_200;
/// How long the stack may take on an emulator.
const PATIENCE: Duration = Duration::from_secs(300);

/// The bucket for zips, state machines and the template, on every emulator.
pub fn artifact_bucket() -> String {
    format!("seatrial-artifacts-{ACCOUNT}-{REGION}")
}

/// One stack, and the bucket it is made from.
pub struct Target<'a> {
    /// How the engine or the account is reached.
    pub sdk: &'a SdkConfig,
    /// The stack's name.
    pub stack: String,
    /// The bucket.
    pub bucket: String,
    /// What the addresses of objects in the bucket begin with.
    pub address: String,
    /// How long the stack may take.
    pub patience: Duration,
    /// How long to wait between two looks at it.
    pub pause: Duration,
}

/// Clients' configuration for the engine at `endpoint`: its account, its region, path-style addresses by the endpoint's IP.
pub async fn sdk(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCOUNT, "local", None, None, "local engine"))
        .load()
        .await
}

/// What a deployment left behind.
pub struct Deployed {
    /// The values of all parameters, defaults included.
    pub parameters: BTreeMap<String, String>,
    /// The physical ids of the resources by logical id.
    pub physical: BTreeMap<String, String>,
    /// The stack's outputs.
    pub outputs: BTreeMap<String, String>,
    /// Did anything change?
    pub changed: bool,
}

impl<'a> Target<'a> {
    /// The one on an emulator.
    pub fn emulated(sdk: &'a SdkConfig) -> Self {
        let (bucket, endpoint) = (artifact_bucket(), sdk.endpoint_url().unwrap_or_default());
        let address = format!("{endpoint}/{bucket}");
        let pause = Duration::from_millis(100);
        Self { sdk, stack: STACK.to_owned(), bucket, address, patience: PATIENCE, pause }
    }

    /// Uploads zips and state machines and returns the parameters that name them, as the template declares them:
    /// `ServeKey` for `functions/serve`, `PromotionAslKey` for `statemachines/promotion.asl.json`.
    pub async fn upload(&self, packed: &[Packed]) -> Result<BTreeMap<String, String>> {
        let (s3, bucket) = (S3::new(self.sdk), &self.bucket);
        if s3.head_bucket().bucket(bucket).send().await.is_err() {
            // Every region but the oldest is named as the bucket's place.
            let region = self.sdk.region().map_or(REGION, Region::as_ref);
            let place = (region != "us-east-1").then(|| {
                CreateBucketConfiguration::builder()
                    .location_constraint(BucketLocationConstraint::from(region))
                    .build()
            });
            let made = s3.create_bucket().bucket(bucket).set_create_bucket_configuration(place).send().await;
            made.map_err(|error| {
                anyhow::anyhow!("cannot make the bucket {bucket}: {}", DisplayErrorContext(error))
            })?;
        }
        let mut keys = BTreeMap::from([("ArtifactBucket".to_owned(), bucket.clone())]);
        for one in packed {
            let key = format!("functions/{}/{}.zip", one.name, one.sha256);
            let bytes =
                fs::read(&one.zip).with_context(|| format!("cannot read {}", paths::shown(&one.zip)))?;
            put_once(&s3, bucket, &key, bytes).await?;
            keys.insert(format!("{}Key", pascal(&one.name)), key);
        }
        for (name, text) in state_machines()? {
            let key = format!("statemachines/{}/{name}.asl.json", digest::of_bytes(text.as_bytes()));
            put_once(&s3, bucket, &key, text.into_bytes()).await?;
            keys.insert(format!("{}AslKey", pascal(&name)), key);
        }
        Ok(keys)
    }

    /// Creates or updates the stack, waits, and tells the reasons of a failure.
    pub async fn deploy(&self, template: &str, parameters: BTreeMap<String, String>) -> Result<Deployed> {
        let (client, name) = (CloudFormation::new(self.sdk), self.stack.as_str());
        let (body, url) = if template.len() <= BODY_LIMIT {
            (Some(template.to_owned()), None)
        } else {
            let key = format!("templates/{}.yaml", digest::of_bytes(template.as_bytes()));
            put_once(&S3::new(self.sdk), &self.bucket, &key, template.as_bytes().to_vec()).await?;
            (None, Some(format!("{}/{key}", self.address)))
        };
        let given: Vec<Parameter> = parameters
            .iter()
            .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build())
            .collect();
        let since = events_so_far(&client, name).await;
        let there = describe(&client, name).await.is_ok();
        let changed = if there {
            let update = client
                .update_stack()
                .stack_name(name)
                .set_template_body(body)
                .set_template_url(url)
                .set_parameters(Some(given));
            match update.capabilities(Capability::CapabilityNamedIam).send().await {
                Ok(_) => true,
                Err(error)
                    if error
                        .message()
                        .is_some_and(|text| text.contains("No updates are to be performed")) =>
                {
                    false
                }
                Err(error) => bail!("the stack {name} cannot be updated: {}", DisplayErrorContext(error)),
            }
        } else {
            let create = client
                .create_stack()
                .stack_name(name)
                .set_template_body(body)
                .set_template_url(url)
                .set_parameters(Some(given));
            let sent = create.capabilities(Capability::CapabilityNamedIam).send().await;
            sent.map_err(|error| {
                anyhow::anyhow!("the stack {name} cannot be created: {}", DisplayErrorContext(error))
            })?;
            true
        };
        let stack = settle(&client, self, since).await?;
        let outputs = stack
            .outputs()
            .iter()
            .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())));
        Ok(Deployed {
            outputs: outputs.collect(),
            physical: physical(&client, name).await?,
            parameters,
            changed,
        })
    }
}

/// Keys contain a hash of the bytes: what is there need not be sent again.
async fn put_once(s3: &S3, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
    if s3.head_object().bucket(bucket).key(key).send().await.is_ok() {
        return Ok(());
    }
    let put = s3.put_object().bucket(bucket).key(key).body(ByteStream::from(bytes)).send().await;
    put.map_err(|error| anyhow::anyhow!("cannot upload {key}: {}", DisplayErrorContext(error)))?;
    Ok(())
}

/// The state machines' sources by name.
fn state_machines() -> Result<Vec<(String, String)>> {
    let folder = paths::workspace().join("statemachines");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = file.strip_suffix(".asl.json") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", paths::shown(&path)))?;
            found.push((name.to_owned(), text));
        }
    }
    found.sort();
    Ok(found)
}

/// `drift-watch` as the template writes it: `DriftWatch`.
fn pascal(name: &str) -> String {
    name.split(['-', '_', '.'])
        .filter_map(|word| word.split_at_checked(1))
        .map(|(first, rest)| first.to_uppercase() + rest)
        .collect()
}

/// Chooses the value of every parameter the template declares: what was asked for, what was uploaded, else its default.
pub fn choose(
    template: &Template,
    keys: &BTreeMap<String, String>,
    asked: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let mut chosen = BTreeMap::new();
    let mut missing = Vec::new();
    for parameter in template.parameters() {
        let value =
            asked.get(&parameter.name).or_else(|| keys.get(&parameter.name)).or(parameter.default.as_ref());
        match value {
            Some(value) => {
                chosen.insert(parameter.name, value.clone());
            }
            None => missing.push(parameter.name),
        }
    }
    let unknown: Vec<&String> = asked.keys().filter(|name| !chosen.contains_key(*name)).collect();
    if !unknown.is_empty() {
        bail!("the template has no parameter {unknown:?}");
    }
    if !missing.is_empty() {
        bail!(
            "no value for the template's parameters {}: nothing of that name was built, and they have no default",
            missing.join(", ")
        );
    }
    Ok(chosen)
}

async fn describe(client: &CloudFormation, name: &str) -> Result<Stack> {
    let found = client.describe_stacks().stack_name(name).send().await;
    let found = found
        .map_err(|error| anyhow::anyhow!("the stack {name} is not there: {}", DisplayErrorContext(error)))?;
    found.stacks().first().cloned().context("the engine describes no stack")
}

/// The ids of the events there are already, so that a failure tells of its own only.
async fn events_so_far(client: &CloudFormation, name: &str) -> Vec<String> {
    let Ok(events) = client.describe_stack_events().stack_name(name).send().await else { return Vec::new() };
    events.stack_events().iter().filter_map(|event| event.event_id().map(str::to_owned)).collect()
}

/// Waits until the stack stands still.
async fn settle(client: &CloudFormation, target: &Target<'_>, since: Vec<String>) -> Result<Stack> {
    let (name, patience) = (target.stack.as_str(), target.patience);
    let start = Instant::now();
    loop {
        let stack = describe(client, name).await?;
        match stack.stack_status() {
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => return Ok(stack),
            Some(status) if status.as_str().ends_with("_IN_PROGRESS") => {}
            status => {
                let status = status.map_or("unknown", StackStatus::as_str);
                let reason = stack.stack_status_reason().unwrap_or_default();
                bail!(
                    "the stack {name} ended as {status}. {reason}\n{}",
                    reasons(client, name, &since).await
                );
            }
        }
        if start.elapsed() > patience {
            bail!("the stack {name} is not done after {} s", patience.as_secs());
        }
        sleep(target.pause).await;
    }
}

/// The resources that failed, each with its reason, the first failure first.
async fn reasons(client: &CloudFormation, name: &str, since: &[String]) -> String {
    let Ok(events) = client.describe_stack_events().stack_name(name).send().await else {
        return String::new();
    };
    let failed = events.stack_events().iter().rev().filter(|event| {
        let new = event.event_id().is_none_or(|id| !since.iter().any(|seen| seen == id));
        new && event.resource_status().is_some_and(|status| status.as_str().ends_with("_FAILED"))
    });
    let lines: Vec<String> = failed
        .map(|event| {
            let (id, kind) =
                (event.logical_resource_id().unwrap_or("?"), event.resource_type().unwrap_or("?"));
            format!("  {id} ({kind}): {}", event.resource_status_reason().unwrap_or("no reason given"))
        })
        .collect();
    lines.join("\n")
}

/// The physical ids of all resources.
async fn physical(client: &CloudFormation, name: &str) -> Result<BTreeMap<String, String>> {
    let mut ids = BTreeMap::new();
    let mut pages = client.list_stack_resources().stack_name(name).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page
            .map_err(|error| anyhow::anyhow!("cannot list the resources: {}", DisplayErrorContext(error)))?;
        for resource in page.stack_resource_summaries() {
            if let (Some(logical), Some(physical)) =
                (resource.logical_resource_id(), resource.physical_resource_id())
            {
                ids.insert(logical.to_owned(), physical.to_owned());
            }
        }
    }
    Ok(ids)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn names_become_those_of_parameters() {
        assert_eq!(pascal("serve"), "Serve");
        assert_eq!(pascal("drift-watch"), "DriftWatch");
    }

    #[test]
    fn parameters_come_from_the_asked_then_the_built_then_the_default() {
        let template =
            Template::parse("Parameters: {A: {Type: S}, B: {Type: S, Default: b}, C: {Type: S, Default: c}}")
                .unwrap();
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let chosen = choose(
            &template,
            &map(&[("A", "built"), ("B", "built"), ("Unused", "x")]),
            &map(&[("B", "asked")]),
        )
        .unwrap();
        assert_eq!(chosen, map(&[("A", "built"), ("B", "asked"), ("C", "c")]));
        assert!(choose(&template, &map(&[]), &map(&[])).unwrap_err().to_string().contains("parameters A:"));
        assert!(choose(&template, &map(&[("A", "x")]), &map(&[("Typo", "x")])).is_err());
    }
}

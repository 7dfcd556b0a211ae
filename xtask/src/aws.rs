//! `cargo xtask test --engine aws`: the end-to-end suite in a real account, on a stack of its own that is deleted afterwards.
//!
//! What cannot be deleted is named: evidence is locked, and a key can only be scheduled for deletion.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_cloudformation::Client as CloudFormation;
use aws_sdk_cloudformation::client::Waiters;
use aws_sdk_cloudformation::error::DisplayErrorContext;
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::engine::ACCOUNT;
use crate::local::{read_template, runtime};
use crate::stack::{self, Deployed, Target};
use crate::template::Template;
use crate::zips::{self, Profile};
use crate::{outputs, paths, say};

/// How long CloudFormation may take to make the stack, and to delete it.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// The account that the suite runs in.
struct Account {
    sdk: SdkConfig,
    id: String,
    region: String,
    /// Who the suite is, as policies of models name it.
    principal: String,
}

/// Builds, deploys, runs `suite` with the engine's name, the outputs and an unused port, and deletes the stack whatever happened.
pub fn end_to_end(suite: impl FnOnce(&str, &Path, u16) -> Result<()>) -> Result<()> {
    let runtime = runtime()?;
    let account = runtime.block_on(Account::of_the_environment())?;
    say::note(format!("account {} in {}, as {}", account.id, account.region, account.principal));
    let template = read_template()?;
    let packed = zips::build(Profile::Release)?;
    // The suite's command line and data plane run here.
    zips::build(Profile::Fast)?;
    let name = format!("seatrial-test-{:08x}", jiff::Timestamp::now().as_second());
    let bucket = format!("{name}-{}", account.id);
    let target = Target {
        sdk: &account.sdk,
        address: format!("https://{bucket}.s3.{}.amazonaws.com", account.region),
        stack: name.clone(),
        bucket,
        patience: PATIENCE,
        pause: Duration::from_secs(5),
    };
    let folder = paths::target().join("test-engine/aws");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join("outputs.json");
    let result = runtime.block_on(deploy(&account, &target, &template, &packed)).and_then(|deployed| {
        outputs::write(&file, &describe(&account, &name, &deployed))?;
        suite("aws", &file, crate::local::free_port()?)
    });
    let cleaned = runtime.block_on(clean(&target));
    std::fs::remove_file(&file).ok();
    result.and(cleaned)
}

impl Account {
    /// The account of the usual credentials; an error that says what is missing.
    async fn of_the_environment() -> Result<Self> {
        let sdk = aws_config::defaults(BehaviorVersion::latest()).load().await;
        if let Some(endpoint) = sdk.endpoint_url() {
            bail!(
                "the AWS configuration sends everything to {endpoint}: unset AWS_ENDPOINT_URL to use a real account"
            );
        }
        let known = match sdk.credentials_provider() {
            Some(provider) => provider.provide_credentials().await.is_ok(),
            None => false,
        };
        ensure!(
            known,
            "no AWS credentials were found: `--engine aws` deploys to a real account, so set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, of one that is meant for tests"
        );
        let region = sdk.region().map(ToString::to_string);
        let region = region.context("no AWS region is configured: set AWS_REGION")?;
        let caller = aws_sdk_sts::Client::new(&sdk).get_caller_identity().send().await;
        let caller = caller.map_err(|e| {
            anyhow::anyhow!("the AWS credentials are not accepted: {}", DisplayErrorContext(e))
        })?;
        let id = caller.account().context("AWS names no account for these credentials")?.to_owned();
        ensure!(id != ACCOUNT, "the account {ACCOUNT} is an emulator's: `--engine aws` is for a real one");
        let principal = principal(caller.user_id().unwrap_or_default(), caller.arn().unwrap_or_default());
        Ok(Self { sdk, id, region, principal })
    }
}

/// Of an assumed role its id, else the ARN: as the functions name a caller.
fn principal(user_id: &str, arn: &str) -> String {
    user_id.split_once(':').map_or(arn, |(role, _session)| role).to_owned()
}

async fn deploy(
    account: &Account,
    target: &Target<'_>,
    text: &str,
    packed: &[zips::Packed],
) -> Result<Deployed> {
    say::step(format!("Stack {}", target.stack));
    let keys = target.upload(packed).await?;
    let asked = [
        ("DeletionProtection", "false"),
        ("LogRetentionDays", "1"),
        ("ObjectLockDays", "1"),
        ("ObjectLockMode", "GOVERNANCE"),
        ("PlatformOwners", account.principal.as_str()),
    ];
    let asked = asked.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let parameters = stack::choose(&Template::parse(text)?, &keys, &asked)?;
    target.deploy(text, parameters).await
}

/// What the suite is told: there is no `Endpoint`, and so the usual addresses and credentials are used.
fn describe(account: &Account, stack: &str, deployed: &Deployed) -> BTreeMap<String, String> {
    let mut all = deployed.outputs.clone();
    for (name, value) in [
        ("Account", account.id.as_str()),
        ("Engine", "aws"),
        ("Principal", account.principal.as_str()),
        ("Region", account.region.as_str()),
        ("Stack", stack),
    ] {
        all.insert(name.to_owned(), value.to_owned());
    }
    all
}

/// Deletes the stack, what it retains as far as that can be deleted, and the bucket it was made from; names the rest.
async fn clean(target: &Target<'_>) -> Result<()> {
    say::step(format!("Delete {}", target.stack));
    let client = CloudFormation::new(target.sdk);
    let retained = retained(&client, &target.stack).await;
    let mut left = Vec::new();
    if let Err(error) = delete_stack(&client, &target.stack).await {
        left.push(format!("the stack {}: {error:#}", target.stack));
    }
    let s3 = S3::new(target.sdk);
    for (kind, id) in retained.into_iter().chain([("AWS::S3::Bucket".to_owned(), target.bucket.clone())]) {
        let deleted = match kind.as_str() {
            "AWS::S3::Bucket" => delete_bucket(&s3, &id).await,
            "AWS::DynamoDB::Table" => {
                let deleted =
                    aws_sdk_dynamodb::Client::new(target.sdk).delete_table().table_name(&id).send().await;
                deleted.map(drop).map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)))
            }
            "AWS::KMS::Key" => Err(anyhow::anyhow!(
                "keys are only ever scheduled for deletion: `aws kms schedule-key-deletion --key-id {id}`"
            )),
            _ => Err(anyhow::anyhow!("it is retained")),
        };
        if let Err(error) = deleted {
            left.push(format!("{kind} {id}: {error:#}"));
        }
    }
    for one in &left {
        say::note(format!("left: {one}"));
    }
    ensure!(
        !left.iter().any(|one| one.starts_with("the stack ")),
        "the stack {} is still there",
        target.stack
    );
    Ok(())
}

/// The resources that outlive the stack: type and physical id.
async fn retained(client: &CloudFormation, stack: &str) -> Vec<(String, String)> {
    const KINDS: [&str; 3] = ["AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key"];
    let mut found = Vec::new();
    let mut pages = client.list_stack_resources().stack_name(stack).into_paginator().send();
    while let Some(Ok(page)) = pages.next().await {
        for resource in page.stack_resource_summaries() {
            if let (Some(kind), Some(id)) = (resource.resource_type(), resource.physical_resource_id())
                && KINDS.contains(&kind)
            {
                found.push((kind.to_owned(), id.to_owned()));
            }
        }
    }
    found
}

async fn delete_stack(client: &CloudFormation, stack: &str) -> Result<()> {
    let sent = client.delete_stack().stack_name(stack).send().await;
    sent.map_err(|error| anyhow::anyhow!("it cannot be deleted: {}", DisplayErrorContext(error)))?;
    let ended = client.wait_until_stack_delete_complete().stack_name(stack).wait(PATIENCE).await;
    ended.map(drop).map_err(|error| anyhow::anyhow!("it did not end: {}", DisplayErrorContext(error)))
}

/// Empties a bucket of all versions and deletes it. A locked version is not deleted, and so neither is its bucket.
async fn delete_bucket(s3: &S3, bucket: &str) -> Result<()> {
    let failed = |error: String| anyhow::anyhow!(error);
    loop {
        let page = s3.list_object_versions().bucket(bucket).send().await;
        let page = page.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
        let markers = page.delete_markers().iter().map(|m| (m.key(), m.version_id()));
        let all: Vec<ObjectIdentifier> = versions
            .chain(markers)
            .filter_map(|(key, version)| {
                ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned)).build().ok()
            })
            .collect();
        if all.is_empty() {
            break;
        }
        let request = s3.delete_objects().bucket(bucket);
        let done = request.delete(Delete::builder().set_objects(Some(all)).quiet(true).build()?).send().await;
        let done = done.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        if let Some(error) = done.errors().first() {
            bail!(
                "{} objects cannot be deleted, such as {}: {} (locked objects can be once their lock has ended)",
                done.errors().len(),
                error.key().unwrap_or_default(),
                error.message().unwrap_or_default()
            );
        }
    }
    let deleted = s3.delete_bucket().bucket(bucket).send().await;
    deleted.map(drop).map_err(|error| failed(DisplayErrorContext(error).to_string()))
}

#[cfg(test)]
mod tests {
    use super::principal;

    #[test]
    fn a_role_is_named_by_its_id_and_not_by_its_session() {
        assert_eq!(principal("AROAEXAMPLE:ann", "arn:aws:sts::1:assumed-role/r/ann"), "AROAEXAMPLE");
        assert_eq!(principal("AIDAEXAMPLE", "arn:aws:iam::1:user/ann"), "arn:aws:iam::1:user/ann");
    }
}

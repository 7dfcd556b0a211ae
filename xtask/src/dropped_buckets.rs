//! `AWS::S3::Bucket` and `AWS::S3::BucketPolicy`: lifecycle and object lock are applied, everything that protects data is read back.

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus, DefaultRetention,
    ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration,
    ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule,
};
use serde_json::Value;

use crate::dropped::{World, differs, is_on, number};

/// Applies and verifies all buckets; returns how many properties were read back.
pub async fn apply(world: &World<'_>) -> Result<usize> {
    let client = Client::new(world.sdk);
    let mut checked = 0;
    for (logical, properties) in world.template.resources("AWS::S3::Bucket", world.scope)? {
        let bucket = Bucket {
            client: &client,
            world,
            logical: &logical,
            name: world.physical(&logical)?,
            properties: &properties,
        };
        checked += bucket.versioning().await?;
        checked += bucket.encryption().await?;
        checked += bucket.public_access().await?;
        checked += bucket.lifecycle().await?;
        checked += bucket.lock().await?;
    }
    for (logical, properties) in world.template.resources("AWS::S3::BucketPolicy", world.scope)? {
        let name = world.template.property(&properties, "Bucket", world.scope)?;
        let name =
            name.as_ref().and_then(Value::as_str).with_context(|| format!("{logical} names no Bucket"))?;
        let found = client.get_bucket_policy().bucket(name).send().await;
        let policy = found.ok().and_then(|found| found.policy).unwrap_or_default();
        if !policy.contains("aws:SecureTransport") {
            return Err(differs(
                &logical,
                "PolicyDocument",
                &Value::from("a denial without aws:SecureTransport"),
                &policy,
            ));
        }
        checked += 1;
    }
    Ok(checked)
}

struct Bucket<'a> {
    client: &'a Client,
    world: &'a World<'a>,
    logical: &'a str,
    name: &'a str,
    properties: &'a Value,
}

impl Bucket<'_> {
    fn wanted(&self, property: &str) -> Result<Option<Value>> {
        let wanted = self.world.template.property(self.properties, property, self.world.scope);
        wanted.with_context(|| format!("in {}", self.logical))
    }

    async fn versioning(&self) -> Result<usize> {
        let Some(wanted) = self.wanted("VersioningConfiguration")? else { return Ok(0) };
        let found = self.client.get_bucket_versioning().bucket(self.name).send().await?;
        let status = found.status().map_or("nothing", BucketVersioningStatus::as_str);
        if wanted.get("Status").and_then(Value::as_str) != Some(status) {
            return Err(differs(self.logical, "VersioningConfiguration", &wanted, status));
        }
        Ok(1)
    }

    async fn encryption(&self) -> Result<usize> {
        // The rules may name a key by an attribute; what counts here is the algorithm.
        let rule = self
            .properties
            .pointer("/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault");
        let Some(wanted) = rule.and_then(|rule| rule.get("SSEAlgorithm")) else { return Ok(0) };
        let found = self.client.get_bucket_encryption().bucket(self.name).send().await;
        let rules = found.ok().and_then(|found| found.server_side_encryption_configuration);
        let algorithm = rules
            .as_ref()
            .and_then(|config| config.rules().first()?.apply_server_side_encryption_by_default())
            .map_or("nothing", |default| default.sse_algorithm().as_str());
        // An algorithm that depends on a condition is either of the two.
        if wanted.as_str().is_some_and(|wanted| wanted != algorithm) || algorithm == "nothing" {
            return Err(differs(self.logical, "BucketEncryption", wanted, algorithm));
        }
        Ok(1)
    }

    async fn public_access(&self) -> Result<usize> {
        let Some(wanted) = self.wanted("PublicAccessBlockConfiguration")? else { return Ok(0) };
        let found = self.client.get_public_access_block().bucket(self.name).send().await;
        let block = found.ok().and_then(|found| found.public_access_block_configuration);
        let there = |name: &str| {
            let block = block.as_ref()?;
            match name {
                "BlockPublicAcls" => block.block_public_acls(),
                "BlockPublicPolicy" => block.block_public_policy(),
                "IgnorePublicAcls" => block.ignore_public_acls(),
                "RestrictPublicBuckets" => block.restrict_public_buckets(),
                _ => None,
            }
        };
        let fields = wanted.as_object().cloned().unwrap_or_default();
        if fields.iter().any(|(name, value)| there(name) != Some(is_on(Some(value)))) {
            return Err(differs(
                self.logical,
                "PublicAccessBlockConfiguration",
                &wanted,
                &format!("{block:?}"),
            ));
        }
        Ok(1)
    }

    async fn lifecycle(&self) -> Result<usize> {
        let Some(wanted) = self.wanted("LifecycleConfiguration")? else { return Ok(0) };
        let rules = wanted
            .get("Rules")
            .and_then(Value::as_array)
            .with_context(|| format!("{} has a lifecycle without Rules", self.logical))?;
        let rules: Vec<LifecycleRule> =
            rules.iter().enumerate().map(|(i, rule)| lifecycle_rule(i, rule)).collect::<Result<_>>()?;
        let config = BucketLifecycleConfiguration::builder().set_rules(Some(rules.clone())).build()?;
        self.client
            .put_bucket_lifecycle_configuration()
            .bucket(self.name)
            .lifecycle_configuration(config)
            .send()
            .await?;
        let found = self.client.get_bucket_lifecycle_configuration().bucket(self.name).send().await?;
        if found.rules() != rules.as_slice() {
            return Err(differs(
                self.logical,
                "LifecycleConfiguration",
                &wanted,
                &format!("{:?}", found.rules()),
            ));
        }
        Ok(1)
    }

    async fn lock(&self) -> Result<usize> {
        let Some(wanted) = self.wanted("ObjectLockConfiguration")? else { return Ok(0) };
        let mut config = ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled);
        if let Some(retention) = wanted.pointer("/Rule/DefaultRetention") {
            let mode =
                retention.get("Mode").and_then(Value::as_str).context("an object lock without Mode")?;
            let days = retention.get("Days").map(number).transpose()?;
            let years = retention.get("Years").map(number).transpose()?;
            let retention = DefaultRetention::builder()
                .mode(ObjectLockRetentionMode::from(mode))
                .set_days(days.map(i32::try_from).transpose()?)
                .set_years(years.map(i32::try_from).transpose()?)
                .build();
            config = config.rule(ObjectLockRule::builder().default_retention(retention).build());
        }
        let config = config.build();
        self.client
            .put_object_lock_configuration()
            .bucket(self.name)
            .object_lock_configuration(config.clone())
            .send()
            .await?;
        let found = self.client.get_object_lock_configuration().bucket(self.name).send().await?;
        if found.object_lock_configuration() != Some(&config) {
            return Err(differs(
                self.logical,
                "ObjectLockConfiguration",
                &wanted,
                &format!("{:?}", found.object_lock_configuration()),
            ));
        }
        Ok(1)
    }
}

/// A rule as the API takes it, from a rule as the template writes it.
fn lifecycle_rule(index: usize, rule: &Value) -> Result<LifecycleRule> {
    let fields = rule.as_object().with_context(|| format!("the lifecycle rule {rule} is no mapping"))?;
    let status = fields.get("Status").and_then(Value::as_str).context("a lifecycle rule without Status")?;
    let mut out = LifecycleRule::builder().status(ExpirationStatus::from(status));
    let mut id = format!("rule-{index}");
    let mut prefix = String::new();
    let days = |value: &Value| -> Result<i32> { Ok(i32::try_from(number(value)?)?) };
    for (name, value) in fields {
        match name.as_str() {
            "Status" => {}
            "Id" => id = value.as_str().context("a rule's Id is text")?.to_owned(),
            "Prefix" => prefix = value.as_str().context("a rule's Prefix is text")?.to_owned(),
            "ExpirationInDays" => {
                out = out.expiration(LifecycleExpiration::builder().days(days(value)?).build());
            }
            "ExpiredObjectDeleteMarker" => {
                out = out.expiration(
                    LifecycleExpiration::builder().expired_object_delete_marker(is_on(Some(value))).build(),
                );
            }
            "NoncurrentVersionExpirationInDays" => {
                out = out.noncurrent_version_expiration(noncurrent(days(value)?));
            }
            "NoncurrentVersionExpiration" => {
                let wanted = value
                    .get("NoncurrentDays")
                    .context("NoncurrentVersionExpiration without NoncurrentDays")?;
                out = out.noncurrent_version_expiration(noncurrent(days(wanted)?));
            }
            "AbortIncompleteMultipartUpload" => {
                let wanted = value
                    .get("DaysAfterInitiation")
                    .context("AbortIncompleteMultipartUpload without DaysAfterInitiation")?;
                let abort =
                    AbortIncompleteMultipartUpload::builder().days_after_initiation(days(wanted)?).build();
                out = out.abort_incomplete_multipart_upload(abort);
            }
            other => bail!(
                "the lifecycle property {other} is not applied to local engines yet: add it to xtask/src/dropped_buckets.rs"
            ),
        }
    }
    Ok(out.id(id).filter(LifecycleRuleFilter::builder().prefix(prefix).build()).build()?)
}

fn noncurrent(days: i32) -> NoncurrentVersionExpiration {
    NoncurrentVersionExpiration::builder().noncurrent_days(days).build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_keeps_what_it_says() {
        let rule = lifecycle_rule(0, &json!({"Status": "Enabled", "Prefix": "tmp/", "ExpirationInDays": "3", "NoncurrentVersionExpiration": {"NoncurrentDays": 9}})).unwrap();
        assert_eq!(rule.id(), Some("rule-0"));
        assert_eq!(rule.expiration().unwrap().days(), Some(3));
        assert_eq!(rule.noncurrent_version_expiration().unwrap().noncurrent_days(), Some(9));
        assert_eq!(rule.filter().unwrap().prefix(), Some("tmp/"));
    }

    #[test]
    fn an_unknown_property_is_refused() {
        let error = lifecycle_rule(0, &json!({"Status": "Enabled", "Transitions": []})).unwrap_err();
        assert!(error.to_string().contains("Transitions"));
    }
}

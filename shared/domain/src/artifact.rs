//! What a training job leaves behind: an archive in a bucket of the deployment's owners, and what is known of where it comes
//! from.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How much is kept of one hyperparameter, in characters: an input of a state machine has 256 KB.
const VALUE: usize = 256;
/// How many hyperparameters or inputs are kept.
const VALUES: usize = 100;

/// Where an object lies: `s3://<bucket>/<key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl Address {
    /// Reads `s3://<bucket>/<key>`.
    ///
    /// # Errors
    /// What was found instead, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        match parts {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() && !key.ends_with('/') => {
                Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
            }
            _ => Err(format!("{text:?} is not the address of an object; expected s3://<bucket>/<key>")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// One state of an archive that holds a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its ETag, as S3 gives it: what is read is this state or nothing.
    pub etag: String,
    /// Its version, where its bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it comes from, as far as the event says.
    #[serde(default, skip_serializing_if = "Lineage::is_empty")]
    pub lineage: Lineage,
}

impl ArtifactRef {
    /// Where it lies.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { bucket: self.bucket.clone(), key: self.key.clone() }
    }

    /// The archive and its state in one text, which is the same whoever tells of it: `s3://<bucket>/<key>@<state>`. The state is
    /// the version, or the ETag in a bucket without versions, where the same bytes uploaded again are the same artifact.
    #[must_use]
    pub fn name(&self) -> String {
        // What was uploaded while versioning is suspended has the version `null`, whatever it holds.
        let version = self.version.as_deref().filter(|v| *v != "null");
        format!("{}@{}", self.address(), version.unwrap_or_else(|| self.etag.trim_matches('"')))
    }
}

/// Where an artifact comes from: what the event told, which is nobody's promise. Data of whoever trained; never markup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The ARN of the training job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_job: Option<String>,
    /// The ARN of the model package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_package: Option<String>,
    /// What made the model package, for example the ARN of a pipeline's execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_by: Option<String>,
    /// The training image, or that of the model package's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The hyperparameters, long values cut.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hyperparameters: BTreeMap<String, String>,
    /// The addresses of the training data, by the channel's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// When training began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When training ended, or the model package was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Lineage {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Names and values of bounded number and length.
    #[must_use]
    pub fn bounded(values: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
        values.into_iter().take(VALUES).map(|(name, value)| (Self::cut(name), Self::cut(value))).collect()
    }

    /// A text of bounded length.
    #[must_use]
    pub fn cut(text: String) -> String {
        match text.char_indices().nth(VALUE) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// Which artifacts a deployment may read: patterns of objects as IAM writes them, each with one `*` at its end, such as
/// `arn:aws:s3:::my-bucket/models/*`. The roles have the same list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readable(Vec<(String, String)>);

impl Readable {
    /// Reads the patterns.
    ///
    /// # Errors
    /// The first that is none, in a sentence.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let one = |pattern: &str| {
            let (_, rest) = pattern.strip_prefix("arn:")?.split_once(":s3:::")?;
            let (bucket, prefix) = rest.strip_suffix('*')?.split_once('/')?;
            let plain = !bucket.is_empty() && !bucket.contains('*') && !prefix.contains(['*', '?']);
            plain.then(|| (bucket.to_owned(), prefix.to_owned()))
        };
        let form = |pattern: &str| {
            format!(
                "{pattern:?} is no pattern of objects; expected arn:aws:s3:::<bucket>/* or arn:aws:s3:::<bucket>/<prefix>*"
            )
        };
        patterns.into_iter().map(|p| one(p).ok_or_else(|| form(p))).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this object may be read.
    #[must_use]
    pub fn covers(&self, at: &Address) -> bool {
        self.0.iter().any(|(bucket, prefix)| *bucket == at.bucket && at.key.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn artifact(etag: &str, version: Option<&str>) -> ArtifactRef {
        ArtifactRef {
            bucket: "b".into(),
            key: "jobs/a/output/model.tar.gz".into(),
            etag: etag.into(),
            version: version.map(str::to_owned),
            lineage: Lineage::default(),
        }
    }

    #[test]
    fn an_artifact_is_named_by_its_state_and_not_by_who_tells_of_it() {
        let one = artifact("\"e\"", Some("v1"));
        assert_eq!(one.name(), "s3://b/jobs/a/output/model.tar.gz@v1");
        let lineage = Lineage { training_job: Some("arn".into()), ..Lineage::default() };
        assert_eq!(ArtifactRef { lineage, ..one.clone() }.name(), one.name());
        assert_ne!(artifact("\"e\"", Some("v2")).name(), one.name(), "another upload");
        for version in [None, Some("null")] {
            assert_eq!(artifact("\"e\"", version).name(), "s3://b/jobs/a/output/model.tar.gz@e");
        }
    }

    #[test]
    fn an_address_is_that_of_an_object() {
        assert_eq!(Address::parse("s3://b/k/x").unwrap().to_string(), "s3://b/k/x");
        for bad in ["s3://b", "s3://b/", "s3:///k", "https://b/k", "s3://b/k/", ""] {
            assert!(Address::parse(bad).unwrap_err().contains("s3://<bucket>/<key>"), "{bad}");
        }
    }

    #[test]
    fn what_may_be_read_is_named_by_bucket_and_prefix() {
        let readable = Readable::parse(["arn:aws:s3:::one/*", "arn:aws-cn:s3:::two/jobs/*"]).unwrap();
        let covers = |text: &str| readable.covers(&Address::parse(text).unwrap());
        assert!(covers("s3://one/x") && covers("s3://two/jobs/x"));
        assert!(!covers("s3://two/job") && !covers("s3://three/x") && !covers("s3://one-more/x"));
        let empty = Readable::parse([]).unwrap();
        assert!(empty.is_empty() && !empty.covers(&Address::parse("s3://one/x").unwrap()));
        for bad in
            ["one/*", "arn:aws:s3:::*", "arn:aws:s3:::*/*", "arn:aws:s3:::one/x", "arn:aws:s3:::one/*/x*"]
        {
            assert!(Readable::parse([bad]).unwrap_err().contains("arn:aws:s3:::<bucket>/*"), "{bad}");
        }
    }

    #[test]
    fn what_is_kept_of_a_lineage_is_bounded() {
        let many = (0..500).map(|n| (format!("p{n:03}"), "ä".repeat(5_000)));
        let kept = Lineage::bounded(many);
        assert_eq!((kept.len(), kept["p000"].chars().count()), (VALUES, VALUE + 1));
    }
}

//! Is this what was signed?

use std::path::{Path, PathBuf};

use seatrial_attestation::PublicKey;
use seatrial_attestation::manifest::DOCUMENTS;
use seatrial_attestation::model_signing::folder::{FolderError, SIGNATURE, verify_folder};
use seatrial_attestation::verify::{
    self, Collection, Data, Files, Finding, Folder, Standing, Verification, collect,
};
use seatrial_audit::verify_pdf;
use serde::Serialize;

use super::key;
use crate::deployment::Deployment;
use crate::evidence::{self, Bucket, Collected};
use crate::failure::Failure;
use crate::output::{self, Format};

/// What is verified, and by which keys.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// A PDF, a signed manifest, a folder or .zip archive of evidence, `s3://bucket/prefix`, or the folder of a fetched package.
    pub path: String,
    /// The public key that must have signed it, as PEM (`seatrial key` prints it). Several: any of them may have. Without it the
    /// deployment's own key is asked for, which is believing the deployment.
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Also read the data that reports rest on, from this bucket, and hash all of it.
    #[arg(long, value_name = "BUCKET")]
    pub data: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    path: String,
    /// The ids of the keys.
    keys: Vec<String>,
    /// One for each promotion.
    promotions: Vec<Checked>,
    /// Files that no promotion's manifest could speak of.
    others: Vec<String>,
    /// The gravest doubt.
    doubt: Option<Finding>,
}

/// A promotion's evidence, or a document.
#[derive(Debug, Serialize)]
struct Checked {
    /// Where it lies in what was given.
    at: String,
    #[serde(flatten)]
    verification: Verification,
}

/// Verifies `path` and says object by object what holds and what does not.
///
/// # Errors
/// The first class of doubt, by its own exit code.
pub(crate) async fn verify(
    command: &Verify,
    deployment: Result<Deployment, Failure>,
    format: Format,
) -> Result<(), Failure> {
    let keys = if command.keys.is_empty() {
        vec![key::of_deployment(deployment.as_ref().map_err(needs_key)?).await?]
    } else {
        key::of_files(&command.keys)?
    };
    let answer = answer(command, &keys, deployment.ok().as_ref()).await?;
    output::print(format, &answer, table)?;
    answer.doubt.as_ref().map_or(Ok(()), |doubt| Err(doubted(doubt)))
}

fn needs_key(no_deployment: &Failure) -> Failure {
    Failure::invalid(format!(
        "no key is given: name the public key with --key FILE ({})",
        no_deployment.message
    ))
}

async fn answer(
    command: &Verify,
    keys: &[PublicKey],
    deployment: Option<&Deployment>,
) -> Result<Answer, Failure> {
    let path = command.path.as_str();
    if Path::new(path).join(SIGNATURE).is_file() {
        return package(command, keys);
    }
    let collection = read(path, deployment).await?;
    let mut promotions = Vec::new();
    for Folder { path, mut files } in collection.folders {
        files.data = data(command.data.as_deref(), &files, deployment).await?;
        promotions.push(Checked { at: path.clone(), verification: verify::verify(&files, keys) });
        // Documents lie beside what they were made of, and verify alone.
        let is_document = |name: &str| name.starts_with(DOCUMENTS) && name.ends_with(".pdf");
        for (name, bytes) in files.evidence.iter().filter(|(name, _)| is_document(name)) {
            promotions.push(Checked { at: format!("{path}{name} "), verification: verify_pdf(bytes, keys) });
        }
    }
    let mut others = Vec::new();
    for (name, bytes) in collection.others {
        if name.ends_with(".pdf") {
            promotions.push(Checked { at: format!("{name} "), verification: verify_pdf(&bytes, keys) });
        } else {
            others.push(name);
        }
    }
    let doubts = promotions.iter().filter_map(|p| p.verification.doubt().map(|d| at(&p.at, d)));
    let doubt = doubts.rev().max_by_key(|d| d.standing).or_else(|| {
        let nothing = "there is no signed manifest here, so nothing says what should be";
        promotions.is_empty().then(|| Finding::new(path, Standing::NotSigned, nothing))
    });
    Ok(Answer {
        path: path.to_owned(),
        keys: keys.iter().map(|k| k.id().to_owned()).collect(),
        promotions,
        others,
        doubt,
    })
}

/// A package's folder with its signature in it, as `seatrial fetch` writes it.
fn package(command: &Verify, keys: &[PublicKey]) -> Result<Answer, Failure> {
    let findings = match verify_folder(Path::new(&command.path), keys) {
        Ok(signed) => {
            let signature = format!("signed as {} by key {}", signed.name, signed.key);
            let files = signed.files.iter();
            let files = files.map(|(path, digest)| Finding::new(path, Standing::Holds, digest.to_string()));
            std::iter::once(Finding::new(SIGNATURE, Standing::Holds, signature)).chain(files).collect()
        }
        Err(FolderError::Signature { source, .. }) => {
            vec![Finding::new(SIGNATURE, Standing::NotSigned, source.to_string())]
        }
        Err(FolderError::Differ { differences, .. }) => {
            let changed = differences.changed.iter().map(|(path, (signed, found))| {
                Finding::new(path, Standing::Changed, format!("it has {found}; signed was {signed}"))
            });
            let missing = differences.missing.iter();
            let missing =
                missing.map(|p| Finding::new(p, Standing::Missing, "it was signed, and is not here"));
            let extra = differences.extra.iter();
            let extra = extra.map(|p| Finding::new(p, Standing::Unlisted, "it is here, and was not signed"));
            changed.chain(missing).chain(extra).collect()
        }
        Err(other) => return Err(Failure::invalid(other.to_string())),
    };
    let verification = Verification { manifest: None, signed_by: None, findings };
    let doubt = verification.doubt().cloned();
    Ok(Answer {
        path: command.path.clone(),
        keys: keys.iter().map(|k| k.id().to_owned()).collect(),
        promotions: vec![Checked { at: command.path.clone(), verification }],
        others: Vec::new(),
        doubt,
    })
}

/// The data that the evidence rests on, as far as it is asked for.
async fn data(bucket: Option<&str>, files: &Files, deployment: Option<&Deployment>) -> Result<Data, Failure> {
    let now = jiff::Timestamp::now();
    let Some(bucket) = bucket else { return Ok(Data::Elsewhere { now }) };
    let digests = Bucket::new(&aws(deployment).await, bucket).digests(&verify::inputs(files)).await?;
    Ok(Data::Found { now, digests })
}

async fn aws(deployment: Option<&Deployment>) -> aws_config::SdkConfig {
    match deployment {
        Some(deployment) => deployment.aws().await,
        None => aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await,
    }
}

/// A finding under its whole path.
fn at(folder: &str, finding: &Finding) -> Finding {
    Finding { what: format!("{folder}{}", finding.what), ..finding.clone() }
}

/// What is at `path`, sorted.
async fn read(path: &str, deployment: Option<&Deployment>) -> Result<Collection, Failure> {
    if let Some(address) = path.strip_prefix("s3://") {
        return Ok(collect(from_bucket(address, deployment).await?));
    }
    let file = Path::new(path);
    if file.is_file() && path.ends_with(".json") {
        return manifest_alone(file);
    }
    if file.is_file() && path.ends_with(".pdf") {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok(Collection { others: [(name, read_file(file)?)].into(), ..Collection::default() });
    }
    Ok(collect(evidence::on_disk(file)?))
}

/// A promotion's evidence in a bucket, with the checkpoints of its model.
async fn from_bucket(address: &str, deployment: Option<&Deployment>) -> Result<Collected, Failure> {
    let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
    let aws = aws(deployment).await;
    let model = prefix.split('/').find(|s| s.starts_with("model="));
    let checkpoints = model.map(|model| format!("checkpoints/{model}"));
    let prefixes: Vec<String> = std::iter::once(prefix.to_owned()).chain(checkpoints).collect();
    Bucket::new(&aws, bucket).read(&prefixes).await
}

fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|e| Failure::invalid(format!("{} cannot be read: {e}", file.display())))
}

/// A signed manifest without what it lists: only its signature can be checked.
fn manifest_alone(file: &Path) -> Result<Collection, Failure> {
    let bytes = read_file(file)?;
    let name = "manifest-given.dsse.json".to_owned();
    let files = Files { evidence: [(name, bytes)].into(), partial: true, ..Files::default() };
    Ok(Collection { folders: vec![Folder { path: String::new(), files }], ..Collection::default() })
}

/// The exit code for what is not what was signed.
pub(super) const CHANGED: u8 = 21;

/// The exit code of each class of doubt.
const fn exit_of(standing: Standing) -> u8 {
    match standing {
        Standing::Holds | Standing::ExpiredByPolicy | Standing::NotChecked => 0,
        Standing::Contradicts => 24,
        Standing::Unlisted => 23,
        Standing::Missing => 22,
        Standing::Changed => CHANGED,
        Standing::NotSigned => 20,
    }
}

/// The failure that a doubt is.
pub(super) fn doubted(doubt: &Finding) -> Failure {
    let code = doubt.standing.as_str().replace(' ', "_");
    let message = format!("{}: {}: {}", doubt.what, doubt.standing.as_str(), doubt.why);
    Failure::new(exit_of(doubt.standing), &code, message)
}

fn table(answer: &Answer) -> String {
    let mut out = String::new();
    for Checked { at, verification } in &answer.promotions {
        out.push_str(&heading(at, verification));
        out.push_str(&output::table(
            ["", "what", "why"],
            verification.findings.iter().map(|f| [mark(f.standing), f.what.clone(), f.why.clone()]),
        ));
        out.push('\n');
    }
    for path in &answer.others {
        out.push_str(&format!("{path} belongs to no promotion: nothing signed speaks of it\n"));
    }
    let findings = answer.promotions.iter().flat_map(|p| &p.verification.findings);
    let count = |standing| findings.clone().filter(|f| f.standing == standing).count();
    let (holds, unchecked) = (count(Standing::Holds), count(Standing::NotChecked));
    let rest = if unchecked > 0 {
        format!("; {unchecked} could not be checked with what is here")
    } else {
        String::new()
    };
    out.push_str(&match &answer.doubt {
        None => format!("HOLDS: {holds} findings, no doubt{rest}\n"),
        Some(doubt) => format!("DOUBT: {} ({}){rest}\n", doubt.what, doubt.standing.as_str()),
    });
    out
}

fn heading(at: &str, verification: &Verification) -> String {
    let Some(manifest) = &verification.manifest else { return format!("{at}\n") };
    let p = &manifest.predicate;
    let from = p.champion.as_ref().map_or_else(|| "nothing".to_owned(), |c| c.version.to_string());
    format!(
        "promotion {} of {}: {from} to {}, {}\n",
        p.promotion,
        p.model,
        p.challenger.version,
        p.status.as_str()
    )
}

fn mark(standing: Standing) -> String {
    let sign = match standing {
        Standing::Holds => "✓",
        Standing::ExpiredByPolicy | Standing::NotChecked => "·",
        _ => "✗",
    };
    format!("{sign} {}", standing.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_doubt_has_an_exit_code_of_its_own() {
        let all = [
            Standing::Contradicts,
            Standing::Unlisted,
            Standing::Missing,
            Standing::Changed,
            Standing::NotSigned,
        ];
        let codes: std::collections::BTreeSet<u8> = all.iter().map(|s| exit_of(*s)).collect();
        assert!(codes.len() == all.len() && !codes.contains(&0));
        assert!(all.iter().all(|s| s.is_doubt()) && exit_of(Standing::NotChecked) == 0);
    }
}

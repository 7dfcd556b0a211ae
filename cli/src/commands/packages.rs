//! Packages in folders of a person's own: fetched with their signature, and signed without a deployment.

use std::path::{Path, PathBuf};

use seatrial_artifacts::package::{Exported, ReadError, Trust, export_version};
use seatrial_artifacts::{S3Store, StoreError, s3_client};
use seatrial_attestation::LocalKey;
use seatrial_attestation::model_signing::folder::{self, SIGNATURE};
use seatrial_domain::ids::{VersionName, VersionRef};
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{Digest, ModelName};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Session, key, submit};
use crate::failure::{Failure, NOT_FOUND, REFUSED, UNAVAILABLE};
use crate::output::{self, Format};

/// A version, where it goes, and whose signature it must have.
#[derive(Debug, clap::Args)]
pub struct Fetch {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// The folder to make; if it is there, it must be empty.
    pub folder: PathBuf,
    /// The public key that must have signed it, as PEM [default: the deployment's, where its file names one].
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Do not check the signature, and take a version that has none.
    #[arg(long, conflicts_with = "keys")]
    pub unsigned: bool,
}

/// Writes a version's files and signature to a folder, checked before it appears.
///
/// # Errors
/// When the version is unknown, is not signed as it must be, or cannot be read or written.
pub(crate) async fn fetch(session: &Session, wanted: &Fetch) -> Result<(), Failure> {
    let Fetch { model, version, folder, .. } = wanted;
    let trust = trust(session, wanted).await?;
    let reference = VersionRef { version: *version, digest: digest(session, model, *version).await? };
    let store =
        S3Store::new(s3_client(&session.deployment.aws().await), session.deployment.need("ModelsBucket")?);
    let bar = submit::bar(session.format);
    let fetched = export_version(&store, model, &reference, folder, &trust, &|p| submit::show(&bar, p)).await;
    bar.finish_and_clear();
    let Exported { manifest, signed } = fetched.map_err(|e| not_fetched(&e))?;
    let signature = match (&trust, signed) {
        (Trust::Keys(_), _) => "holds",
        (Trust::Unchecked, true) => "not checked",
        (Trust::Unchecked, false) => "none",
    };
    let answer = json!({
        "model": model, "version": version, "digest": reference.digest, "folder": folder,
        "files": manifest.files, "signature": signature,
    });
    output::print(session.format, &answer, |_| {
        let size: u64 = manifest.files.values().map(|blob| blob.size).sum();
        let mut facts = output::facts([
            ("folder", folder.display().to_string()),
            ("digest", reference.digest.to_string()),
            ("files", format!("{} ({size} bytes), every digest checked", manifest.files.len())),
            ("signature", signature.to_owned()),
        ]);
        if signed {
            let at = folder.join(SIGNATURE);
            facts.push_str(&format!(
                "without Seatrial: model_signing verify key {} --signature {} --public_key KEY.pem (`seatrial key --file KEY.pem`)\n",
                folder.display(),
                at.display()
            ));
        }
        facts
    })
}

async fn trust(session: &Session, wanted: &Fetch) -> Result<Trust, Failure> {
    if wanted.unsigned {
        return Ok(Trust::Unchecked);
    }
    if !wanted.keys.is_empty() {
        return Ok(Trust::Keys(key::of_files(&wanted.keys)?));
    }
    match session.deployment.get("SigningKeyArn") {
        Some(_) => Ok(Trust::Keys(vec![key::of_deployment(&session.deployment).await?])),
        None => Ok(Trust::Unchecked),
    }
}

/// The digest that the registry knows the version by.
async fn digest(session: &Session, model: &ModelName, version: VersionName) -> Result<Digest, Failure> {
    let view: Value = session.control().await?.get(&format!("/v1/models/{model}")).await?;
    let versions = view.get("versions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let name = version.to_string();
    let found = versions.iter().find(|v| v.get("version").and_then(Value::as_str) == Some(&name));
    let found = found.ok_or_else(|| {
        let message = format!("model {model} has no version {version}; `seatrial status {model}` lists them");
        Failure::new(NOT_FOUND, "not_found", message)
    })?;
    if let Ok(record) = VersionRecord::deserialize(found)
        && let Err(gone) = record.loadable()
    {
        return Err(Failure::new(REFUSED, gone.code(), gone.to_string()));
    }
    let text = output::text(found, "/digest");
    Digest::parse(&text).map_err(|e| Failure::unexpected(format!("the digest of {version}: {e}")))
}

fn not_fetched(error: &ReadError) -> Failure {
    let message = match error {
        ReadError::Store(StoreError::Failed { source, .. }) => format!("{error}: {source}; try again"),
        ReadError::Store(StoreError::File { source, .. }) => format!("{error}: {source}"),
        _ => error.to_string(),
    };
    match error {
        ReadError::NotSigned { .. } => Failure::new(REFUSED, "not_signed", message),
        ReadError::SignatureDoesNotHold { .. } => Failure::new(REFUSED, "signature_does_not_hold", message),
        ReadError::Store(StoreError::Failed { .. }) => Failure::new(UNAVAILABLE, "unavailable", message),
        ReadError::Store(StoreError::File { .. }) => Failure::invalid(message),
        ReadError::Missing { .. } => Failure::new(NOT_FOUND, "not_found", message),
        ReadError::Invalid { .. } | ReadError::Store(_) => Failure::new(REFUSED, "corrupt", message),
    }
}

/// Signs the files in a folder with a private key in a file.
///
/// # Errors
/// When the key or a file cannot be read, or the signature cannot be written.
pub(crate) async fn sign(folder: &Path, key: &Path, format: Format) -> Result<(), Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::invalid(format!("the key {}: {e}", key.display()));
    let text = std::fs::read_to_string(key).map_err(|e| wrong(&e))?;
    let key = LocalKey::from_pem(&text).map_err(|e| wrong(&e))?;
    let files = folder::sign_folder(folder, &key).await.map_err(|e| Failure::invalid(e.to_string()))?;
    let signature = folder.join(SIGNATURE);
    let answer = json!({ "signature": signature, "key": key.public().id(), "files": files });
    output::print(format, &answer, |_| {
        output::facts([
            ("signature", signature.display().to_string()),
            ("files", files.len().to_string()),
            ("key", key.public().id().to_owned()),
        ])
    })
}

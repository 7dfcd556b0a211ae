//! The key that signs packages and evidence.

use std::path::{Path, PathBuf};

use seatrial_attestation::PublicKey;
use seatrial_attestation::kms::KmsSigner;
use seatrial_attestation::signer::{SignError, Signer as _};
use serde_json::json;

use super::Session;
use crate::deployment::Deployment;
use crate::failure::{Failure, UNAVAILABLE};
use crate::output;

/// Prints the public half of the deployment's key, or writes it to a file.
pub(crate) async fn key(session: &Session, file: Option<&Path>) -> Result<(), Failure> {
    let key = of_deployment(&session.deployment).await?;
    let pem = key.to_pem();
    if let Some(file) = file {
        std::fs::write(file, &pem)
            .map_err(|e| Failure::invalid(format!("{} cannot be written: {e}", file.display())))?;
    }
    let answer = json!({ "id": key.id(), "pem": pem, "file": file });
    output::print(session.format, &answer, |_| match file {
        Some(file) => format!("wrote {}: the public key {}", file.display(), key.id()),
        None => pem.clone(),
    })
}

/// The public half of the deployment's key.
///
/// # Errors
/// When the deployment names none, or KMS does not give it.
pub(crate) async fn of_deployment(deployment: &Deployment) -> Result<PublicKey, Failure> {
    let signer = KmsSigner::new(&deployment.aws().await, deployment.need("SigningKeyArn")?);
    signer.public_key().await.map_err(|e| match e {
        SignError::Unavailable { .. } => Failure::new(UNAVAILABLE, "unavailable", e.to_string()),
        SignError::Unusable { .. } => Failure::invalid(format!(
            "{e}; its reading needs the right kms:GetPublicKey. `--key FILE` takes the public key from a file"
        )),
    })
}

/// The public keys in files.
///
/// # Errors
/// When one cannot be read, or is no such key.
pub(crate) fn of_files(files: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    let read = |file: &PathBuf| {
        let wrong = |e: &dyn std::fmt::Display| Failure::invalid(format!("the key {}: {e}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|e| wrong(&e))?;
        PublicKey::from_pem(&text).map_err(|e| wrong(&e))
    };
    files.iter().map(read).collect()
}

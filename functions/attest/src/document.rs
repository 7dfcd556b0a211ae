//! The audit document of a promotion, sealed, beside its evidence.

use std::time::Instant;

use bytes::Bytes;
use seatrial_attestation::manifest::document_path;
use seatrial_audit::{SealError, seal, seal_statement};
use seatrial_domain::canonical;
use seatrial_domain::promotion::EvidenceRef;
use seatrial_runtime::Failure;

use crate::folder::Folder;
use crate::{Ports, signed};

/// The largest document that is read back, in bytes.
const LIMIT: u64 = 256 << 20;

/// Makes the document of what lies in the folder, seals it and writes both, once. What is there already must be the same bytes.
pub(crate) async fn write(ports: &Ports<'_>, folder: &Folder) -> Result<EvidenceRef, Failure> {
    let keys = [ports.signer.public_key().await?];
    let begun = Instant::now();
    let document = seatrial_audit::document(&folder.files, &keys)
        .map_err(|e| Failure::internal(&format!("making the audit document ({e})"), e))?;
    let (ms, bytes) = (begun.elapsed().as_millis() as u64, document.body.len());
    tracing::info!(name = document.file_name, bytes, ms, "the audit document is made");
    let key = folder.prefix.clone() + &document_path(&folder.manifest.digest, &document.file_name);
    // The seal first, and as an object of its own: whoever has it and the evidence can make the same document again.
    let statement =
        seal_statement(&document).map_err(|e| Failure::internal("writing the seal's statement", e))?;
    let envelope = signed::once(ports, &format!("{key}.dsse.json"), &statement).await?;
    let sealed = seal(&document.body, &envelope).map_err(unsealed)?;
    let digest = canonical::sha256(&sealed);
    if !ports.evidence.put_if_absent(&key, Bytes::from(sealed), "application/pdf").await? {
        let there = ports.evidence.get(&key, LIMIT).await?;
        if there.as_deref().map(canonical::sha256).as_ref() != Some(&digest) {
            let doing = format!("writing the audit document: other bytes lie at {key} already; it");
            return Err(Failure::internal(&doing, "the document is not the one of this evidence"));
        }
    }
    Ok(EvidenceRef { key, digest })
}

fn unsealed(error: SealError) -> Failure {
    Failure::internal(&format!("sealing the audit document ({error})"), error)
}

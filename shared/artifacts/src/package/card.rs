//! Attaches model cards to versions: each an artifact of its own whose `subject` is the version's manifest, as the OCI
//! distribution specification has it for what refers to an image.

use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;
use oci_spec::OciSpecError;
use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_TITLE, Descriptor, ImageManifestBuilder, MediaType, SCHEMA_VERSION,
};
use seatrial_domain::canonical::{sha256, to_bytes};
use seatrial_domain::{Digest, ModelName, PromotionId};

use super::blob_key;
use super::manifest::descriptor;
use super::publish::{PublishError, parsed, update_index, written};
use crate::store::ObjectStore;

/// What a model card is: the type of the artifact, and of its one layer.
pub const CARD_TYPE: &str = "application/vnd.seatrial.model-card.v1+markdown";
/// Under which annotation the promotion stands that a card tells of.
const PROMOTION: &str = "vnd.seatrial.promotion";
/// The configuration of an artifact that has none.
pub(super) const EMPTY: &[u8] = b"{}";

/// Attaches the card of a promotion, which ended at `at`, to the version with the digest `package`; gives the digest of the
/// card's manifest. Attaching the same again changes nothing; the card of a later promotion of the same bytes stands beside it.
///
/// # Errors
/// [`PublishError::Layout`] when the version is not there, or the index is damaged.
pub async fn attach_card(
    models: &dyn ObjectStore,
    model: &ModelName,
    package: &Digest,
    card: &str,
    promotion: &PromotionId,
    at: Timestamp,
) -> Result<Digest, PublishError> {
    let broken = |e: String| PublishError::layout(model, e);
    let version = models.head(&blob_key(model, package)).await?;
    let version =
        version.ok_or_else(|| broken(format!("{package}, to which a card belongs, is not there")))?;
    let annotations = [(ANNOTATION_CREATED, at.to_string()), (PROMOTION, promotion.to_string())];
    let card = Bytes::from(card.to_owned());
    let manifest = manifest(package, version.size, &card, &annotations).map_err(|e| broken(e.to_string()))?;
    let manifest = Bytes::from(to_bytes(&manifest).map_err(|e| broken(e.to_string()))?);
    for (bytes, kind) in [
        (Bytes::from_static(EMPTY), MediaType::EmptyJSON.as_ref()),
        (card, CARD_TYPE),
        (manifest.clone(), MediaType::ImageManifest.as_ref()),
    ] {
        models.put_if_absent(&blob_key(model, &sha256(&bytes)), bytes, kind).await?;
    }
    let digest = sha256(&manifest);
    let entry = entry(&digest, manifest.len() as u64, &annotations).map_err(|e| broken(e.to_string()))?;
    update_index(models, model, |before| listed(before, &entry)).await?;
    Ok(digest)
}

fn manifest(
    package: &Digest,
    size: u64,
    card: &Bytes,
    annotations: &[(&str, String)],
) -> Result<oci_spec::image::ImageManifest, OciSpecError> {
    let layer = descriptor(
        MediaType::from(CARD_TYPE),
        &sha256(card),
        card.len() as u64,
        &[(ANNOTATION_TITLE, "model-card.md")],
    )?;
    ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .artifact_type(MediaType::from(CARD_TYPE))
        .config(descriptor(MediaType::EmptyJSON, &sha256(EMPTY), EMPTY.len() as u64, &[])?)
        .layers(vec![layer])
        .subject(descriptor(MediaType::ImageManifest, package, size, &[])?)
        .annotations(named(annotations))
        .build()
}

fn named(annotations: &[(&str, String)]) -> HashMap<String, String> {
    annotations.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The card in the model's index.
fn entry(digest: &Digest, size: u64, annotations: &[(&str, String)]) -> Result<Descriptor, OciSpecError> {
    let mut entry = descriptor(MediaType::ImageManifest, digest, size, &[])?;
    entry.set_artifact_type(Some(MediaType::from(CARD_TYPE)));
    entry.set_annotations(Some(named(annotations)));
    Ok(entry)
}

/// The index with the card in it, behind the versions; `None` when it is there already.
fn listed(before: Option<&Bytes>, entry: &Descriptor) -> Result<Option<Bytes>, String> {
    let mut index = parsed(before)?;
    if index.manifests().iter().any(|m| m.digest() == entry.digest()) {
        return Ok(None);
    }
    let mut all = index.manifests().clone();
    all.push(entry.clone());
    index.set_manifests(all);
    written(&index).map(Some)
}

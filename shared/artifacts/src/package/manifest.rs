//! The manifest of a version: pure, and the same bytes for the same submission. No time, no person and no machine is in
//! it, so that its digest names the content and nothing else.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use oci_spec::image::{
    ANNOTATION_TITLE, Arch, ConfigBuilder, Descriptor, DescriptorBuilder, ImageConfiguration,
    ImageConfigurationBuilder, ImageManifest, ImageManifestBuilder, MediaType, Os, RootFsBuilder,
    SCHEMA_VERSION,
};
use oci_spec::{OciSpecError, image};
use seatrial_domain::Digest;
use seatrial_domain::canonical::{sha256, to_bytes};
use seatrial_domain::flat;
use seatrial_domain::package::{Blob, PackageSummary, label};

use super::read::ReadError;
use crate::submission::{HashedFile, Inspected, bad_path};

/// What the manifest says it is.
pub const ARTIFACT_TYPE: &str = "application/vnd.seatrial.model.v1";
/// What each layer is: one file as it was submitted.
pub const FILE_TYPE: &str = "application/vnd.seatrial.model.file.v1";

/// A version as it will be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// The SHA-256 of the manifest: the version's name for machines.
    pub digest: Digest,
    /// The bytes of the manifest.
    pub manifest: Bytes,
    /// The bytes of the image's configuration, which holds the labels.
    pub config: Bytes,
    /// What the registry keeps.
    pub summary: PackageSummary,
}

/// A manifest that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest it was asked for by, and has.
    pub digest: Digest,
    /// The files of the version by their path.
    pub files: BTreeMap<String, Blob>,
    /// The image's configuration.
    pub config: Blob,
}

impl Inspected {
    /// The package of this submission. Pure: the same submission gives the same digest anywhere.
    ///
    /// # Errors
    /// When the manifest cannot be written as JSON; no submission that passed inspection is known to do that.
    pub fn package(&self) -> Result<Package, OciSpecError> {
        let labels = self.labels();
        let config = Bytes::from(to_bytes(&configuration(&labels, &self.files)?)?);
        let manifest = Bytes::from(to_bytes(&manifest(&config, &self.files)?)?);
        let blob = |f: &HashedFile| (f.path.clone(), Blob { digest: f.digest.clone(), size: f.size });
        let summary = PackageSummary {
            runtime: self.config.runtime.clone(),
            task: self.config.task.as_str().to_owned(),
            title: self.config.title.clone(),
            size: self.files.iter().map(|f| f.size).sum(),
            files: self.files.iter().map(blob).collect(),
            labels,
            changelog: self.changelog.clone(),
            config: flat::flatten(&serde_json::to_value(&self.config)?),
        };
        Ok(Package { digest: sha256(&manifest), manifest, config, summary })
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for (name, version) in &self.config.dependencies {
            labels.insert(format!("{}{name}", label::DEPENDENCY), version.clone());
        }
        let digests = [
            ("data_manifest.txt", label::TRAINING_DATA),
            ("model_card.md", label::MODEL_CARD),
            ("reference.parquet", label::REFERENCE),
        ];
        for (path, label) in digests {
            if let Some(file) = self.files.iter().find(|f| f.path == path) {
                labels.insert(label.to_owned(), file.digest.to_string());
            }
        }
        labels.insert(label::TRAINING_DATA_FILES.to_owned(), self.data_files.to_string());
        labels.insert(label::RUNTIME.to_owned(), self.config.runtime.clone());
        labels.insert(label::TASK.to_owned(), self.config.task.as_str().to_owned());
        labels.extend(self.config.title.clone().map(|title| (label::TITLE.to_owned(), title)));
        let serving = &self.config.serving;
        for (label, name) in
            [(label::LAMBDA_VERSION, &serving.lambda_version), (label::VARIANT, &serving.variant)]
        {
            labels.extend(name.clone().map(|name| (label.to_owned(), name)));
        }
        labels
    }
}

/// The image's configuration. It is an image configuration, and not a type of our own, so that OCI tools show the labels.
fn configuration(
    labels: &BTreeMap<String, String>,
    files: &[HashedFile],
) -> Result<ImageConfiguration, OciSpecError> {
    let labels: HashMap<String, String> = labels.clone().into_iter().collect();
    let layers: Vec<String> = files.iter().map(|f| f.digest.to_string()).collect();
    ImageConfigurationBuilder::default()
        .architecture(Arch::Other("unknown".to_owned()))
        .os(Os::Other("unknown".to_owned()))
        .config(ConfigBuilder::default().labels(labels).build()?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(layers).build()?)
        .build()
}

fn manifest(config: &Bytes, files: &[HashedFile]) -> Result<ImageManifest, OciSpecError> {
    let config = descriptor(MediaType::ImageConfig, &sha256(config), config.len() as u64, &[])?;
    let layers: Result<Vec<Descriptor>, OciSpecError> = files
        .iter()
        .map(|f| descriptor(MediaType::from(FILE_TYPE), &f.digest, f.size, &[(ANNOTATION_TITLE, &f.path)]))
        .collect();
    ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .artifact_type(MediaType::from(ARTIFACT_TYPE))
        .config(config)
        .layers(layers?)
        .build()
}

pub(super) fn descriptor(
    kind: MediaType,
    digest: &Digest,
    size: u64,
    annotations: &[(&str, &str)],
) -> Result<Descriptor, OciSpecError> {
    let digest: image::Digest = digest.as_str().parse()?;
    let mut built = DescriptorBuilder::default().media_type(kind).digest(digest).size(size);
    if !annotations.is_empty() {
        let all: HashMap<String, String> =
            annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        built = built.annotations(all);
    }
    built.build()
}

impl Manifest {
    /// Reads the bytes of a manifest whose digest was checked.
    ///
    /// # Errors
    /// [`ReadError::Invalid`] when it is no manifest of a version, or names a path that leaves its folder.
    pub fn parse(digest: &Digest, bytes: &[u8]) -> Result<Self, ReadError> {
        let invalid = |why: String| ReadError::Invalid { digest: digest.clone(), why };
        let parsed: ImageManifest = serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))?;
        if parsed.artifact_type().as_ref().is_none_or(|t| t.as_ref() != ARTIFACT_TYPE) {
            return Err(invalid(format!(
                "its artifactType is {:?}, and not {ARTIFACT_TYPE}",
                parsed.artifact_type()
            )));
        }
        let mut files = BTreeMap::new();
        for layer in parsed.layers() {
            let title = layer.annotations().as_ref().and_then(|a| a.get(ANNOTATION_TITLE));
            let path = title.ok_or_else(|| invalid("a layer has no title".to_owned()))?;
            if let Some(why) = bad_path(path) {
                return Err(invalid(format!("{path:?} is {why}")));
            }
            if files.insert(path.clone(), blob(layer).map_err(invalid)?).is_some() {
                return Err(invalid(format!("{path:?} is there twice")));
            }
        }
        Ok(Self { digest: digest.clone(), files, config: blob(parsed.config()).map_err(invalid)? })
    }
}

fn blob(descriptor: &Descriptor) -> Result<Blob, String> {
    let digest = Digest::parse(descriptor.digest().as_ref()).map_err(|e| e.to_string())?;
    Ok(Blob { digest, size: descriptor.size() })
}

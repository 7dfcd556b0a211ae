//! The inspection of a submission: everything is read once, every defect is collected, nothing is written.

use seatrial_domain::canonical::sha256;
use seatrial_domain::submission::Announced;
use seatrial_domain::{Digest, ModelName};
use seatrial_inference::{GraphInfo, ModelConfig};

use super::documents::{self, data_files, first_section};
use super::graph::GraphReader;
use super::structure::{self, MAX_TOTAL, bad_path};
use super::{ANNOUNCEMENT, Announcement, Defect, Entry, OnProgress, Progress, Source, Stage, weights};
use crate::store::{Hasher, ObjectMeta, StoreError};

/// The largest announcement that is read.
const MAX_ANNOUNCEMENT: u64 = 4 << 20;

/// A file whose bytes were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedFile {
    /// Its path in the submission.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// The very object that was read, where it lies in a store.
    pub at: Option<ObjectMeta>,
}

/// A submission without defects.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The model it is for.
    pub model: ModelName,
    /// Its files, by path, without `submission.json`.
    pub files: Vec<HashedFile>,
    /// Its `config.yaml`.
    pub config: ModelConfig,
    /// The first section of its `CHANGELOG.md`.
    pub changelog: String,
    /// How many files its `data_manifest.txt` lists.
    pub data_files: usize,
}

/// Why there is nothing to package.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The submission has these defects.
    #[error("the submission has {} defect{}: {}", .0.len(), if .0.len() == 1 { "" } else { "s" }, list(.0))]
    Refused(Vec<Defect>),
    /// It could not be read.
    #[error("the submission could not be read")]
    Store(#[from] StoreError),
}

fn list(defects: &[Defect]) -> String {
    defects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads and checks a submission.
///
/// # Errors
/// [`InspectError::Refused`] with every defect there is.
pub async fn inspect(
    source: &dyn Source,
    model: &ModelName,
    progress: OnProgress<'_>,
) -> Result<Inspected, InspectError> {
    inspect_announced(source, model, None, progress).await
}

/// The same of a submission that somebody may have announced: then it is what they announced, byte for byte, or refused.
///
/// # Errors
/// As [`inspect`].
pub async fn inspect_announced(
    source: &dyn Source,
    model: &ModelName,
    by: Option<&Announced>,
    progress: OnProgress<'_>,
) -> Result<Inspected, InspectError> {
    let listing = source.list().await?;
    if listing.files.is_empty() && listing.defects.is_empty() {
        let expected = "weights/, config.yaml, eval_results.json, CHANGELOG.md and data_manifest.txt";
        return Err(InspectError::Refused(vec![Defect::new("the submission", "no file at all", expected)]));
    }
    let mut defects = listing.defects;
    defects.extend(structure::check(&listing.files));
    let (announced, files): (Vec<Entry>, Vec<Entry>) =
        listing.files.into_iter().partition(|f| f.path == ANNOUNCEMENT);
    let mut inspection = Inspection { source, defects };
    let documents = inspection.documents(&files).await?;
    let remote = documents.config.as_ref().is_some_and(|config| config.remote.is_some());
    inspection.defects.extend(structure::weights(&files, remote));
    inspection.weights(&files, documents.config.as_ref()).await?;
    // What is too much to keep is not read either.
    if files.iter().map(|f| f.size).sum::<u64>() > MAX_TOTAL || files.len() > structure::MAX_FILES {
        return Err(InspectError::Refused(inspection.defects));
    }
    let hashed = inspection.hash(&files, documents.config.as_ref(), progress).await?;
    inspection.announcement(&announced, model, by, &hashed).await?;
    match (inspection.defects.is_empty(), documents.config) {
        (true, Some(config)) => Ok(Inspected {
            model: model.clone(),
            files: hashed,
            config,
            changelog: documents.changelog,
            data_files: documents.data_files,
        }),
        _ => Err(InspectError::Refused(inspection.defects)),
    }
}

#[derive(Default)]
struct Documents {
    config: Option<ModelConfig>,
    changelog: String,
    data_files: usize,
}

struct Inspection<'a> {
    source: &'a dyn Source,
    defects: Vec<Defect>,
}

impl Inspection<'_> {
    /// The documents that have a size at which they can be read; what is too large or missing is a defect already.
    async fn documents(&mut self, files: &[Entry]) -> Result<Documents, StoreError> {
        let mut read = Documents::default();
        for (name, _, limit) in structure::DOCUMENTS {
            let found = files.iter().find(|f| f.path == name && f.size > 0 && f.size <= limit);
            match found {
                Some(file) if name == "reference.parquet" => self.reference(file).await?,
                Some(file) => {
                    let bytes = self.source.range(file, 0, file.size).await?;
                    match documents::text(name, &bytes) {
                        Ok(text) => self.document(name, text, &mut read),
                        Err(defect) => self.defects.push(defect),
                    }
                }
                None => {}
            }
        }
        Ok(read)
    }

    fn document(&mut self, name: &str, text: &str, read: &mut Documents) {
        match name {
            "config.yaml" => match ModelConfig::from_yaml(text) {
                Ok(config) => read.config = Some(config),
                Err(found) => self.defects.extend(found.into_iter().map(config_defect)),
            },
            "eval_results.json" => self.defects.extend(documents::eval_results(text)),
            "data_manifest.txt" => {
                self.defects.extend(documents::data_manifest(text));
                read.data_files = data_files(text);
            }
            "CHANGELOG.md" => read.changelog = first_section(text),
            _ => {}
        }
    }

    async fn reference(&mut self, file: &Entry) -> Result<(), StoreError> {
        let head = self.source.range(file, 0, 4).await?;
        let tail = self.source.range(file, file.size.saturating_sub(4), 4).await?;
        self.defects.extend(documents::parquet(&file.path, &head, &tail, file.size));
        Ok(())
    }

    /// The first bytes of every file, and whether the graph is where the configuration says.
    async fn weights(&mut self, files: &[Entry], config: Option<&ModelConfig>) -> Result<(), StoreError> {
        for file in files.iter().filter(|f| f.path.starts_with("weights/") && bad_path(&f.path).is_none()) {
            let head = self.source.range(file, 0, weights::HEAD).await?;
            self.defects.extend(weights::check(&file.path, &head));
        }
        if let Some(config) = config.filter(|c| c.remote.is_none())
            && !files.iter().any(|f| f.path == config.model)
        {
            let found = format!("{}, which is not in the submission", config.model);
            let expected = "the path of the ONNX graph, such as weights/model.onnx";
            self.defects.push(Defect::new("config.yaml", found, expected).at("model"));
        }
        Ok(())
    }

    /// The one pass over all bytes: hashes, and reads the graph as it goes by.
    async fn hash(
        &mut self,
        files: &[Entry],
        config: Option<&ModelConfig>,
        progress: OnProgress<'_>,
    ) -> Result<Vec<HashedFile>, StoreError> {
        let total = files.iter().map(|f| f.size).sum();
        let mut done = 0;
        let mut hashed = Vec::with_capacity(files.len());
        for file in files.iter().filter(|f| bad_path(&f.path).is_none()) {
            let config = config.filter(|c| c.remote.is_none() && c.model == file.path);
            let mut graph = config.map(|_| GraphReader::start());
            let mut hasher = Hasher::default();
            let mut chunks = self.source.stream(file).await?;
            while let Some(chunk) = chunks.next().await? {
                if let Some(graph) = &mut graph {
                    graph.feed(&chunk).await;
                }
                hasher.update(&chunk);
                done += chunk.len() as u64;
                progress(&Progress { stage: Stage::Checking, file: file.path.clone(), done, total });
            }
            let (digest, size) = hasher.finish();
            hashed.push(HashedFile { path: file.path.clone(), size, digest, at: file.at.clone() });
            if let (Some(graph), Some(config)) = (graph, config) {
                self.graph(file, files, config, graph.finish().await);
            }
        }
        Ok(hashed)
    }

    fn graph(
        &mut self,
        file: &Entry,
        files: &[Entry],
        config: &ModelConfig,
        read: Result<GraphInfo, String>,
    ) {
        let graph = match read {
            Ok(graph) => graph,
            Err(why) => {
                let defect = Defect::new(&file.path, why, "a graph in ONNX format");
                return self.defects.push(defect.fix("export the model again, for example with skl2onnx"));
            }
        };
        self.defects.extend(config.check_graph(&graph).into_iter().map(config_defect));
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for location in &graph.external {
            let path = format!("{folder}/{location}");
            if !files.iter().any(|f| f.path == path) {
                let found = format!("weights in {location}, which is not in the submission");
                let expected = format!("the file {folder}/{location}");
                self.defects.push(
                    Defect::new(&file.path, found, expected)
                        .fix("add it, or save the graph with its weights inside"),
                );
            }
        }
    }

    async fn announcement(
        &mut self,
        found: &[Entry],
        model: &ModelName,
        by: Option<&Announced>,
        hashed: &[HashedFile],
    ) -> Result<(), StoreError> {
        let Some(file) = found.first() else {
            self.defects.extend(by.map(|by| Announcement::not_as_announced("no such file", by)));
            return Ok(());
        };
        if file.size > MAX_ANNOUNCEMENT {
            let found = format!("{} bytes", file.size);
            self.defects.push(Defect::new(ANNOUNCEMENT, found, format!("at most {MAX_ANNOUNCEMENT} bytes")));
            return Ok(());
        }
        let bytes = self.source.range(file, 0, file.size).await?;
        let digest = sha256(&bytes);
        if let Some(by) = by.filter(|by| by.digest != digest) {
            // Another file than the announced one: what it says of the others is beside the point.
            self.defects
                .push(Announcement::not_as_announced(&format!("a file with the digest {digest}"), by));
            return Ok(());
        }
        match Announcement::parse(&bytes) {
            Ok(announcement) => {
                self.defects.extend(announcement.check(model, hashed));
                self.defects.extend(by.and_then(|by| announcement.covers_all(by)));
            }
            Err(defect) => self.defects.push(defect),
        }
        Ok(())
    }
}

fn config_defect(found: seatrial_inference::Defect) -> Defect {
    let defect = Defect::new("config.yaml", found.found, found.expected);
    if found.field.is_empty() { defect } else { defect.at(found.field) }
}

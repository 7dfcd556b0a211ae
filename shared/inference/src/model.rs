//! A loaded version: bytes and configuration in, predictions out.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::logging::LogLevel;
use ort::session::{Session, SessionInputValue, builder::SessionBuilder};

use crate::answers::{Prediction, Raw, predictions};
use crate::batch::Batch;
use crate::bind::{Fed, bind};
use crate::config::ModelConfig;
use crate::error::{Defect, LoadError, PredictError};
use crate::oip::{OipTensor, Signature, TensorSpec, output_specs};
use crate::onnx::GraphInfo;
use crate::plan::{ColumnSpec, Plan, Source, plan};
use crate::raw;
use crate::runner::each;
use crate::runtime::Runtime;

/// A version that can predict. Shared between threads; one session runs one batch at a time.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    plan: Plan,
    signature: Signature,
    /// Behind a lock, since the engine's `Run` is not safe to call from several threads (see `ort`'s `Session::run`). A
    /// tabular model takes microseconds; who needs more loads the version once a thread.
    session: Mutex<Session>,
}

impl Model {
    /// Loads a version from the bytes of its graph, which must hold all its weights.
    ///
    /// # Errors
    /// If graph and configuration disagree, or the engine refuses the graph.
    pub fn from_bytes(
        runtime: &'static Runtime,
        bytes: &[u8],
        config: &ModelConfig,
    ) -> Result<Self, LoadError> {
        let graph = GraphInfo::read(bytes)?;
        let plan = plan(config, &graph).map_err(LoadError::Defects)?;
        if let Some(location) = graph.external.first() {
            let expected = "weights in the graph itself: it is loaded from memory";
            return Err(defect(config, format!("weights in `{location}`"), expected));
        }
        Self::new(config, plan, builder(runtime, config)?.commit_from_memory(bytes))
    }

    /// Loads a version from the file of its graph; weights in other files must lie in its folder or below.
    ///
    /// # Errors
    /// As [`Model::from_bytes`], and if a file cannot be read.
    pub fn from_file(
        runtime: &'static Runtime,
        path: &Path,
        config: &ModelConfig,
    ) -> Result<Self, LoadError> {
        let unreadable = |path: &Path, source| LoadError::File { path: path.display().to_string(), source };
        let file = std::fs::File::open(path).map_err(|e| unreadable(path, e))?;
        let graph = GraphInfo::read(file)?;
        let plan = plan(config, &graph).map_err(LoadError::Defects)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(|e| unreadable(folder, e))?;
        for location in &graph.external {
            let weights = folder.join(location);
            let real = weights.canonicalize().map_err(|e| unreadable(&weights, e))?;
            if !real.starts_with(&folder) {
                let expected = "weights beside the graph, and no links out of the folder";
                return Err(defect(config, format!("weights in `{location}`"), expected));
            }
        }
        Self::new(config, plan, builder(runtime, config)?.commit_from_file(path))
    }

    /// Loads a version from the folder of its submission: `config.yaml` and the graph that it names.
    ///
    /// # Errors
    /// As [`Model::from_file`], and every defect of `config.yaml`.
    pub fn from_folder(runtime: &'static Runtime, folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join("config.yaml");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| LoadError::File { path: path.display().to_string(), source })?;
        let config = ModelConfig::from_yaml(&text).map_err(LoadError::Defects)?;
        Self::from_file(runtime, &folder.join(&config.model), &config)
    }

    fn new(config: &ModelConfig, plan: Plan, session: ort::Result<Session>) -> Result<Self, LoadError> {
        let session = session.map_err(|e| LoadError::Engine(e.message().to_owned()))?;
        let signature = signature(config, &plan);
        Ok(Self { config: config.clone(), plan, signature, session: Mutex::new(session) })
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What it takes and answers, as metadata of the Open Inference Protocol say it.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The columns that a client sends.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.plan.columns
    }

    /// One prediction a row, in the order of the rows.
    ///
    /// # Errors
    /// If the batch does not fit (the client's) or the graph fails on any row (the model's).
    pub fn predict(&self, batch: &Batch) -> Result<Vec<Prediction>, PredictError> {
        if !self.plan.one_by_one || batch.rows() == 1 {
            return self.run(batch);
        }
        let rows = (0..batch.rows()).filter_map(|row| batch.slice(row, 1)).map(|row| self.run(&row));
        Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Each row's own outcome: a row on which the graph fails does not sink the others. A batch that fails is halved until
    /// the failing rows stand alone, so that a few bad rows cost a few more runs.
    pub fn predict_each(&self, batch: &Batch) -> Vec<Result<Prediction, PredictError>> {
        each(batch, &|part| self.predict(part))
    }

    /// A batch of a request's tensors: one a column, or a packed one that the configuration gives `features`.
    ///
    /// # Errors
    /// As [`Batch::from_oip`].
    pub fn batch_from_oip(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
        from_oip(&self.plan, tensors)
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    fn run(&self, batch: &Batch) -> Result<Vec<Prediction>, PredictError> {
        self.run_fed(bind(&self.plan, batch)?, batch.rows())
    }

    /// Runs tensors that are bound already; as many rows as the graph takes at once.
    pub(crate) fn run_fed(&self, all: Vec<Fed<'_>>, rows: usize) -> Result<Vec<Prediction>, PredictError> {
        let failed = |e: ort::Error| PredictError::model("session-failed", e.message().to_owned());
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(all.len());
        for fed in all {
            inputs.push((Cow::Borrowed(fed.name), raw::value(fed).map_err(failed)?));
        }
        // A panic elsewhere while the lock was held leaves the session as it was: it has no state between runs.
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(failed)?;
        let output = |name: &str| {
            let value = outputs.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
            value.ok_or_else(|| {
                PredictError::model("bad-output", format!("the graph did not answer `{name}`"))
            })
        };
        let mut answered = Raw { rows, ..Raw::default() };
        if let Some(name) = &self.plan.outputs.label {
            answered.labels = Some(raw::labels(name, &*output(name)?)?);
        }
        if let Some(name) = &self.plan.outputs.scores {
            answered.scores = Some(raw::scores(name, &*output(name)?)?);
        }
        if let Some(name) = &self.plan.outputs.value {
            answered.values = Some(raw::floats(name, &*output(name)?)?.1);
        }
        predictions(&self.config, answered)
    }
}

/// A batch of a request's tensors, packed ones taken apart.
pub(crate) fn from_oip(plan: &Plan, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
    let mut columns = Vec::new();
    for (name, column) in Batch::from_oip(tensors)?.into_columns() {
        let packed = plan.inputs.iter().find_map(|input| match &input.source {
            Source::Packed(features) if input.name == name && !features.contains(&name) => Some(features),
            _ => None,
        });
        let Some(features) = packed else {
            columns.push((name, column));
            continue;
        };
        if column.width() != features.len() {
            let expected = features.len();
            let message = format!("input `{name}` has {} columns, expected {expected}", column.width());
            return Err(PredictError::client("wrong-shape", message));
        }
        columns.extend(features.iter().enumerate().map(|(k, feature)| (feature.clone(), column.strided(k))));
    }
    Batch::from_columns(columns)
}

fn defect(config: &ModelConfig, found: String, expected: &str) -> LoadError {
    LoadError::Defects(vec![Defect::new(&config.model, found, expected)])
}

pub(crate) fn builder(runtime: &Runtime, config: &ModelConfig) -> Result<SessionBuilder, LoadError> {
    let failed = |e: ort::Error| LoadError::Engine(e.message().to_owned());
    let builder = Session::builder(&runtime.environment).map_err(failed)?;
    let builder = builder.with_intra_threads(config.threads.into()).map_err(|e| failed(e.into()))?;
    let builder = builder.with_inter_threads(1).map_err(|e| failed(e.into()))?;
    builder.with_log_level(LogLevel::Error).map_err(|e| failed(e.into()))
}

pub(crate) fn signature(config: &ModelConfig, plan: &Plan) -> Signature {
    let inputs = plan.columns.iter().map(|column| {
        let item = if column.item.is_empty() { &[1][..] } else { &column.item };
        let shape = std::iter::once(&-1).chain(item).copied().collect();
        TensorSpec { name: column.name.clone(), datatype: column.datatype, shape }
    });
    let outputs = output_specs(config, plan.outputs.label.is_some(), plan.outputs.scores.is_some());
    Signature { inputs: inputs.collect(), outputs }
}

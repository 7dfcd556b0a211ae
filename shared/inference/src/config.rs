//! `config.yaml`: how a version is fed and read.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::datatype::Datatype;
use crate::error::Defect;
use crate::onnx::GraphInfo;
use crate::serving::Serving;
use crate::{config_reader, plan};

/// What a version predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// One of two classes.
    Binary,
    /// One of several classes.
    Multiclass,
    /// A number.
    Regression,
}

impl Task {
    /// The name in `config.yaml` and in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Multiclass => "multiclass",
            Self::Regression => "regression",
        }
    }

    /// True where the version answers a class.
    pub fn is_classification(self) -> bool {
        self != Self::Regression
    }
}

/// What the score output of the graph holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Probabilities, 0 to 1.
    #[default]
    Probability,
    /// Logits: a sigmoid (one column) or a softmax (several) makes probabilities of them.
    Logit,
}

/// One input of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputConfig {
    /// The name in the graph; also the public column, unless `features` is given.
    pub name: String,
    /// The element type in the graph.
    pub datatype: Datatype,
    /// The shape in the graph, -1 for what varies; the first is the batch. Taken from the graph where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<i64>>,
    /// The public columns of a packed `[N, F]` tensor, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// Whether "no value" may be fed (as NaN); only for floats.
    pub nullable: bool,
}

/// Which outputs of the graph are read; what is not named is found by its type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OutputsConfig {
    /// The output with the class of each row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The output with the scores of each row: `[N, C]`, `[N, 1]` for two classes, or ZipMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// The output with the value of each row (regression).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What the scores are.
    pub score_kind: ScoreKind,
}

/// The whole of `config.yaml`, checked in itself. [`ModelConfig::check_graph`] checks it against a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelConfig {
    /// What the version predicts.
    pub task: Task,
    /// How the version is run; `onnx` is the only one so far.
    pub runtime: String,
    /// The name people gave the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The graph's path inside the submission.
    pub model: String,
    /// The inputs of the graph.
    pub inputs: Vec<InputConfig>,
    /// The outputs of the graph.
    pub outputs: OutputsConfig,
    /// The classes, in the order of the scores; empty for regression.
    pub classes: Vec<String>,
    /// Whether all classes were written as integers: then an integer label of the graph is a class, else its index.
    pub integer_classes: bool,
    /// The class that metrics call positive (binary).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_class: Option<String>,
    /// Threads inside one operator.
    pub threads: u16,
    /// What the version was made with: name to version.
    pub dependencies: BTreeMap<String, String>,
    /// What it is called where traffic is split by somebody else.
    #[serde(skip_serializing_if = "Serving::is_empty")]
    pub serving: Serving,
}

impl ModelConfig {
    /// Reads `config.yaml`.
    ///
    /// # Errors
    /// Every defect of the text at once, in the order of the fields.
    pub fn from_yaml(text: &str) -> Result<Self, Vec<Defect>> {
        config_reader::read(text)
    }

    /// Everything in which this configuration and the graph disagree, and everything in the graph that is never run:
    /// operators of unknown domains, outputs that are no prediction, weights outside the folder.
    pub fn check_graph(&self, graph: &GraphInfo) -> Vec<Defect> {
        plan::plan(self, graph).err().unwrap_or_default()
    }

    /// The place of the positive class in `classes`.
    pub fn positive_index(&self) -> Option<usize> {
        let positive = self.positive_class.as_ref()?;
        self.classes.iter().position(|c| c == positive)
    }
}

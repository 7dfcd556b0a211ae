//! What can be wrong: with a submission (defects), with loading a version, and with a prediction.

use std::fmt;

use serde::Serialize;

/// Something wrong with `config.yaml`, or between it and the graph, at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Defect {
    /// Where: a path like `inputs[2].datatype`; empty for the file as a whole.
    pub field: String,
    /// What stood there.
    pub found: String,
    /// What should stand there.
    pub expected: String,
}

impl Defect {
    /// A defect at `field`.
    pub fn new(field: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field: field.into(), found: found.into(), expected: expected.into() }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.field.is_empty() { "file" } else { &self.field };
        write!(f, "{place}: found {}, expected {}", self.found, self.expected)
    }
}

/// Whose fault an error is. Only the model's errors count against a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The request does not fit the model's columns.
    Client,
    /// The graph failed, or answered something that is no prediction.
    Model,
}

impl Side {
    /// `client` or `model`, as observations write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Model => "model",
        }
    }
}

/// Why a batch has no predictions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// The request does not fit the model's columns.
    #[error("{message}")]
    Client {
        /// Stable: `missing-column`, `unknown-column`, `duplicate-column`, `wrong-type`, `wrong-shape`, `null-value`,
        /// `out-of-range`, `no-rows`.
        code: &'static str,
        /// For people: the place, what was found, what was expected.
        message: String,
    },
    /// The graph failed, or answered something that is no prediction.
    #[error("{message}")]
    Model {
        /// Stable: `session-failed`, `bad-output`, `not-finite`; of a remote version also `remote-unavailable`, `remote-timeout`,
        /// `remote-refused`, `remote-failed`.
        code: &'static str,
        /// For people: the output and row, and what was found.
        message: String,
    },
}

impl PredictError {
    pub(crate) fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self::Client { code, message: message.into() }
    }

    /// An error of the model's, for whoever runs it elsewhere.
    pub fn remote(code: RemoteCode, message: impl Into<String>) -> Self {
        Self::Model { code: code.as_str(), message: message.into() }
    }

    /// Whether it is about a batch as a whole: none of its rows would fare better by itself.
    pub fn concerns_all_rows(&self) -> bool {
        let unavailable = RemoteCode::Unavailable.as_str();
        self.code() == unavailable || matches!(self.code(), "missing-column" | "unknown-column")
    }

    /// Whether a service failed to answer. One bad row, or too many at a time, may be why, and so may the service itself.
    pub fn is_remote(&self) -> bool {
        RemoteCode::ALL.iter().any(|code| code.as_str() == self.code())
    }

    pub(crate) fn model(code: &'static str, message: impl Into<String>) -> Self {
        Self::Model { code, message: message.into() }
    }

    /// Whose fault it is.
    pub fn side(&self) -> Side {
        match self {
            Self::Client { .. } => Side::Client,
            Self::Model { .. } => Side::Model,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Client { code, .. } | Self::Model { code, .. } => code,
        }
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        match self {
            Self::Client { message, .. } | Self::Model { message, .. } => message,
        }
    }
}

/// How a remote version fails to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteCode {
    /// Nobody answered, or only that it has no room now.
    Unavailable,
    /// The answer did not come in time.
    Timeout,
    /// The request was refused.
    Refused,
    /// It failed on the request.
    Failed,
}

impl RemoteCode {
    const ALL: [Self; 4] = [Self::Unavailable, Self::Timeout, Self::Refused, Self::Failed];

    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "remote-unavailable",
            Self::Timeout => "remote-timeout",
            Self::Refused => "remote-refused",
            Self::Failed => "remote-failed",
        }
    }
}

/// Why a version could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `config.yaml` is wrong, or it and the graph disagree; all defects at once.
    #[error("{}", list(.0))]
    Defects(Vec<Defect>),
    /// The graph is not readable ONNX.
    #[error(transparent)]
    Graph(#[from] crate::onnx::GraphError),
    /// ONNX Runtime refused the graph.
    #[error("ONNX Runtime refused the graph: {0}")]
    Engine(String),
}

fn list(defects: &[Defect]) -> String {
    defects.iter().map(Defect::to_string).collect::<Vec<_>>().join("; ")
}

//! The ONNX Runtime library: loaded once a process, from a path that the configuration names.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::logging::LogLevel;

/// Why the library could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is no such file.
    #[error("there is no ONNX Runtime library at {path}; expected libonnxruntime.so, version 1.24 or newer")]
    Missing {
        /// The path that was tried.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a library that fits.
    #[error("the ONNX Runtime library at {path} cannot be used: {why}")]
    Unusable {
        /// The path that was tried.
        path: PathBuf,
        /// The loader's words.
        why: String,
    },
    /// A process has one library.
    #[error(
        "ONNX Runtime is already loaded from {loaded}, and a process can load it only once; asked for {asked}"
    )]
    Other {
        /// Where the loaded one lies.
        loaded: PathBuf,
        /// The path that was asked for.
        asked: PathBuf,
    },
}

/// The loaded library.
#[derive(Debug)]
pub struct Runtime {
    path: PathBuf,
    pub(crate) environment: ort::environment::Environment,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

impl Runtime {
    /// Loads the library; a second call with the same path gives the same runtime.
    ///
    /// # Errors
    /// If the file is missing or unfit, or another one is loaded already.
    pub fn load(path: &Path) -> Result<&'static Self, RuntimeError> {
        let missing = |source| RuntimeError::Missing { path: path.to_path_buf(), source };
        let path = path.canonicalize().map_err(missing)?;
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = RUNTIME.get() {
            if runtime.path == path {
                return Ok(runtime);
            }
            return Err(RuntimeError::Other { loaded: runtime.path.clone(), asked: path });
        }
        let unusable = |why: String| RuntimeError::Unusable { path: path.clone(), why };
        let environment = ort::init_from(&path)
            .map_err(|e| unusable(e.to_string()))?
            .with_name("seatrial")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|e| unusable(e.to_string()))?;
        environment.set_log_level(LogLevel::Error);
        Ok(RUNTIME.get_or_init(|| Self { path, environment }))
    }

    /// Where the library was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the library says of its build.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }
}

/// The engine's own messages: what fails a request is an error of that request already, so here it is only for debugging.
fn log(level: LogLevel, category: &str, _id: &str, _location: &str, message: &str) {
    tracing::debug!(target: "onnxruntime", ?level, category, "{message}");
}

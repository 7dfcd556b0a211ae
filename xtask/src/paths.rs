//! Where things lie: the workspace, its target directory, and what the tasks keep there.

use std::path::{Path, PathBuf};

/// The root of the workspace, known since this crate was compiled inside it.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The directory all generated files go to; ignored by git.
pub fn target() -> PathBuf {
    workspace().join("target")
}

/// Where the deployable zips lie: `target/lambda`.
pub fn lambda() -> PathBuf {
    target().join("lambda")
}

/// A path as people read it: relative to the workspace where possible.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}

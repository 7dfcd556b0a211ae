//! Interpreters of Python, where a program needs one of certain versions and `python3` may be another.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::paths;

/// What LocalStack 4.14 runs on. Its code does not load on 3.12 (it annotates with `Lock | None`), and it was not made for 3.14.
pub const LOCALSTACK: &str = "3.13";

/// An interpreter of this version, with what makes virtual environments.
pub fn of(version: &str) -> Result<PathBuf> {
    let found = candidates(version).into_iter().find(|path| is_of(path, version));
    found.with_context(|| {
        format!(
            "no Python {version} with its venv module was found (as python{version} on PATH, among those of pyenv and uv, in /opt/hostedtoolcache); \
             `.ci/python3.13` installs or builds 3.13 on Debian, `pyenv install` and `uv python install` do anywhere"
        )
    })
}

/// Where an interpreter of a version may be: on the search path, and where version managers put theirs.
fn candidates(version: &str) -> Vec<PathBuf> {
    let name = format!("python{version}");
    // `.ci/python3.13` builds one where the system has none.
    let built = paths::target().join("local").join(&name).join("bin").join(&name);
    let mut found = vec![PathBuf::from(&name), PathBuf::from("python3"), built];
    let home = folder("HOME").unwrap_or_default();
    for folder in [
        folder("PYENV_ROOT").unwrap_or_else(|| home.join(".pyenv")).join("versions"),
        folder("UV_PYTHON_INSTALL_DIR").unwrap_or_else(|| home.join(".local/share/uv/python")),
        PathBuf::from("/opt/hostedtoolcache/Python"),
    ] {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
            .map(|all| all.filter_map(|e| Some(e.ok()?.path())).collect())
            .unwrap_or_default();
        entries.sort();
        // The newest first.
        for entry in entries.iter().rev() {
            found.push(entry.join("bin").join(&name));
            found.push(entry.join("x64/bin").join(&name));
            found.push(entry.join("arm64/bin").join(&name));
        }
    }
    found
}

#[expect(
    clippy::disallowed_methods,
    reason = "version managers keep their interpreters in the home directory, or where their own variables say"
)]
fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Does it start, is it of this version, and can it make virtual environments? A shim of pyenv starts and may be of none.
fn is_of(path: &Path, version: &str) -> bool {
    let probe = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])";
    let output = Command::new(path).args(["-c", probe]).stdin(Stdio::null()).output();
    output.is_ok_and(|o| o.status.success() && String::from_utf8_lossy(&o.stdout).trim() == version)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_with_what_to_do() {
        let error = of("9.99").unwrap_err().to_string();
        assert!(error.contains("no Python 9.99") && error.contains("pyenv install"), "{error}");
    }

    #[test]
    fn a_program_that_is_no_interpreter_is_none() {
        assert!(!is_of(Path::new("/bin/true"), "3.13") && !is_of(Path::new("/nowhere/python3.13"), "3.13"));
    }
}

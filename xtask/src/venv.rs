//! Python virtual environments with pinned contents, made once and made again when the pins change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{digest, run};

/// A virtual environment whose packages are those of one requirements file.
pub struct Venv {
    root: PathBuf,
}

impl Venv {
    /// Makes the environment at `root` with the packages of `requirements`, unless it stands already with exactly these.
    pub fn ensure(root: &Path, requirements: &Path) -> Result<Self> {
        check_python()?;
        Self::ensure_with(Path::new("python3"), root, requirements)
    }

    /// The same, of a certain interpreter.
    pub fn ensure_with(python: &Path, root: &Path, requirements: &Path) -> Result<Self> {
        let venv = Self { root: root.to_path_buf() };
        let wanted = digest::of_file(requirements)?;
        let marker = root.join("requirements.sha256");
        if venv.python().exists() && fs::read_to_string(&marker).is_ok_and(|found| found == wanted) {
            return Ok(venv);
        }
        if root.exists() {
            fs::remove_dir_all(root).with_context(|| format!("cannot replace {}", root.display()))?;
        }
        run::quiet(Command::new(python).args(["-m", "venv"]).arg(root)).context(
            "Python cannot make a virtual environment; on Debian and Ubuntu install the package `python3-venv`",
        )?;
        run::quiet(venv.pip().args(["install", "--quiet", "--requirement"]).arg(requirements))
            .with_context(|| format!("cannot install the packages of {}", requirements.display()))?;
        fs::write(&marker, wanted).with_context(|| format!("cannot write {}", marker.display()))?;
        Ok(venv)
    }

    /// The interpreter of this environment.
    pub fn python(&self) -> PathBuf {
        self.root.join("bin/python")
    }

    /// A program that the packages installed.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// pip of this environment, without its remarks about newer versions of itself.
    pub fn pip(&self) -> Command {
        let mut command = Command::new(self.python());
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]);
        command
    }
}

/// Refuses with one sentence when python3 or its venv module is missing or too old.
fn check_python() -> Result<()> {
    let probe = "import sys, venv, ensurepip; sys.exit(0 if sys.version_info >= (3, 10) else 7)";
    let output = match Command::new("python3").args(["-c", probe]).output() {
        Ok(output) => output,
        Err(error) => {
            bail!("python3 is needed and cannot be started ({error}); install Python 3.10 or newer")
        }
    };
    match output.status.code() {
        Some(0) => Ok(()),
        Some(7) => bail!("python3 is older than 3.10; install a newer one and put it first on PATH"),
        _ => bail!("python3 lacks its venv module; on Debian and Ubuntu install the package `python3-venv`"),
    }
}

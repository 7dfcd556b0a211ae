//! `infra/cdk`, the construct for the AWS CDK: its packages as pinned, its format, its types, its tests, which synthesize the example too.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{digest, paths, run};

/// The oldest Node.js that the CDK runs on.
const NODE: u32 = 20;

/// Why the construct cannot be tested on this machine, if it cannot.
pub fn hindrance() -> Option<String> {
    if !run::exists("npm") {
        return Some(format!("npm is not installed, and the CDK needs it with Node.js {NODE} or newer"));
    }
    let said = run::quiet(Command::new("node").arg("--version")).unwrap_or_default();
    match major(&said) {
        Some(found) if found >= NODE => None,
        _ => Some(format!("the CDK needs Node.js {NODE} or newer, found {:?}", said.trim())),
    }
}

/// Checks the format and the types, and runs the tests.
pub fn check() -> Result<()> {
    let folder = paths::workspace().join("infra/cdk");
    install(&folder)?;
    run::quiet(&mut npm(&folder, &["run", "--silent", "format"]))
        .context("run `npx prettier --write lib test examples` in infra/cdk")?;
    run::quiet(&mut npm(&folder, &["run", "--silent", "build"])).context("infra/cdk does not compile")?;
    run::loud(&mut npm(&folder, &["test", "--silent"])).context("the tests of infra/cdk fail")
}

/// Installs the packages of the lock file, unless exactly these are there.
fn install(folder: &Path) -> Result<()> {
    let wanted = digest::of_file(&folder.join("package-lock.json"))?;
    let marker = folder.join("node_modules/lock.sha256");
    if fs::read_to_string(&marker).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    run::quiet(&mut npm(folder, &["ci", "--no-audit", "--no-fund"]))
        .context("cannot install the packages of infra/cdk/package-lock.json")?;
    fs::write(&marker, wanted).with_context(|| format!("cannot write {}", paths::shown(&marker)))
}

fn npm(folder: &Path, arguments: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(arguments);
    npm
}

/// The first number of what `node --version` says: 20 of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn a_version_of_node_is_read_or_not_believed() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v9.1.0"), Some(9));
        for strange in ["", "20.20.2", "node", "v"] {
            assert_eq!(major(strange), None, "{strange:?}");
        }
    }
}

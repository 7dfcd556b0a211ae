//! axe-core, the engine of accessibility checks: fetched once with npm, and used only if it is the very file that is pinned.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;

use seatrial_domain::canonical::sha256;
use serde_json::{Value, json};

use super::browser::Browser;

const PACKAGE: &str = "axe-core@4.14.1";
const SHA256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// The script. It is kept in the build folder between runs.
pub fn script() -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let kept = folder.join("axe.min.js");
    if !kept.exists() {
        fetch(&folder, &kept);
    }
    let text = std::fs::read_to_string(&kept).unwrap();
    let found = sha256(text.as_bytes());
    assert_eq!(found.hex(), SHA256, "{} is not axe.min.js of {PACKAGE}; remove it", kept.display());
    text
}

fn run(command: &mut Command) {
    let done = command.output();
    let done = done.unwrap_or_else(|e| {
        panic!("the pages are checked with {PACKAGE}, and npm and tar are needed to fetch it: {e}")
    });
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Written beside and renamed: tests run at the same time.
fn fetch(folder: &Path, kept: &Path) {
    let own: PathBuf = folder.join(std::process::id().to_string());
    std::fs::create_dir_all(&own).unwrap();
    run(Command::new("npm").args(["pack", "--silent", PACKAGE]).current_dir(&own));
    let archive = std::fs::read_dir(&own).unwrap().next().expect("npm leaves an archive").unwrap().path();
    run(Command::new("tar").args(["-xzf"]).arg(&archive).arg("package/axe.min.js").current_dir(&own));
    std::fs::rename(own.join("package/axe.min.js"), kept).unwrap();
    std::fs::remove_dir_all(&own).unwrap();
}

/// What is wrong with the page as it is shown now, seriously: a line each with the rule, the element and what to do.
pub async fn findings(browser: &Browser, script: &str) -> Vec<String> {
    let run = format!(
        "{script}; const done = arguments[arguments.length - 1]; axe.run(document, {{ resultTypes: ['violations'] }}).then(r => done(r.violations), e => done(String(e)));"
    );
    let found = browser.post("/execute/async", json!({ "script": run, "args": [] })).await;
    let found = found.as_array().unwrap_or_else(|| panic!("axe did not run: {found}"));
    let serious = |v: &&Value| matches!(v["impact"].as_str(), Some("serious" | "critical") | None);
    let lines = found.iter().filter(serious).flat_map(|v| {
        let id = v["id"].clone();
        let nodes = v["nodes"].as_array().cloned().unwrap_or_default();
        nodes.into_iter().map(move |n| {
            format!(
                "{id}: {} {}",
                n["html"],
                n["failureSummary"].as_str().unwrap_or_default().replace('\n', " ")
            )
        })
    });
    lines.collect()
}

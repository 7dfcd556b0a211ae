//! Files of tests are listed in their program's main file; one that is not is never run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders with integration tests that are one program.
fn programs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found =
        vec![root.join("tests/tests/e2e"), root.join("tests/tests/offline"), root.join("tests/tests/faults")];
    for group in ["functions", "shared"] {
        let crates = fs::read_dir(root.join(group)).unwrap();
        found.extend(crates.map(|one| one.unwrap().path().join("tests")));
    }
    found.retain(|folder| folder.join("main.rs").exists());
    found
}

#[test]
fn every_file_of_tests_is_run() {
    let programs = programs();
    assert!(programs.len() > 10, "{programs:?}");
    for folder in programs {
        let listed = fs::read_to_string(folder.join("main.rs")).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let test = path.extension().is_some_and(|extension| extension == "rs") && name != "main";
            assert!(
                !test || listed.lines().any(|line| line == format!("mod {name};")),
                "{} is not named in main.rs beside it",
                path.display()
            );
        }
    }
}

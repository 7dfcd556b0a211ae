//! What the documents name exists: tests that are called as proof, and pages that are linked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use seatrial_tests::{docs, repository};

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.extend(["README.md", "CHANGELOG.md"].map(repository));
    pages
}

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Words in backticks that read like a test's name: small letters with at least three underscores.
fn named(text: &str) -> BTreeSet<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|word| word.matches('_').count() >= 3)
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
        .collect()
}

#[test]
fn every_test_that_a_document_calls_as_proof_exists() {
    let mut code = String::new();
    for folder in ["functions", "shared", "cli", "xtask", "tests"] {
        sources(&repository(folder), &mut code);
    }
    let (mut seen, mut gone) = (0, Vec::new());
    for page in ["docs/ARCHITECTURE.md", "docs/threat-model.md"] {
        let text = fs::read_to_string(repository(page)).unwrap();
        for name in named(&text) {
            seen += 1;
            let there = ["(", "<"].iter().any(|after| code.contains(&format!("fn {name}{after}")));
            gone.extend((!there).then(|| format!("{page}: {name}")));
        }
    }
    assert!(gone.is_empty(), "no source has these tests:\n{}", gone.join("\n"));
    assert!(seen > 60, "{seen} tests are named");
}

#[test]
fn every_page_that_is_linked_exists() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let target = rest.split(')').next().unwrap();
            let (file, _) = target.split_once('#').unwrap_or((target, ""));
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let there = page.parent().unwrap().join(file);
            assert!(there.exists(), "{} links {target}, which is not there", page.display());
        }
    }
}

#[test]
fn what_an_earlier_release_cannot_read_or_would_drop_is_told_where_the_way_back_is() {
    use seatrial_domain::promotion::{EvidenceKind, PromotionStatus};
    use seatrial_domain::version::VersionStatus;

    let page = fs::read_to_string(repository("docs/upgrade.md")).unwrap();
    let (_, back) = page.split_once("## Back again").unwrap();
    let back = back.split("\n## ").next().unwrap();
    // Words of records that 0.1.0 does not have, and fields of the head that it does not write.
    let document = serde_json::to_value(EvidenceKind::Document).unwrap();
    let unreadable =
        [VersionStatus::Collected.as_str(), PromotionStatus::Adopted.as_str(), document.as_str().unwrap()];
    for word in unreadable.into_iter().chain(["waiting", "collecting"]) {
        assert!(back.contains(&format!("`{word}`")), "{word}: {back}");
    }
    assert!(back.contains("seatrial withdraw") && back.contains("no way back"), "{back}");
}

#[test]
fn every_command_and_program_of_a_document_is_run_by_the_suite_or_left_out_by_name() {
    let suite = fs::read_to_string(repository("tests/tests/e2e/documents.rs")).unwrap();
    let left_out = docs::left_out().unwrap();
    let mut used = vec![false; left_out.len()];
    let mut toured = 0;
    for page in docs::pages().unwrap() {
        let blocks = docs::blocks(&page).unwrap();
        for block in &blocks {
            for (one, used) in left_out.iter().zip(&mut used) {
                *used |= block.text.lines().any(|line| one.takes(block, line));
            }
        }
        if blocks.iter().any(|block| !docs::remaining(block, &left_out).trim().is_empty()) {
            assert!(
                suite.contains(&format!("Tour::new(&stack, \"{page}\"")),
                "nothing runs what {page} shows"
            );
            toured += 1;
        }
    }
    assert!(toured >= 10, "{toured} pages");
    for (one, used) in left_out.iter().zip(used) {
        assert!(used && !one.reason.is_empty(), "nothing of {} is left out by {one:?}", one.page);
    }
}

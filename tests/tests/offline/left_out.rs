//! What engines cannot do is said in one short list, and every name in it is a test that exists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use seatrial_tests::repository;
use serde_json::Value;

/// More than this is no exception any more.
const MOST: usize = 14;
/// An emulator is chosen for what it can do.
const MOST_OF_AN_EMULATOR: usize = 3;

#[test]
fn every_test_that_an_engine_leaves_out_exists_and_has_a_reason() {
    let text = fs::read_to_string(repository("tests/left_out.json")).unwrap();
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(list.len() <= MOST, "{} entries", list.len());
    let of = |engine: &str| list.iter().filter(|one| one["engine"] == engine).count();
    assert_eq!(of("ministack") + of("localstack") + of("aws"), list.len(), "an engine is not known");
    assert!(of("ministack") <= MOST_OF_AN_EMULATOR && of("localstack") <= MOST_OF_AN_EMULATOR);
    for one in &list {
        let (name, reason) = (one["test"].as_str().unwrap(), one["reason"].as_str().unwrap());
        assert!(reason.split(' ').count() > 3, "{name}: {reason:?} tells nobody what is missing");
        let (module, test) = name.split_once("::").unwrap();
        let file = repository("tests/tests/e2e").join(format!("{module}.rs"));
        let code = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        // A whole module, or a test of it.
        assert!(test.is_empty() || code.contains(&format!("async fn {test}(")), "there is no test {name}");
    }
}

//! Where the fixtures and the library lie.
#![allow(dead_code)] // each test file uses its own part

use std::path::{Path, PathBuf};

use seatrial_inference::Runtime;
use serde_json::{Map, Value};

pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

pub fn fixtures() -> PathBuf {
    workspace().join("tests/fixtures")
}

/// The library that `cargo xtask onnxruntime` fetches. A test without it fails: skipping would look like passing.
pub fn runtime() -> &'static Runtime {
    let path = workspace().join("target/onnxruntime/1.24.4/libonnxruntime.so");
    Runtime::load(&path).unwrap_or_else(|e| panic!("{e}: run `cargo xtask onnxruntime`"))
}

pub fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

pub fn objects(rows: &Value) -> Vec<Map<String, Value>> {
    rows.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect()
}

/// The features of the first `n` requests of a traffic file.
pub fn traffic(file: &str, n: usize) -> Vec<Map<String, Value>> {
    let text = std::fs::read_to_string(fixtures().join(file)).unwrap();
    let row =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["features"].as_object().unwrap().clone();
    text.lines().take(n).map(row).collect()
}

//! End-to-end and offline suites.

pub mod asl;
pub mod docs;
pub mod faults;
#[cfg(feature = "engine")]
pub mod stack;
pub mod template;

use std::path::PathBuf;

/// A file or folder of the repository.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

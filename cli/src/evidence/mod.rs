//! Evidence from wherever it lies, as files by their paths.

mod archive;
mod bucket;
mod folder;

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::{Failure, NOT_FOUND};

pub(crate) use bucket::Bucket;

/// The largest file that is read, in bytes. Evidence is small; what is larger is none.
const FILE_LIMIT: u64 = 256 << 20;
/// The most bytes that are read altogether.
const TOTAL_LIMIT: u64 = 4 << 30;

/// Files by their paths, with `/`.
pub(crate) type Collected = BTreeMap<String, Vec<u8>>;

/// Files of a place, up to the limits.
#[derive(Debug, Default)]
struct Collector {
    files: Collected,
    bytes: u64,
}

impl Collector {
    /// Whether a file of this size may be read.
    fn admit(&mut self, path: &str, size: u64) -> Result<(), Failure> {
        self.bytes = self.bytes.saturating_add(size);
        if size > FILE_LIMIT || self.bytes > TOTAL_LIMIT {
            return Err(Failure::invalid(format!(
                "{path} has {size} bytes; files of evidence have at most {FILE_LIMIT}, and {TOTAL_LIMIT} together: is this the right place?"
            )));
        }
        Ok(())
    }
}

/// The files of a folder, or of a `.zip` archive.
///
/// # Errors
/// When it is not there, cannot be read, or holds what evidence never holds.
pub(crate) fn on_disk(path: &Path) -> Result<Collected, Failure> {
    if path.is_dir() {
        folder::read(path)
    } else if path.is_file() {
        archive::read(path)
    } else {
        Err(Failure::new(NOT_FOUND, "not_found", format!("{} is not there", path.display())))
    }
}

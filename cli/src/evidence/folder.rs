//! A folder on disk.

use std::fs;
use std::path::Path;

use super::{Collected, Collector};
use crate::failure::Failure;

/// All files below `root`. Links are refused: what they point to is not what was handed over.
pub(super) fn read(root: &Path) -> Result<Collected, Failure> {
    let mut collector = Collector::default();
    below(root, "", &mut collector)?;
    Ok(collector.files)
}

fn below(folder: &Path, prefix: &str, collector: &mut Collector) -> Result<(), Failure> {
    let cannot =
        |path: &Path, e: std::io::Error| Failure::invalid(format!("{} cannot be read: {e}", path.display()));
    for entry in fs::read_dir(folder).map_err(|e| cannot(folder, e))? {
        let entry = entry.map_err(|e| cannot(folder, e))?;
        let at = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| {
            Failure::invalid(format!("{} has a name that is no text; evidence has none such", at.display()))
        })?;
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(|e| cannot(&at, e))?;
        if kind.is_dir() {
            below(&at, &format!("{path}/"), collector)?;
        } else if kind.is_file() {
            collector.admit(&path, entry.metadata().map_err(|e| cannot(&at, e))?.len())?;
            collector.files.insert(path, fs::read(&at).map_err(|e| cannot(&at, e))?);
        } else {
            return Err(Failure::invalid(format!(
                "{} is neither a file nor a folder; copy what it points to in its place",
                at.display()
            )));
        }
    }
    Ok(())
}

//! A `.zip` archive, as `seatrial audit export` writes it.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use zip::ZipArchive;

use super::{Collected, Collector};
use crate::failure::Failure;

/// All files of the archive. Nothing is written to disk, so no path in it can lead anywhere.
pub(super) fn read(path: &Path) -> Result<Collected, Failure> {
    let cannot = |e: &dyn std::fmt::Display| {
        Failure::invalid(format!(
            "{} is no folder, PDF, signed manifest or .zip archive of evidence: {e}",
            path.display()
        ))
    };
    let file = File::open(path).map_err(|e| cannot(&e))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| cannot(&e))?;
    let mut collector = Collector::default();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| cannot(&e))?;
        if entry.is_dir() {
            continue;
        }
        let (name, size) = (entry.name().map_err(|e| cannot(&e))?.into_owned(), entry.size());
        collector.admit(&name, size)?;
        let mut bytes = Vec::new();
        // The size that an entry claims is a claim.
        entry.take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| cannot(&e))?;
        if bytes.len() as u64 != size {
            return Err(cannot(&format!("{name} has another size than the archive says")));
        }
        if collector.files.insert(name.clone(), bytes).is_some() {
            return Err(cannot(&format!("{name} is in it twice")));
        }
    }
    Ok(collector.files)
}

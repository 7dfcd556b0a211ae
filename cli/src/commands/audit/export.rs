//! One archive for an auditor.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use seatrial_domain::promotion::EvidenceKind;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{Pack, cannot_write};
use crate::failure::Failure;
use crate::output::{self, Format};

/// The auditor's README; what is in braces is filled in.
const README: &str = include_str!("README.auditor.md");

/// Writes the archive under its name only when it is whole. The same evidence gives the same bytes.
pub(super) fn export(format: Format, pack: &Pack, file: &Path) -> Result<(), Failure> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().ok_or_else(|| Failure::invalid("--file names no file"))?;
    let part = folder.join(format!(".{}.part", name.to_string_lossy()));
    let written = write(pack, &part).and_then(|()| std::fs::rename(&part, file));
    written.map_err(|e| {
        drop(std::fs::remove_file(&part));
        cannot_write(file, &e)
    })?;
    let size = std::fs::metadata(file).map(|m| m.len()).unwrap_or_default();
    let answer = json!({ "file": file, "objects": pack.stored.len(), "bytes": size });
    output::print(format, &answer, |_| {
        format!(
            "wrote {}: {} objects, {size} bytes; the auditor begins with its README.md",
            file.display(),
            pack.stored.len()
        )
    })
}

fn write(pack: &Pack, part: &Path) -> std::io::Result<()> {
    let mut archive = ZipWriter::new(File::create(part)?);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut add = |path: &str, bytes: &[u8]| {
        archive.start_file(path, options)?;
        archive.write_all(bytes)
    };
    add("README.md", readme(pack).as_bytes())?;
    let many = pack.keys.len() > 1;
    for (number, key) in pack.keys.iter().enumerate() {
        let name = if many { format!("key-{}.pem", number + 1) } else { "key.pem".to_owned() };
        add(&name, key.to_pem().as_bytes())?;
    }
    for (path, bytes) in &pack.stored {
        add(path, bytes)?;
    }
    archive.finish()?.sync_all()
}

fn readme(pack: &Pack) -> String {
    let promotion = &pack.promotion;
    let digest = |kind| promotion.evidence.get(&kind).map_or_else(|| "none".into(), |e| e.digest.to_string());
    let from = promotion.champion.as_ref().map_or_else(|| "nothing".into(), |c| c.version.to_string());
    let folder = seatrial_domain::promotion::evidence_prefix(&promotion.model, &promotion.id);
    let keys: Vec<&str> = pack.keys.iter().map(|k| k.id()).collect();
    README
        .replace("{model}", promotion.model.as_str())
        .replace("{promotion}", promotion.id.as_str())
        .replace("{from}", &from)
        .replace("{to}", &promotion.challenger.version.to_string())
        .replace("{status}", promotion.status.as_str())
        .replace("{folder}", &folder)
        .replace("{manifest}", &digest(EvidenceKind::Manifest))
        .replace("{document}", &digest(EvidenceKind::Document))
        .replace("{package}", &promotion.challenger.digest.to_string())
        .replace("{key}", &keys.join(", "))
}

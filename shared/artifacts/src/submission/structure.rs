//! Which files a submission has, by name and size alone.

use std::collections::BTreeMap;

use super::{ANNOUNCEMENT, Defect, Entry};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The most files a submission may have.
pub(super) const MAX_FILES: usize = 1_000;
/// The most all files together may have: what a server can keep on its disk.
pub(super) const MAX_TOTAL: u64 = 10 * GIB;
/// The largest document that is read whole.
pub(super) const MAX_DOCUMENT: u64 = 16 * MIB;

/// The files outside `weights/`: name, whether it must be there, and the most bytes it may have.
pub(super) const DOCUMENTS: [(&str, bool, u64); 6] = [
    ("config.yaml", true, MIB),
    ("eval_results.json", true, MIB),
    ("CHANGELOG.md", true, MIB),
    ("data_manifest.txt", true, MAX_DOCUMENT),
    ("model_card.md", false, MIB),
    ("reference.parquet", false, 512 * MIB),
];

/// Everything wrong with the names and sizes of these files.
pub(super) fn check(files: &[Entry]) -> Vec<Defect> {
    let mut defects: Vec<Defect> = files.iter().filter_map(of_one).collect();
    for (name, _, _) in DOCUMENTS.iter().filter(|(name, required, _)| *required && !has(files, name)) {
        defects.push(Defect::new(*name, "no such file", describe(name)));
    }
    defects.extend(twins(files));
    defects.extend(too_much(files));
    defects
}

/// What is wrong with there being weights, or none. A remote version has none here: bytes that nobody runs would only look like it.
pub(super) fn weights(files: &[Entry], remote: bool) -> Option<Defect> {
    let first = files.iter().find(|f| f.path.starts_with("weights/"));
    match (first, remote) {
        (None, false) => {
            Some(Defect::new("weights/", "no file", "at least one file, such as weights/model.onnx"))
        }
        (Some(file), true) => Some(
            Defect::new(
                &file.path,
                "a file of weights",
                "none: the version is `runtime: remote`, and runs elsewhere",
            )
            .fix("remove it, or name the graph with `runtime: onnx`"),
        ),
        _ => None,
    }
}

/// What is wrong with the name and size of one file by itself.
pub(super) fn of_one(file: &Entry) -> Option<Defect> {
    match bad_path(&file.path) {
        Some(why) => Some(
            Defect::new(&file.path, why, "a relative path of plain names, with '/' between them")
                .fix("rename it"),
        ),
        None => misplaced(file),
    }
}

fn has(files: &[Entry], name: &str) -> bool {
    files.iter().any(|f| f.path == name)
}

fn describe(name: &str) -> &'static str {
    match name {
        "config.yaml" => "what the model takes and gives (task, inputs, outputs, classes)",
        "eval_results.json" => "what the trainer measured, a JSON object of metrics",
        "CHANGELOG.md" => "what is new in this version",
        _ => "what the model was trained on, lines of `<sha256>  <path or URI>`",
    }
}

fn misplaced(file: &Entry) -> Option<Defect> {
    if file.path.starts_with("weights/") || file.path == ANNOUNCEMENT {
        return (file.size == 0).then(|| {
            Defect::new(&file.path, "an empty file", "content").fix("remove it, or upload it again")
        });
    }
    match DOCUMENTS.iter().find(|(name, _, _)| *name == file.path).map(|(_, _, limit)| limit) {
        None => Some(
            Defect::new(&file.path, "a file that no submission has", "weights/…, config.yaml, eval_results.json, CHANGELOG.md, data_manifest.txt, model_card.md or reference.parquet")
                .fix("remove it, or move it into weights/ if the model needs it"),
        ),
        Some(_) if file.size == 0 => Some(Defect::new(&file.path, "an empty file", "content")),
        Some(limit) if file.size > *limit => {
            Some(Defect::new(&file.path, format!("{} bytes", file.size), format!("at most {limit} bytes")))
        }
        Some(_) => None,
    }
}

/// Names that are one name on a disk that does not tell cases apart.
fn twins(files: &[Entry]) -> Vec<Defect> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut defects = Vec::new();
    for file in files {
        if let Some(first) = seen.insert(file.path.to_lowercase(), &file.path) {
            defects.push(
                Defect::new(
                    &file.path,
                    format!("a name that differs from {first} in case alone"),
                    "names that differ on every disk",
                )
                .fix("rename one"),
            );
        }
    }
    defects
}

fn too_much(files: &[Entry]) -> Vec<Defect> {
    let mut defects = Vec::new();
    if files.len() > MAX_FILES {
        defects.push(Defect::new(
            "weights/",
            format!("{} files", files.len()),
            format!("at most {MAX_FILES} in a submission"),
        ));
    }
    let total: u64 = files.iter().map(|f| f.size).sum();
    if total > MAX_TOTAL {
        defects.push(Defect::new(
            "weights/",
            format!("{total} bytes in all files"),
            format!("at most {MAX_TOTAL} bytes"),
        ));
    }
    defects
}

/// Why a path must not be used, if it must not. What passes can be joined to a folder without leaving it.
pub(crate) fn bad_path(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > 512 {
        return Some("a path that is empty or longer than 512 bytes");
    }
    if path.starts_with('/') || path.contains('\\') || path.contains(':') {
        return Some("an absolute path, a backslash or a colon");
    }
    if path.chars().any(char::is_control) {
        return Some("control characters");
    }
    path.split('/').find_map(|segment| match segment {
        "" | "." | ".." => Some("an empty part, '.' or '..'"),
        s if s.starts_with('.') => Some("a hidden file or folder"),
        s if s.trim() != s => Some("a space at the beginning or end of a name"),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str, size: u64) -> Entry {
        Entry { path: path.to_owned(), size, at: None }
    }

    fn whole() -> Vec<Entry> {
        ["CHANGELOG.md", "config.yaml", "data_manifest.txt", "eval_results.json", "weights/model.onnx"]
            .map(|p| entry(p, 10))
            .to_vec()
    }

    #[test]
    fn a_whole_submission_has_no_defect_and_each_missing_file_is_named() {
        assert_eq!(check(&whole()), []);
        let all = check(&[]);
        let missing: Vec<&str> = all.iter().map(|d| d.file.as_str()).collect();
        assert_eq!(missing, ["config.yaml", "eval_results.json", "CHANGELOG.md", "data_manifest.txt"]);
    }

    #[test]
    fn weights_are_there_exactly_where_they_are_run_here() {
        assert_eq!(weights(&whole(), false), None);
        assert_eq!(weights(&[], true), None);
        assert_eq!(weights(&[], false).unwrap().file, "weights/");
        assert_eq!(weights(&whole(), true).unwrap().file, "weights/model.onnx");
    }

    #[test]
    fn every_defect_is_reported_at_once() {
        let mut files = whole();
        files.extend([
            entry("weights/../../etc/passwd", 1),
            entry("/abs", 1),
            entry("notes.txt", 1),
            entry(".git/config", 1),
            entry("weights/Model.onnx", 1),
            entry("weights/empty.bin", 0),
            entry("model_card.md", 2 * MIB),
        ]);
        let found: Vec<String> = check(&files).into_iter().map(|d| d.file).collect();
        assert_eq!(found.len(), 7, "{found:?}");
    }

    #[test]
    fn sizes_are_limited_in_sum() {
        let mut files = whole();
        files.push(entry("weights/data.bin", MAX_TOTAL));
        assert!(check(&files)[0].found.contains("bytes in all files"));
    }

    proptest! {
        #[test]
        fn a_path_that_passes_stays_inside_its_folder(path in "[a-zA-Z0-9./\\\\: ~]{0,20}") {
            if bad_path(&path).is_none() {
                let joined = std::path::Path::new("/base/dir").join(&path);
                prop_assert!(joined.starts_with("/base/dir"));
                let plain = joined.components().all(|c| !matches!(c, std::path::Component::ParentDir | std::path::Component::CurDir));
                prop_assert!(plain);
            }
        }
    }
}

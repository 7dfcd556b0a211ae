//! Many files, told apart: which promotion's evidence each belongs to, and which are checkpoints of histories.

use std::collections::{BTreeMap, BTreeSet};

use super::Files;
use crate::manifest::is_manifest;

/// The segment that names a promotion in the evidence bucket.
const PROMOTION: &str = "promotion=";
/// The folder of checkpoints in the evidence bucket.
const CHECKPOINTS: &str = "checkpoints";
/// The segment that names a model.
const MODEL: &str = "model=";

/// One promotion's files.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// Where it lies, with a `/` at its end; empty where the collection is the folder itself.
    pub path: String,
    /// What lies in it, and the checkpoints of its model.
    pub files: Files,
}

/// Files, sorted.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    /// By path.
    pub folders: Vec<Folder>,
    /// What belongs to no promotion, by path.
    pub others: BTreeMap<String, Vec<u8>>,
}

/// Sorts files, by their paths with `/`: a bucket's, or those of a folder on disk that is a promotion's or holds several.
#[must_use]
pub fn collect(files: BTreeMap<String, Vec<u8>>) -> Collection {
    let paths: BTreeSet<String> = files.keys().filter_map(|path| folder_of(path)).collect();
    let mut collection = Collection {
        folders: paths.into_iter().map(|path| Folder { path, files: Files::default() }).collect(),
        others: BTreeMap::new(),
    };
    for (path, bytes) in files {
        if let Some(model) = checkpoint_of(&path) {
            let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
            let of_model = |f: &&mut Folder| model_of(&f.path).is_none_or(|m| m == model);
            for folder in collection.folders.iter_mut().filter(of_model) {
                folder.files.checkpoints.insert(name.clone(), bytes.clone());
            }
            continue;
        }
        // The longest path: a folder in a folder has its own files.
        let folder = collection.folders.iter_mut().rev().find(|f| path.starts_with(&f.path));
        match folder {
            Some(folder) => {
                let below = path.strip_prefix(&folder.path).unwrap_or(&path).to_owned();
                folder.files.evidence.insert(below, bytes);
            }
            None => {
                collection.others.insert(path, bytes);
            }
        }
    }
    collection
}

/// The promotion's folder that a path lies in: it is named so, or has a manifest in it.
fn folder_of(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').collect();
    let (name, folders) = segments.split_last()?;
    let named = folders.iter().position(|s| s.starts_with(PROMOTION)).map(|i| &folders[..=i]);
    let folder = named.or_else(|| is_manifest(name).then_some(folders))?;
    Some(folder.iter().map(|s| format!("{s}/")).collect())
}

/// The model whose checkpoint lies at `path`.
fn checkpoint_of(path: &str) -> Option<&str> {
    let mut from_end = path.rsplit('/');
    from_end.next().filter(|name| name.ends_with(".dsse.json"))?;
    let model = from_end.next()?.strip_prefix(MODEL)?;
    (from_end.next() == Some(CHECKPOINTS)).then_some(model)
}

fn model_of(folder: &str) -> Option<&str> {
    folder.split('/').find_map(|s| s.strip_prefix(MODEL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(paths: &[&str]) -> Collection {
        collect(paths.iter().map(|p| ((*p).to_owned(), Vec::new())).collect())
    }

    #[test]
    fn a_bucket_is_sorted_into_promotions_with_the_checkpoints_of_their_model() {
        let found = sorted(&[
            "README.md",
            "evidence/model=a/promotion=1/manifest-00.dsse.json",
            "evidence/model=a/promotion=1/summaries/00/part=01.json",
            "evidence/model=a/promotion=2/report-00.json",
            "evidence/model=b/promotion=3/manifest-00.dsse.json",
            "checkpoints/model=a/000000000007.dsse.json",
        ]);
        let folders: Vec<_> = found
            .folders
            .iter()
            .map(|f| (f.path.as_str(), f.files.evidence.len(), f.files.checkpoints.len()))
            .collect();
        assert_eq!(
            folders,
            [
                ("evidence/model=a/promotion=1/", 2, 1),
                ("evidence/model=a/promotion=2/", 1, 1),
                ("evidence/model=b/promotion=3/", 1, 0),
            ],
            "one without a manifest is one too: what is missing there must be said"
        );
        assert!(found.folders[0].files.evidence.contains_key("summaries/00/part=01.json"));
        assert_eq!(found.others.keys().collect::<Vec<_>>(), ["README.md"]);
    }

    #[test]
    fn a_promotions_folder_alone_is_known_by_its_manifest() {
        let found = sorted(&[
            "manifest-00.dsse.json",
            "report-00.json",
            "checkpoints/model=a/000000000007.dsse.json",
        ]);
        assert_eq!(found.folders.len(), 1);
        let folder = &found.folders[0];
        assert_eq!((folder.path.as_str(), folder.files.evidence.len()), ("", 2));
        assert_eq!(folder.files.checkpoints.len(), 1);
        assert!(sorted(&["a.txt"]).folders.is_empty());
    }
}

//! Packages in folders: signed, verified, and every change refused with its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use seatrial_attestation::LocalKey;
use seatrial_attestation::model_signing::folder::{
    FolderError, SIGNATURE, hash_folder, sign_folder, verify_folder,
};
use seatrial_attestation::model_signing::sign;
use seatrial_domain::canonical::sha256;

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Scratch {
    /// A package of two files, with what belongs to Git beside them.
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("seatrial-folder-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        let scratch = Self(folder);
        for (path, text) in [
            ("config.yaml", "task: binary\n"),
            ("weights/model.onnx", "a graph"),
            (".git/config", "[core]"),
            (".gitignore", "*.tmp"),
        ] {
            scratch.write(path, text);
        }
        scratch
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn refused(&self, key: &LocalKey) -> String {
        verify_folder(&self.0, std::slice::from_ref(key.public())).unwrap_err().to_string()
    }
}

#[tokio::test]
async fn a_signed_folder_verifies_and_is_signed_again_in_place() {
    let (scratch, key) = (Scratch::new("signed"), LocalKey::generate().unwrap());
    let keys = std::slice::from_ref(key.public());
    let files = sign_folder(&scratch.0, &key).await.unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["config.yaml", "weights/model.onnx"]);
    assert_eq!(files["config.yaml"], sha256(b"task: binary\n"));
    let signed = verify_folder(&scratch.0, keys).unwrap();
    assert_eq!(
        (&signed.files, Some(signed.name.as_str())),
        (&files, scratch.0.file_name().unwrap().to_str())
    );

    scratch.write("weights/more", "");
    let more = sign_folder(&scratch.0, &key).await.unwrap();
    assert_eq!((more.len(), verify_folder(&scratch.0, keys).unwrap().files), (3, more));
    let at_top: Vec<_> = fs::read_dir(&scratch.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(at_top.len(), 5, "no temporary file may be left: {at_top:?}");
}

#[tokio::test]
async fn every_change_of_a_signed_folder_is_refused_with_its_place() {
    let (scratch, key) = (Scratch::new("changed"), LocalKey::generate().unwrap());
    assert!(scratch.refused(&key).contains("is not signed"));
    sign_folder(&scratch.0, &key).await.unwrap();
    scratch.write("weights/model.onnx", "a graPh");
    assert!(scratch.refused(&key).contains("changed since they were signed: weights/model.onnx (signed "));
    fs::remove_file(scratch.0.join("weights/model.onnx")).unwrap();
    assert!(scratch.refused(&key).ends_with("signed but missing: weights/model.onnx"));
    scratch.write("weights/model.onnx", "a graph");
    // The name of the signature is its own at the top only.
    for extra in ["weights/extra", "weights/model.sig", "weights/.gitignore", ".github.txt"] {
        scratch.write(extra, "");
        assert!(scratch.refused(&key).ends_with(&format!("there but not signed: {extra}")));
        fs::remove_file(scratch.0.join(extra)).unwrap();
    }
    scratch.write(".git/HEAD", "what is Git's may change");
    verify_folder(&scratch.0, std::slice::from_ref(key.public())).unwrap();

    let other = LocalKey::generate().unwrap();
    assert!(scratch.refused(&other).contains("none of its signatures is of a given key"));
    for broken in ["", "{}", "not a bundle"] {
        scratch.write(SIGNATURE, broken);
        assert!(scratch.refused(&key).contains("does not hold: it is not a Sigstore bundle"));
    }
}

/// `model_signing sign key --no-ignore-git-paths` signs them, and then they count.
#[tokio::test]
async fn what_belongs_to_git_counts_where_it_was_signed() {
    let (scratch, key) = (Scratch::new("git"), LocalKey::generate().unwrap());
    let mut files = hash_folder(&scratch.0).unwrap();
    files.insert(".gitignore".into(), sha256(b"*.tmp"));
    fs::write(scratch.0.join(SIGNATURE), sign(&files, "any", &key).await.unwrap()).unwrap();
    let keys = std::slice::from_ref(key.public());
    assert_eq!(verify_folder(&scratch.0, keys).unwrap().files.len(), 3);
    scratch.write(".gitignore", "*");
    assert!(scratch.refused(&key).contains("changed since they were signed: .gitignore"));
}

#[tokio::test]
async fn what_no_signature_can_name_is_refused_and_no_link_is_followed() {
    let (scratch, key) = (Scratch::new("links"), LocalKey::generate().unwrap());
    sign_folder(&scratch.0, &key).await.unwrap();
    let model = scratch.0.join("weights/model.onnx");
    fs::remove_file(&model).unwrap();
    let outside = scratch.0.with_extension("outside");
    fs::write(&outside, "a graph").unwrap();
    symlink(&outside, &model).unwrap();
    let refused = scratch.refused(&key);
    fs::remove_file(&outside).unwrap();
    assert!(refused.contains("weights/model.onnx is a symbolic link"), "{refused}");
    assert!(matches!(sign_folder(&scratch.0, &key).await, Err(FolderError::Entry { .. })));
    fs::remove_file(&model).unwrap();

    let name = std::ffi::OsStr::from_bytes(b"weights/\xff");
    fs::write(scratch.0.join(name), "").unwrap();
    assert!(scratch.refused(&key).contains("a name that is not UTF-8"));
}

#[tokio::test]
async fn an_empty_folder_and_none_at_all_are_not_signed() {
    let (scratch, key) = (Scratch::new("empty"), LocalKey::generate().unwrap());
    for path in ["config.yaml", "weights/model.onnx"] {
        fs::remove_file(scratch.0.join(path)).unwrap();
    }
    assert!(matches!(sign_folder(&scratch.0, &key).await, Err(FolderError::Signing(_))));
    assert!(!scratch.0.join(SIGNATURE).exists());
    assert!(matches!(sign_folder(&scratch.0.join("none"), &key).await, Err(FolderError::File { .. })));
}

//! Packages in folders: which files of a folder are signed, where its signature lies, and whether it holds.
//!
//! The rules are those of `model_signing` 1.1 as it is called without options: every regular file below the folder counts,
//! except the signature and what belongs to Git at the top of it; a symbolic link anywhere is refused.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use seatrial_domain::Digest;
use sha2::{Digest as _, Sha256};

use super::{BundleError, Differences, Files, SignedFiles, SigningError, sign, verify};
use crate::key::PublicKey;
use crate::signer::Signer;

/// The signature's file in the folder that it signs: what `model_signing` calls it too.
pub const SIGNATURE: &str = "model.sig";
/// What belongs to Git and not to the model, at the top of the folder.
const GIT: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];
/// The largest signature that is read, in bytes.
const MAX_SIGNATURE: u64 = 4 << 20;
/// How much of a file is in memory at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Why a folder has no signature, or one that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder could not be read or written.
    #[error("{doing} {} failed: {source}", path.display())]
    File {
        /// What was done, such as `reading`.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something that a signature cannot name.
    #[error(
        "{} is {found}; expected regular files and folders with names in UTF-8: remove it, or put the file itself in its place",
        path.display()
    )]
    Entry {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The folder has no signature.
    #[error(
        "{} does not exist: the folder is not signed. `seatrial fetch` writes it with a version's files, and `seatrial sign` makes one",
        path.display()
    )]
    NotSigned {
        /// Where it should be.
        path: PathBuf,
    },
    /// The signature does not hold.
    #[error("the signature {} does not hold: {source}", path.display())]
    Signature {
        /// The signature.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BundleError,
    },
    /// The signature holds, for other files than these.
    #[error("the files in {} are not the signed ones: {differences}", folder.display())]
    Differ {
        /// The folder.
        folder: PathBuf,
        /// How they differ.
        differences: Differences,
    },
    /// Nothing was signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

fn failed<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> FolderError + use<'p> {
    move |source| FolderError::File { doing, path: path.to_owned(), source }
}

/// The files of the package in `folder`, with the digests of their bytes.
///
/// # Errors
/// [`FolderError::File`] and [`FolderError::Entry`].
pub fn hash_folder(folder: &Path) -> Result<Files, FolderError> {
    hash(folder, |path| !GIT.contains(&path))
}

/// Signs the package in `folder` into its [`SIGNATURE`], which is replaced if it is there, and gives the signed files.
///
/// # Errors
/// [`FolderError`].
pub async fn sign_folder(folder: &Path, signer: &dyn Signer) -> Result<Files, FolderError> {
    let files = hash_folder(folder)?;
    let name = folder.canonicalize().map_err(failed("reading", folder))?;
    let name = name.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
    let bundle = sign(&files, &name, signer).await?;
    // Under another name first: a signature is there whole, or the one from before.
    let path = folder.join(SIGNATURE);
    let temporary = folder.join(format!(".{SIGNATURE}.{}", std::process::id()));
    fs::write(&temporary, bundle).map_err(failed("writing", &temporary))?;
    let renamed = fs::rename(&temporary, &path).map_err(failed("writing", &path));
    if renamed.is_err() {
        drop(fs::remove_file(&temporary));
    }
    renamed.map(|()| files)
}

/// The files in `folder`, if one of `keys` signed exactly these in its [`SIGNATURE`].
///
/// # Errors
/// [`FolderError`].
pub fn verify_folder(folder: &Path, keys: &[PublicKey]) -> Result<SignedFiles, FolderError> {
    let path = folder.join(SIGNATURE);
    let bundle = read_signature(&path)?;
    let signed = verify(&bundle, keys).map_err(|source| FolderError::Signature { path, source })?;
    // Whoever signed without ignoring Git's files has them in the signature, and then they count.
    let named =
        |top: &str| signed.files.keys().any(|path| path.split('/').next().is_some_and(|first| first == top));
    let files = hash(folder, |path| !GIT.contains(&path) || named(path))?;
    match signed.check(&files) {
        Ok(()) => Ok(signed),
        Err(differences) => Err(FolderError::Differ { folder: folder.to_owned(), differences }),
    }
}

fn read_signature(path: &Path) -> Result<Vec<u8>, FolderError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(FolderError::NotSigned { path: path.to_owned() });
        }
        Err(e) => return Err(failed("reading", path)(e)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_SIGNATURE + 1).read_to_end(&mut bytes).map_err(failed("reading", path))?;
    if bytes.len() as u64 > MAX_SIGNATURE {
        let found = format!("more than {MAX_SIGNATURE} bytes");
        let source = BundleError::Unreadable(found);
        return Err(FolderError::Signature { path: path.to_owned(), source });
    }
    Ok(bytes)
}

/// Every file below `folder` but its signature; of what lies at the top, what `counts`.
fn hash(folder: &Path, counts: impl Fn(&str) -> bool) -> Result<Files, FolderError> {
    let mut files = Files::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((at, prefix)) = open.pop() {
        for entry in fs::read_dir(&at).map_err(failed("reading", &at))? {
            let entry = entry.map_err(failed("reading", &at))?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(FolderError::Entry { path, found: "a name that is not UTF-8" });
            };
            if prefix.is_empty() && (name == SIGNATURE || !counts(name)) {
                continue;
            }
            // Of the entry itself: a link is not followed.
            let kind = entry.file_type().map_err(failed("reading", &path))?;
            let below = format!("{prefix}{name}");
            if kind.is_dir() {
                open.push((path, below + "/"));
            } else if kind.is_file() {
                let digest = hash_file(&path).map_err(failed("reading", &path))?;
                files.insert(below, digest);
            } else {
                let found = if kind.is_symlink() { "a symbolic link" } else { "neither a file nor a folder" };
                return Err(FolderError::Entry { path, found });
            }
        }
    }
    Ok(files)
}

fn hash_file(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hasher, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest::from_bytes(hasher.finalize().into())),
            Ok(n) => hasher.update(chunk.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

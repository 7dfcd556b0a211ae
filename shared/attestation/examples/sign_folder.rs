//! Signs a folder with a new key: `cargo run --example sign_folder -- FOLDER OUT` writes OUT/model.sig and OUT/key.pub, which
//! `model_signing verify key FOLDER --signature OUT/model.sig --public_key OUT/key.pub` takes.
//! The private key is forgotten: this shows the format, it is no way to keep a key.

use std::error::Error;
use std::path::{Path, PathBuf};

use seatrial_attestation::LocalKey;
use seatrial_attestation::model_signing::{Files, sign};
use seatrial_domain::canonical::sha256;

/// Every file below `folder`, by its path from `root`.
fn collect(root: &Path, folder: &Path, files: &mut Files) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let parts: Vec<_> = path.strip_prefix(root)?.iter().map(|p| p.to_string_lossy()).collect();
            files.insert(parts.join("/"), sha256(&std::fs::read(&path)?));
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("expected FOLDER and OUT".into());
    };
    let mut files = Files::new();
    collect(&folder, &folder, &mut files)?;
    let key = LocalKey::generate()?;
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("model.sig"), sign(&files, &folder.display().to_string(), &key).await?)?;
    std::fs::write(out.join("key.pub"), key.public().to_pem())?;
    println!("{} files signed by key {}", files.len(), key.public().id());
    Ok(())
}

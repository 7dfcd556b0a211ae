//! Whether the files in FOLDER are what the key signed in FOLDER/model.sig: `verify_folder FOLDER KEY.pem` ends with 0 if they
//! are, and else says why not.

use std::error::Error;
use std::path::PathBuf;

use seatrial_attestation::PublicKey;
use seatrial_attestation::model_signing::folder::verify_folder;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("expected FOLDER and KEY.pem".into());
    };
    let key = PublicKey::from_pem(&std::fs::read_to_string(key)?)?;
    let signed = verify_folder(&folder, &[key]).map_err(|e| e.to_string())?;
    println!("{} files are the ones that key {} signed", signed.files.len(), signed.key);
    Ok(())
}

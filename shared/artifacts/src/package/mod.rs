//! A package: an immutable OCI image in the models bucket, named by the digest of its manifest.
//!
//! ```text
//! <model>/oci-layout                 {"imageLayoutVersion": "1.0.0"}
//! <model>/index.json                 v1, v2, … by name; then the model cards
//! <model>/blobs/sha256/<hex>         one blob a file of the submission, one configuration and one manifest a version
//! <model>/signatures/sha256/<hex>.sigstore.json   the signature of the version with this manifest (outside the layout)
//! <model>/benchmarks/sha256/<hex>    held-out benchmarks (outside the image layout)
//! ```
//!
//! A model card is an artifact of its own that refers to its version (`subject`), as OCI registries know it.
//!
//! `aws s3 sync s3://<bucket>/<model> dir` gives a layout that any OCI tool reads, such as `skopeo inspect oci:dir:v2`.

mod card;
mod collect;
mod export;
mod manifest;
mod publish;
mod read;
mod signature;
#[cfg(any(test, feature = "contract"))]
pub mod testing;

pub use card::{CARD_TYPE, attach_card};
pub use collect::{CollectError, Remains, Removed, remains, remove};
pub use export::{Exported, export_version};
pub use manifest::{Manifest, Package};
pub use publish::{PublishError, name_version, publish};
pub(crate) use read::get_verified;
pub use read::{ReadError, fetch_blob, fetch_version, load_version, read_file};
pub use seatrial_domain::package::label;
pub use signature::{SignVersionError, Trust, sign_stored_version, sign_version, signature_key, signed_name};

use seatrial_domain::{Digest, ModelName};

/// The key of a blob of a model.
#[must_use]
pub fn blob_key(model: &ModelName, digest: &Digest) -> String {
    format!("{model}/blobs/sha256/{}", digest.hex())
}

/// The key of a held-out benchmark of a model.
#[must_use]
pub fn benchmark_key(model: &ModelName, digest: &Digest) -> String {
    format!("{model}/benchmarks/sha256/{}", digest.hex())
}

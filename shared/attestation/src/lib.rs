//! Signed statements, and how anybody checks them without an account: keys, DSSE envelopes, manifests, checkpoints of the
//! history, and signatures of packages.
//!
//! Signing goes through one port, [`Signer`]: a key in KMS where Seatrial is deployed, a key in a file elsewhere. Verifying
//! needs public keys and bytes, and nothing else.

pub mod checkpoint;
pub mod dsse;
pub mod key;
pub mod kms;
pub mod manifest;
pub mod model_signing;
pub mod signer;
pub mod statement;
pub mod verify;

pub use dsse::Envelope;
pub use key::{LocalKey, PublicKey};
pub use kms::KmsSigner;
pub use signer::{SignError, Signer};

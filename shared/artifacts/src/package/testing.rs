//! A deployment's key for tests: packages that tests make are signed and checked as those of a deployment are.
#![allow(clippy::expect_used, reason = "a test without a key cannot go on")]

use std::sync::OnceLock;

use seatrial_attestation::LocalKey;
use seatrial_domain::ModelName;

use super::{Package, Trust, sign_version};
use crate::store::ObjectStore;

/// The key of this process's deployment.
#[must_use]
pub fn key() -> &'static LocalKey {
    static KEY: OnceLock<LocalKey> = OnceLock::new();
    KEY.get_or_init(|| LocalKey::generate().expect("a key of its own"))
}

/// Trust in that key alone.
#[must_use]
pub fn trust() -> &'static Trust {
    static TRUST: OnceLock<Trust> = OnceLock::new();
    TRUST.get_or_init(|| Trust::Keys(vec![key().public().clone()]))
}

/// Signs a published package with that key, as `package` does after publishing.
pub async fn sign(models: &dyn ObjectStore, model: &ModelName, package: &Package) {
    let signed = sign_version(models, model, &package.digest, &package.summary.files, key());
    signed.await.expect("a package that was just published is signed");
}

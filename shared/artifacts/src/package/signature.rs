//! Signatures of packages: made once when a version is packaged, and checked whenever it is loaded.
//!
//! A version's name is the digest of its manifest, so whoever may write the bucket and the registry can bring a manifest of
//! their own. What they cannot bring is the deployment's signature over its files. It is the bundle of
//! [`seatrial_attestation::model_signing`], stored beside the image layout, and names the model and the manifest besides the
//! files: a signature of one model does not make the same files a version of another.

use std::collections::BTreeMap;

use bytes::Bytes;
use seatrial_attestation::model_signing::{Files, SigningError, sign, verify};
use seatrial_attestation::{PublicKey, SignError, Signer};
use seatrial_domain::ids::VersionRef;
use seatrial_domain::package::Blob;
use seatrial_domain::{Digest, ModelName};

use super::Manifest;
use super::read::{ReadError, hash_files, load_version};
use crate::store::ObjectStore;

/// The largest signature that is read.
const MAX_SIGNATURE: u64 = 4 << 20;
/// The content type of a Sigstore bundle.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The key of the signature of a version of a model.
#[must_use]
pub fn signature_key(model: &ModelName, digest: &Digest) -> String {
    format!("{model}/signatures/sha256/{}.sigstore.json", digest.hex())
}

/// What a signature calls the version: the model and the digest of its manifest.
#[must_use]
pub fn signed_name(model: &ModelName, digest: &Digest) -> String {
    format!("{model}@{digest}")
}

/// Whose signatures make a version loadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// A signature of one of these keys.
    Keys(Vec<PublicKey>),
    /// None is asked for: only for a data plane that a person runs outside of Lambda without rights to the key.
    Unchecked,
}

impl Trust {
    /// The key of this signer alone.
    ///
    /// # Errors
    /// When its public half cannot be read.
    pub async fn of(signer: &dyn Signer) -> Result<Self, SignError> {
        Ok(Self::Keys(vec![signer.public_key().await?]))
    }
}

/// Why a version was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignVersionError {
    /// Its files or its signature could not be read or written, or another signature is in the place.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// A version whose signature is asked for; `called` is what people call it, such as `v3`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) model: &'a ModelName,
    pub(super) digest: &'a Digest,
    pub(super) called: &'a str,
}

impl Subject<'_> {
    fn key(&self) -> String {
        signature_key(self.model, self.digest)
    }

    fn does_not_hold(&self, store: &dyn ObjectStore, why: String) -> ReadError {
        let at = format!("s3://{}/{}", store.bucket(), self.key());
        ReadError::SignatureDoesNotHold {
            model: self.model.clone(),
            version: self.called.to_owned(),
            at,
            why,
        }
    }

    /// The bundle that is stored for it, once it holds for `files`; `None` where there is none.
    pub(super) async fn stored(
        &self,
        store: &dyn ObjectStore,
        files: &Files,
        keys: &[PublicKey],
    ) -> Result<Option<Bytes>, ReadError> {
        let Some(bundle) = self.unchecked(store).await? else { return Ok(None) };
        self.holds(&bundle, files, keys).map_err(|why| self.does_not_hold(store, why))?;
        Ok(Some(bundle))
    }

    /// As [`Subject::stored`], where one must be there.
    pub(super) async fn needed(
        &self,
        store: &dyn ObjectStore,
        files: &Files,
        keys: &[PublicKey],
    ) -> Result<Bytes, ReadError> {
        self.stored(store, files, keys).await?.ok_or_else(|| ReadError::NotSigned {
            model: self.model.clone(),
            version: self.called.to_owned(),
            at: format!("s3://{}/{}", store.bucket(), self.key()),
        })
    }

    /// The bundle that is stored for it, whatever it says.
    pub(super) async fn unchecked(&self, store: &dyn ObjectStore) -> Result<Option<Bytes>, ReadError> {
        Ok(store.get(&self.key(), MAX_SIGNATURE).await?)
    }

    fn holds(&self, bundle: &[u8], files: &Files, keys: &[PublicKey]) -> Result<(), String> {
        let signed = verify(bundle, keys).map_err(|e| e.to_string())?;
        let name = signed_name(self.model, self.digest);
        if signed.name != name {
            return Err(format!("it was made for {:?}, and not for {name}", signed.name));
        }
        signed.check(files).map_err(|differ| differ.to_string())
    }

    async fn sign(
        &self,
        store: &dyn ObjectStore,
        files: &Files,
        signer: &dyn Signer,
        keys: &[PublicKey],
    ) -> Result<bool, SignVersionError> {
        let bundle = sign(files, &signed_name(self.model, self.digest), signer).await?;
        // Nothing replaces what is written here, so it is read before.
        self.holds(&bundle, files, keys).map_err(|why| self.does_not_hold(store, why))?;
        if store.put_if_absent(&self.key(), Bytes::from(bundle), BUNDLE).await.map_err(ReadError::from)? {
            return Ok(true);
        }
        // Somebody else was first, with a signature of its own: signatures of one key differ each time.
        self.needed(store, files, keys).await?;
        Ok(false)
    }
}

/// Signs the version with this manifest unless it is signed, and says whether it was done now. The first signature stays;
/// one that is there must hold.
///
/// `files` are what was just hashed and stored: see [`sign_stored_version`] for a version that others stored.
///
/// # Errors
/// [`ReadError::SignatureDoesNotHold`] for what is there already; the store's failure or the key's.
pub async fn sign_version(
    store: &dyn ObjectStore,
    model: &ModelName,
    digest: &Digest,
    files: &BTreeMap<String, Blob>,
    signer: &dyn Signer,
) -> Result<bool, SignVersionError> {
    let called = digest.to_string();
    let subject = Subject { model, digest, called: &called };
    let (files, keys) = (digests(files), [public(signer).await?]);
    if subject.stored(store, &files, &keys).await?.is_some() {
        return Ok(false);
    }
    subject.sign(store, &files, signer, &keys).await
}

/// Signs a version that lies in the bucket unless it is signed. Every byte of it is read and hashed before it is signed:
/// nobody signs what is not there.
///
/// # Errors
/// As [`sign_version`], and [`StoreError::Corrupt`](crate::StoreError::Corrupt) when a file has other bytes than its name
/// says.
pub async fn sign_stored_version(
    store: &dyn ObjectStore,
    model: &ModelName,
    version: &VersionRef,
    signer: &dyn Signer,
) -> Result<bool, SignVersionError> {
    let called = version.version.to_string();
    let subject = Subject { model, digest: &version.digest, called: &called };
    let manifest = load_version(store, model, &version.digest).await?;
    let (files, keys) = (manifest.digests(), [public(signer).await?]);
    if subject.stored(store, &files, &keys).await?.is_some() {
        return Ok(false);
    }
    hash_files(store, model, &manifest).await?;
    subject.sign(store, &files, signer, &keys).await
}

async fn public(signer: &dyn Signer) -> Result<PublicKey, SigningError> {
    Ok(signer.public_key().await?)
}

impl Manifest {
    /// Its files with the digests of their bytes.
    #[must_use]
    pub fn digests(&self) -> Files {
        digests(&self.files)
    }
}

fn digests(files: &BTreeMap<String, Blob>) -> Files {
    files.iter().map(|(path, blob)| (path.clone(), blob.digest.clone())).collect()
}

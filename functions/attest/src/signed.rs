//! Envelopes that are written once.

use bytes::Bytes;
use seatrial_attestation::dsse::{Envelope, IN_TOTO};
use seatrial_domain::canonical;
use seatrial_runtime::Failure;
use serde::Serialize;

use crate::Ports;

/// The largest envelope that is read back, in bytes.
const LIMIT: u64 = 64 << 20;

/// The bytes of a statement.
pub(crate) fn payload<T: Serialize>(statement: &T) -> Result<Vec<u8>, Failure> {
    canonical::to_bytes(statement).map_err(|e| Failure::internal("writing canonical JSON", e))
}

/// The signed envelope over `payload` at `key`. Two signatures over the same bytes differ, so the first stays; what lies there must
/// be ours and over these bytes.
pub(crate) async fn once(ports: &Ports<'_>, key: &str, payload: &[u8]) -> Result<Bytes, Failure> {
    if let Some(there) = ours(ports, key, payload).await? {
        return Ok(there);
    }
    let envelope = Envelope::sign(IN_TOTO, payload, ports.signer).await?;
    let bytes = Bytes::from(self::payload(&envelope)?);
    if ports.evidence.put_if_absent(key, bytes.clone(), "application/vnd.dsse.envelope.v1+json").await? {
        return Ok(bytes);
    }
    let vanished = || Failure::unavailable("reading a signed envelope", format!("{key} vanished"));
    ours(ports, key, payload).await?.ok_or_else(vanished)
}

/// What lies at `key`, if anything does.
async fn ours(ports: &Ports<'_>, key: &str, payload: &[u8]) -> Result<Option<Bytes>, Failure> {
    let Some(bytes) = ports.evidence.get(key, LIMIT).await? else { return Ok(None) };
    let public = ports.signer.public_key().await?;
    let foreign = |why: String| {
        Failure::internal(&format!("signing {key}: what lies there already is not ours ({why}); it"), why)
    };
    let envelope = Envelope::parse(&bytes).map_err(|e| foreign(e.to_string()))?;
    let keys = [public];
    let (found, _) = envelope.verify(IN_TOTO, &keys).map_err(|e| foreign(e.to_string()))?;
    if found != payload {
        return Err(foreign("it signs other bytes".into()));
    }
    Ok(Some(bytes))
}

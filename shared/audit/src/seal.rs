//! One file that verifies alone.
//!
//! A manifest inside the document lists all evidence, but cannot list the document it lies in. So the finished document is signed as
//! a whole, and the signature is added the way PDF itself knows for additions: an incremental update (ISO 32000-1, 7.5.6), with one
//! new object that holds a DSSE envelope, a cross-reference section, and a trailer that goes on from the document's own. Nothing
//! before it changes, so the signed bytes are those before it.
//!
//! There is one form of a seal only: what is opened must be byte by byte what [`seal`] makes of the body and the envelope.

use seatrial_attestation::dsse::{Envelope, IN_TOTO};
use seatrial_attestation::key::PublicKey;
use seatrial_attestation::statement::{Named, Sha256, Statement};
use seatrial_attestation::{SignError, Signer};
use seatrial_domain::canonical;
use seatrial_domain::ids::{ModelName, PromotionId};
use serde::{Deserialize, Serialize};

use crate::Document;

/// What a seal says: [`Predicate`].
pub const AUDIT_DOCUMENT: &str = "https://seatrial.dev/attestation/audit-document/v1";

/// The statement of a seal. Its one subject is the document: the name it was made under, and the SHA-256 of its bytes before the seal.
pub type Seal = Statement<Named, Predicate>;

/// What the document is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicate {
    /// The model.
    pub model: ModelName,
    /// The promotion.
    pub promotion: PromotionId,
    /// The SHA-256 of the manifest that the evidence was verified by; none where no signed manifest could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Sha256>,
    /// The gravest doubt about the evidence when the document was made; none where all of it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// A document that cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a PDF as this crate writes them.
    #[error("it is not a document of Seatrial: {0}")]
    Foreign(&'static str),
    /// No seal.
    #[error("it has no seal; expected one as the last thing in the file")]
    Unsealed,
    /// It has one already.
    #[error("it is sealed already")]
    Sealed,
    /// Something differs from how a seal is written.
    #[error("its seal is not as it was written: {0}")]
    Altered(&'static str),
}

/// A sealed document, taken apart. Nothing is verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The document before it was sealed.
    pub body: &'a [u8],
    /// The envelope of the seal.
    pub envelope: &'a [u8],
}

/// What is signed for `document`: canonical JSON, the payload of an envelope of type [`IN_TOTO`].
///
/// # Errors
/// When the statement has no canonical form.
pub fn seal_statement(document: &Document) -> Result<Vec<u8>, serde_json::Error> {
    let digest = Sha256 { sha256: canonical::sha256(&document.body).hex().to_owned() };
    let subject = Named { name: document.file_name.clone(), digest };
    canonical::to_bytes(&Seal::new(AUDIT_DOCUMENT, vec![subject], document.about.clone()))
}

/// Why a document was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The key.
    #[error("sealing the audit document: {0}")]
    Sign(#[from] SignError),
    /// The document.
    #[error("sealing the audit document: {0}")]
    Document(#[from] SealError),
    /// The statement.
    #[error("writing the audit document's seal: {0}")]
    Statement(#[from] serde_json::Error),
}

/// Signs `document`. The envelope is to be kept: a key's signatures differ each time, so only with the same envelope will the sealed
/// document be the same again.
///
/// # Errors
/// [`SealingError`].
pub async fn sign(document: &Document, signer: &dyn Signer) -> Result<Vec<u8>, SealingError> {
    let envelope = Envelope::sign(IN_TOTO, &seal_statement(document)?, signer).await?;
    Ok(canonical::to_bytes(&envelope)?)
}

/// `body` with `envelope` as its seal.
///
/// # Errors
/// [`SealError::Foreign`], [`SealError::Sealed`].
pub fn seal(body: &[u8], envelope: &[u8]) -> Result<Vec<u8>, SealError> {
    let end = End::of(body)?;
    if end.trailer.windows(KEY.len()).any(|w| w == KEY) {
        return Err(SealError::Sealed);
    }
    let mut sealed = Vec::with_capacity(body.len() + envelope.len() + 1_000);
    sealed.extend_from_slice(body);
    sealed.push(b'\n');
    let object = sealed.len();
    sealed.extend_from_slice(&head(end.size, envelope.len()));
    sealed.extend_from_slice(envelope);
    sealed.extend_from_slice(b"\nendstream\nendobj\n");
    let xref = sealed.len();
    sealed.extend_from_slice(format!("xref\n{} 1\n{object:010} 00000 n \ntrailer\n<<", end.size).as_bytes());
    sealed.extend_from_slice(format!("/Size {}", end.size + 1).as_bytes());
    sealed.extend_from_slice(end.trailer);
    let last = format!("/Prev {}/SeatrialSeal {} 0 R>>\nstartxref\n{xref}\n%%EOF", end.xref, end.size);
    sealed.extend_from_slice(last.as_bytes());
    Ok(sealed)
}

/// The trailer's key that leads to the seal.
const KEY: &[u8] = b"/SeatrialSeal";
const TYPE: &[u8] = b" 0 obj\n<</Type/SeatrialSeal/Length ";
/// The largest envelope, in bytes: they have less than two thousand.
const ENVELOPE_LIMIT: usize = 64 << 10;

fn head(number: usize, length: usize) -> Vec<u8> {
    [number.to_string().as_bytes(), TYPE, length.to_string().as_bytes(), b">>\nstream\n"].concat()
}

/// Takes a sealed document apart.
///
/// # Errors
/// [`SealError`].
pub fn open(bytes: &[u8]) -> Result<Opened<'_>, SealError> {
    let tail = bytes.len().saturating_sub(ENVELOPE_LIMIT);
    let at = tail + rfind(bytes.get(tail..).unwrap_or_default(), TYPE).ok_or(SealError::Unsealed)?;
    let before = bytes.get(..at).unwrap_or_default();
    let digits = before.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let body = before.get(..at - digits).and_then(|b| b.strip_suffix(b"\n"));
    let body = body.ok_or(SealError::Altered("no line's end stands before its object"))?;
    let after = bytes.get(at + TYPE.len()..).unwrap_or_default();
    let length = number(after).ok_or(SealError::Altered("it has no length"))?;
    let start = find(after, b"stream\n").ok_or(SealError::Altered("it has no stream"))? + b"stream\n".len();
    let envelope =
        after.get(start..start.saturating_add(length)).ok_or(SealError::Altered("it is cut off"))?;
    if seal(body, envelope)? != bytes {
        return Err(SealError::Altered("something was changed in it, or stands after it"));
    }
    Ok(Opened { body, envelope })
}

/// What a seal says and the key that signed it, if it covers `opened.body` and is written as this crate writes it.
///
/// # Errors
/// What is wrong, in one sentence.
pub(crate) fn check<'k>(opened: &Opened<'_>, keys: &'k [PublicKey]) -> Result<(Seal, &'k PublicKey), String> {
    let envelope = Envelope::parse(opened.envelope).map_err(|e| e.to_string())?;
    let (payload, key) = envelope.verify(IN_TOTO, keys).map_err(|e| e.to_string())?;
    // The key's id and the spelling of base64 are not signed: there is one way to write them, so that no byte can differ.
    let hints = envelope.signatures.iter().all(|s| s.keyid == key.id()) && envelope.signatures.len() == 1;
    if !hints || canonical::to_bytes(&envelope).ok().as_deref() != Some(opened.envelope) {
        return Err("its seal is signed, but not written as it was: its unsigned parts were changed".into());
    }
    let seal: Seal =
        serde_json::from_slice(&payload).map_err(|e| format!("what its seal signs is no statement: {e}"))?;
    seal.is_of(AUDIT_DOCUMENT).map_err(|e| e.to_string())?;
    let digest = canonical::sha256(opened.body);
    match seal.subject.as_slice() {
        [one] if one.digest.sha256 == digest.hex() => Ok((seal, key)),
        [one] => {
            Err(format!("the document before the seal has {digest}; sealed was sha256:{}", one.digest.sha256))
        }
        others => Err(format!("its seal has {} subjects; expected one", others.len())),
    }
}

/// The end of a PDF as this crate writes them.
struct End<'a> {
    /// Where its cross-reference table begins.
    xref: usize,
    /// How many objects it has, the free one included.
    size: usize,
    /// The trailer after its size: root, information, identifier.
    trailer: &'a [u8],
}

impl<'a> End<'a> {
    fn of(body: &'a [u8]) -> Result<Self, SealError> {
        const TRAILER: &[u8] = b"trailer\n<</Size ";
        const START: &[u8] = b">>\nstartxref\n";
        if !body.starts_with(b"%PDF-") {
            return Err(SealError::Foreign("it does not begin as a PDF"));
        }
        let whole = body.strip_suffix(b"\n%%EOF").ok_or(SealError::Foreign("it does not end with %%EOF"))?;
        let start =
            rfind(whole, START).ok_or(SealError::Foreign("its end names no cross-reference table"))?;
        let tail = whole.get(start + START.len()..).unwrap_or_default();
        let xref = number(tail).filter(|n| n.to_string().len() == tail.len());
        let xref = xref.ok_or(SealError::Foreign("its end names no cross-reference table"))?;
        let head = whole.get(..start).unwrap_or_default();
        let at = rfind(head, TRAILER).ok_or(SealError::Foreign("it has no trailer"))? + TRAILER.len();
        let rest = head.get(at..).unwrap_or_default();
        let size = number(rest).ok_or(SealError::Foreign("its trailer has no size"))?;
        let trailer = rest.get(size.to_string().len()..).unwrap_or_default();
        Ok(Self { xref, size, trailer })
    }
}

/// The number that `bytes` begin with, written without leading zeros.
fn number(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).take(12).count();
    let text = std::str::from_utf8(bytes.get(..digits)?).ok()?;
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn rfind(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).rposition(|w| w == needle)
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}

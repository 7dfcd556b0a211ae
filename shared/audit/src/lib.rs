//! The audit document of a promotion: typeset, PDF/A-3, sealed, the same bytes from the same evidence.
//!
//! [`document`] makes a PDF of a promotion's evidence, [`seal::seal`] adds a signature over all of it, and [`verify_pdf`] answers from
//! the one file and public keys whether it is what was sealed and whether the evidence in it is what was signed.

mod attached;
mod block;
mod evidence;
mod front;
mod inventory;
pub mod seal;
mod sections;
pub mod typeset;
mod verify;

use seatrial_attestation::key::PublicKey;
use seatrial_attestation::manifest::is_manifest;
use seatrial_attestation::statement::Sha256;
use seatrial_attestation::verify::Files;
use seatrial_domain::ids::VersionRef;

pub use attached::attachments;
pub use inventory::inventory;
pub use seal::{Opened, SealError, SealingError, open, seal, seal_statement, sign};
pub use verify::verify_pdf;

use evidence::{About, Evidence};

/// Objects of more bytes do not go along inside the document.
pub const ATTACHED_LIMIT: usize = 4 << 20;

/// The template, and what it imports.
const TEMPLATE: [(&str, &str); 2] =
    [("audit.typ", include_str!("template/audit.typ")), ("blocks.typ", include_str!("template/blocks.typ"))];

/// An audit document before it is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its file's name.
    pub file_name: String,
    /// The PDF.
    pub body: Vec<u8>,
    /// What its seal will say.
    pub about: seal::Predicate,
}

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing says what it would be about.
    #[error(
        "the evidence has no readable manifest-….json, promotion-….json or report-….json: nothing says which promotion an audit document \
         would be about; fetch the promotion's folder of the evidence bucket again"
    )]
    Nothing,
    /// It could not be typeset.
    #[error("making the audit document: {0}")]
    Typeset(#[from] typeset::Error),
    /// What it shows has no JSON form.
    #[error("making the audit document: {0}")]
    Data(String),
}

/// The name of the file of an audit document.
#[must_use]
pub fn file_name(champion: Option<&VersionRef>, challenger: &VersionRef) -> String {
    let from = champion.map_or_else(|| "first".to_owned(), |c| c.version.to_string());
    format!("promotion_{from}_to_{}_audit.pdf", challenger.version)
}

/// Makes the audit document of a promotion from its evidence and the keys that may have signed it.
///
/// What is asked about data that lapses ([`Files::data`]) depends on the day, and would stand in the document: where the same evidence is
/// to give the same bytes, nothing is asked.
///
/// Evidence that is missing, changed or unreadable does not keep the document from being made: it says so on its first page, and in
/// the section that would have shown it.
///
/// # Errors
/// [`Error::Nothing`] where not even the promotion is known; [`Error::Typeset`].
pub fn document(files: &Files, keys: &[PublicKey]) -> Result<Document, Error> {
    let evidence = Evidence::read(files, keys);
    let about = evidence.about().ok_or(Error::Nothing)?;
    let attached = attached_files(files);
    let (view, figures) = front::view(&evidence, &about, &attached);
    let data = serde_json::to_value(&view).map_err(|e| Error::Data(e.to_string()))?;
    let at = at(&evidence);
    let ident =
        evidence.manifest_digest.as_ref().map_or_else(|| about.promotion.to_string(), ToString::to_string);
    let options = typeset::Options { ident, at, creator: "Seatrial".into() };
    let attachments: Vec<&[u8]> = attached.iter().map(|(_, bytes)| *bytes).collect();
    let job = typeset::Job {
        template: &TEMPLATE,
        data: &data,
        figures: &figures,
        attachments: &attachments,
        options: &options,
    };
    Ok(Document {
        file_name: file_name(about.champion.as_ref(), &about.challenger),
        body: typeset::typeset(&job)?,
        about: predicate(&evidence, about),
    })
}

/// What the template is given for these files, for whoever wants to see it without a PDF around it.
///
/// # Errors
/// As [`document`].
pub fn data(files: &Files, keys: &[PublicKey]) -> Result<serde_json::Value, Error> {
    let evidence = Evidence::read(files, keys);
    let about = evidence.about().ok_or(Error::Nothing)?;
    let (view, _) = front::view(&evidence, &about, &attached_files(files));
    serde_json::to_value(&view).map_err(|e| Error::Data(e.to_string()))
}

fn predicate(evidence: &Evidence, about: About) -> seal::Predicate {
    let verified = evidence.verification.manifest.is_some();
    let digest = evidence.manifest_digest.as_ref().filter(|_| verified);
    seal::Predicate {
        model: about.model,
        promotion: about.promotion,
        manifest: digest.map(|d| Sha256 { sha256: d.hex().to_owned() }),
        doubt: evidence.doubt(),
    }
}

/// When the document is from: the promotion's end, else the last thing in its history, else the report.
fn at(evidence: &Evidence) -> jiff::Timestamp {
    let ended = evidence.record.read().and_then(|r| r.ended_at);
    let last = || Some(evidence.history.read()?.last()?.at);
    let reported = || Some(evidence.report.read()?.created_at);
    ended.or_else(last).or_else(reported).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Whether a file of this name may go along: the names that every reader of PDF and every file system knows.
pub(crate) fn attachable(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.chars().all(known)
}

/// The kinds of evidence that go along, by how their names begin.
const KINDS: [&str; 10] = [
    "promotion-",
    "gate-approval-",
    "gate-shadow-window-",
    "history-",
    "report-",
    "evaluation-",
    "inputs-",
    "explanations-",
    "policy-",
    "canary-step-",
];

/// The files that go along inside the document: the signed manifest first.
fn attached_files(files: &Files) -> Vec<(&str, &[u8])> {
    let signed = |n: &str| is_manifest(n) && n.ends_with(".dsse.json");
    let fits = |(n, b): &(&String, &Vec<u8>)| attachable(n) && b.len() <= ATTACHED_LIMIT;
    let of = |keep: &dyn Fn(&str) -> bool| {
        let kept = files.evidence.iter().filter(fits).filter(|(n, _)| keep(n));
        kept.map(|(n, b)| (n.as_str(), b.as_slice())).collect::<Vec<_>>()
    };
    let mut all = of(&signed);
    all.extend(of(&|n| KINDS.iter().any(|k| n.starts_with(k)) && n.ends_with(".json")));
    all
}

//! From a template and data to the bytes of a PDF: a small press around typst.
//!
//! Whatever people wrote comes in as data ([`Job::data`], read by the template as JSON) and is never markup. Nothing here knows the
//! clock, the file system or the network, so the same job gives the same bytes.

mod fonts;
mod visible;
mod world;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use typst::diag::{SourceDiagnostic, Warned};
use typst::foundations::{Datetime, Smart};
use typst::layout::PageRanges;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards};

pub use visible::{printable, visible};

/// What is printed.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The template: the file that is compiled, and those it imports, by name.
    pub template: &'a [(&'a str, &'a str)],
    /// What the template reads as `json("/data.json")`. Every text in it is made printable by [`visible`] first.
    pub data: &'a Value,
    /// Pictures as SVG text; the template finds the first as `/figure-0.svg`.
    pub figures: &'a [String],
    /// Files that go along inside the PDF. The template attaches the first as `/attachment-0` under its name.
    pub attachments: &'a [&'a [u8]],
    /// What the PDF says of itself.
    pub options: &'a Options,
}

/// What a PDF says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What names the document: its PDF identifier follows from it.
    pub ident: String,
    /// When it is from: the document's date.
    pub at: Timestamp,
    /// The program that made it.
    pub creator: String,
}

/// A document that could not be printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The template or its data do not compile, or the result is no lawful PDF/A-3a and PDF/UA-1.
    #[error("the document could not be typeset while {doing}: {what}; this is a defect of its template")]
    Template {
        /// Which part of the work.
        doing: &'static str,
        /// The messages.
        what: String,
    },
    /// Its date does not fit a PDF.
    #[error("the document's date {0} does not fit a PDF, whose years have four digits")]
    Date(Timestamp),
}

/// Prints.
///
/// The PDF conforms to PDF/A-3a (ISO 19005-3) and PDF/UA-1 (ISO 14289-1): typst refuses to write it otherwise.
///
/// # Errors
/// [`Error`].
pub fn typeset(job: &Job<'_>) -> Result<Vec<u8>, Error> {
    let world = world::Press::new(job);
    let printed = print(&world, job.options);
    // What was remembered while this document was compiled is of no use for the next one, and a function lives long.
    typst::comemo::evict(0);
    printed
}

fn print(world: &world::Press, options: &Options) -> Result<Vec<u8>, Error> {
    let Warned { output, warnings } = typst::compile(world);
    let refused = |doing, all: &[SourceDiagnostic]| Error::Template { doing, what: messages(world, all) };
    let document = output.map_err(|errors| refused("laying out pages", &errors))?;
    // A warning is a font that is not there or a layout that does not settle: neither may pass unseen.
    if !warnings.is_empty() {
        return Err(refused("laying out pages", &warnings));
    }
    let standards = PdfStandards::new(&[PdfStandard::A_3a, PdfStandard::Ua_1])
        .map_err(|e| Error::Template { doing: "choosing standards", what: e.message().to_string() })?;
    let options = PdfOptions {
        ident: Smart::Custom(options.ident.clone()),
        creator: Smart::Custom(Some(options.creator.clone())),
        timestamp: Some(timestamp(options.at)?),
        page_ranges: None::<PageRanges>,
        standards,
        tagged: true,
        pretty: false,
    };
    typst_pdf::pdf(&document, &options).map_err(|errors| refused("writing PDF", &errors))
}

fn timestamp(at: Timestamp) -> Result<typst_pdf::Timestamp, Error> {
    let civil = at.to_zoned(TimeZone::UTC).datetime();
    let unsigned = |n: i8| u8::try_from(n).unwrap_or(0);
    let parts = [civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()].map(unsigned);
    let [month, day, hour, minute, second] = parts;
    (civil.year() >= 0)
        .then(|| Datetime::from_ymd_hms(civil.year().into(), month, day, hour, minute, second))
        .flatten()
        .map(typst_pdf::Timestamp::new_utc)
        .ok_or(Error::Date(at))
}

/// Where and what, one after another.
fn messages(world: &world::Press, all: &[SourceDiagnostic]) -> String {
    let one = |d: &SourceDiagnostic| {
        let place = world.place(d).map(|p| format!(" ({p})")).unwrap_or_default();
        let hints: String = d.hints.iter().map(|h| format!("; {}", h.v)).collect();
        format!("{}{hints}{place}", d.message)
    };
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}

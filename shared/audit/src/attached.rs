//! The files inside a PDF (ISO 32000-1, 7.11.4): read with limits, since whoever made the PDF chose how deep and how large.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::ZlibDecoder;
use hayro_syntax::Filter;
use hayro_syntax::Pdf;
use hayro_syntax::object::{Array, Dict, Stream, String as Text};

/// The largest file, in bytes: an evidence object goes along up to [`crate::ATTACHED_LIMIT`].
const FILE_LIMIT: u64 = crate::ATTACHED_LIMIT as u64;
/// All files together, in bytes.
const TOTAL_LIMIT: u64 = 256 << 20;
/// How many files.
const COUNT_LIMIT: usize = 1_000;
/// How deep the tree of names may be.
const DEPTH_LIMIT: usize = 8;

/// The files inside `pdf`, by name.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn attachments(pdf: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let pdf = Pdf::new(pdf.to_vec()).map_err(|_| "it cannot be read as a PDF".to_owned())?;
    let xref = pdf.xref();
    let catalog: Dict<'_> = xref.get(xref.root_id()).ok_or("it has no catalog")?;
    let tree = catalog.get::<Dict<'_>>("Names").and_then(|names| names.get::<Dict<'_>>("EmbeddedFiles"));
    let mut found = Found::default();
    if let Some(tree) = tree {
        found.read(&tree, 0)?;
    }
    Ok(found.files)
}

#[derive(Default)]
struct Found {
    files: BTreeMap<String, Vec<u8>>,
    total: u64,
}

impl Found {
    /// Reads a node of the tree of names (ISO 32000-1, 7.9.6).
    fn read(&mut self, node: &Dict<'_>, depth: usize) -> Result<(), String> {
        if depth > DEPTH_LIMIT {
            return Err(format!("its list of attached files is more than {DEPTH_LIMIT} levels deep"));
        }
        if let Some(kids) = node.get::<Array<'_>>("Kids") {
            for kid in kids.iter::<Dict<'_>>().take(COUNT_LIMIT) {
                self.read(&kid, depth + 1)?;
            }
        }
        let Some(names) = node.get::<Array<'_>>("Names") else { return Ok(()) };
        // Names and what they name alternate; a name is said again in what it names.
        for file in names.iter::<hayro_syntax::object::Object<'_>>().filter_map(|o| o.into_dict()) {
            self.file(&file)?;
        }
        Ok(())
    }

    fn file(&mut self, file: &Dict<'_>) -> Result<(), String> {
        let name = file.get::<Text<'_>>("UF").or_else(|| file.get::<Text<'_>>("F"));
        let name = name.as_ref().and_then(|n| plain(n.as_bytes())).ok_or(
            "an attached file has a name of other characters than A to Z, a to z, 0 to 9, dot, dash and underscore",
        )?;
        let stream = file.get::<Dict<'_>>("EF").and_then(|ef| ef.get::<Stream<'_>>("F"));
        let stream = stream.ok_or_else(|| format!("the attached file {name} has no content"))?;
        if self.files.len() >= COUNT_LIMIT {
            return Err(format!("it has more than {COUNT_LIMIT} attached files"));
        }
        let bytes = content(&name, &stream)?;
        self.total += bytes.len() as u64;
        if self.total > TOTAL_LIMIT {
            return Err(format!("its attached files have more than {TOTAL_LIMIT} bytes"));
        }
        match self.files.insert(name.clone(), bytes) {
            None => Ok(()),
            Some(_) => Err(format!("two attached files are called {name}")),
        }
    }
}

/// A name that [`crate::attachable`] allows; UTF-16 names are those of other programs.
fn plain(name: &[u8]) -> Option<String> {
    let utf16 = |rest: &[u8]| {
        let units: Vec<u16> =
            rest.chunks(2).map(|c| c.iter().fold(0, |n, b| n << 8 | u16::from(*b))).collect();
        String::from_utf16(&units).ok()
    };
    let name = match name {
        [0xfe, 0xff, rest @ ..] => utf16(rest)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok()?,
        other => String::from_utf8(other.to_vec()).ok()?,
    };
    crate::attachable(&name).then_some(name)
}

fn content(name: &str, stream: &Stream<'_>) -> Result<Vec<u8>, String> {
    let raw = stream.raw_data();
    let mut bytes = Vec::new();
    let filters = stream.filters();
    let read = match filters.as_slice() {
        [] => raw.as_ref().take(FILE_LIMIT + 1).read_to_end(&mut bytes),
        [Filter::FlateDecode] if !stream.dict().contains_key("DecodeParms") => {
            ZlibDecoder::new(raw.as_ref()).take(FILE_LIMIT + 1).read_to_end(&mut bytes)
        }
        _ => {
            return Err(format!(
                "the attached file {name} is compressed in a way that Seatrial does not write"
            ));
        }
    };
    read.map_err(|e| format!("the attached file {name} cannot be unpacked: {e}"))?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("the attached file {name} has more than {FILE_LIMIT} bytes"));
    }
    Ok(bytes)
}

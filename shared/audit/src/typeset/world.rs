//! What a template can see: its own files, its data, its figures and attachments, and the fonts. Nothing else.

use std::collections::HashMap;
use std::sync::LazyLock;

use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt as _, World, WorldExt as _};

use super::Job;
use super::fonts::FONTS;
use super::visible::{printable, visible};

static LIBRARY: LazyLock<LazyHash<Library>> = LazyLock::new(|| LazyHash::new(Library::builder().build()));

/// The files of one job.
pub(super) struct Press {
    main: FileId,
    sources: HashMap<FileId, Source>,
    files: HashMap<FileId, Bytes>,
}

/// The id of a virtual file. Typst keeps each path that was ever used, and not more than 65,535 of them: all paths here are of a few
/// fixed forms, whatever a promotion's objects are called.
fn id(path: &str) -> FileId {
    #[allow(clippy::expect_used)] // paths of this module's own making
    let path = VirtualPath::new(path).expect("a lawful path");
    RootedPath::new(VirtualRoot::Project, path).intern()
}

impl Press {
    pub(super) fn new(job: &Job<'_>) -> Self {
        let mut data = job.data.clone();
        printable(&mut data);
        let figures = job.figures.iter().enumerate();
        let attachments = job.attachments.iter().enumerate();
        let files = [(id("/data.json"), Bytes::from_string(data.to_string()))]
            .into_iter()
            .chain(
                figures.map(|(n, svg)| (id(&format!("/figure-{n}.svg")), Bytes::from_string(visible(svg)))),
            )
            .chain(
                attachments.map(|(n, bytes)| (id(&format!("/attachment-{n}")), Bytes::new(bytes.to_vec()))),
            )
            .collect();
        let sources: Vec<Source> = job
            .template
            .iter()
            .map(|(name, text)| Source::new(id(&format!("/{name}")), (*text).to_owned()))
            .collect();
        let main = sources.first().map_or_else(|| id("/main.typ"), Source::id);
        Self { main, sources: sources.into_iter().map(|s| (s.id(), s)).collect(), files }
    }

    /// File and line of a message.
    pub(super) fn place(&self, diagnostic: &SourceDiagnostic) -> Option<String> {
        let file = diagnostic.span.id()?;
        let range = self.range(diagnostic.span)?;
        let line = self.source(file).ok()?.lines().byte_to_line(range.start)?;
        Some(format!("{}:{}", file.get().vpath().get_without_slash(), line + 1))
    }
}

impl World for Press {
    fn library(&self) -> &LazyHash<Library> {
        &LIBRARY
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &FONTS.book
    }

    fn main(&self) -> FileId {
        self.main
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        self.sources.get(&id).cloned().ok_or_else(|| missing(id))
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        self.files.get(&id).cloned().ok_or_else(|| missing(id))
    }

    fn font(&self, index: usize) -> Option<Font> {
        FONTS.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn missing(id: FileId) -> FileError {
    FileError::NotFound(id.get().vpath().get_without_slash().into())
}

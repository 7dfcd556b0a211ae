//! The files in a `tar.gz`, one after the other, in flat memory: untrusted bytes, read and never unpacked to a disk.
//!
//! What is not a file of a submission (links, devices, paths that leave the folder) becomes a defect and is passed over.
//! What makes the rest unreadable or has no end in sight (damage, a bomb) ends the reading.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType, PaxExtensions};

use super::super::structure::{self, MAX_FILES, MAX_TOTAL};
use super::super::{Defect, Entry};

/// How many entries are looked at; folders and what is passed over count too.
const MAX_ENTRIES: usize = 4 * MAX_FILES;
/// What an archive may hold beside its files, in bytes: headers, padding, what is passed over.
const SLACK: u64 = 64 << 20;
/// The longest name in an extension header, in bytes; a path may have 512.
const MAX_EXTENSION: u64 = 64 << 10;
/// The bytes that are handed on at once.
const CHUNK: usize = 256 << 10;

/// What is found, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A file begins; as many bytes as it has follow.
    File {
        /// Its path in the submission.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// Bytes of the file.
    Chunk(Bytes),
    /// Something that no submission has. It is passed over.
    Defect(Defect),
}

/// Why the reading ended before the end of the archive.
#[derive(Debug)]
pub(super) enum Broken {
    /// The archive is not one, or too much. Where the bytes came from may know better.
    Archive(Defect),
    /// Nobody listens any more.
    Unheard,
}

/// Reads the archive `name` and tells what is in it. `tell` answers whether to go on.
pub(super) fn read(name: &str, gzip: impl Read, tell: impl FnMut(Step) -> bool) -> Result<(), Broken> {
    read_up_to(MAX_TOTAL + SLACK, name, gzip, tell)
}

fn read_up_to(
    limit: u64,
    name: &str,
    gzip: impl Read,
    mut tell: impl FnMut(Step) -> bool,
) -> Result<(), Broken> {
    let left = Cell::new(limit);
    let mut archive = Archive::new(Limited { inner: MultiGzDecoder::new(gzip), left: &left });
    let mut reading = Reading { name, left: &left, seen: BTreeSet::new(), bytes: 0, long_name: None };
    let entries = archive.entries().map_err(|e| reading.damage(&e))?.raw(true);
    for (count, entry) in entries.enumerate() {
        if count >= MAX_ENTRIES {
            let expected = format!("at most {MAX_ENTRIES}, folders included");
            return Err(reading.broken(format!("more than {MAX_ENTRIES} entries"), &expected));
        }
        let mut entry = entry.map_err(|e| reading.damage(&e))?;
        reading.entry(&mut entry, &mut tell)?;
    }
    // The checksum of gzip stands behind everything else. What is there beside padding is read by nobody.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|e| reading.damage(&e))?;
    Ok(())
}

/// A reader that fails where it would go on for too long, unlike one that ends there.
struct Limited<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.get().checked_sub(read as u64) {
            Some(left) => self.left.set(left),
            None => {
                self.left.set(0);
                return Err(io::Error::other("too much"));
            }
        }
        Ok(read)
    }
}

struct Reading<'a> {
    name: &'a str,
    /// How many bytes may still come out of the archive.
    left: &'a Cell<u64>,
    seen: BTreeSet<String>,
    bytes: u64,
    /// The path of the next entry, where its own header is too short for it.
    long_name: Option<Vec<u8>>,
}

impl Reading<'_> {
    fn entry<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        tell: &mut impl FnMut(Step) -> bool,
    ) -> Result<(), Broken> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let mut name = self.extension(entry)?;
                while name.last() == Some(&0) {
                    name.pop();
                }
                self.long_name = Some(name);
                Ok(())
            }
            EntryType::XHeader => self.extended(entry),
            // Comments of whole archives, and the targets of links, which are refused themselves.
            EntryType::XGlobalHeader | EntryType::GNULongLink => Ok(()),
            EntryType::Directory => {
                self.long_name = None;
                Ok(())
            }
            _ => {
                let path = self.long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                match self.file(kind, &path, entry.size()) {
                    Ok(path) => self.content(entry, path, tell),
                    Err(defect) => heard(tell(Step::Defect(defect))),
                }
            }
        }
    }

    /// The path of a file that is taken.
    fn file(&mut self, kind: EntryType, path: &[u8], size: u64) -> Result<String, Defect> {
        let shown = String::from_utf8_lossy(path).into_owned();
        let Ok(mut path) = std::str::from_utf8(path) else {
            return Err(Defect::new(shown, "a name that is no UTF-8", "names in UTF-8").fix("rename it"));
        };
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
            let fix = "put the file itself into the archive (tar follows links with -h)";
            return Err(Defect::new(shown, words(kind), "plain files and folders").fix(fix));
        }
        while let Some(rest) = path.strip_prefix("./") {
            path = rest;
        }
        if !self.seen.insert(path.to_owned()) {
            return Err(Defect::new(path, "the same path twice in the archive", "each path once"));
        }
        match structure::of_one(&Entry { path: path.to_owned(), size, at: None }) {
            Some(defect) => Err(defect),
            None => Ok(path.to_owned()),
        }
    }

    fn content<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        path: String,
        tell: &mut impl FnMut(Step) -> bool,
    ) -> Result<(), Broken> {
        let size = entry.size();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_TOTAL {
            return Err(self.too_much());
        }
        if self.seen.len() > MAX_FILES {
            let expected = format!("at most {MAX_FILES} in a submission");
            return Err(self.broken(format!("more than {MAX_FILES} files"), &expected));
        }
        heard(tell(Step::File { path, size }))?;
        let mut left = size;
        while left > 0 {
            let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
            entry.read_exact(&mut chunk).map_err(|e| self.damage(&e))?;
            left -= chunk.len() as u64;
            heard(tell(Step::Chunk(chunk.into())))?;
        }
        Ok(())
    }

    /// An extension header, whole. Names are short; what is not is an attempt on the memory.
    fn extension<R: Read>(&self, entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, Broken> {
        if entry.size() > MAX_EXTENSION {
            let found = format!("a header of {} bytes", entry.size());
            return Err(self.broken(found, &format!("at most {MAX_EXTENSION} bytes for names")));
        }
        let mut bytes = Vec::with_capacity(entry.size() as usize);
        entry.read_to_end(&mut bytes).map_err(|e| self.damage(&e))?;
        Ok(bytes)
    }

    /// A POSIX extended header: a path that is long or no ASCII. Times and owners in it say nothing of the content.
    fn extended<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), Broken> {
        let bytes = self.extension(entry)?;
        for field in PaxExtensions::new(&bytes) {
            let field = field.map_err(|e| self.damage(&e))?;
            match field.key_bytes() {
                b"path" => self.long_name = Some(field.value_bytes().to_vec()),
                // Two readers may disagree about where such an entry ends.
                b"size" => {
                    let found = "a file whose size stands in an extended header";
                    let expected = "files of less than 8 GiB, or the format of GNU tar (`--format=gnu`)";
                    return Err(self.broken(found.to_owned(), expected));
                }
                key if key.starts_with(b"GNU.sparse") => {
                    let expected = "plain files and folders; make the archive without --sparse";
                    return Err(self.broken("a sparse file".to_owned(), expected));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn broken(&self, found: String, expected: &str) -> Broken {
        Broken::Archive(Defect::new(self.name, found, expected))
    }

    fn damage(&self, error: &io::Error) -> Broken {
        if self.left.get() == 0 {
            return self.too_much();
        }
        let expected = "a tar archive compressed by gzip, as `tar -czf model.tar.gz -C DIR .` writes it";
        self.broken(error.to_string(), expected)
    }

    fn too_much(&self) -> Broken {
        self.broken(
            format!("more than {MAX_TOTAL} bytes when it is unpacked"),
            &format!("at most {MAX_TOTAL} bytes"),
        )
    }
}

fn heard(heard: bool) -> Result<(), Broken> {
    if heard { Ok(()) } else { Err(Broken::Unheard) }
}

const fn words(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink | EntryType::Link => "a link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "something that is no file",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::testing::{gzip, tar};
    use super::*;

    #[test]
    fn a_bomb_is_left_where_its_limit_is() {
        let zeros = vec![0; 4 << 20];
        let bomb = gzip(&tar([("weights/a", zeros.as_slice())]));
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        let mut told = 0_u64;
        let read = read_up_to(1 << 20, "model.tar.gz", &bomb[..], |step| {
            told += if let Step::Chunk(bytes) = step { bytes.len() as u64 } else { 0 };
            true
        });
        let Err(Broken::Archive(defect)) = read else { panic!("{read:?}") };
        assert!(defect.found.contains("when it is unpacked"), "{defect}");
        assert!(told <= 1 << 20, "{told}");
        // What is passed over, and what comes after the end, counts too.
        for hidden in [tar([("core.dump", zeros.as_slice())]), [tar([]), zeros].concat()] {
            let read = read_up_to(1 << 20, "model.tar.gz", &gzip(&hidden)[..], |_| true);
            let Err(Broken::Archive(defect)) = read else { panic!("{read:?}") };
            assert!(defect.found.contains("when it is unpacked"), "{defect}");
        }
    }

    #[test]
    fn nobody_listening_ends_the_reading() {
        let archive = gzip(&tar([("weights/a", &b"one"[..]), ("weights/b", b"two")]));
        let mut steps = 0;
        let read = read("model.tar.gz", &archive[..], |_| {
            steps += 1;
            steps < 2
        });
        assert!(matches!(read, Err(Broken::Unheard)), "{read:?}");
        assert_eq!(steps, 2);
    }

    proptest! {
        #[test]
        fn whatever_an_archive_holds_its_files_have_safe_paths_and_their_promised_sizes(
            flips in proptest::collection::vec((0_usize..4_096, any::<u8>()), 0..40),
            compressed in any::<bool>(),
        ) {
            let plain = tar([("weights/a", &b"one"[..]), ("config.yaml", b"schema: 1"), ("weights/b", &[7; 700])]);
            let mut bytes = if compressed { gzip(&plain) } else { plain };
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let archive = if compressed { bytes } else { gzip(&bytes) };
            let (mut open, mut files) = (0_u64, 0);
            let read = read("model.tar.gz", &archive[..], |step| {
                match step {
                    Step::File { path, size } => {
                        assert_eq!((open, structure::bad_path(&path)), (0, None));
                        open = size;
                        files += 1;
                    }
                    Step::Chunk(chunk) => open = open.checked_sub(chunk.len() as u64).unwrap(),
                    Step::Defect(_) => assert_eq!(open, 0),
                }
                true
            });
            prop_assert!(files <= 3 && (read.is_err() || open == 0));
        }
    }
}

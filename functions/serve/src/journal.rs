//! Markers of what this process is doing, in a file that survives it.
//!
//! Before a version runs or loads, a marker is written; when it is done, the marker is cleared. A process that dies leaves
//! its markers behind, and the next one on this machine counts them as errors of the versions that were running. So a
//! version that kills its server is evidence, not silence.
//!
//! A process has one file, `inflight-<id>`, and holds a lock on it: a file whose lock is free belongs to a process that
//! died. A marker is one slot of [`SLOT`] bytes, written and cleared by one `pwrite` each into the page cache, which
//! survives the process; no `fsync`, for a machine that loses power is not the version's fault.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::choice::Assignment;
use crate::locked;

/// Bytes of a slot.
const SLOT: usize = 512;
const USED: u8 = b'1';
const FREE: u8 = b'0';
const PREFIX: &str = "inflight-";

/// What a process was doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// What kind of work.
    pub kind: Kind,
    /// The request's id, or one made for the loading.
    pub id: String,
    /// The version, arm and route.
    pub assignment: Assignment,
    /// The unit, hashed with the route's salt.
    pub unit: String,
}

/// A kind of work that can kill a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answering a request.
    Serve,
    /// Loading a version.
    Load,
}

/// This process's markers.
pub struct Journal {
    file: File,
    path: PathBuf,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    free: Vec<u32>,
    next: u32,
}

/// A marker that stands until it is dropped.
#[must_use = "a marker that is dropped at once marks nothing"]
pub struct Mark {
    journal: Arc<Journal>,
    slot: u32,
}

impl Journal {
    /// A new journal of this process in `dir`, which is made when it is missing.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn open(dir: &Path) -> io::Result<Arc<Self>> {
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("{PREFIX}{}", uuid::Uuid::now_v7().simple()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(Arc::new(Self { file, path, slots: Mutex::default() }))
    }

    /// Writes a marker.
    ///
    /// # Errors
    /// When it cannot be written, for example because the disk is full.
    pub fn mark(self: &Arc<Self>, marker: &Marker) -> io::Result<Mark> {
        let mut slot = vec![USED];
        serde_json::to_writer(&mut slot, marker)?;
        if slot.len() > SLOT {
            return Err(io::Error::other(format!(
                "a marker of {} bytes does not fit a slot of {SLOT}",
                slot.len()
            )));
        }
        slot.resize(SLOT, b' ');
        let number = {
            let mut slots = locked(&self.slots);
            slots.free.pop().unwrap_or_else(|| {
                slots.next += 1;
                slots.next - 1
            })
        };
        // Made first, so that a failing write gives the slot back.
        let mark = Mark { journal: Arc::clone(self), slot: number };
        self.file.write_all_at(&slot, offset(number))?;
        Ok(mark)
    }

    fn clear(&self, slot: u32) {
        match self.file.write_all_at(&[FREE], offset(slot)) {
            Ok(()) => locked(&self.slots).free.push(slot),
            Err(error) => {
                tracing::error!(error = %error, "a marker could not be cleared; a restart would count it");
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Every mark holds the journal, so none stands any more.
        drop(fs::remove_file(&self.path));
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.journal.clear(self.slot);
    }
}

fn offset(slot: u32) -> u64 {
    u64::from(slot) * SLOT as u64
}

/// The file of a process that died. It stays, locked by us, until [`Wreck::clear`]: if we die before its markers are
/// reported, the next process finds it again.
pub struct Wreck {
    _lock: File,
    path: PathBuf,
    /// What the process was doing.
    pub markers: Vec<Marker>,
}

impl Wreck {
    /// Removes the file, after its markers were reported.
    pub fn clear(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), error = %error, "a reported marker file could not be removed");
        }
    }
}

/// The files that processes which died left in `dir`.
///
/// # Errors
/// When the folder cannot be read. A single file that cannot be read is skipped with a warning.
pub fn wrecks(dir: &Path) -> io::Result<Vec<Wreck>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)) {
            continue;
        }
        match salvage(path.clone()) {
            Ok(Some(wreck)) => found.push(wreck),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(file = %path.display(), error = %error, "a marker file cannot be read");
            }
        }
    }
    Ok(found)
}

fn salvage(path: PathBuf) -> io::Result<Option<Wreck>> {
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let markers = bytes.chunks(SLOT).filter(|slot| slot.first() == Some(&USED)).filter_map(|slot| {
        serde_json::from_slice(&slot[1..])
            .inspect_err(|error| tracing::warn!(error = %error, "a marker cannot be read"))
            .ok()
    });
    Ok(Some(Wreck { markers: markers.collect(), _lock: file, path }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::testing::{assignment, folder};
    use seatrial_domain::ids::{ModelName, PromotionId, VersionName};
    use seatrial_domain::route::{Arm, Weight};

    fn marker(id: &str) -> Marker {
        Marker {
            kind: Kind::Serve,
            id: id.into(),
            assignment: assignment(Arm::Challenger),
            unit: "0123456789abcdef".into(),
        }
    }

    /// What a killed process leaves: its file, with the lock gone.
    fn die(journal: Arc<Journal>, marks: Vec<Mark>) {
        let copy = journal.path.with_extension("copy");
        fs::copy(&journal.path, &copy).unwrap();
        let path = journal.path.clone();
        drop(marks);
        drop(journal);
        fs::rename(copy, path).unwrap();
    }

    #[test]
    fn what_a_dead_process_was_doing_is_found_and_what_it_had_done_is_not() {
        let dir = folder();
        let journal = Journal::open(&dir).unwrap();
        let done = journal.mark(&marker("done")).unwrap();
        let dying = journal.mark(&marker("dying")).unwrap();
        drop(done);
        let again = journal.mark(&marker("in the place of the one that is done")).unwrap();
        assert_eq!(again.slot, 0);
        assert!(wrecks(&dir).unwrap().is_empty(), "a living process is no wreck");
        drop(again);
        die(journal, vec![dying]);
        let found = wrecks(&dir).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].markers, [marker("dying")]);
        assert!(wrecks(&dir).unwrap().is_empty(), "another process does not take what this one is reporting");
        drop(found);
        let found = wrecks(&dir).unwrap();
        assert_eq!(found.len(), 1, "who dies before reporting leaves it to the next");
        found.into_iter().for_each(Wreck::clear);
        assert!(wrecks(&dir).unwrap().is_empty());
    }

    #[test]
    fn a_process_that_ends_well_leaves_nothing() {
        let dir = folder();
        let journal = Journal::open(&dir).unwrap();
        drop(journal.mark(&marker("a")).unwrap());
        drop(journal);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        assert!(wrecks(&dir.join("missing")).unwrap().is_empty());
    }

    #[test]
    fn the_longest_marker_fits_and_a_torn_one_is_skipped() {
        let dir = folder();
        let journal = Journal::open(&dir).unwrap();
        let mut long = marker(&uuid::Uuid::now_v7().to_string());
        long.assignment.model = ModelName::parse(&"m".repeat(63)).unwrap();
        long.assignment.version = VersionName::new(u32::MAX);
        long.assignment.route.promotion = Some(PromotionId::derive(&long.assignment.model, "x", 1));
        long.assignment.route.epoch = u64::MAX;
        long.assignment.route.weight = Weight::FULL;
        let fits = journal.mark(&long).unwrap();
        let torn = journal.mark(&marker("torn")).unwrap();
        journal.file.write_all_at(b"#", offset(torn.slot) + 5).unwrap();
        die(journal, vec![fits, torn]);
        let found = wrecks(&dir).unwrap();
        assert_eq!(found[0].markers, [long]);
    }
}

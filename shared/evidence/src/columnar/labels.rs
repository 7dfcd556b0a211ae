//! Labels by the ids they name: read once, kept in 26 bytes each, taken out partition by partition.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::Array;
use bytes::Bytes;

use super::ids::{Key, Places};
use super::names::Names;
use super::reading::{Columns, open};
use crate::table::TableError;

/// Labels a chunk: memory is taken in such pieces, so that no bucket is copied while it grows.
const CHUNK: usize = 4_096;

/// How many keys are looked up ahead.
const AHEAD: usize = 32;

/// What a label says: a class as its code, or a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Said {
    Class(u16),
    Number(f64),
}

/// Labels in columns of equal length; of `classes` and `numbers` one is filled.
#[derive(Debug, Default)]
struct Chunk {
    keys: Vec<Key>,
    at: Vec<i64>,
    classes: Vec<u16>,
    numbers: Vec<f64>,
}

impl Chunk {
    fn new(numbers: bool) -> Self {
        let (classes, values) = if numbers { (0, CHUNK) } else { (CHUNK, 0) };
        Self {
            keys: Vec::with_capacity(CHUNK),
            at: Vec::with_capacity(CHUNK),
            classes: Vec::with_capacity(classes),
            numbers: Vec::with_capacity(values),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (Key, i64, Said)> {
        self.keys.iter().zip(&self.at).enumerate().map(|(i, (&key, &at))| {
            let said = match self.classes.get(i) {
                Some(&class) => Said::Class(class),
                None => Said::Number(self.numbers.get(i).copied().unwrap_or(f64::NAN)),
            };
            (key, at, said)
        })
    }
}

#[derive(Debug, Default)]
struct Store(Vec<Chunk>);

impl Store {
    fn push(&mut self, numbers: bool, key: Key, at: i64, said: Said) {
        if self.0.last().is_none_or(|last| last.keys.len() == CHUNK) {
            self.0.push(Chunk::new(numbers));
        }
        let Some(last) = self.0.last_mut() else { return };
        last.keys.push(key);
        last.at.push(at);
        match said {
            Said::Class(class) => last.classes.push(class),
            Said::Number(number) => last.numbers.push(number),
        }
    }
}

/// Reads label files, any number of them on each of several threads.
#[derive(Debug)]
pub struct LabelReader {
    numbers: bool,
    partitions: u16,
    /// Only labels for this partition are kept, if one is given.
    only: Option<u16>,
    classes: Names,
    by_observation: Vec<Store>,
    by_client: Store,
    unusable: u64,
}

impl LabelReader {
    /// A reader for pairs in that many partitions; of classes, or of numbers. With `only`, labels that name an observation of
    /// another partition are passed over.
    #[must_use]
    pub fn new(partitions: u16, numbers: bool, only: Option<u16>) -> Self {
        let by_observation = (0..partitions.max(1)).map(|_| Store::default()).collect();
        Self {
            numbers,
            partitions: partitions.max(1),
            only,
            classes: Names::default(),
            by_observation,
            by_client: Store::default(),
            unusable: 0,
        }
    }

    /// Takes in a file.
    ///
    /// # Errors
    /// When the file is cut short, is not a table of labels, or names more classes than can be told apart. What was read of it
    /// before stays: the caller gives up, or names the file.
    pub fn file(&mut self, file: Bytes) -> Result<(), TableError> {
        let truth = if self.numbers { "value" } else { "label" };
        let (plain, repeating): (&[&str], &[&str]) = if self.numbers {
            (&["observation_id", "client_id", "value", "at"], &[])
        } else {
            (&["observation_id", "client_id", "at"], &["label"])
        };
        for batch in open(file, plain, repeating)?.batches {
            let batch = batch.map_err(crate::table::failed("read"))?;
            let c = Columns(&batch);
            let (ids, clients, at) = (c.text("observation_id")?, c.text("client_id")?, c.time("at")?);
            let names = if self.numbers {
                None
            } else {
                Some(c.names(truth, |text| {
                    let code = self.classes.code(text);
                    if code < u32::from(u16::MAX) { Ok(code) } else { Err(TableError::Classes) }
                })?)
            };
            let values = if self.numbers { Some(c.number(truth)?) } else { None };
            for row in 0..batch.num_rows() {
                let said = match (&names, values) {
                    (Some(names), _) => names.get(row).map(|code| Said::Class(code as u16)),
                    (_, Some(v)) if v.is_valid(row) && v.value(row).is_finite() => {
                        Some(Said::Number(v.value(row)))
                    }
                    _ => None,
                };
                let Some(said) = said else {
                    self.unusable += 1;
                    continue;
                };
                if ids.is_valid(row) {
                    let key = Key::of(ids.value(row).as_bytes());
                    let part = key.partition(self.partitions);
                    if self.only.is_none_or(|only| only == part) {
                        self.by_observation[usize::from(part)].push(self.numbers, key, at.value(row), said);
                    }
                } else if clients.is_valid(row) {
                    let key = Key::of(clients.value(row).as_bytes());
                    self.by_client.push(self.numbers, key, at.value(row), said);
                } else {
                    self.unusable += 1;
                }
            }
        }
        Ok(())
    }
}

/// All labels, by partition.
#[derive(Debug)]
pub struct LabelBook {
    /// Class names by reader.
    classes: Vec<Names>,
    /// By partition: of each reader its labels.
    partitions: Vec<Mutex<Vec<Store>>>,
    clients: Option<Clients>,
    unusable: u64,
}

impl LabelBook {
    /// The labels of these readers, which must have been made for the same number of partitions.
    #[must_use]
    pub fn new(readers: Vec<LabelReader>) -> Self {
        let partitions = readers.iter().map(|r| r.by_observation.len()).max().unwrap_or(0);
        let mut book = Self {
            classes: Vec::new(),
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            clients: None,
            unusable: 0,
        };
        let mut by_client = Vec::new();
        for reader in readers {
            for (held, store) in book.partitions.iter_mut().zip(reader.by_observation) {
                held.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).push(store);
            }
            by_client.push(reader.by_client);
            book.classes.push(reader.classes);
            book.unusable += reader.unusable;
        }
        if by_client.iter().any(|store| !store.0.is_empty()) {
            book.clients = Some(Clients::new(&by_client, &book.classes));
        }
        book
    }

    /// Whether any label names its request by the caller's own id. Then all pairs must be [marked](Self::mark) first.
    #[must_use]
    pub fn by_client(&self) -> bool {
        self.clients.is_some()
    }

    /// Labels that say nothing that can be used: of the other kind (a number for a class), or not finite.
    #[must_use]
    pub fn unusable(&self) -> u64 {
        self.unusable
    }

    /// Notes which pairs of a file have which client id, so that an id that two observations share joins none. Every file of
    /// every partition must be marked before the first is read.
    ///
    /// # Errors
    /// When the file is cut short or not a table of pairs.
    pub fn mark(&self, file: Bytes) -> Result<(), TableError> {
        let Some(clients) = &self.clients else { return Ok(()) };
        for batch in open(file, &["observation_id", "client_id"], &[])?.batches {
            let batch = batch.map_err(crate::table::failed("read"))?;
            let c = Columns(&batch);
            let (ids, names) = (c.text("observation_id")?, c.text("client_id")?);
            for row in (0..batch.num_rows()).filter(|&row| names.is_valid(row) && ids.is_valid(row)) {
                if let Some(place) = clients.places.find(Key::of(names.value(row).as_bytes())) {
                    clients.mark(place, Key::of(ids.value(row).as_bytes()));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn clients(&self) -> Option<&Clients> {
        self.clients.as_ref()
    }

    /// Each class a reader saw, named by `name`: its own codes become those of who asks.
    pub(crate) fn translate(&self, mut name: impl FnMut(&str) -> u16) -> Vec<Vec<u16>> {
        self.classes.iter().map(|names| names.texts().map(&mut name).collect()).collect()
    }

    /// Gives every label of a partition, with the number of its reader, and before some of them their keys to `ahead`. With
    /// `last` their memory is freed.
    pub(crate) fn each(
        &self,
        part: u16,
        last: bool,
        ahead: impl Fn(&[Key]),
        mut take: impl FnMut(usize, Key, i64, Said),
    ) {
        let Some(held) = self.partitions.get(usize::from(part)) else { return };
        let mut held = held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (reader, store) in held.iter_mut().enumerate() {
            for chunk in &store.0 {
                for (index, (key, at, said)) in chunk.iter().enumerate() {
                    if index % AHEAD == 0 {
                        ahead(&chunk.keys[index..chunk.keys.len().min(index + AHEAD)]);
                    }
                    take(reader, key, at, said);
                }
            }
            if last {
                store.0 = Vec::new();
            }
        }
    }
}

/// Labels by the caller's own id: the latest of each, and which observation has the id.
#[derive(Debug)]
pub(crate) struct Clients {
    places: Places,
    labels: Vec<ClientLabel>,
    /// 0: no pair has the id; 1: several have; else the one that has.
    owners: Vec<AtomicU64>,
}

/// The latest label of a client id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLabel {
    pub(crate) reader: u16,
    pub(crate) at: i64,
    pub(crate) said: Said,
    /// Whether its labels disagree.
    pub(crate) contradicted: bool,
}

const SEVERAL: u64 = 1;

impl Clients {
    fn new(stores: &[Store], classes: &[Names]) -> Self {
        let mut places = Places::new();
        let mut labels: Vec<ClientLabel> = Vec::new();
        let text = |reader: u16, code: u16| {
            classes.get(usize::from(reader)).map_or("", |names| names.text(u32::from(code)))
        };
        for (reader, store) in stores.iter().enumerate() {
            let reader = reader as u16;
            for (key, at, said) in store.0.iter().flat_map(Chunk::iter) {
                let (place, new) = places.place(key);
                if new {
                    labels.push(ClientLabel { reader, at, said, contradicted: false });
                    continue;
                }
                let held = &mut labels[place];
                let order = match (said, held.said) {
                    (Said::Class(a), Said::Class(b)) => text(reader, a).cmp(text(held.reader, b)),
                    (Said::Number(a), Said::Number(b)) => a.total_cmp(&b),
                    _ => std::cmp::Ordering::Equal,
                };
                held.contradicted |= order.is_ne();
                if (at, order) > (held.at, std::cmp::Ordering::Equal) {
                    (held.reader, held.at, held.said) = (reader, at, said);
                }
            }
        }
        let owners = labels.iter().map(|_| AtomicU64::new(0)).collect();
        Self { places, labels, owners }
    }

    fn mark(&self, place: usize, observation: Key) {
        let mine = observation.short();
        let owner = &self.owners[place];
        if let Err(held) = owner.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed)
            && held != mine
        {
            owner.store(SEVERAL, Ordering::Relaxed);
        }
    }

    /// The place of a client id that has a label.
    pub(crate) fn place(&self, client: &[u8]) -> Option<u32> {
        self.places.find(Key::of(client)).map(|place| place as u32)
    }

    /// Whether several observations have the id.
    pub(crate) fn reused(&self, place: u32) -> bool {
        self.owners.get(place as usize).is_some_and(|o| o.load(Ordering::Relaxed) == SEVERAL)
    }

    pub(crate) fn label(&self, place: u32) -> Option<ClientLabel> {
        self.labels.get(place as usize).copied()
    }
}

//! Reads pairs partition by partition: each deduplicated exactly, joined with its labels, counted, and forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, Float64Array};
use bytes::Bytes;

use super::accumulate::{Accumulator, Joined};
use super::ids::{Key, Places, unit_group};
use super::labels::{LabelBook, Said};
use super::reading::{Columns, Named, open};
use super::row::{Flags, Row, Texts};
use super::spec::Spec;
use crate::pair::{CLASSES_NOTE, ClassesNote};
use crate::summary::Summary;
use crate::table::{TableError, failed};

/// A partition of more rows than this is read in several passes, each over a range of hashes: memory stays the same.
pub const ROWS_AT_ONCE: u64 = 500_000;

/// The most classes that are told apart: codes have twelve bits.
const MOST_CLASSES: usize = 4_090;

/// A producer's time may be that much later than the queue's.
const AHEAD_US: i64 = 60 * 1_000_000;
/// And that much earlier: what is sent later than an hour after it was served counts as a clock that runs behind.
const BEHIND_US: i64 = 3_600 * 1_000_000;

/// How many keys are looked up ahead.
const FETCHED: usize = 32;

const NO_CLIENT: u32 = u32::MAX;
const UNCLEAR_CLIENT: u32 = u32::MAX - 1;

const PLAIN: [&str; 10] = [
    "observation_id",
    "unit",
    "at",
    "queued_at",
    "served_error",
    "champion_score",
    "champion_latency_us",
    "challenger_score",
    "challenger_latency_us",
    "faithful",
];
const NUMBERS: [&str; 10] = [
    "observation_id",
    "unit",
    "at",
    "queued_at",
    "served_value",
    "champion_value",
    "champion_latency_us",
    "challenger_value",
    "challenger_latency_us",
    "faithful",
];
const REPEATING: [&str; 7] = [
    "served_version",
    "served_label",
    "champion_label",
    "champion_error",
    "challenger_label",
    "challenger_error",
    "segments",
];

/// One partition, as one pass over it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// The partition.
    pub part: u16,
    /// Which pass, from 0.
    pub pass: u32,
    /// Of how many.
    pub passes: u32,
}

impl Pass {
    /// The passes over a partition of that many rows.
    pub fn over(part: u16, rows: u64) -> impl Iterator<Item = Self> {
        let passes = rows.div_ceil(ROWS_AT_ONCE).max(1) as u32;
        (0..passes).map(move |pass| Self { part, pass, passes })
    }
}

/// Reads partitions one after another. Several workers on several threads share the labels; their summaries merge.
#[derive(Debug)]
pub struct Worker {
    spec: Arc<Spec>,
    labels: Arc<LabelBook>,
    /// Codes of the labels' classes, by reader.
    truths: Vec<Vec<u16>>,
    texts: Texts,
    positive: Option<String>,
    known: BTreeSet<String>,
    /// By version of the classes' order: the champion's and the challenger's, as codes.
    order: (Vec<u16>, Vec<u16>),
    places: Places,
    rows: Vec<Row>,
    clients: Vec<u32>,
    /// Of each row where its probabilities begin, and how many there are of the champion and of the challenger.
    lists: Vec<(u32, u16, u16)>,
    list: Vec<f64>,
    joined: Vec<Joined>,
    pass: Option<Pass>,
    counts: Accumulator,
}

impl Worker {
    /// A worker over these labels.
    ///
    /// # Errors
    /// When the labels name more classes than can be told apart.
    pub fn new(spec: Arc<Spec>, labels: Arc<LabelBook>) -> Result<Self, TableError> {
        let mut texts = Texts::default();
        texts.errors.code("");
        let truths = labels.translate(|class| texts.classes.code(class).min(u32::from(u16::MAX)) as u16);
        if texts.classes.len() > MOST_CLASSES {
            return Err(TableError::Classes);
        }
        let counts = Accumulator::new(&spec);
        Ok(Self {
            positive: spec.positive.clone(),
            spec,
            labels,
            truths,
            texts,
            known: BTreeSet::new(),
            order: Default::default(),
            places: Places::new(),
            rows: Vec::new(),
            clients: Vec::new(),
            lists: Vec::new(),
            list: Vec::new(),
            joined: Vec::new(),
            pass: None,
            counts,
        })
    }

    /// Begins a pass over a partition of about that many rows.
    pub fn begin(&mut self, pass: Pass, rows: u64) {
        self.places.clear();
        self.rows.clear();
        self.clients.clear();
        self.lists.clear();
        self.list.clear();
        let rows = (rows / u64::from(pass.passes.max(1))).min(2 * ROWS_AT_ONCE) as usize;
        self.places.reserve(rows);
        self.rows.reserve(rows);
        self.counts.forget_combinations(&mut self.texts);
        self.pass = Some(pass);
    }

    /// Takes in a file of the partition.
    ///
    /// # Errors
    /// When the file is cut short, is not a table of pairs, or does not fit the files before it.
    pub fn file(&mut self, file: Bytes) -> Result<(), TableError> {
        let numbers = self.spec.numbers;
        let mut plain: Vec<&str> = if numbers { NUMBERS.to_vec() } else { PLAIN.to_vec() };
        if self.labels.by_client() {
            plain.push("client_id");
        }
        if self.spec.all_scores {
            plain.extend(["champion_scores", "challenger_scores"]);
        }
        let opened = open(file, &plain, &REPEATING)?;
        if let Some(note) = opened.note(CLASSES_NOTE) {
            self.note(serde_json::from_str(note).map_err(failed("read"))?)?;
        }
        for batch in opened.batches {
            self.batch(&Columns(&batch.map_err(failed("read"))?))?;
        }
        Ok(())
    }

    /// What the writer says of the classes.
    fn note(&mut self, note: ClassesNote) -> Result<(), TableError> {
        if !self.spec.numbers {
            match (&self.positive, &note.positive) {
                (None, Some(_)) if !self.spec.all_scores => self.positive = note.positive,
                (Some(mine), Some(theirs)) if mine != theirs && self.spec.positive.is_none() => {
                    return Err(TableError::Positive { one: mine.clone(), other: theirs.clone() });
                }
                _ => {}
            }
        }
        self.known.extend(note.champion.iter().chain(&note.challenger).cloned());
        let mut codes = |classes: &[String]| {
            classes.iter().map(|class| self.texts.classes.code(class) as u16).collect::<Vec<_>>()
        };
        self.order = (codes(&note.champion), codes(&note.challenger));
        Ok(())
    }

    fn batch(&mut self, c: &Columns<'_>) -> Result<(), TableError> {
        let Some(pass) = self.pass else { return Ok(()) };
        let numbers = self.spec.numbers;
        let (ids, units) = (c.text("observation_id")?, c.text("unit")?);
        let (at, queued) = (c.time("at")?, c.time("queued_at")?);
        let faithful = c.flag("faithful")?;
        let clients = self.labels.by_client().then(|| c.text("client_id")).transpose()?;
        let column = |one, other| c.number(if numbers { one } else { other });
        let champion_number = column("champion_value", "champion_score")?;
        let challenger_number = column("challenger_value", "challenger_score")?;
        let served_number = numbers.then(|| c.number("served_value")).transpose()?;
        let (champion_us, challenger_us) =
            (c.count("champion_latency_us")?, c.count("challenger_latency_us")?);
        let Texts { classes, errors, versions, combinations } = &mut self.texts;
        let mut class = |text: &str| {
            let code = classes.code(text);
            if (code as usize) < MOST_CLASSES { Ok(code + 1) } else { Err(TableError::Classes) }
        };
        let served = c.names("served_label", &mut class)?;
        let champion_label = c.names("champion_label", &mut class)?;
        let challenger_label = c.names("challenger_label", &mut class)?;
        let champion_error = c.names("champion_error", |_| Ok(1))?;
        let challenger_error = c.names("challenger_error", |text| Ok(errors.code(text)))?;
        let version = c.names("served_version", |text| Ok(versions.code(text)))?;
        let combination = c.names("segments", |text| {
            let code = combinations.code(text);
            self.counts.combination(code, text, &self.spec)?;
            Ok(code)
        })?;
        let lists = self
            .spec
            .all_scores
            .then(|| Ok::<_, TableError>((c.list("champion_scores")?, c.list("challenger_scores")?)))
            .transpose()?;
        let code = |named: &Named<'_>, row: usize| named.get(row).unwrap_or(0) as u16;
        let keys: Vec<Key> = (0..ids.len()).map(|row| Key::of(ids.value(row).as_bytes())).collect();
        for index in 0..ids.len() {
            if index % FETCHED == 0 {
                self.places.fetch(&keys[index..ids.len().min(index + FETCHED)]);
            }
            let (id, key) = (ids.value(index).as_bytes(), keys[index]);
            if key.partition(self.spec.partitions) != pass.part {
                self.counts.misplaced += u64::from(pass.pass == 0);
                continue;
            }
            if key.pass(pass.passes) != pass.pass {
                continue;
            }
            let (champion_failed, error) =
                (champion_error.get(index).is_some(), code(&challenger_error, index));
            let checked = faithful.is_valid(index);
            let mut flags = Flags::default();
            let (mut champion, mut reference) =
                (number(champion_number, index), code(&champion_label, index));
            let replayed = !champion_failed && (if numbers { !champion.is_nan() } else { reference > 0 });
            if champion_failed {
                (champion, reference) = (f64::NAN, 0);
            }
            // What was really served, where the champion served it; else its replay.
            if checked {
                reference = served.get(index).map_or(reference, |code| code as u16);
                champion = served_number
                    .filter(|served| served.is_valid(index))
                    .map_or(champion, |served| served.value(index));
            }
            let failed = error > 0;
            let mut challenger = if failed { f64::NAN } else { number(challenger_number, index) };
            let mut answer = if failed { 0 } else { code(&challenger_label, index) };
            let fits = |x: f64| if numbers { x.is_finite() } else { (0.0..=1.0).contains(&x) };
            let given = |array: &Float64Array, failed: bool| !failed && array.is_valid(index);
            flags.set(Flags::BAD_CHAMPION, given(champion_number, champion_failed) && !fits(champion));
            flags.set(Flags::BAD_CHALLENGER, given(challenger_number, failed) && !fits(challenger));
            champion = if fits(champion) { champion } else { f64::NAN };
            challenger = if fits(challenger) { challenger } else { f64::NAN };
            if numbers {
                // Numbers have no classes: an answer is there or not.
                reference = u16::from(!champion.is_nan());
                answer = u16::from(!challenger.is_nan());
            }
            let unit = units.value(index).as_bytes();
            let (request, item) = split(id);
            let skew = at.value(index).saturating_sub(queued.value(index));
            flags.set(Flags::CHAMPION_FAILED, champion_failed);
            flags.set(Flags::CHECKED, checked);
            flags.set(Flags::FAITHFUL, checked && faithful.value(index));
            flags.set(Flags::TIMED, replayed && answer > 0);
            flags.set(Flags::MATURE, queued.value(index) < self.spec.mature_before_us);
            flags.set(Flags::SHARES_UNIT, unit != request || item);
            flags.set(Flags::AHEAD, skew > AHEAD_US);
            flags.set(Flags::BEHIND, skew < -BEHIND_US);
            let row = Row {
                champion,
                challenger,
                champion_us: micros(champion_us.value(index)),
                challenger_us: micros(challenger_us.value(index)),
                combination: combination.get(index).unwrap_or(0),
                reference,
                answer,
                error,
                version: code(&version, index),
                group: unit_group(unit),
                flags,
            };
            let client = match (clients, self.labels.clients()) {
                (Some(names), Some(known)) if names.is_valid(index) => {
                    known.place(names.value(index).as_bytes()).unwrap_or(NO_CLIENT)
                }
                _ => NO_CLIENT,
            };
            let list = lists.map(|(champion, challenger)| {
                let start = self.list.len() as u32;
                let mut add = |array: &arrow::array::ListArray, failed: bool| {
                    if failed || !array.is_valid(index) {
                        return 0;
                    }
                    let values = array.value(index);
                    let Some(values) = values.as_any().downcast_ref::<Float64Array>() else { return 0 };
                    self.list.extend(values.values());
                    values.len() as u16
                };
                let lengths = (add(champion, champion_failed), add(challenger, failed));
                (start, lengths.0, lengths.1)
            });
            self.keep(key, row, client, list);
        }
        Ok(())
    }

    /// Keeps a row, or of two copies the one that counts.
    fn keep(&mut self, key: Key, row: Row, client: u32, list: Option<(u32, u16, u16)>) {
        let (place, new) = self.places.place(key);
        if new {
            self.rows.push(row);
            if self.labels.by_client() {
                self.clients.push(client);
            }
            self.lists.extend(list);
            return;
        }
        self.counts.duplicates += 1;
        if let Some(held) = self.clients.get_mut(place)
            && *held != client
        {
            *held = UNCLEAR_CLIENT;
        }
        let values = |list: (u32, u16, u16)| {
            let start = list.0 as usize;
            &self.list[start..start + usize::from(list.1) + usize::from(list.2)]
        };
        let mut order = self.texts.order(&row, &self.rows[place]);
        if let (true, Some(mine), Some(theirs)) = (order.is_eq(), list, self.lists.get(place)) {
            let bits = |list| values(list).iter().map(|x: &f64| x.to_bits());
            order = bits(mine).cmp(bits(*theirs)).then((mine.1, mine.2).cmp(&(theirs.1, theirs.2)));
        }
        if order.is_lt() {
            self.rows[place] = row;
            if let (Some(held), Some(list)) = (self.lists.get_mut(place), list) {
                *held = list;
            }
        }
    }

    /// Ends the pass: joins the labels and counts the rows.
    ///
    /// # Errors
    /// Never for files that were taken in.
    pub fn end(&mut self) -> Result<(), TableError> {
        let Some(pass) = self.pass.take() else { return Ok(()) };
        self.join(pass);
        self.counts.make_room(self.texts.classes.len());
        let positive = self.positive.as_ref().map(|p| self.texts.classes.code(p) as u16);
        self.counts.make_room(self.texts.classes.len());
        for (index, row) in self.rows.iter().enumerate() {
            let truth = self.joined.get(index).copied().unwrap_or_default();
            let lists = self.lists.get(index).map(|&(start, champion, challenger)| {
                let (start, champion) = (start as usize, usize::from(champion));
                let middle = start + champion;
                (&self.list[start..middle], &self.list[middle..middle + usize::from(challenger)])
            });
            self.counts.count(row, truth, positive, lists.map(|l| (l, &self.order)), &self.spec);
        }
        self.rows.clear();
        Ok(())
    }

    /// The truth of each row, as far as it is known.
    fn join(&mut self, pass: Pass) {
        self.joined.clear();
        self.joined.resize(self.rows.len(), Joined::default());
        let book = Arc::clone(&self.labels);
        let last = pass.pass + 1 == pass.passes;
        let (places, joined, truths, texts) = (&self.places, &mut self.joined, &self.truths, &self.texts);
        let own = |reader: usize, said: Said| match said {
            Said::Class(code) => {
                let code = truths.get(reader).and_then(|codes| codes.get(usize::from(code)));
                Said::Class(code.copied().unwrap_or(0))
            }
            number => number,
        };
        book.each(
            pass.part,
            last,
            |keys| places.fetch(keys),
            |reader, key, at, said| {
                if key.pass(pass.passes) == pass.pass
                    && let Some(place) = places.find(key)
                {
                    joined[place].hear(at, own(reader, said), |code| texts.classes.text(u32::from(code)));
                }
            },
        );
        let Some(clients) = book.clients() else { return };
        for (place, &client) in self.clients.iter().enumerate() {
            if client == NO_CLIENT {
                continue;
            }
            if client == UNCLEAR_CLIENT || clients.reused(client) {
                self.counts.reused_clients += 1;
                continue;
            }
            let Some(label) = clients.label(client) else { continue };
            if joined[place].said.is_none() {
                let said = own(usize::from(label.reader), label.said);
                joined[place] = Joined { at: label.at, said: Some(said), contradicted: label.contradicted };
            }
        }
    }

    /// What was counted.
    #[must_use]
    pub fn finish(self) -> Summary {
        let names = self.texts;
        self.counts.finish(&names, self.positive, self.known)
    }
}

/// The request's part of an observation id, and whether it is not the request's first row.
fn split(id: &[u8]) -> (&[u8], bool) {
    match id.iter().rposition(|&byte| byte == b'#') {
        Some(at) => (&id[..at], &id[at + 1..] != b"0"),
        None => (id, false),
    }
}

#[inline]
fn number(array: &Float64Array, row: usize) -> f64 {
    if array.is_valid(row) { array.value(row) } else { f64::NAN }
}

#[inline]
fn micros(us: u64) -> u32 {
    u32::try_from(us).unwrap_or(u32::MAX)
}

/// The summary of files held in memory, on this thread: what several workers come to together.
///
/// # Errors
/// As [`Worker::file`] and [`super::LabelReader::file`].
pub fn summarise(spec: &Spec, pairs: &[(u16, Bytes)], labels: &[Bytes]) -> Result<Summary, TableError> {
    let mut reader = super::LabelReader::new(spec.partitions, spec.numbers, None);
    for file in labels {
        reader.file(file.clone())?;
    }
    let book = Arc::new(LabelBook::new(vec![reader]));
    if book.by_client() {
        for (_, file) in pairs {
            book.mark(file.clone())?;
        }
    }
    let mut parts: BTreeMap<u16, Vec<&Bytes>> = BTreeMap::new();
    for (part, file) in pairs {
        parts.entry(*part).or_default().push(file);
    }
    let mut worker = Worker::new(Arc::new(spec.clone()), book.clone())?;
    for (part, files) in parts {
        worker.begin(Pass { part, pass: 0, passes: 1 }, 0);
        for file in files {
            worker.file(file.clone())?;
        }
        worker.end()?;
    }
    let mut summary = worker.finish();
    summary.defects.unusable_labels += book.unusable();
    Ok(summary)
}

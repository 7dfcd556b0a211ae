//! Joint counts of truth and both answers, for the whole and for each segment, by group of units: what agreement, confusion,
//! F1, segments, coverage and fairness are made of.

use std::collections::{BTreeMap, BTreeSet};

use seatrial_stats::Merge;
use seatrial_stats::intervals::PairedCounts;
use serde::{Deserialize, Serialize};

/// The most values of one column that are counted apart. Of more, the first by their text are kept (a value's place in that
/// order does not depend on the order of reading), and the rest is counted as [`OTHER`].
pub const MOST_VALUES: usize = 200;

/// Where values beyond [`MOST_VALUES`] are counted.
pub const OTHER: &str = "(other)";

/// What is known of the truth of a pair.
pub const IMMATURE: u16 = 0;
/// The pair is old enough for a label, and has none.
pub const UNLABELLED: u16 = 1;
/// Codes from here on are classes, in the order of [`Cells::classes`].
pub const FIRST_CLASS: u16 = 2;
/// The code of an answer that there is not; classes follow from 1.
pub const NO_ANSWER: u16 = 0;

/// One joint cell: codes and their count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The group of the unit.
    pub group: u8,
    /// [`IMMATURE`], [`UNLABELLED`], or the true class.
    pub truth: u16,
    /// [`NO_ANSWER`], or the champion's class.
    pub champion: u16,
    /// [`NO_ANSWER`], or the challenger's class.
    pub challenger: u16,
}

impl Cell {
    /// The true class, if it is known.
    #[must_use]
    pub fn class(self) -> Option<usize> {
        self.truth.checked_sub(FIRST_CLASS).map(usize::from)
    }
}

/// The class of an answer, if there is one.
#[must_use]
pub fn answered(code: u16) -> Option<usize> {
    code.checked_sub(1).map(usize::from)
}

/// A segment: the whole, or a value of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// The column; empty for the whole.
    pub column: String,
    /// Its value.
    pub value: String,
}

impl Segment {
    /// The whole.
    #[must_use]
    pub fn whole() -> Self {
        Self { column: String::new(), value: String::new() }
    }

    /// As the report writes it: `column=value`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}={}", self.column, self.value)
    }
}

/// Counts by segment and cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub struct Cells {
    classes: Vec<String>,
    segments: BTreeMap<Segment, BTreeMap<Cell, u64>>,
    named: BTreeSet<String>,
}

impl Cells {
    /// Counts over these classes; codes in `cells` are places in the list. `named` segments are never folded.
    #[must_use]
    pub fn new(
        classes: &[String],
        segments: BTreeMap<Segment, BTreeMap<Cell, u64>>,
        named: BTreeSet<String>,
    ) -> Self {
        let mut sorted = classes.to_vec();
        sorted.sort();
        sorted.dedup();
        let mut cells = Self { classes: sorted, segments: BTreeMap::new(), named };
        cells.take(classes, segments);
        cells.drop_unused();
        cells.fold();
        cells
    }

    /// The classes that truths and answers name, in order.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The code of a class, less its first; none when nothing names it.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<usize> {
        self.classes.binary_search_by(|c| c.as_str().cmp(name)).ok()
    }

    /// The segments of a column.
    pub fn of_column<'a>(
        &'a self,
        column: &'a str,
    ) -> impl Iterator<Item = (&'a Segment, &'a BTreeMap<Cell, u64>)> {
        self.segments.iter().filter(move |(segment, _)| segment.column == column)
    }

    /// The cells of the whole.
    pub fn whole(&self) -> impl Iterator<Item = (Cell, u64)> {
        self.of(&Segment::whole())
    }

    /// The cells of a segment.
    pub fn of<'a>(&'a self, segment: &Segment) -> impl Iterator<Item = (Cell, u64)> + use<'a> {
        self.segments.get(segment).into_iter().flatten().map(|(&cell, &n)| (cell, n))
    }

    /// Which version was right, over the pairs whose truth is known: a failure is wrong.
    #[must_use]
    pub fn correct(&self, segment: &Segment) -> PairedCounts {
        let mut counts = PairedCounts::default();
        self.of(segment).for_each(|(cell, n)| right(&mut counts, cell, n));
        counts
    }

    /// The same by group of units.
    #[must_use]
    pub fn correct_by_group(&self, segment: &Segment) -> Vec<PairedCounts> {
        let mut groups = vec![PairedCounts::default(); super::moments::GROUPS];
        for (cell, n) in self.of(segment) {
            if let Some(group) = groups.get_mut(usize::from(cell.group)) {
                right(group, cell, n);
            }
        }
        groups
    }

    /// Takes in counts whose codes are places in `classes`.
    fn take(&mut self, classes: &[String], segments: BTreeMap<Segment, BTreeMap<Cell, u64>>) {
        let place = |name: &String| self.classes.binary_search(name).unwrap_or(0) as u16;
        let places: Vec<u16> = classes.iter().map(place).collect();
        let moved = |code: u16, first: u16| match code.checked_sub(first) {
            Some(class) => places.get(usize::from(class)).map_or(code, |place| place + first),
            None => code,
        };
        for (segment, cells) in segments {
            let mine = self.segments.entry(segment).or_default();
            for (cell, n) in cells {
                let cell = Cell {
                    truth: moved(cell.truth, FIRST_CLASS),
                    champion: moved(cell.champion, 1),
                    challenger: moved(cell.challenger, 1),
                    ..cell
                };
                *mine.entry(cell).or_default() += n;
            }
        }
    }

    /// Classes that no cell names are left out, so that the same pairs have the same bits.
    fn drop_unused(&mut self) {
        let mut used = BTreeSet::new();
        for (cell, _) in self.whole() {
            used.extend(cell.class());
            used.extend(answered(cell.champion));
            used.extend(answered(cell.challenger));
        }
        if used.len() == self.classes.len() {
            return;
        }
        let old = std::mem::take(&mut self.classes);
        self.classes =
            old.iter().enumerate().filter(|(i, _)| used.contains(i)).map(|(_, c)| c.clone()).collect();
        let segments = std::mem::take(&mut self.segments);
        self.take(&old, segments);
    }

    /// Values of a column beyond the most that are counted apart become one.
    fn fold(&mut self) {
        let mut of_column: BTreeMap<&str, usize> = BTreeMap::new();
        let mut beyond = Vec::new();
        for segment in self.segments.keys().filter(|s| s.value != OTHER) {
            let seen = of_column.entry(&segment.column).or_default();
            *seen += 1;
            if *seen > MOST_VALUES && !self.named.contains(&segment.name()) {
                beyond.push(segment.clone());
            }
        }
        for segment in beyond {
            let Some(cells) = self.segments.remove(&segment) else { continue };
            let other = self.segments.entry(Segment { value: OTHER.to_owned(), ..segment }).or_default();
            for (cell, n) in cells {
                *other.entry(cell).or_default() += n;
            }
        }
    }
}

fn right(counts: &mut PairedCounts, cell: Cell, n: u64) {
    let Some(truth) = cell.class() else { return };
    let is = |code: u16| answered(code) == Some(truth);
    *match (is(cell.champion), is(cell.challenger)) {
        (true, true) => &mut counts.both,
        (true, false) => &mut counts.champion_only,
        (false, true) => &mut counts.challenger_only,
        (false, false) => &mut counts.neither,
    } += n;
}

impl Merge for Cells {
    fn merge(&mut self, other: &Self) {
        if self.classes != other.classes {
            let union: BTreeSet<&String> = self.classes.iter().chain(&other.classes).collect();
            let union: Vec<String> = union.into_iter().cloned().collect();
            let old = std::mem::replace(&mut self.classes, union);
            let segments = std::mem::take(&mut self.segments);
            self.take(&old, segments);
        }
        self.named.extend(other.named.iter().cloned());
        self.take(&other.classes, other.segments.clone());
        self.fold();
    }
}

/// As it is written: each segment with its cells as `[group, truth, champion, challenger, n]`.
#[derive(Serialize, Deserialize)]
struct Flat {
    classes: Vec<String>,
    named: BTreeSet<String>,
    segments: Vec<FlatSegment>,
}

#[derive(Serialize, Deserialize)]
struct FlatSegment {
    column: String,
    value: String,
    cells: Vec<(u8, u16, u16, u16, u64)>,
}

impl From<Cells> for Flat {
    fn from(cells: Cells) -> Self {
        let flat = |(segment, cells): (Segment, BTreeMap<Cell, u64>)| FlatSegment {
            column: segment.column,
            value: segment.value,
            cells: cells.into_iter().map(|(c, n)| (c.group, c.truth, c.champion, c.challenger, n)).collect(),
        };
        Self {
            classes: cells.classes,
            named: cells.named,
            segments: cells.segments.into_iter().map(flat).collect(),
        }
    }
}

impl From<Flat> for Cells {
    fn from(flat: Flat) -> Self {
        let cell = |(group, truth, champion, challenger, n)| (Cell { group, truth, champion, challenger }, n);
        let segment = |s: FlatSegment| {
            (Segment { column: s.column, value: s.value }, s.cells.into_iter().map(cell).collect())
        };
        Self {
            classes: flat.classes,
            named: flat.named,
            segments: flat.segments.into_iter().map(segment).collect(),
        }
    }
}

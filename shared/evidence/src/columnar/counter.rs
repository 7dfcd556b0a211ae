//! Counting joint cells by segment: arrays while classes are few, a map where they are many.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::summary::cells::{Cell, MOST_VALUES, OTHER, Segment};
use crate::summary::moments::GROUPS;

/// Up to this many classes cells are kept in arrays: some 40 KB a segment.
const DENSE_CLASSES: usize = 4;
/// A column with that many values has those beyond [`MOST_VALUES`] folded at once, so that memory stays bounded.
const FOLD_AT: usize = 2 * MOST_VALUES;

/// A hasher for codes that nobody outside chooses.
#[derive(Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug)]
struct Slice {
    segment: Segment,
    /// Where it is counted: its own place, or that of its column's [`OTHER`].
    place: u32,
}

/// Counts of cells by segment.
#[derive(Debug)]
pub(crate) struct Counter {
    named: BTreeSet<String>,
    slices: Vec<Slice>,
    by_segment: HashMap<Segment, u32>,
    columns: BTreeMap<String, Column>,
    classes: usize,
    cells: Kept,
}

#[derive(Debug, Default)]
struct Column {
    /// Values that have their own place.
    apart: Vec<u32>,
    /// Once folded: the largest value that is kept; larger ones go to the rest at once.
    bound: Option<String>,
}

#[derive(Debug)]
enum Kept {
    Dense(Vec<u32>),
    Sparse(HashMap<u64, u64, BuildHasherDefault<Mix>>),
}

/// The place of the whole among the segments.
pub(crate) const WHOLE: u32 = 0;

impl Counter {
    pub(crate) fn new(named: BTreeSet<String>) -> Self {
        let mut counter = Self {
            named,
            slices: Vec::new(),
            by_segment: HashMap::new(),
            columns: BTreeMap::new(),
            classes: 2,
            cells: Kept::Dense(Vec::new()),
        };
        counter.add(Segment::whole());
        counter
    }

    /// The number of a segment.
    pub(crate) fn slice(&mut self, column: &str, value: &str) -> u32 {
        let segment = Segment { column: column.to_owned(), value: value.to_owned() };
        if let Some(&slice) = self.by_segment.get(&segment) {
            return slice;
        }
        let beyond = self.columns.get(column).and_then(|c| c.bound.as_deref()).is_some_and(|b| value > b);
        if beyond && !self.named.contains(&segment.name()) {
            return self.other(column);
        }
        let slice = self.add(segment);
        let held = self.columns.entry(column.to_owned()).or_default();
        held.apart.push(slice);
        if held.apart.len() >= FOLD_AT {
            self.fold(column);
        }
        slice
    }

    fn other(&mut self, column: &str) -> u32 {
        let segment = Segment { column: column.to_owned(), value: OTHER.to_owned() };
        match self.by_segment.get(&segment) {
            Some(&slice) => slice,
            None => self.add(segment),
        }
    }

    fn add(&mut self, segment: Segment) -> u32 {
        let slice = self.slices.len() as u32;
        self.slices.push(Slice { segment: segment.clone(), place: slice });
        self.by_segment.insert(segment, slice);
        let block = self.block();
        if let Kept::Dense(cells) = &mut self.cells {
            cells.resize(self.slices.len() * block, 0);
        }
        slice
    }

    /// Moves the column's values beyond the most that are kept to its [`OTHER`]. Which these are does not depend on the order
    /// in which values came: whatever is not among the first now never will be.
    fn fold(&mut self, column: &str) {
        let other = self.other(column);
        let Some(held) = self.columns.get_mut(column) else { return };
        let mut apart = std::mem::take(&mut held.apart);
        apart.sort_by(|a, b| {
            self.slices[*a as usize].segment.value.cmp(&self.slices[*b as usize].segment.value)
        });
        let beyond = apart.split_off(MOST_VALUES.min(apart.len()));
        held.bound = apart.last().map(|&last| self.slices[last as usize].segment.value.clone());
        let (folded, kept): (Vec<u32>, Vec<u32>) = beyond
            .into_iter()
            .partition(|&slice| !self.named.contains(&self.slices[slice as usize].segment.name()));
        apart.extend(kept);
        held.apart = apart;
        for &slice in &folded {
            self.slices[slice as usize].place = other;
            self.by_segment.remove(&self.slices[slice as usize].segment);
        }
        self.move_counts(&folded, other);
    }

    fn move_counts(&mut self, from: &[u32], to: u32) {
        let block = self.block();
        match &mut self.cells {
            Kept::Dense(cells) => {
                for &slice in from {
                    for i in 0..block {
                        let n = std::mem::take(&mut cells[slice as usize * block + i]);
                        cells[to as usize * block + i] += n;
                    }
                }
            }
            Kept::Sparse(cells) => {
                let moved: Vec<(u64, u64)> = cells
                    .iter()
                    .filter(|(key, _)| from.contains(&((**key >> 42) as u32)))
                    .map(|(&key, &n)| (key, n))
                    .collect();
                for (key, n) in moved {
                    cells.remove(&key);
                    *cells.entry(u64::from(to) << 42 | key & ((1 << 42) - 1)).or_default() += n;
                }
            }
        }
    }

    /// Counters a segment.
    fn block(&self) -> usize {
        GROUPS * self.of_group()
    }

    fn of_group(&self) -> usize {
        (self.classes + 2) * (self.classes + 1) * (self.classes + 1)
    }

    /// Makes room for that many classes.
    pub(crate) fn make_room(&mut self, classes: usize) {
        if classes <= self.classes {
            return;
        }
        let old = self.all();
        self.classes = if classes <= DENSE_CLASSES { DENSE_CLASSES } else { 4_094 };
        self.cells = if classes <= DENSE_CLASSES {
            Kept::Dense(vec![0; self.slices.len() * self.block()])
        } else {
            Kept::Sparse(HashMap::default())
        };
        for (slice, cell, n) in old {
            self.add_n(slice, cell, n);
        }
    }

    /// Counts a cell in each of these segments and in the whole.
    #[inline]
    pub(crate) fn count(&mut self, slices: &[u32], cell: Cell) {
        let (classes, of_group) = (self.classes, self.of_group());
        match &mut self.cells {
            Kept::Dense(cells) => {
                let within = usize::from(cell.group) * of_group + dense(cell, classes);
                let block = GROUPS * of_group;
                cells[within] += 1;
                for &slice in slices {
                    let place = self.slices[slice as usize].place as usize;
                    cells[place * block + within] += 1;
                }
            }
            Kept::Sparse(_) => {
                self.add_n(WHOLE, cell, 1);
                for &slice in slices {
                    self.add_n(self.slices[slice as usize].place, cell, 1);
                }
            }
        }
    }

    fn add_n(&mut self, place: u32, cell: Cell, n: u64) {
        let (classes, of_group) = (self.classes, self.of_group());
        match &mut self.cells {
            Kept::Dense(cells) => {
                let at = place as usize * GROUPS * of_group
                    + usize::from(cell.group) * of_group
                    + dense(cell, classes);
                cells[at] += n as u32;
            }
            Kept::Sparse(cells) => *cells.entry(sparse(place, cell)).or_default() += n,
        }
    }

    fn all(&self) -> Vec<(u32, Cell, u64)> {
        match &self.cells {
            Kept::Dense(cells) => {
                let (of_group, k) = (self.of_group(), self.classes);
                let read = |(at, n): (usize, &u32)| {
                    let (place, rest) = (at / (GROUPS * of_group), at % (GROUPS * of_group));
                    let (group, code) = (rest / of_group, rest % of_group);
                    let (truth, answers) = (code / ((k + 1) * (k + 1)), code % ((k + 1) * (k + 1)));
                    let (champion, challenger) = (answers / (k + 1), answers % (k + 1));
                    let cell = Cell {
                        group: group as u8,
                        truth: truth as u16,
                        champion: champion as u16,
                        challenger: challenger as u16,
                    };
                    (place as u32, cell, u64::from(*n))
                };
                cells.iter().enumerate().filter(|(_, n)| **n > 0).map(read).collect()
            }
            Kept::Sparse(cells) => cells
                .iter()
                .map(|(&key, &n)| {
                    let field = |shift: u32| (key >> shift & 0xfff) as u16;
                    let cell = Cell {
                        group: (key >> 36 & 63) as u8,
                        truth: field(24),
                        champion: field(12),
                        challenger: field(0),
                    };
                    ((key >> 42) as u32, cell, n)
                })
                .collect(),
        }
    }

    /// All counts by segment.
    pub(crate) fn into_segments(self) -> (BTreeMap<Segment, BTreeMap<Cell, u64>>, BTreeSet<String>) {
        let mut segments: BTreeMap<Segment, BTreeMap<Cell, u64>> = BTreeMap::new();
        for (place, cell, n) in self.all() {
            let segment = self.slices[place as usize].segment.clone();
            *segments.entry(segment).or_default().entry(cell).or_default() += n;
        }
        (segments, self.named)
    }
}

fn dense(cell: Cell, classes: usize) -> usize {
    let width = classes + 1;
    (usize::from(cell.truth) * width + usize::from(cell.champion)) * width + usize::from(cell.challenger)
}

fn sparse(place: u32, cell: Cell) -> u64 {
    u64::from(place) << 42
        | u64::from(cell.group) << 36
        | u64::from(cell.truth) << 24
        | u64::from(cell.champion) << 12
        | u64::from(cell.challenger)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::summary::cells::Cells;

    fn cell(group: u8, truth: u16, champion: u16, challenger: u16) -> Cell {
        Cell { group, truth, champion, challenger }
    }

    #[test]
    fn counts_are_the_same_in_arrays_and_in_a_map() {
        let count = |classes: usize| {
            let mut counter = Counter::new(BTreeSet::new());
            let slices = [counter.slice("sex", "f"), counter.slice("sex", "m")];
            for n in 0..500_u16 {
                if n == 100 {
                    counter.make_room(classes);
                }
                let cell = cell((n % 64) as u8, n % 4, n % 3, (n / 2) % 3);
                counter.count(&slices[usize::from(n % 2)..][..1], cell);
            }
            counter.into_segments().0
        };
        let (two, four, many) = (count(2), count(4), count(90));
        assert_eq!(two, four);
        assert_eq!(two, many);
        assert_eq!(two[&Segment::whole()].values().sum::<u64>(), 500);
    }

    #[test]
    fn many_values_are_folded_alike_in_any_order() {
        let count = |order: Vec<u32>, classes: usize| {
            let mut counter = Counter::new(BTreeSet::from(["id=v0999".to_owned()]));
            counter.make_room(classes);
            for n in order {
                let slice = counter.slice("id", &format!("v{n:04}"));
                counter.count(&[slice], cell((n % 64) as u8, 2, 1, 1));
            }
            let (segments, named) = counter.into_segments();
            Cells::new(&["a".into()], segments, named)
        };
        let up: Vec<u32> = (0..1_000).chain(0..1_000).collect();
        let down: Vec<u32> = up.iter().rev().copied().collect();
        let cells = count(up.clone(), 2);
        assert_eq!(cells, count(down, 2));
        assert_eq!(cells, count(up, 50));
        assert_eq!(cells.of_column("id").count(), MOST_VALUES + 2, "the first, the named, the rest");
        let n: u64 = cells.of_column("id").flat_map(|(_, cells)| cells.values()).sum();
        assert_eq!(n, 2_000);
        let named = Segment { column: "id".into(), value: "v0999".into() };
        assert_eq!(cells.of(&named).map(|(_, n)| n).sum::<u64>(), 2);
    }
}

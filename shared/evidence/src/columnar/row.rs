//! A pair in 40 bytes, and which of several copies of it counts.

use std::cmp::Ordering;

use super::names::Names;

/// What is kept of a pair until its partition is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The champion's score, or its number; NaN where there is none.
    pub(crate) champion: f64,
    /// The challenger's.
    pub(crate) challenger: f64,
    pub(crate) champion_us: u32,
    pub(crate) challenger_us: u32,
    /// The combination of segments.
    pub(crate) combination: u32,
    /// Code of the champion's class, from 1; 0 for no answer.
    pub(crate) reference: u16,
    /// Code of the challenger's class, from 1; 0 for no answer.
    pub(crate) answer: u16,
    /// How the challenger failed, from 1; 0 when it did not.
    pub(crate) error: u16,
    pub(crate) version: u16,
    pub(crate) group: u8,
    pub(crate) flags: Flags,
}

/// Facts of a row that are true or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flags(u16);

impl Flags {
    pub(crate) const CHAMPION_FAILED: u16 = 1;
    pub(crate) const CHECKED: u16 = 1 << 1;
    pub(crate) const FAITHFUL: u16 = 1 << 2;
    pub(crate) const TIMED: u16 = 1 << 3;
    pub(crate) const MATURE: u16 = 1 << 4;
    pub(crate) const SHARES_UNIT: u16 = 1 << 5;
    pub(crate) const AHEAD: u16 = 1 << 6;
    pub(crate) const BEHIND: u16 = 1 << 7;
    pub(crate) const BAD_CHAMPION: u16 = 1 << 8;
    pub(crate) const BAD_CHALLENGER: u16 = 1 << 9;

    #[inline]
    pub(crate) fn set(&mut self, flag: u16, to: bool) {
        self.0 |= if to { flag } else { 0 };
    }

    #[inline]
    pub(crate) fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }
}

/// The texts behind the codes of rows.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) classes: Names,
    pub(crate) errors: Names,
    pub(crate) versions: Names,
    pub(crate) combinations: Names,
}

impl Texts {
    /// Which of two copies of a pair counts: the one that speaks against the challenger, then the smaller by everything that
    /// is summarised. Codes differ between workers, so texts are compared.
    pub(crate) fn order(&self, a: &Row, b: &Row) -> Ordering {
        let text = |names: &Names, x: u32, y: u32| {
            if x == y { Ordering::Equal } else { names.text(x).cmp(names.text(y)) }
        };
        let answer = |x: u16, y: u16| match (x, y) {
            (0, _) | (_, 0) => x.cmp(&y),
            _ => text(&self.classes, u32::from(x) - 1, u32::from(y) - 1),
        };
        let failed = |row: &Row| row.error == 0;
        failed(a)
            .cmp(&failed(b))
            .then_with(|| text(&self.errors, u32::from(a.error), u32::from(b.error)))
            .then_with(|| answer(a.answer, b.answer))
            .then_with(|| answer(a.reference, b.reference))
            .then_with(|| b.challenger_us.cmp(&a.challenger_us))
            .then_with(|| a.champion_us.cmp(&b.champion_us))
            .then_with(|| a.challenger.total_cmp(&b.challenger))
            .then_with(|| a.champion.total_cmp(&b.champion))
            .then_with(|| text(&self.combinations, a.combination, b.combination))
            .then_with(|| text(&self.versions, u32::from(a.version), u32::from(b.version)))
            .then_with(|| (a.group, a.flags).cmp(&(b.group, b.flags)))
    }
}

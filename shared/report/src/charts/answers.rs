//! Which answers changed into which: the champion's by the challenger's.

use std::collections::BTreeMap;

use seatrial_evidence::charts::AnswerMatrix;

use super::frame::{Key, legend};
use super::svg::{Anchor, Svg};
use super::text::{SIZE, SMALL, fitted, width as text_width};
use super::{Chart, Sides, Table, Width, format};
use crate::numbers::count;
use crate::words;

/// Answers that have a row and column of their own; rarer ones are taken together.
const MOST: usize = 7;
/// The name of the rest.
const OTHER: &str = "(other)";
/// The room of a label that stands at an angle.
const LABEL: f64 = 104.0;
/// Cells are this high.
const CELL: f64 = 40.0;

/// The matrix as it is drawn.
struct Grid {
    answers: Vec<String>,
    /// A row for each of the champion's answers; the last column is where the challenger failed.
    counts: Vec<Vec<u64>>,
    failed: bool,
    n: u64,
    /// The same answer on both sides; what became of rare answers that are counted together is not known.
    same: u64,
}

impl Grid {
    fn new(data: &AnswerMatrix) -> Self {
        let size = data.answers.len();
        let cell = |r: usize, c: usize| data.counts.get(r).and_then(|row| row.get(c)).copied().unwrap_or(0);
        let total = |i: usize| (0..=size).map(|c| cell(i, c)).fold(0_u64, u64::saturating_add);
        let mut kept: Vec<usize> = (0..size).collect();
        if size > MOST + 1 {
            kept.sort_by_key(|i| (data.answers[*i] == OTHER, std::cmp::Reverse(total(*i)), *i));
            kept.truncate(MOST);
            kept.sort_unstable();
        }
        // Where each answer of the data goes; all that is not kept goes to the last place.
        let places: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(to, from)| (*from, to)).collect();
        let mut answers: Vec<String> =
            kept.iter().map(|i| format::named(&data.answers[*i]).to_owned()).collect();
        if kept.len() < size {
            answers.push(OTHER.into());
        }
        let (last, columns) = (answers.len().saturating_sub(1), answers.len() + 1);
        let place = |i: usize| if i == size { columns - 1 } else { places.get(&i).copied().unwrap_or(last) };
        let mut counts = vec![vec![0_u64; columns]; answers.len()];
        for r in 0..size {
            for c in 0..=size {
                if let Some(to) = counts.get_mut(place(r)).and_then(|row| row.get_mut(place(c))) {
                    *to = to.saturating_add(cell(r, c));
                }
            }
        }
        let n = counts.iter().flatten().fold(0_u64, |sum, c| sum.saturating_add(*c));
        let failed = counts.iter().any(|row| row.last().is_some_and(|c| *c > 0));
        let alike = (0..size).filter(|i| data.answers[*i] != OTHER);
        let same = alike.map(|i| cell(i, i)).fold(0_u64, u64::saturating_add);
        Self { answers, counts, failed, n, same }
    }

    fn columns(&self) -> usize {
        self.answers.len() + usize::from(self.failed)
    }

    fn column(&self, c: usize) -> &str {
        self.answers.get(c).map_or("failed", String::as_str)
    }

    /// The largest count on the diagonal, and the largest beside it.
    fn deepest(&self) -> (u64, u64) {
        let mut most = (0, 0);
        for (r, row) in self.counts.iter().enumerate() {
            for (c, count) in row.iter().enumerate() {
                let place = if r == c { &mut most.0 } else { &mut most.1 };
                *place = (*place).max(*count);
            }
        }
        most
    }
}

/// The chart of one matrix. None when nothing was counted.
#[must_use]
pub fn answers(data: &AnswerMatrix, sides: &Sides, width: Width) -> Option<Chart> {
    let grid = Grid::new(data);
    if grid.n == 0 {
        return None;
    }
    let (svg, height) = drawn(&grid, width);
    let title = format!("Answers {}", words::group_place(data.group));
    Some(Chart::new(width, height, title, described(&grid), tabled(&grid, sides), svg))
}

fn described(grid: &Grid) -> String {
    let mut pairs: Vec<(u64, String)> = Vec::new();
    for (r, row) in grid.counts.iter().enumerate() {
        for (c, n) in row.iter().enumerate().filter(|(c, n)| *c != r && **n > 0) {
            pairs.push((*n, format!("{} became {} in {}", grid.answers[r], grid.column(c), count(*n))));
        }
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut text = format!(
        "The champion's answer by the challenger's, n {}: the same in {}.",
        count(grid.n),
        format::share(grid.same, grid.n)
    );
    if !pairs.is_empty() {
        let most: Vec<String> = pairs.into_iter().take(3).map(|(_, words)| words).collect();
        text.push_str(&format!(" Most often {}.", most.join(", ")));
    }
    text
}

fn tabled(grid: &Grid, sides: &Sides) -> Table {
    let mut table = Table { head: vec![format!("{} said", sides.champion)], rows: Vec::new() };
    table.head.extend((0..grid.columns()).map(|c| format!("{} said {}", sides.challenger, grid.column(c))));
    for (answer, row) in grid.answers.iter().zip(&grid.counts) {
        let mut cells = vec![answer.clone()];
        cells.extend(
            row.iter().take(grid.columns()).map(|n| format!("{} ({})", count(*n), format::share(*n, grid.n))),
        );
        table.rows.push(cells);
    }
    table
}

fn drawn(grid: &Grid, width: Width) -> (Svg, f64) {
    let mut svg = Svg::default();
    let mut keys = vec![
        (Key::Square("same"), "same answer".to_owned()),
        (Key::Square("differ"), "another answer".to_owned()),
    ];
    if grid.answers.iter().any(|a| a == OTHER) {
        keys.push((Key::Square("mixed"), "rare ones, same or not".to_owned()));
    }
    let top = legend(&mut svg, 0.0, width.units(), &keys) + 8.0;
    let longest = grid.answers.iter().map(|a| text_width(a, SIZE)).fold(0.0, f64::max);
    let left = (longest + 14.0).clamp(84.0, width.units() * 0.28);
    let columns = grid.columns();
    let widest = (0..columns).map(|c| text_width(grid.column(c), SIZE)).fold(0.0, f64::max);
    let cell = ((width.units() - left) / columns as f64).min(96.0);
    let turned = widest > cell - 6.0;
    let long = widest.min(LABEL);
    // A turned label of the last column reaches beyond it.
    let beyond = if turned { (long * 0.77 - cell / 2.0).max(0.0) } else { 0.0 };
    let cell = ((width.units() - left - beyond) / columns as f64).min(96.0);
    let room = if turned { long * 0.65 + 12.0 } else { 16.0 };
    let head = top + 20.0;
    svg.text("head", left, head - 4.0, Anchor::Start, "challenger →");
    svg.text("head", left - 8.0, head + room - 2.0, Anchor::End, "champion ↓");
    let body = head + room + 6.0;
    for c in 0..columns {
        let x = cell.mul_add(c as f64 + 0.5, left);
        if turned {
            let label = fitted(grid.column(c), SIZE, LABEL);
            svg.turned("", (x - 4.0, body - 8.0), Anchor::Start, Some(-40.0), &label);
        } else {
            svg.text("", x, body - 8.0, Anchor::Middle, grid.column(c));
        }
    }
    let (same, differ) = grid.deepest();
    for (r, row) in grid.counts.iter().enumerate() {
        let y = CELL.mul_add(r as f64, body);
        svg.text(
            "",
            left - 8.0,
            y + CELL / 2.0 + 4.3,
            Anchor::End,
            &fitted(&grid.answers[r], SIZE, left - 10.0),
        );
        for (c, n) in row.iter().take(columns).enumerate() {
            let x = cell.mul_add(c as f64, left);
            let tip = format!("{} → {}: {} of {}", grid.answers[r], grid.column(c), count(*n), count(grid.n));
            svg.group(&tip, |svg| {
                let (class, most) = match r == c {
                    true if grid.answers[r] == OTHER => ("mixed", same),
                    true => ("same", same),
                    false => ("differ", differ),
                };
                // Halfway on the scale of areas: rare answers stay visible beside frequent ones.
                let depth = if *n == 0 { 0.0 } else { (*n as f64 / most as f64).sqrt().mul_add(0.42, 0.1) };
                svg.heat(class, [x + 1.0, y + 1.0, cell - 2.0, CELL - 2.0], depth);
                svg.rect("frame", x + 1.0, y + 1.0, cell - 2.0, CELL - 2.0);
                cell_text(svg, *n, grid.n, [x, y, cell]);
            });
        }
    }
    let bottom = CELL.mul_add(grid.answers.len() as f64, body);
    let all = format::n(grid.n).replace("n ", "");
    let note = match Room::of(cell) {
        Room::Both => format!("share of all {all} pairs, and pairs"),
        Room::Share => format!("share of all {all} pairs"),
        Room::Bare => format!("per cent of all {all} pairs"),
    };
    svg.text("soft", left, bottom + 17.0, Anchor::Start, &note);
    (svg, bottom + 24.0)
}

/// What a cell has room for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Share and count.
    Both,
    /// The share.
    Share,
    /// The share without its sign.
    Bare,
}

impl Room {
    fn of(cell: f64) -> Self {
        match cell {
            c if c >= 52.0 => Self::Both,
            c if c >= 40.0 => Self::Share,
            _ => Self::Bare,
        }
    }
}

fn cell_text(svg: &mut Svg, n: u64, of: u64, [x, y, cell]: [f64; 3]) {
    let (middle, room) = (x + cell / 2.0, Room::of(cell));
    let center = y + CELL / 2.0 + 4.3;
    let share = format::share(n, of);
    match room {
        _ if n == 0 => svg.text("soft", middle, center, Anchor::Middle, "0"),
        Room::Both => {
            svg.text("strong", middle, y + 17.0, Anchor::Middle, &share.replace("<\u{a0}", "<"));
            let full = count(n);
            let full = if text_width(&full, SMALL) < cell - 6.0 { full } else { format::short_count(n) };
            svg.text("small", middle, y + 32.0, Anchor::Middle, &full);
        }
        Room::Share | Room::Bare => {
            let percent = n as f64 / of as f64 * 100.0;
            let text = match percent {
                p if p < 1.0 => "<1".to_owned(),
                // What is not all is not shown as all.
                p if n < of => format!("{:.0}", p.min(99.0)),
                _ => "100".to_owned(),
            };
            let sign = if room == Room::Share { "%" } else { "" };
            svg.text("strong", middle, center, Anchor::Middle, &format!("{text}{sign}"));
        }
    }
}

//! The vocabulary of documents: what a section can consist of. `template/blocks.typ` knows how each looks.

use seatrial_report::charts::Figure;
use seatrial_report::evidence::Fact;
use seatrial_report::numbers::NONE;
use seatrial_report::rows::RowView;
use seatrial_report::summary::Bit;
use serde::Serialize;

/// A part of a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Block {
    /// A paragraph.
    Text { bits: Vec<Piece> },
    /// A paragraph that stands out.
    Note { tone: &'static str, title: String, text: String },
    /// A heading within the section.
    Heading { text: String },
    /// Sentences one below the other.
    List { items: Vec<String> },
    /// Named values.
    Facts { rows: Vec<FactRow> },
    /// A table.
    Table(Table),
    /// Judged rows with their small pictures.
    Metrics { caption: String, interval: String, rows: Vec<Metric> },
    /// Charts: one of the page's width, or small ones side by side.
    Figures { figures: Vec<Picture> },
}

impl Block {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text { bits: vec![Piece { text: text.into(), name: false }] }
    }

    pub(crate) fn heading(text: impl Into<String>) -> Self {
        Self::Heading { text: text.into() }
    }

    pub(crate) fn note(tone: &'static str, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Note { tone, title: title.into(), text: text.into() }
    }

    pub(crate) fn facts(rows: Vec<FactRow>) -> Self {
        Self::Facts { rows }
    }
}

/// A piece of a sentence: words, or a name that somebody else gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) name: bool,
}

impl From<Bit> for Piece {
    fn from(bit: Bit) -> Self {
        Self { text: if bit.name { named(bit.text) } else { bit.text }, name: bit.name }
    }
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FactRow {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Whether it is a digest or a key.
    pub(crate) code: bool,
}

impl From<Fact> for FactRow {
    fn from(fact: Fact) -> Self {
        Self { name: fact.name.to_owned(), value: fact.value, code: fact.code }
    }
}

pub(crate) fn fact(name: &str, value: impl Into<String>) -> FactRow {
    FactRow { name: name.to_owned(), value: value.into(), code: false }
}

pub(crate) fn code(name: &str, value: impl Into<String>) -> FactRow {
    FactRow { name: name.to_owned(), value: value.into(), code: true }
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(caption: impl Into<String>, columns: Vec<Column>) -> Self {
        Self { caption: caption.into(), columns, rows: Vec::new() }
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Column {
    pub(crate) head: String,
    /// Whether its cells are numbers, which stand at the right.
    pub(crate) number: bool,
    /// Its part of the room that is left; as wide as its widest cell where it is 0.
    pub(crate) share: f32,
}

pub(crate) fn words(head: &str, share: f32) -> Column {
    Column { head: head.to_owned(), number: false, share }
}

pub(crate) fn figures(head: impl Into<String>) -> Column {
    Column { head: head.into(), number: true, share: 0.0 }
}

/// A cell of a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Cell {
    pub(crate) text: String,
    /// Whether it is a digest or a key.
    pub(crate) code: bool,
    /// The class of a tone, where it is to be seen.
    pub(crate) tone: Option<&'static str>,
    /// A second line, in small.
    pub(crate) below: Option<String>,
    /// Whether the second line is a digest or a key.
    pub(crate) below_code: bool,
}

impl Cell {
    pub(crate) fn code(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: true, ..Self::default() }
    }

    pub(crate) fn toned(self, tone: &'static str) -> Self {
        Self { tone: Some(tone), ..self }
    }

    pub(crate) fn below(self, text: impl Into<String>) -> Self {
        Self { below: Some(text.into()), ..self }
    }

    pub(crate) fn below_code(self, text: impl Into<String>) -> Self {
        Self { below: Some(text.into()), below_code: true, ..self }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or_else(|| NONE.into(), Into::into)
    }
}

/// A judged row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Metric {
    name: String,
    segment: Option<String>,
    class: &'static str,
    champion: String,
    challenger: String,
    delta: String,
    interval: String,
    margin: Vec<String>,
    n: String,
    acceptable: &'static str,
    tone: &'static str,
    plot: Option<Plot>,
}

/// Something to point at, where there is no name.
fn named(name: String) -> String {
    if name.trim().is_empty() { "(no name)".to_owned() } else { name }
}

/// A difference as a picture, from 0 to 160.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Plot {
    zero: f64,
    delta: f64,
    low: f64,
    high: f64,
    /// Where the unacceptable zone begins, and how wide it is.
    zone: Option<(f64, f64)>,
}

impl From<RowView> for Metric {
    fn from(row: RowView) -> Self {
        let at = |text: &String| text.parse().unwrap_or(0.0);
        let plot = row.plot.as_ref().map(|p| Plot {
            zero: at(&p.zero),
            delta: at(&p.delta),
            low: at(&p.low),
            high: at(&p.high),
            zone: p.zone.as_ref().map(|(from, width)| (at(from), at(width))),
        });
        Self {
            name: named(row.name),
            segment: row.segment.map(named),
            class: row.class,
            champion: row.champion,
            challenger: row.challenger,
            delta: row.delta,
            interval: row.interval,
            margin: row.margin,
            n: row.n,
            acceptable: row.acceptable,
            tone: row.tone,
            plot,
        }
    }
}

/// A chart in the document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Picture {
    /// Its number among the figures of the job.
    pub(crate) file: usize,
    /// What can be seen, for whoever cannot see it.
    pub(crate) alt: String,
    pub(crate) wide: bool,
}

/// The charts of a document while they are gathered.
#[derive(Debug, Default)]
pub(crate) struct Gallery {
    pub(crate) svgs: Vec<String>,
}

impl Gallery {
    /// Takes `figures` in: those of the page's width alone, small ones in pairs of about the same height.
    pub(crate) fn show(&mut self, figures: Vec<Figure>) -> Vec<Block> {
        let (wide, mut small): (Vec<Figure>, Vec<Figure>) =
            figures.into_iter().partition(|f| f.wide.is_some());
        small.sort_by(|a, b| a.narrow.size().1.total_cmp(&b.narrow.size().1));
        let mut blocks = Vec::new();
        for pair in small.chunks(2).chain(wide.chunks(1)) {
            blocks.push(Block::Figures { figures: pair.iter().map(|f| self.take(f)).collect() });
        }
        blocks
    }

    fn take(&mut self, figure: &Figure) -> Picture {
        let file = self.svgs.len();
        self.svgs.push(figure.wide.as_ref().unwrap_or(&figure.narrow).print());
        Picture { file, alt: format!("{}. {}", figure.title(), figure.desc()), wide: figure.wide.is_some() }
    }
}

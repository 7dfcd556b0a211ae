//! Charts as SVG: pure functions from plain data to a picture, its description in words, and its numbers as a table.
//!
//! Pictures hold no script and no style of their own: inside a page they take theirs from the page's style sheet, which
//! the content security policy allows by its hash; alone they carry it along. Text stays text. The same data gives the same
//! bytes. Colours are of the Okabe–Ito palette (Okabe & Ito 2008), a little darker or lighter where contrast needs it, and never
//! the only sign: verdicts differ by shape, versions by the weight of their line.
//!
//! The SVG is written here rather than by a plotting library: those fix colours, fonts and sizes in each element, so that a
//! picture could neither follow light and dark nor the width of its page, and they know no titles, descriptions or classes.

mod answers;
mod calibration;
mod canary;
mod deltas;
mod drift;
mod figures;
mod format;
mod frame;
mod importances;
mod latency;
mod scale;
mod scores;
mod segments;
mod shares;
mod svg;
mod text;

pub use answers::answers;
pub use calibration::calibration;
pub use canary::canary;
pub use deltas::deltas;
pub use drift::drift;
pub use figures::{Figure, canary_figure, of_report, sides};
pub use importances::{attributions, importances};
pub use latency::latency;
pub use scores::scores;
pub use segments::segments;
pub use shares::{coverage, crossings};

use std::fmt::Write as _;
use std::sync::LazyLock;

use svg::{Anchor, Svg, escaped, number};

/// The style of every chart.
pub(crate) const STYLE: &str = include_str!("../../templates/charts.css");

/// The style without variables and dark colours, for programs that know neither (those that make PDF, say).
static PRINT_STYLE: LazyLock<String> = LazyLock::new(|| print_style(STYLE));

/// How wide a chart is drawn. It scales to the room it is given; what differs is how large its text then is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// For phones, and for half of a page.
    Narrow,
    /// For a whole page.
    Wide,
}

impl Width {
    /// The width in the picture's own units.
    pub(crate) const fn units(self) -> f64 {
        match self {
            Self::Narrow => 380.0,
            Self::Wide => 760.0,
        }
    }
}

/// The names of the two versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// For example `champion v3`.
    pub champion: String,
    /// For example `challenger v4`.
    pub challenger: String,
}

impl Default for Sides {
    fn default() -> Self {
        Self { champion: "champion".into(), challenger: "challenger".into() }
    }
}

/// The numbers of a chart as a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns' names; the first column names the row.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { head: head.into_iter().map(str::to_owned).collect(), rows: Vec::new() }
    }
}

/// A drawn chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows, in a few words.
    pub title: String,
    /// What can be seen, in sentences.
    pub desc: String,
    /// Its numbers.
    pub table: Table,
    width: Width,
    height: f64,
    body: String,
}

/// The height of a line of the heading of a chart that stands alone.
const HEADING: f64 = 20.0;
/// The border around such a chart.
const BORDER: f64 = 14.0;

impl Chart {
    fn new(width: Width, height: f64, title: String, desc: String, table: Table, svg: Svg) -> Self {
        Self { title, desc, table, width, height, body: svg.finish() }
    }

    /// The chart for a page that has the charts' style in its own style sheet. `id` is unique in the page.
    #[must_use]
    pub fn inline(&self, id: &str) -> String {
        let (width, height) = (number(self.width.units()), number(self.height));
        let id = escaped(id);
        let class = match self.width {
            Width::Narrow => "ch ch-narrow",
            Width::Wide => "ch ch-wide",
        };
        format!(
            r#"<svg class="{class}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{}</title><desc id="{id}-desc">{}</desc>{}</svg>"#,
            escaped(&self.title),
            escaped(&self.desc),
            self.body
        )
    }

    /// The chart as a file of its own, which follows the reader's light or dark colours.
    #[must_use]
    pub fn standalone(&self) -> String {
        self.file(STYLE)
    }

    /// The chart as a file of its own in light colours, for programs that know no variables in styles.
    #[must_use]
    pub fn print(&self) -> String {
        self.file(&PRINT_STYLE)
    }

    /// Width and height of the file, in the picture's own units.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        let (_, above) = self.heading();
        (self.width.units() + 2.0 * BORDER, self.height + above + 2.0 * BORDER)
    }

    /// The lines of the heading, and the room they take.
    fn heading(&self) -> (Vec<String>, f64) {
        let lines = text::lines(&self.title, 15.0, self.width.units(), 3);
        let above = HEADING * lines.len() as f64 + 12.0;
        (lines, above)
    }

    fn file(&self, style: &str) -> String {
        let (lines, above) = self.heading();
        let (width, height) = self.size();
        let (left, top) = (-BORDER, -above - BORDER);
        let mut heading = Svg::default();
        heading.rect("back", left, top, width, height);
        let mut y = top + BORDER - 5.0;
        for line in &lines {
            y += HEADING;
            heading.text("heading", 0.0, y, Anchor::Start, line);
        }
        let mut out = String::with_capacity(self.body.len() + style.len() + 1_000);
        let _ = write!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="ch" viewBox="{} {} {w} {h}" width="{w}" height="{h}" role="img" aria-labelledby="title desc"><title id="title">{}</title><desc id="desc">{}</desc><style>{style}</style>{}{}</svg>"#,
            number(left),
            number(top),
            escaped(&self.title),
            escaped(&self.desc),
            heading.finish(),
            self.body,
            w = number(width),
            h = number(height),
        );
        out
    }
}

/// `style` with its variables replaced by their light values, and without its dark part.
fn print_style(style: &str) -> String {
    let mut variables: Vec<(&str, &str)> = Vec::new();
    let mut rules = String::new();
    let mut dark = 0_u8;
    for line in style.lines() {
        let start = line.trim_start();
        if start.starts_with("@media") {
            dark = 1;
        } else if dark > 0 {
            dark = if line.starts_with('}') { 0 } else { dark };
        } else if start.contains("--ch-card:") {
            let inside = line.trim_end_matches([' ', '}']).split_once('{').map_or("", |(_, inside)| inside);
            variables.extend(inside.split(';').filter_map(|pair| pair.trim().split_once(": ")));
        } else {
            rules.push_str(line);
            rules.push('\n');
        }
    }
    for (name, value) in variables {
        rules = rules.replace(&format!("var({name})"), value);
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_for_print_has_no_variables() {
        assert!(STYLE.contains("var(--ch-ink)"), "{STYLE}");
        let print = PRINT_STYLE.as_str();
        assert!(!print.contains("var(") && !print.contains("--ch") && !print.contains("@media"), "{print}");
        assert!(print.contains(".ch text { fill: #18202c;"), "{print}");
    }
}

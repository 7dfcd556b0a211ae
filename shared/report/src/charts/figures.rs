//! Which charts a report has, in the order in which they answer questions: is it worse, where, and why.

use std::collections::BTreeSet;

use seatrial_domain::ids::VersionRef;
use seatrial_evidence::charts::{CanaryChart, ChartData};
use seatrial_evidence::report::{ComparisonReport, MetricGroup};

use crate::words;

use super::{Chart, Sides, Table, Width};
use super::{
    answers, attributions, calibration, canary, coverage, crossings, deltas, drift, importances, latency,
    scores, segments,
};

/// From how many bars or segments on a chart takes the whole width of a page.
const MANY: usize = 7;

/// A chart as pages and files show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Unique in the report, for example `chart-latency-2`; good for a file's name.
    pub id: String,
    /// The chart for phones and half pages.
    pub narrow: Chart,
    /// The same for the whole width, where that is worth it.
    pub wide: Option<Chart>,
}

impl Figure {
    /// What it shows.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.narrow.title
    }

    /// What can be seen.
    #[must_use]
    pub fn desc(&self) -> &str {
        &self.narrow.desc
    }

    /// Its numbers.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.narrow.table
    }

    /// The pictures for a page: one, or the wide and the narrow one of which the style sheet shows the one that fits.
    #[must_use]
    pub fn inline(&self) -> Vec<String> {
        let narrow = self.narrow.inline(&self.id);
        let wide = self.wide.as_ref().map(|w| w.inline(&format!("{}-wide", self.id)));
        wide.into_iter().chain([narrow]).collect()
    }

    /// The chart as an SVG file.
    #[must_use]
    pub fn file(&self) -> String {
        self.wide.as_ref().unwrap_or(&self.narrow).standalone()
    }
}

/// Figures while they are gathered, each with an id of its own.
#[derive(Default)]
struct Gallery(Vec<Figure>);

impl Gallery {
    fn add(&mut self, kind: &str, wide: bool, draw: impl Fn(Width) -> Option<Chart>) {
        let Some(narrow) = draw(Width::Narrow) else { return };
        let same = format!("chart-{kind}-");
        let number = self.0.iter().filter(|f| f.id.starts_with(&same)).count() + 1;
        let wide = if wide { draw(Width::Wide) } else { None };
        self.0.push(Figure { id: format!("{same}{number}"), narrow, wide });
    }
}

/// The names of a report's versions.
#[must_use]
pub fn sides(champion: Option<&VersionRef>, challenger: &VersionRef) -> Sides {
    Sides {
        champion: champion.map_or_else(|| "champion".into(), |c| format!("champion {}", c.version)),
        challenger: format!("challenger {}", challenger.version),
    }
}

/// The charts of a report. What there is no data for is not among them.
#[must_use]
pub fn of_report(report: &ComparisonReport) -> Vec<Figure> {
    let sides = sides(report.champion.as_ref(), &report.challenger);
    let mut gallery = Gallery::default();
    gallery.add("differences", true, |width| deltas(&report.rows, width));
    let mut metrics = BTreeSet::new();
    for row in report.rows.iter().filter(|r| r.segment.is_some() && r.challenger.is_some()) {
        let key = (words::group_place(row.group), row.name.as_str());
        if !metrics.insert(key) {
            continue;
        }
        let alike = |r: &&seatrial_evidence::report::MetricRow| {
            r.group == row.group && r.name == row.name && r.segment.is_some() && r.challenger.is_some()
        };
        let count = report.rows.iter().filter(alike).count();
        // One segment alone is as well read in the table.
        if count > 1 {
            gallery.add("segments", count >= MANY, |width| {
                segments(&report.rows, row.group, &row.name, &sides, width)
            });
        }
    }
    if let Some(data) = &report.charts {
        for group in words::GROUPS {
            of_group(&mut gallery, data, group, &sides);
        }
        for bars in &data.drift {
            gallery.add("drift", bars.bars.len() >= MANY, |width| drift(bars, width));
        }
        for bars in &data.coverage {
            gallery.add("coverage", false, |width| coverage(bars, width));
        }
        for bars in &data.importances {
            let wide = bars.bars.len() >= MANY;
            gallery.add("importances", wide, |width| importances(bars, &sides, width));
            gallery.add("attributions", wide, |width| attributions(bars, &sides, width));
        }
    }
    gallery.0
}

fn of_group(gallery: &mut Gallery, data: &ChartData, group: MetricGroup, sides: &Sides) {
    for matrix in data.answers.iter().filter(|d| d.group == group) {
        gallery.add("answers", matrix.answers.len() >= MANY - 2, |width| answers(matrix, sides, width));
    }
    for distribution in data.scores.iter().filter(|d| d.group == group) {
        gallery.add("scores", false, |width| scores(distribution, sides, width));
    }
    for crossed in data.crossings.iter().filter(|d| d.group == group) {
        gallery.add("crossings", false, |width| crossings(crossed, width));
    }
    for curves in data.latency.iter().filter(|d| d.group == group) {
        gallery.add("latency", false, |width| latency(curves, sides, width));
    }
    for curves in data.calibration.iter().filter(|d| d.group == group) {
        gallery.add("calibration", false, |width| calibration(curves, sides, width));
    }
}

/// The chart of a canary over time.
#[must_use]
pub fn canary_figure(data: &CanaryChart) -> Option<Figure> {
    let mut gallery = Gallery::default();
    gallery.add("canary", true, |width| canary(data, width));
    gallery.0.pop()
}

//! Metric rows as the page shows them.

use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::report::{MetricGroup, MetricRow};

use crate::interval::{Plot, plot};
use crate::numbers::{self, NONE};
use crate::words;

/// One row, every cell as text.
#[derive(Debug, Clone)]
pub struct RowView {
    /// The metric, its words apart.
    pub name: String,
    /// The segment, as its owner named it.
    pub segment: Option<String>,
    /// Guardrail, signal or info.
    pub class: &'static str,
    /// The champion's value.
    pub champion: String,
    /// The challenger's value.
    pub challenger: String,
    /// Challenger minus champion.
    pub delta: String,
    /// The interval of that difference, or of the value where there is no champion.
    pub interval: String,
    /// The difference, its interval and its margin as a picture.
    pub plot: Option<Plot>,
    /// Margin and limit, a line each.
    pub margin: Vec<String>,
    /// Rows or pairs, and how many it needs.
    pub n: String,
    /// Whether it is acceptable, in a word.
    pub acceptable: &'static str,
    /// How that is to be taken: the class of a tone.
    pub tone: &'static str,
    /// Statistic, n, estimate, interval and margin in one sentence.
    pub why: String,
}

impl RowView {
    /// The row as text.
    #[must_use]
    pub fn new(row: &MetricRow) -> Self {
        let unit = row.unit;
        let shown = |x: Option<f64>| x.map_or_else(|| NONE.to_owned(), |x| numbers::value(unit, x));
        let end = |x: f64| {
            if row.champion.is_some() { numbers::difference(unit, x) } else { numbers::value(unit, x) }
        };
        let n = numbers::count(row.n);
        let info = row.class == MetricClass::Info;
        Self {
            name: words::metric_name(&row.name),
            segment: row.segment.clone(),
            class: words::class_word(row.class),
            champion: shown(row.champion),
            challenger: shown(row.challenger),
            delta: row.delta.map_or_else(|| NONE.to_owned(), |d| numbers::difference(unit, d)),
            interval: row
                .interval
                .map_or_else(|| NONE.to_owned(), |[low, high]| format!("{} to {}", end(low), end(high))),
            plot: plot(row),
            margin: bounds(row),
            n: row.n_needed.map_or(n.clone(), |needed| format!("{n} of {}", numbers::count(needed))),
            acceptable: if info { words::shown_only(row) } else { words::acceptable(row.verdict) },
            tone: if info { words::Tone::Plain } else { words::tone_of(row.verdict) }.class(),
            why: words::sentence(&row.why),
        }
    }
}

/// The rule of a row: its margin, its limit, or both.
fn bounds(row: &MetricRow) -> Vec<String> {
    let margin = row.margin.map(|m| match row.direction {
        Direction::HigherIsBetter => format!("−{}", numbers::margin(row.unit, m)),
        Direction::LowerIsBetter => format!("+{}", numbers::margin(row.unit, m)),
    });
    let limit = row.limit.map(|l| match row.direction {
        Direction::HigherIsBetter => format!("at least {}", numbers::value(row.unit, l)),
        Direction::LowerIsBetter => format!("at most {}", numbers::value(row.unit, l)),
    });
    match (margin, limit) {
        // A margin of zero beside a limit says nothing more than the limit.
        (Some(margin), Some(limit)) if row.champion.is_some() && !is_zero(row) => {
            vec![margin, limit]
        }
        (_, Some(limit)) => vec![limit],
        (Some(margin), None) => vec![margin],
        (None, None) => vec![NONE.to_owned()],
    }
}

fn is_zero(row: &MetricRow) -> bool {
    use seatrial_domain::policy::Margin::{Absolute, Relative};
    matches!(row.margin, Some(Absolute(m) | Relative(m)) if m == 0.0)
}

/// The rows of one kind of evidence: the whole, and the segments.
#[derive(Debug, Clone)]
pub(crate) struct GroupView {
    pub(crate) whole: Vec<RowView>,
    pub(crate) segments: Vec<RowView>,
    /// Whether a segment needs attention: then the list of segments is shown open.
    pub(crate) open: bool,
}

impl GroupView {
    pub(crate) fn new(rows: &[MetricRow], group: MetricGroup) -> Self {
        let of = |segmented: bool| {
            let rows = rows.iter().filter(move |r| r.group == group && r.segment.is_some() == segmented);
            rows.map(RowView::new).collect()
        };
        let open = rows.iter().any(|r| r.group == group && r.segment.is_some() && needs_attention(r));
        Self { whole: of(false), segments: of(true), open }
    }

    /// Whether any row has a picture.
    pub(crate) fn pictured(&self) -> bool {
        self.whole.iter().chain(&self.segments).any(|r| r.plot.is_some())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.segments.is_empty()
    }
}

/// What a person should look at first: guardrails and signals that did not pass, the worst first.
pub(crate) fn attention(rows: &[MetricRow]) -> Vec<RowView> {
    let mut found: Vec<_> = rows.iter().filter(|r| needs_attention(r)).collect();
    found.sort_by_key(|r| (std::cmp::Reverse(r.verdict), r.class != MetricClass::Guardrail));
    found.into_iter().map(RowView::new).collect()
}

fn needs_attention(row: &MetricRow) -> bool {
    row.class != MetricClass::Info && row.verdict != Verdict::Pass
}

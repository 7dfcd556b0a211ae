//! Differences with their intervals, each divided by its own margin, so that rows of different units share one axis.

use seatrial_domain::policy::Margin;
use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::report::{MetricGroup, MetricRow, MetricUnit};

use super::frame::{Frame, Key, arrow, interval, legend, verdict_mark, verdict_word};
use super::scale::{Scale, extent, tame, ticks};
use super::svg::{Anchor, Svg};
use super::text::{SIZE, SMALL, bold_width, fitted, fitted_bold, width as text_width};
use super::{Chart, Table, Width, format};
use crate::{numbers, words};

/// Rows that are drawn at most; the others stay in the table of the page.
const MOST: usize = 40;
/// How many margins the axis may reach to each side. What lies beyond is an arrow.
const REACH: f64 = 5.0;

/// A row as it is drawn.
struct Item<'a> {
    row: &'a MetricRow,
    /// In margins, with better to the right.
    estimate: f64,
    interval: [f64; 2],
    verdict: Option<Verdict>,
}

impl<'a> Item<'a> {
    fn new(row: &'a MetricRow) -> Option<Self> {
        let (delta, [low, high], champion) = (tame(row.delta?)?, row.interval?, tame(row.champion?)?);
        let margin = match row.margin? {
            Margin::Absolute(size) => size,
            Margin::Relative(share) => share * champion.abs(),
        };
        if margin.is_nan() || margin <= 1e-12 {
            return None;
        }
        let in_margins = |x: f64| match row.direction {
            Direction::HigherIsBetter => tame(x / margin),
            Direction::LowerIsBetter => tame(-x / margin),
        };
        let (a, b) = (in_margins(low)?, in_margins(high)?);
        let verdict = (row.class != MetricClass::Info).then_some(row.verdict);
        Some(Self { row, estimate: in_margins(delta)?, interval: [a.min(b), a.max(b)], verdict })
    }

    fn name(&self) -> String {
        let name = words::metric_name(format::named(&self.row.name));
        self.row.segment.as_ref().map_or_else(|| name.clone(), |s| format!("{name} · {}", format::named(s)))
    }

    fn delta(&self) -> String {
        numbers::difference(self.row.unit, self.row.delta.unwrap_or_default())
    }

    fn range(&self) -> String {
        let [low, high] = self.row.interval.unwrap_or_default();
        format!("{} to {}", numbers::difference(self.row.unit, low), numbers::difference(self.row.unit, high))
    }

    fn margin(&self) -> String {
        self.row.margin.map_or_else(String::new, |m| numbers::margin(self.row.unit, m))
    }

    fn n(&self) -> String {
        format::n(self.row.n)
    }
}

/// The chart of all rows that have a difference, an interval and a margin; of segments only those that did not pass, since the
/// others have a chart of their own. None when there is no such row.
#[must_use]
pub fn deltas(rows: &[MetricRow], width: Width) -> Option<Chart> {
    let wanted = |row: &&MetricRow| {
        row.segment.is_none() || (row.class != MetricClass::Info && row.verdict != Verdict::Pass)
    };
    let shown: Vec<&MetricRow> = rows.iter().filter(wanted).collect();
    let mut items: Vec<Item<'_>> = shown.iter().filter_map(|row| Item::new(row)).collect();
    if items.is_empty() {
        return None;
    }
    let mut without: Vec<String> = Vec::new();
    for row in shown.iter().filter(|row| Item::new(row).is_none()) {
        let name = words::metric_name(format::named(&row.name));
        if !without.contains(&name) {
            without.push(name);
        }
    }
    let desc = described(&items, &without);
    let table = tabled(&items);
    let cut = items.len().saturating_sub(MOST);
    if cut > 0 {
        // The worst stay.
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|i| items.get(*i).map(|item| std::cmp::Reverse(item.verdict)));
        let mut kept = order;
        kept.truncate(MOST);
        let mut index = 0..;
        items.retain(|_| index.next().is_some_and(|i| kept.contains(&i)));
    }
    let (svg, height) = drawn(&items, &without, cut, width);
    Some(Chart::new(width, height, "Differences in margins".into(), desc, table, svg))
}

fn described(items: &[Item<'_>], without: &[String]) -> String {
    let count = |verdict| items.iter().filter(|i| i.verdict == verdict).count();
    let mut text = format!(
        "Difference of challenger and champion in {} rows, each divided by its margin: {} pass, {} inconclusive, {} fail, {} only shown.",
        items.len(),
        count(Some(Verdict::Pass)),
        count(Some(Verdict::Inconclusive)),
        count(Some(Verdict::Fail)),
        count(None),
    );
    let worst = items.iter().min_by(|a, b| a.estimate.total_cmp(&b.estimate));
    if let Some(worst) = worst.filter(|w| w.estimate < 0.0) {
        text.push_str(&format!(
            " The worst is {}: {} with a margin of {}.",
            worst.name(),
            worst.delta(),
            worst.margin()
        ));
    }
    if !without.is_empty() {
        text.push_str(&format!(" Without difference, interval or margin: {}.", without.join(", ")));
    }
    text
}

fn tabled(items: &[Item<'_>]) -> Table {
    let mut table = Table::new(["Metric", "Difference", "Interval", "Margin", "In margins", "n", "Verdict"]);
    table.rows = items
        .iter()
        .map(|i| {
            vec![
                i.name(),
                i.delta(),
                i.range(),
                i.margin(),
                format!("{:+.2}", i.estimate).replace('-', "−"),
                numbers::count(i.row.n),
                verdict_word(i.verdict).into(),
            ]
        })
        .collect();
    table
}

/// Sizes of one of the two layouts.
struct Layout {
    wide: bool,
    row: f64,
    plot: (f64, f64),
    right: f64,
}

const GROUP: f64 = 28.0;

fn drawn(items: &[Item<'_>], without: &[String], cut: usize, width: Width) -> (Svg, f64) {
    let layout = match width {
        Width::Wide => Layout { wide: true, row: 38.0, plot: (204.0, 500.0), right: width.units() },
        Width::Narrow => {
            Layout { wide: false, row: 64.0, plot: (10.0, width.units() - 10.0), right: width.units() }
        }
    };
    let reach = extent(items.iter().flat_map(|i| [i.estimate, i.interval[0], i.interval[1]]));
    let (low, high) = reach.unwrap_or((-1.0, 1.0));
    let domain = ((low - 0.1).clamp(-REACH, -1.5), (high + 0.1).clamp(0.75, REACH));
    let scale = Scale::linear(domain, layout.plot);

    let mut svg = Svg::default();
    let top = legend(&mut svg, 0.0, layout.right, &keys(items)) + 24.0;
    let groups: Vec<(MetricGroup, Vec<&Item<'_>>)> = words::GROUPS
        .map(|group| (group, items.iter().filter(|i| i.row.group == group).collect()))
        .into_iter()
        .filter(|(_, of_it): &(_, Vec<_>)| !of_it.is_empty())
        .collect();
    let bottom = top + groups.len() as f64 * GROUP + items.len() as f64 * layout.row;
    axis(&mut svg, &layout, &scale, domain, [top, bottom]);
    if layout.wide {
        ground(&mut svg, &layout, &scale, top, bottom);
    }
    let mut y = top;
    let mut clipped = false;
    for (group, of_it) in groups {
        let word = words::group_heading(group);
        svg.text("head", 0.0, y + 19.0, Anchor::Start, word);
        y += GROUP;
        for item in of_it {
            svg.across("grid", 0.0, layout.right, y);
            svg.group(&format!("{}: {}", item.name(), item.row.why), |svg| {
                clipped |= row(svg, item, &layout, &scale, y);
            });
            y += layout.row;
        }
    }
    let height = notes(&mut svg, bottom + 44.0, &layout, without, cut, clipped);
    (svg, height)
}

fn keys(items: &[Item<'_>]) -> Vec<(Key, String)> {
    let verdicts = [Some(Verdict::Pass), Some(Verdict::Inconclusive), Some(Verdict::Fail), None];
    let mut keys: Vec<_> = verdicts
        .into_iter()
        .filter(|v| items.iter().any(|i| i.verdict == *v))
        .map(|v| (Key::Verdict(v), verdict_word(v).to_owned()))
        .collect();
    keys.push((Key::Range, "interval".into()));
    keys.push((Key::Zone, "beyond the margin".into()));
    keys
}

/// Zone, margin and zero line over these heights.
fn ground(svg: &mut Svg, layout: &Layout, scale: &Scale, top: f64, bottom: f64) {
    let (left, margin) = (layout.plot.0, scale.at(-1.0));
    svg.rect("zone", left, top, margin - left, bottom - top);
    svg.down("limit", margin, top, bottom);
    svg.down("zero", scale.at(0.0), top, bottom);
}

fn axis(svg: &mut Svg, layout: &Layout, scale: &Scale, domain: (f64, f64), [top, bottom]: [f64; 2]) {
    let (left, right) = layout.plot;
    let whole: Vec<f64> =
        ticks(domain.0, domain.1, 8).into_iter().filter(|t| t.fract().abs() < 1e-9).collect();
    let labels = format::labels(MetricUnit::Number, &whole);
    let labelled: Vec<(f64, String)> = whole.into_iter().zip(labels).collect();
    // Over several lines of text a grid would only disturb: there each row has its own.
    let from = if layout.wide { top } else { bottom - 6.0 };
    Frame { left, top: from, right, bottom }.x_axis(
        svg,
        scale,
        &labelled,
        "difference in margins; −1 is the margin",
    );
    svg.text("soft", left, top - 8.0, Anchor::Start, "← worse");
    svg.text("soft", right, top - 8.0, Anchor::End, "better →");
}

fn row(svg: &mut Svg, item: &Item<'_>, layout: &Layout, scale: &Scale, y: f64) -> bool {
    let (delta, range, n) = (item.delta(), item.range(), item.n());
    let class = words::class_word(item.row.class);
    let middle = if layout.wide { y + layout.row / 2.0 } else { y + 32.0 };
    if layout.wide {
        let room = layout.plot.0 - 18.0;
        let name = words::metric_name(format::named(&item.row.name));
        svg.text("strong", 0.0, y + 16.0, Anchor::Start, &fitted_bold(&name, SIZE, room));
        let second = item.row.segment.as_deref().map_or(class, format::named);
        svg.text("soft", 0.0, y + 31.0, Anchor::Start, &fitted(second, SMALL, room));
        let left = layout.plot.1 + 18.0;
        svg.text("strong", left, y + 16.0, Anchor::Start, &delta);
        let margin = fitted(
            &format!("margin {}", item.margin()),
            SMALL,
            layout.right - left - bold_width(&delta, SIZE) - 10.0,
        );
        svg.text("soft", layout.right, y + 16.0, Anchor::End, &margin);
        let room = layout.right - left - text_width(&n, SMALL) - 10.0;
        svg.text("soft", left, y + 31.0, Anchor::Start, &fitted(&range, SMALL, room));
        svg.text("soft", layout.right, y + 31.0, Anchor::End, &n);
    } else {
        ground(svg, layout, scale, middle - 10.0, middle + 10.0);
        let room = layout.right - bold_width(&delta, SIZE) - 12.0;
        svg.text("strong", 0.0, y + 16.0, Anchor::Start, &fitted_bold(&item.name(), SIZE, room));
        svg.text("strong", layout.right, y + 16.0, Anchor::End, &delta);
        let room = layout.right - text_width(&n, SMALL) - 12.0;
        svg.text(
            "soft",
            0.0,
            y + 56.0,
            Anchor::Start,
            &fitted(&format!("{range}, margin {}", item.margin()), SMALL, room),
        );
        svg.text("soft", layout.right, y + 56.0, Anchor::End, &n);
    }
    let mut clipped = interval(svg, scale, item.interval, middle);
    let mut x = scale.at(item.estimate);
    if !scale.holds(item.estimate) {
        let to = item.estimate.signum();
        arrow(svg, x, middle, to);
        // Beside the arrow, so that both are seen.
        x -= 9.0 * to;
        clipped = true;
    }
    verdict_mark(svg, item.verdict, x, middle);
    clipped
}

fn notes(svg: &mut Svg, y: f64, layout: &Layout, without: &[String], cut: usize, clipped: bool) -> f64 {
    let mut lines = Vec::new();
    if clipped {
        lines.push("An arrow says that it goes on beyond the axis; the numbers say how far.".to_owned());
    }
    if cut > 0 {
        lines.push(format!("{cut} more rows are in the table."));
    }
    if !without.is_empty() {
        lines.push(format!("No margin to draw against: {}", without.join(", ")));
    }
    let mut y = y;
    for line in lines {
        y += 16.0;
        svg.text("soft", 0.0, y, Anchor::Start, &fitted(&line, SMALL, layout.right));
    }
    y + 6.0
}

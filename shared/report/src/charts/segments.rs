//! One metric within segments: both versions' values, the worst first.

use std::cmp::Reverse;

use seatrial_domain::verdict::{Direction, MetricClass, Verdict};
use seatrial_evidence::report::{MetricGroup, MetricRow};

use super::frame::{Frame, Key, Side, legend, verdict_mark, verdict_word};
use super::scale::{Scale, extent, tame, ticks};
use super::svg::{Anchor, Svg};
use super::text::{SIZE, SMALL, bold_width, fitted, fitted_bold, width as text_width};
use super::{Chart, Sides, Table, Width, format};
use crate::{numbers, words};

/// Segments that are drawn at most.
const MOST: usize = 30;

/// A segment as it is drawn.
struct Item<'a> {
    row: &'a MetricRow,
    segment: &'a str,
    champion: Option<f64>,
    challenger: f64,
    verdict: Option<Verdict>,
    /// How much worse the challenger is, in the metric's unit; negative where it is better.
    harm: f64,
}

impl<'a> Item<'a> {
    fn new(row: &'a MetricRow) -> Option<Self> {
        let segment = format::named(row.segment.as_deref()?);
        let challenger = tame(row.challenger?)?;
        let champion = row.champion.and_then(tame);
        let harm = champion.map_or(0.0, |c| match row.direction {
            Direction::HigherIsBetter => c - challenger,
            Direction::LowerIsBetter => challenger - c,
        });
        let verdict = (row.class != MetricClass::Info).then_some(row.verdict);
        Some(Self { row, segment, champion, challenger, verdict, harm })
    }

    fn change(&self) -> String {
        let delta = self.row.delta.and_then(tame).or_else(|| Some(self.challenger - self.champion?));
        delta.map_or_else(
            || numbers::value(self.row.unit, self.challenger),
            |d| numbers::difference(self.row.unit, d),
        )
    }
}

/// The chart of `metric` within the segments of one kind of evidence. None when there is no segment with a value.
#[must_use]
pub fn segments(
    rows: &[MetricRow],
    group: MetricGroup,
    metric: &str,
    sides: &Sides,
    width: Width,
) -> Option<Chart> {
    let of_it = rows.iter().filter(|r| r.group == group && r.name == metric);
    let mut items: Vec<Item<'_>> = of_it.filter_map(Item::new).collect();
    if items.is_empty() {
        return None;
    }
    items.sort_by(|a, b| {
        (Reverse(a.verdict), b.harm)
            .partial_cmp(&(Reverse(b.verdict), a.harm))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let (svg, height) = drawn(&items, sides, width);
    let place = words::group_place(group);
    let name = words::metric_name(metric);
    // Fairness is of a whole column, a segment is one of its values.
    let by = match items.iter().any(|i| i.segment.contains('=')) {
        _ if name.contains("segment") => "",
        true => " by segment",
        false => " by column",
    };
    let title = format!("{}{by} {place}", capital(&name));
    Some(Chart::new(width, height, title, described(&items, metric), tabled(&items, sides), svg))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

fn described(items: &[Item<'_>], metric: &str) -> String {
    let failing: Vec<&str> =
        items.iter().filter(|i| i.verdict == Some(Verdict::Fail)).map(|i| i.segment).collect();
    let mut text = format!(
        "{} of both versions in {} segments, the worst first.",
        capital(&words::metric_name(metric)),
        items.len()
    );
    if let Some(worst) = items.first().filter(|i| i.harm > 0.0) {
        text.push_str(&format!(
            " In {} it changes by {} (n {}).",
            worst.segment,
            worst.change(),
            numbers::count(worst.row.n)
        ));
    }
    if !failing.is_empty() {
        text.push_str(&format!(" Failing: {}.", failing.join(", ")));
    }
    text
}

fn tabled(items: &[Item<'_>], sides: &Sides) -> Table {
    let mut table = Table::new(["Segment", &sides.champion, &sides.challenger, "Difference", "n", "Verdict"]);
    let value = |i: &Item<'_>, x: Option<f64>| {
        x.map_or_else(|| numbers::NONE.into(), |x| numbers::value(i.row.unit, x))
    };
    table.rows = items
        .iter()
        .map(|i| {
            vec![
                i.segment.to_owned(),
                value(i, i.champion),
                value(i, Some(i.challenger)),
                i.change(),
                numbers::count(i.row.n),
                verdict_word(i.verdict).into(),
            ]
        })
        .collect();
    table
}

fn drawn(items: &[Item<'_>], sides: &Sides, width: Width) -> (Svg, f64) {
    let wide = width == Width::Wide;
    let shown = items.get(..MOST).unwrap_or(items);
    let right = width.units();
    let row = if wide { 27.0 } else { 44.0 };
    let (left, end) = if wide { (230.0, 560.0) } else { (10.0, right - 14.0) };
    let mut svg = Svg::default();
    let top = legend(&mut svg, 0.0, right, &keys(shown, sides)) + 10.0;
    let bottom = top + shown.len() as f64 * row;
    let values = shown.iter().flat_map(|i| [Some(i.challenger), i.champion]).flatten();
    let (low, high) = extent(values).unwrap_or((0.0, 1.0));
    let pad = ((high - low) * 0.05).max(high.abs().max(low.abs()) * 1e-3);
    let scale = Scale::linear((low - pad, high + pad), (left, end));
    let marks = ticks(low - pad, high + pad, if wide { 5 } else { 4 });
    let unit = shown.first().map(|i| i.row.unit).unwrap_or_default();
    let labelled: Vec<(f64, String)> = marks.iter().copied().zip(format::labels(unit, &marks)).collect();
    let frame = Frame { left, top: if wide { top } else { bottom - 4.0 }, right: end, bottom };
    let metric = shown.first().map(|i| words::metric_name(&i.row.name)).unwrap_or_default();
    let direction = match shown.first().map(|i| i.row.direction) {
        Some(Direction::LowerIsBetter) => "← better",
        _ => "better →",
    };
    frame.x_axis(&mut svg, &scale, &labelled, &format!("{metric}, {direction}"));
    for (i, item) in shown.iter().enumerate() {
        let y = row.mul_add(i as f64, top);
        if !wide {
            svg.across("grid", 0.0, right, y);
        }
        svg.group(&format!("{}: {}", item.segment, item.row.why), |svg| {
            one(svg, item, &scale, (y, row), (left, right), wide);
        });
    }
    let mut height = bottom + Frame::BELOW;
    if items.len() > shown.len() {
        height += 16.0;
        let note = format!("{} more segments are in the table.", items.len() - shown.len());
        svg.text("soft", 0.0, height - 4.0, Anchor::Start, &note);
    }
    (svg, height)
}

fn keys(shown: &[Item<'_>], sides: &Sides) -> Vec<(Key, String)> {
    let mut keys = Vec::new();
    if shown.iter().any(|i| i.champion.is_some()) {
        keys.push((Key::Side(Side::Champion), sides.champion.clone()));
    }
    keys.push((Key::Side(Side::Challenger), sides.challenger.clone()));
    let bad = [Some(Verdict::Fail), Some(Verdict::Inconclusive)];
    keys.extend(
        bad.into_iter()
            .filter(|v| shown.iter().any(|i| i.verdict == *v))
            .map(|v| (Key::Verdict(v), verdict_word(v).to_owned())),
    );
    keys
}

fn one(
    svg: &mut Svg,
    item: &Item<'_>,
    scale: &Scale,
    (y, row): (f64, f64),
    (left, right): (f64, f64),
    wide: bool,
) {
    const SIGN: f64 = 18.0;
    let (change, n) = (item.change(), format::n(item.row.n));
    let middle = if wide { y + row / 2.0 } else { y + 30.0 };
    let text_y = if wide { middle + 4.3 } else { y + 15.0 };
    let marked = matches!(item.verdict, Some(Verdict::Fail | Verdict::Inconclusive));
    if marked {
        verdict_mark(svg, item.verdict, 7.0, text_y - 4.3);
    }
    let from = if marked { SIGN } else { 0.0 };
    let change_room = bold_width(&change, SIZE) + 10.0;
    let (room, n_at) = if wide {
        let room = right - 580.0 - text_width(&n, SMALL) - 8.0;
        svg.text("strong", 580.0, text_y, Anchor::Start, &fitted_bold(&change, SIZE, room));
        (left - 14.0 - from, right)
    } else {
        svg.text("strong", right, text_y, Anchor::End, &change);
        (right - change_room - text_width(&n, SMALL) - 10.0 - from, right - change_room)
    };
    svg.text("soft", n_at, text_y, Anchor::End, &n);
    let class = if item.verdict == Some(Verdict::Fail) { "strong" } else { "" };
    let name = if class.is_empty() {
        fitted(item.segment, SIZE, room)
    } else {
        fitted_bold(item.segment, SIZE, room)
    };
    svg.text(class, from, text_y, Anchor::Start, &name);
    let x = scale.at(item.challenger);
    if let Some(champion) = item.champion {
        svg.across("join", scale.at(champion), x, middle);
        Side::Champion.mark(svg, scale.at(champion), middle);
    }
    Side::Challenger.mark(svg, x, middle);
}

//! Which columns answers rest on: how much each weighs with both versions, and how its values spread over the rows.
//!
//! Both pictures are in shares of all that a version attributes, so that versions explained on different scales can stand side
//! by side; the table has each version's own numbers.

use seatrial_evidence::charts::{ImportanceBar, ImportancePoint, Importances};
use seatrial_evidence::report::MetricUnit;

use super::frame::{Frame, Key, Side, interval, legend};
use super::scale::{Scale, extent, tame, ticks};
use super::svg::{Anchor, Svg};
use super::text::{SIZE, SMALL, fitted, fitted_bold};
use super::{Chart, Sides, Table, Width, format};
use crate::numbers::{count, value};

/// Columns that are drawn at most.
const MOST: usize = 20;

/// A column, and what is drawn of it for each version.
struct Line<'a> {
    column: &'a str,
    sides: Vec<(Side, ImportancePoint)>,
}

fn lines(data: &Importances) -> Vec<Line<'_>> {
    let of = |bar: &ImportanceBar| -> Vec<(Side, ImportancePoint)> {
        let both = [(Side::Champion, bar.champion), (Side::Challenger, bar.challenger)];
        both.into_iter().filter_map(|(side, point)| Some((side, tamed(point?)?))).collect()
    };
    let all = data.bars.iter().map(|bar| Line { column: &bar.column, sides: of(bar) });
    all.filter(|line| !line.sides.is_empty()).collect()
}

/// A point that can be drawn.
fn tamed(point: ImportancePoint) -> Option<ImportancePoint> {
    let [low, high] = point.interval;
    let spread = point.spread.and_then(|s| {
        let mut all = s;
        for x in &mut all {
            *x = tame(*x)?;
        }
        Some(all)
    });
    Some(ImportancePoint {
        share: tame(point.share)?,
        interval: [tame(low)?, tame(high)?],
        mean_abs: point.mean_abs,
        spread,
    })
}

fn name(side: Side, sides: &Sides) -> &str {
    match side {
        Side::Champion => &sides.champion,
        Side::Challenger => &sides.challenger,
    }
}

fn has(lines: &[Line<'_>], side: Side) -> bool {
    lines.iter().any(|l| l.sides.iter().any(|(s, _)| *s == side))
}

fn point<'l>(line: &'l Line<'_>, side: Side) -> Option<&'l ImportancePoint> {
    line.sides.iter().find(|(s, _)| *s == side).map(|(_, point)| point)
}

/// How much each column weighs. None without a column.
#[must_use]
pub fn importances(data: &Importances, sides: &Sides, width: Width) -> Option<Chart> {
    let lines = lines(data);
    let shown = lines.get(..MOST).unwrap_or(&lines);
    let highest = shown.iter().flat_map(|l| &l.sides).flat_map(|(_, p)| [p.share, p.interval[1]]);
    let (_, highest) = extent(highest)?;
    let domain = (0.0, if highest > 0.0 { highest * 1.05 } else { 1.0 });
    let layout = Layout::new(data, &lines, sides, width, domain, "share of all that the version attributes");
    let (svg, height) = layout.drawn(data, &lines, |svg, scale, (side, point), middle| {
        let (zero, at) = (scale.at(0.0), scale.at(point.share));
        svg.rect(side.fill(), zero.min(at), middle - 5.0, (at - zero).abs(), 10.0);
        interval(svg, scale, point.interval, middle);
    });
    let title = format!("Which columns the answers rest on: {}", data.of);
    let desc = described(data, &lines, sides);
    Some(Chart::new(width, height, title, desc, weights(&lines, sides), svg))
}

/// How the values of each column spread over the rows. None where they are not known.
#[must_use]
pub fn attributions(data: &Importances, sides: &Sides, width: Width) -> Option<Chart> {
    let mut lines = lines(data);
    lines.iter_mut().for_each(|l| l.sides.retain(|(_, point)| point.spread.is_some()));
    lines.retain(|l| !l.sides.is_empty());
    let shown = lines.get(..MOST).unwrap_or(&lines);
    let all = shown.iter().flat_map(|l| &l.sides).filter_map(|(_, p)| p.spread).flatten();
    let (low, high) = extent(all.chain([0.0]))?;
    if lines.is_empty() {
        return None;
    }
    let room = (high - low).max(1e-6) * 0.04;
    let domain = (low - room, high + room);
    let layout = Layout::new(data, &lines, sides, width, domain, "value of the column in a row, as a share");
    let (svg, height) = layout.drawn(data, &lines, |svg, scale, (side, point), middle| {
        let Some([low, quarter, median, three_quarters, high]) = point.spread else { return };
        svg.across(side.whisker(), scale.at(low), scale.at(high), middle);
        let (from, to) = (scale.at(quarter), scale.at(three_quarters));
        svg.rect(side.fill(), from.min(to), middle - 2.5, (to - from).abs(), 5.0);
        side.mark(svg, scale.at(median), middle);
    });
    let title = format!("How columns move single answers: {}", data.of);
    let desc = format!(
        "For {} columns the values over {} rows: the thin line from the 5 % to the 95 % quantile, the thick one between the quartiles, the point at the median. To the right a column speaks for {}.",
        lines.len(),
        count(data.rows),
        data.of
    );
    Some(Chart::new(width, height, title, desc, spreads(&lines, sides), svg))
}

fn described(data: &Importances, lines: &[Line<'_>], sides: &Sides) -> String {
    let mut text = format!(
        "Mean absolute Shapley values of {} columns on {} benchmark rows against {} background rows, with 95 % intervals.",
        (lines.len() as u64).saturating_add(data.left_out),
        count(data.rows),
        count(data.background)
    );
    for side in [Side::Champion, Side::Challenger] {
        let of = |l: &Line<'_>| point(l, side).map(|p| p.share);
        let most = lines.iter().filter_map(|l| Some((l.column, of(l)?))).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((column, share)) = most {
            let share = value(MetricUnit::Share, share);
            text.push_str(&format!(" For {} it is mostly {column} ({share}).", name(side, sides)));
        }
    }
    text
}

fn weights(lines: &[Line<'_>], sides: &Sides) -> Table {
    table(lines, sides, &["share", "95 % interval", "mean absolute value"], |p| {
        let [low, high] = p.interval.map(|x| value(MetricUnit::Share, x));
        vec![value(MetricUnit::Share, p.share), format!("{low} to {high}"), format::brief(p.mean_abs)]
    })
}

fn spreads(lines: &[Line<'_>], sides: &Sides) -> Table {
    table(lines, sides, &["5 %", "25 %", "median", "75 %", "95 %"], |p| {
        p.spread.unwrap_or_default().map(format::brief).to_vec()
    })
}

fn table(
    lines: &[Line<'_>],
    sides: &Sides,
    heads: &[&str],
    cells: impl Fn(&ImportancePoint) -> Vec<String>,
) -> Table {
    let versions: Vec<Side> =
        [Side::Champion, Side::Challenger].into_iter().filter(|s| has(lines, *s)).collect();
    let head = |side: &Side| heads.iter().map(|h| format!("{}: {h}", name(*side, sides))).collect::<Vec<_>>();
    let mut table = Table { head: vec!["Column".into()], rows: Vec::new() };
    table.head.extend(versions.iter().flat_map(head));
    for line in lines {
        let of = |side: &Side| point(line, *side).map_or_else(|| vec![String::new(); heads.len()], &cells);
        table.rows.push([line.column.to_owned()].into_iter().chain(versions.iter().flat_map(of)).collect());
    }
    table
}

/// Where things stand.
struct Layout {
    width: Width,
    keys: Vec<(Key, String)>,
    domain: (f64, f64),
    title: &'static str,
}

impl Layout {
    fn new(
        data: &Importances,
        lines: &[Line<'_>],
        sides: &Sides,
        width: Width,
        domain: (f64, f64),
        title: &'static str,
    ) -> Self {
        let rows = format::n(data.rows);
        let present = [Side::Champion, Side::Challenger].into_iter().filter(|s| has(lines, *s));
        let keys = present.map(|s| (Key::Side(s), format!("{}, {rows}", name(s, sides)))).collect();
        Self { width, keys, domain, title }
    }

    fn drawn(
        &self,
        data: &Importances,
        lines: &[Line<'_>],
        draw: impl Fn(&mut Svg, &Scale, (Side, &ImportancePoint), f64),
    ) -> (Svg, f64) {
        let wide = self.width == Width::Wide;
        let shown = lines.get(..MOST).unwrap_or(lines);
        let right = self.width.units();
        let (left, end) = if wide { (204.0, right - 12.0) } else { (8.0, right - 12.0) };
        // Above its bars a narrow row has the name; beside them a wide one.
        let (row, first): (f64, f64) = if wide { (34.0, 10.0) } else { (52.0, 26.0) };
        let mut svg = Svg::default();
        let top = legend(&mut svg, 0.0, right, &self.keys) + 10.0;
        let bottom = row.mul_add(shown.len() as f64, top);
        let scale = Scale::linear(self.domain, (left, end));
        let values = ticks(self.domain.0, self.domain.1, if wide { 6 } else { 4 });
        let labels: Vec<(f64, String)> =
            values.iter().copied().zip(format::labels(MetricUnit::Share, &values)).collect();
        let frame = Frame { left, top: if wide { top } else { bottom - 4.0 }, right: end, bottom };
        frame.x_axis(&mut svg, &scale, &labels, &fitted(self.title, SMALL, end - left));
        for (i, line) in shown.iter().enumerate() {
            let y = row.mul_add(i as f64, top);
            let said: Vec<String> =
                line.sides.iter().map(|(_, p)| value(MetricUnit::Share, p.share)).collect();
            svg.group(&format!("{}: {}", line.column, said.join(" and ")), |svg| {
                let (x, base, room) =
                    if wide { (0.0, y + row / 2.0 + 4.3, left - 14.0) } else { (0.0, y + 15.0, right) };
                let column = fitted_bold(format::named(line.column), SIZE, room);
                svg.text("strong", x, base, Anchor::Start, &column);
                svg.down("zero", scale.at(0.0), y + first - 5.0, y + first + 19.0);
                for (side, point) in &line.sides {
                    let lower = if *side == Side::Challenger { 13.0 } else { 0.0 };
                    draw(svg, &scale, (*side, point), y + first + lower);
                }
            });
        }
        let more = ((lines.len() - shown.len()) as u64).saturating_add(data.left_out);
        let mut height = bottom + Frame::BELOW;
        if more > 0 {
            height += 16.0;
            let note = format!("{} more columns weigh less.", count(more));
            svg.text("soft", 0.0, height - 4.0, Anchor::Start, &note);
        }
        (svg, height)
    }
}

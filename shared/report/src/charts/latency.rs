//! Latency by quantile: the tail is spread out, since that is where versions differ and callers notice.

use seatrial_evidence::charts::{LatencyCurve, LatencyCurves};
use seatrial_evidence::report::MetricUnit;

use super::frame::{Frame, Key, Side, label_room, legend};
use super::scale::{Scale, extent, log_ticks, round_step, tame, ticks};
use super::svg::Svg;
use super::{Chart, Sides, Table, Width, format};
use crate::numbers::{self, count};
use crate::words;

/// Beyond this ratio of the largest to the smallest value a straight axis hides the smaller ones.
const SPREAD: f64 = 20.0;

/// One version's quantiles that can be drawn.
struct Line<'a> {
    side: Side,
    name: &'a str,
    n: u64,
    /// Share and microseconds.
    points: Vec<(f64, f64)>,
}

impl<'a> Line<'a> {
    fn new(side: Side, name: &'a str, curve: &LatencyCurve) -> Self {
        let mut points: Vec<(f64, f64)> = curve
            .points
            .iter()
            .filter(|p| p.q > 0.0 && p.q < 1.0)
            .filter_map(|p| Some((p.q, tame(p.us)?.max(0.0))))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { side, name, n: curve.n, points }
    }

    fn at(&self, q: f64) -> Option<f64> {
        self.points.iter().find(|p| (p.0 - q).abs() < 1e-9).map(|p| p.1)
    }
}

/// Where a quantile stands: the share beyond it, by its logarithm.
fn tail(q: f64) -> f64 {
    -(1.0 - q).max(1e-9).log10()
}

/// The chart of both versions' quantiles. None without a quantile of the challenger's.
#[must_use]
pub fn latency(data: &LatencyCurves, sides: &Sides, width: Width) -> Option<Chart> {
    let challenger = Line::new(Side::Challenger, &sides.challenger, &data.challenger);
    let champion = data.champion.as_ref().map(|c| Line::new(Side::Champion, &sides.champion, c));
    let lines: Vec<Line<'_>> =
        champion.into_iter().chain([challenger]).filter(|l| !l.points.is_empty()).collect();
    lines.iter().find(|l| l.side == Side::Challenger)?;
    let title = format!("Latency {}", words::group_place(data.group));
    let (svg, height) = drawn(&lines, width)?;
    Some(Chart::new(width, height, title, described(&lines, data), tabled(&lines), svg))
}

fn percentile(q: f64) -> String {
    let text = format!("{:.3}", q * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn duration(us: f64) -> String {
    numbers::value(MetricUnit::Microseconds, us)
}

fn described(lines: &[Line<'_>], data: &LatencyCurves) -> String {
    let mut text = "Latency quantiles, from the median to the tail.".to_owned();
    for line in lines {
        let shown: Vec<String> = [0.5, 0.95, 0.99, 0.999]
            .into_iter()
            .filter_map(|q| Some(format!("{} {}", percentile(q), duration(line.at(q)?))))
            .collect();
        text.push_str(&format!(" {}, n {}: {}.", line.name, count(line.n), shown.join(", ")));
    }
    if let Some(error) = data.relative_error.filter(|e| *e > 0.0) {
        text.push_str(&format!(" Values are right within {} %.", format::brief(error * 100.0)));
    }
    text
}

fn tabled(lines: &[Line<'_>]) -> Table {
    let mut quantiles: Vec<f64> = lines.iter().flat_map(|l| l.points.iter().map(|p| p.0)).collect();
    quantiles.sort_by(f64::total_cmp);
    quantiles.dedup();
    let mut table = Table { head: vec!["Quantile".into()], rows: Vec::new() };
    table.head.extend(lines.iter().map(|l| format!("{}, n {}", l.name, count(l.n))));
    for q in quantiles {
        let mut row = vec![percentile(q)];
        row.extend(lines.iter().map(|l| l.at(q).map_or_else(|| numbers::NONE.into(), duration)));
        table.rows.push(row);
    }
    table
}

fn drawn(lines: &[Line<'_>], width: Width) -> Option<(Svg, f64)> {
    let mut svg = Svg::default();
    let keys: Vec<(Key, String)> =
        lines.iter().map(|l| (Key::Side(l.side), format!("{}, {}", l.name, format::n(l.n)))).collect();
    let top = legend(&mut svg, 0.0, width.units(), &keys) + 40.0;
    let (least, most) = extent(lines.iter().flat_map(|l| l.points.iter().map(|p| p.1)))?;
    let log = least > 0.0 && most / least > SPREAD;
    let (domain, values) = if log {
        let (low, high) = (least / 1.15, most * 1.15);
        ((low, high), log_ticks(low, high))
    } else {
        let high = (most * 1.05).max(1.0);
        let step = round_step(high / 4.0);
        let roof = (high / step).ceil() * step;
        ((0.0, roof), ticks(0.0, roof, 4))
    };
    let labels = if log {
        format::log_labels(MetricUnit::Microseconds, &values)
    } else {
        format::labels(MetricUnit::Microseconds, &values)
    };
    let y_ticks: Vec<(f64, String)> = values.into_iter().zip(labels).collect();
    let frame = Frame { left: label_room(&y_ticks), top, right: width.units() - 16.0, bottom: top + 180.0 };
    let y = if log {
        Scale::log(domain, (frame.bottom, frame.top))
    } else {
        Scale::linear(domain, (frame.bottom, frame.top))
    };
    let ends = extent(lines.iter().flat_map(|l| l.points.iter().map(|p| tail(p.0))))?;
    let x = Scale::linear((ends.0, ends.1), (frame.left + 6.0, frame.right));
    let marks: Vec<(f64, String)> = [0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999]
        .into_iter()
        .map(|q| (tail(q), percentile(q)))
        .collect();
    frame.y_axis(&mut svg, &y, &y_ticks, if log { "latency (log scale)" } else { "latency" });
    frame.x_axis(&mut svg, &x, &marks, "share of requests that are faster");
    for line in lines {
        let points: Vec<(f64, f64)> = line.points.iter().map(|(q, us)| (x.at(tail(*q)), y.at(*us))).collect();
        svg.path(line.side.line(), &points);
        for ((q, us), at) in line.points.iter().zip(&points) {
            svg.group(&format!("{}, {}: {}", line.name, percentile(*q), duration(*us)), |svg| {
                line.side.mark(svg, at.0, at.1);
            });
        }
    }
    Some((svg, frame.bottom + Frame::BELOW))
}

//! How often each score was given: outlines of both versions' histograms over the same bins.

use seatrial_evidence::charts::ScoreDistribution;
use seatrial_evidence::report::MetricUnit;

use super::frame::{Frame, Key, Side, label_room, legend};
use super::scale::{Scale, tame, ticks};
use super::svg::{Anchor, Svg};
use super::text::{SMALL, width as text_width};
use super::{Chart, Sides, Table, Width, format};
use crate::numbers::count;
use crate::words;

/// One version's bars.
struct Outline {
    side: Side,
    counts: Vec<u64>,
    n: u64,
    /// The share in a bin, or its density where bins differ in width.
    heights: Vec<f64>,
}

impl Outline {
    fn new(side: Side, counts: &[u64], edges: &[f64], even: bool) -> Self {
        let bins = edges.len() - 1;
        let counts: Vec<u64> = (0..bins).map(|i| counts.get(i).copied().unwrap_or(0)).collect();
        let n: u64 = counts.iter().fold(0, |sum, c| sum.saturating_add(*c));
        let share = |c: u64| if n == 0 { 0.0 } else { c as f64 / n as f64 };
        let heights = counts
            .iter()
            .zip(edges.windows(2))
            .map(|(c, edge)| if even { share(*c) } else { share(*c) / (edge[1] - edge[0]) })
            .collect();
        Self { side, counts, n, heights }
    }

    /// The outline from the left end of the axis to the right one.
    fn steps(&self, edges: &[f64], x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
        let mut points = Vec::with_capacity(self.heights.len() * 2 + 2);
        let floor = y.at(0.0);
        points.push((x.at(edges[0]), floor));
        for (height, edge) in self.heights.iter().zip(edges.windows(2)) {
            points.push((x.at(edge[0]), y.at(*height)));
            points.push((x.at(edge[1]), y.at(*height)));
        }
        points.push((x.at(edges[edges.len() - 1]), floor));
        points
    }
}

/// The chart of one distribution. None when nothing was counted, or the bins' edges do not ascend.
#[must_use]
pub fn scores(data: &ScoreDistribution, sides: &Sides, width: Width) -> Option<Chart> {
    let edges: Vec<f64> = data.edges.iter().copied().map(tame).collect::<Option<_>>()?;
    if edges.len() < 2 || edges.windows(2).any(|w| w[1] - w[0] <= 0.0) {
        return None;
    }
    let span = edges[edges.len() - 1] - edges[0];
    let mean = span / (edges.len() - 1) as f64;
    let even = edges.windows(2).all(|w| ((w[1] - w[0]) - mean).abs() <= mean * 1e-6);
    let outlines: Vec<Outline> = data
        .champion
        .iter()
        .map(|counts| Outline::new(Side::Champion, counts, &edges, even))
        .chain([Outline::new(Side::Challenger, &data.challenger, &edges, even)])
        .filter(|o| o.n > 0)
        .collect();
    if outlines.is_empty() {
        return None;
    }
    let threshold = data.threshold.and_then(tame);
    let (svg, height) = drawn(data, &edges, &outlines, even, threshold, sides, width);
    let desc = described(data, &edges, &outlines, threshold, sides);
    Some(Chart::new(
        width,
        height,
        format!("Distribution of {} {}", data.of, words::group_place(data.group)),
        desc,
        tabled(&edges, &outlines, sides),
        svg,
    ))
}

fn name(side: Side, sides: &Sides) -> &str {
    match side {
        Side::Champion => &sides.champion,
        Side::Challenger => &sides.challenger,
    }
}

fn described(
    data: &ScoreDistribution,
    edges: &[f64],
    outlines: &[Outline],
    threshold: Option<f64>,
    sides: &Sides,
) -> String {
    let mut text = format!("How often each {} was given.", data.of);
    for outline in outlines {
        let most = outline.counts.iter().enumerate().max_by_key(|(i, c)| (**c, std::cmp::Reverse(*i)));
        if let Some((i, c)) = most {
            text.push_str(&format!(
                " {}: n {}, most often between {} and {} ({}).",
                name(outline.side, sides),
                count(outline.n),
                format::brief(edges[i]),
                format::brief(edges[i + 1]),
                format::share(*c, outline.n)
            ));
        }
    }
    if let Some(t) = threshold {
        text.push_str(&format!(" The decision threshold is {}.", format::brief(t)));
    }
    text
}

fn tabled(edges: &[f64], outlines: &[Outline], sides: &Sides) -> Table {
    let mut table = Table { head: vec!["From".into(), "to".into()], rows: Vec::new() };
    table.head.extend(outlines.iter().map(|o| name(o.side, sides).to_owned()));
    for (i, edge) in edges.windows(2).enumerate() {
        let mut row = vec![format::brief(edge[0]), format::brief(edge[1])];
        row.extend(
            outlines.iter().map(|o| format!("{} ({})", count(o.counts[i]), format::share(o.counts[i], o.n))),
        );
        table.rows.push(row);
    }
    table
}

fn drawn(
    data: &ScoreDistribution,
    edges: &[f64],
    outlines: &[Outline],
    even: bool,
    threshold: Option<f64>,
    sides: &Sides,
    width: Width,
) -> (Svg, f64) {
    let mut svg = Svg::default();
    let keys: Vec<(Key, String)> = outlines
        .iter()
        .map(|o| (Key::Side(o.side), format!("{}, {}", name(o.side, sides), format::n(o.n))))
        .collect();
    let top = legend(&mut svg, 0.0, width.units(), &keys) + 44.0;
    let highest = outlines.iter().flat_map(|o| &o.heights).fold(0.0_f64, |top, h| top.max(*h));
    let step = super::scale::round_step(highest * 1.02 / 4.0);
    let roof = (highest * 1.02 / step).ceil() * step;
    let unit = if even { MetricUnit::Share } else { MetricUnit::Number };
    let values = ticks(0.0, roof, 4);
    let y_ticks: Vec<(f64, String)> = values.iter().copied().zip(format::labels(unit, &values)).collect();
    let frame = Frame { left: label_room(&y_ticks), top, right: width.units() - 12.0, bottom: top + 170.0 };
    let x = Scale::linear((edges[0], edges[edges.len() - 1]), (frame.left, frame.right));
    let y = Scale::linear((0.0, roof), (frame.bottom, frame.top));
    let title = if even { "share of requests per bin" } else { "density: share per unit" };
    frame.y_axis(&mut svg, &y, &y_ticks, title);
    let values = ticks(edges[0], edges[edges.len() - 1], 5);
    let x_ticks: Vec<(f64, String)> =
        values.iter().copied().zip(format::labels(MetricUnit::Number, &values)).collect();
    frame.x_axis(&mut svg, &x, &x_ticks, &super::text::fitted(&data.of, SMALL, frame.right - frame.left));
    for outline in outlines {
        let steps = outline.steps(edges, &x, &y);
        svg.area(outline.side.area(), &steps);
    }
    for outline in outlines {
        svg.path(outline.side.line(), &outline.steps(edges, &x, &y));
    }
    if let Some(t) = threshold.filter(|t| x.holds(*t)) {
        let at = x.at(t);
        svg.down("threshold", at, frame.top - 4.0, frame.bottom);
        let label = format!("threshold {}", format::brief(t));
        let half = text_width(&label, SMALL) / 2.0;
        // Beside the axis' title, which stands at the left.
        let from = text_width(title, SMALL) + 12.0 + half;
        if from + half < width.units() {
            svg.text("soft", at.clamp(from, width.units() - half), frame.top - 10.0, Anchor::Middle, &label);
        }
    }
    (svg, frame.bottom + Frame::BELOW)
}

//! Small bars of shares: requests that change sides of a threshold, and requests whose truth is known.

use seatrial_evidence::charts::{LabelCoverage, ThresholdCrossings};
use seatrial_evidence::report::MetricUnit;

use super::frame::Frame;
use super::scale::{Scale, ticks};
use super::svg::{Anchor, Svg};
use super::text::{SIZE, SMALL, bold_width, fitted, fitted_bold, width as text_width};
use super::{Chart, Table, Width, format};
use crate::numbers::count;
use crate::words;

/// Bars that are drawn at most.
const MOST: usize = 24;

/// A bar with its words.
struct Bar {
    name: String,
    n: u64,
    of: u64,
}

impl Bar {
    fn share(&self) -> f64 {
        if self.of == 0 { 0.0 } else { self.n as f64 / self.of as f64 }
    }
}

/// The chart of one threshold's crossings. None when no request has both scores.
#[must_use]
pub fn crossings(data: &ThresholdCrossings, width: Width) -> Option<Chart> {
    if data.n == 0 {
        return None;
    }
    let threshold = format::brief(data.threshold);
    let bars = [
        Bar { name: format!("rise to {threshold} or above"), n: data.up, of: data.n },
        Bar { name: format!("fall below {threshold}"), n: data.down, of: data.n },
    ];
    let both = data.up.saturating_add(data.down);
    let desc = format!(
        "By {} {} of {} requests change sides of the threshold {threshold} with the challenger ({}): {} rise to it or above it, {} fall below it.",
        data.of,
        count(both),
        count(data.n),
        format::share(both, data.n),
        count(data.up),
        count(data.down)
    );
    let title = format!("Threshold crossings {}", words::group_place(data.group));
    let most = bars.iter().map(Bar::share).fold(0.0, f64::max);
    let (svg, height) = drawn(&bars, most, &format!("share of requests, by {}", data.of), width);
    Some(Chart::new(width, height, title, desc, tabled("Requests that", &bars, "Requests"), svg))
}

/// The chart of label coverage by one partition. None without a part.
#[must_use]
pub fn coverage(data: &LabelCoverage, width: Width) -> Option<Chart> {
    if data.bars.is_empty() {
        return None;
    }
    let bars: Vec<Bar> =
        data.bars.iter().map(|b| Bar { name: b.name.clone(), n: b.labelled, of: b.mature }).collect();
    let parts = bars.iter().filter(|b| b.of > 0);
    let (least, most) =
        parts.fold((f64::INFINITY, 0.0_f64), |(l, m), b| (b.share().min(l), b.share().max(m)));
    let mut desc =
        format!("Requests old enough for a label, and the share of them that has one, by {}.", data.by);
    if least.is_finite() {
        desc.push_str(&format!(" Between {:.1} % and {:.1} %.", least * 100.0, most * 100.0));
    }
    let title = format!("Label coverage by {}", data.by);
    let (svg, height) = drawn(&bars, 1.0, "share of mature requests with a label", width);
    Some(Chart::new(width, height, title, desc, tabled(&data.by, &bars, "Labelled"), svg))
}

fn tabled(name: &str, bars: &[Bar], counted: &str) -> Table {
    let mut table = Table::new([name, counted, "of", "Share"]);
    table.rows = bars
        .iter()
        .map(|b| vec![b.name.clone(), count(b.n), count(b.of), format::share(b.n, b.of)])
        .collect();
    table
}

fn drawn(bars: &[Bar], most: f64, title: &str, width: Width) -> (Svg, f64) {
    const ROW: f64 = 42.0;
    let right = width.units();
    let shown = bars.get(..MOST).unwrap_or(bars);
    let mut svg = Svg::default();
    let bottom = shown.len() as f64 * ROW;
    let roof = if most > 0.0 { (most * 1.05).min(1.0) } else { 0.01 };
    let scale = Scale::linear((0.0, roof), (2.0, right - 20.0));
    let values = ticks(0.0, roof, 5);
    let labelled: Vec<(f64, String)> =
        values.iter().copied().zip(format::labels(MetricUnit::Share, &values)).collect();
    let frame = Frame { left: 2.0, top: bottom - 4.0, right: right - 20.0, bottom };
    frame.x_axis(&mut svg, &scale, &labelled, &fitted(title, SMALL, right - 40.0));
    for (i, bar) in shown.iter().enumerate() {
        let y = ROW * i as f64;
        let words = |n: u64| if n < 10_000_000 { count(n) } else { format::short_count(n) };
        let (share, n) = (format::share(bar.n, bar.of), format!("{} of {}", words(bar.n), words(bar.of)));
        let share_room = bold_width(&share, SIZE) + 10.0;
        let room = right - share_room - text_width(&n, SMALL) - 12.0;
        svg.group(&format!("{}: {n}, {share}", bar.name), |svg| {
            svg.text(
                "strong",
                0.0,
                y + 15.0,
                Anchor::Start,
                &fitted_bold(format::named(&bar.name), SIZE, room),
            );
            svg.text("soft", right - share_room, y + 15.0, Anchor::End, &n);
            svg.text("strong", right, y + 15.0, Anchor::End, &share);
            svg.rect("frame", 2.0, y + 23.0, right - 22.0, 11.0);
            svg.down("zero", 2.0, y + 20.0, y + 37.0);
            svg.rect("bar", 2.0, y + 23.0, (scale.at(bar.share()) - 2.0).max(0.0), 11.0);
        });
    }
    let mut height = bottom + Frame::BELOW;
    if bars.len() > shown.len() {
        height += 16.0;
        let note = format!("{} more parts are in the table.", bars.len() - shown.len());
        svg.text("soft", 0.0, height - 4.0, Anchor::Start, &fitted(&note, SMALL, right));
    }
    (svg, height)
}

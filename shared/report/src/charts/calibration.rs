//! Whether a score of 0.7 comes true in 70 of 100 cases: shares by bins of scores, with how many rows each rests on.

use seatrial_evidence::charts::{Calibration, CalibrationBin, CalibrationCurve};
use seatrial_evidence::report::MetricUnit;

use super::frame::{Frame, Key, Side, label_room, legend};
use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::{Chart, Sides, Table, Width, format};
use crate::numbers::{self, count};
use crate::words;

/// Height of the strip that shows how many rows the bins have.
const STRIP: f64 = 44.0;

struct Curve<'a> {
    side: Side,
    name: &'a str,
    bins: Vec<CalibrationBin>,
    n: u64,
    data: &'a CalibrationCurve,
}

impl<'a> Curve<'a> {
    fn new(side: Side, name: &'a str, data: &'a CalibrationCurve) -> Option<Self> {
        let fits = |b: &&CalibrationBin| b.score.is_finite() && b.share.is_finite() && b.n > 0;
        let mut bins: Vec<CalibrationBin> = data.bins.iter().filter(fits).copied().collect();
        bins.sort_by(|a, b| a.score.total_cmp(&b.score));
        let n = bins.iter().fold(0_u64, |sum, b| sum.saturating_add(b.n));
        (!bins.is_empty()).then_some(Self { side, name, bins, n, data })
    }
}

/// The chart of one score's calibration. None without a bin.
#[must_use]
pub fn calibration(data: &Calibration, sides: &Sides, width: Width) -> Option<Chart> {
    let champion = data.champion.as_ref().and_then(|c| Curve::new(Side::Champion, &sides.champion, c));
    let challenger = Curve::new(Side::Challenger, &sides.challenger, &data.challenger);
    let curves: Vec<Curve<'_>> = champion.into_iter().chain(challenger).collect();
    if curves.is_empty() {
        return None;
    }
    let place = words::group_place(data.group);
    let (svg, height) = drawn(&curves, width);
    let title = format!("Calibration of {} {place}", data.of);
    Some(Chart::new(width, height, title, described(&curves, &data.of), tabled(&curves), svg))
}

fn described(curves: &[Curve<'_>], of: &str) -> String {
    let mut text = format!("Mean score of {of} against the share that was true, by bins of scores.");
    for curve in curves {
        text.push_str(&format!(" {}: n {}", curve.name, count(curve.n)));
        if let Some(slope) = curve.data.slope.filter(|s| s.is_finite()) {
            text.push_str(&format!(", slope {}", format::brief(slope)));
        }
        if let Some(intercept) = curve.data.intercept.filter(|i| i.is_finite()) {
            text.push_str(&format!(", intercept {}", format::brief(intercept)));
        }
        let far =
            curve.bins.iter().max_by(|a, b| (a.score - a.share).abs().total_cmp(&(b.score - b.share).abs()));
        if let Some(far) = far {
            text.push_str(&format!(
                ", farthest off at {}, where {} were true (n {})",
                percent(far.score),
                percent(far.share),
                count(far.n)
            ));
        }
        text.push('.');
    }
    text
}

fn percent(share: f64) -> String {
    numbers::value(MetricUnit::Share, share)
}

fn tabled(curves: &[Curve<'_>]) -> Table {
    let mut table = Table::new(["Version", "Mean score", "Share true", "Interval", "n"]);
    for curve in curves {
        for bin in &curve.bins {
            let range = bin
                .interval
                .map_or_else(String::new, |[low, high]| format!("{} to {}", percent(low), percent(high)));
            table.rows.push(vec![
                curve.name.to_owned(),
                percent(bin.score),
                percent(bin.share),
                range,
                count(bin.n),
            ]);
        }
    }
    table
}

fn drawn(curves: &[Curve<'_>], width: Width) -> (Svg, f64) {
    let mut svg = Svg::default();
    let name = |c: &Curve<'_>| {
        let slope = c.data.slope.filter(|s| s.is_finite());
        let slope = slope.map_or_else(String::new, |s| format!(", slope {s:.2}").replace('-', "−"));
        (Key::Side(c.side), format!("{}, {}{slope}", c.name, format::n(c.n)))
    };
    let mut keys: Vec<(Key, String)> = curves.iter().map(name).collect();
    keys.push((Key::Dashed("ideal"), "a score that comes true".into()));
    let top = legend(&mut svg, 0.0, width.units(), &keys) + 40.0;
    let values = [0.0, 0.25, 0.5, 0.75, 1.0];
    let marks: Vec<(f64, String)> = values
        .into_iter()
        .zip(format::labels(MetricUnit::Share, &values).into_iter().map(|l| l.replace(".0", "")))
        .collect();
    let left = label_room(&marks);
    // As high as it is wide, so that the ideal line rises at 45 degrees.
    let side = (width.units() - left - 16.0).min(310.0);
    let frame = Frame { left, top, right: left + side, bottom: top + side };
    let x = Scale::linear((0.0, 1.0), (frame.left, frame.right));
    let y = Scale::linear((0.0, 1.0), (frame.bottom, frame.top));
    frame.y_axis(&mut svg, &y, &marks, "share that was true");
    frame.x_ticks(&mut svg, &x, &marks);
    svg.line("ideal", (x.at(0.0), y.at(0.0)), (x.at(1.0), y.at(1.0)));
    for curve in curves {
        // Side by side where both versions have the same mean score.
        let aside = if curve.side == Side::Champion { -1.5 } else { 1.5 };
        let points: Vec<(f64, f64)> =
            curve.bins.iter().map(|b| (x.at(b.score) + aside, y.at(b.share))).collect();
        for (bin, at) in curve.bins.iter().zip(&points) {
            if let Some([low, high]) = bin.interval.filter(|[a, b]| a.is_finite() && b.is_finite()) {
                svg.down(curve.side.whisker(), at.0, y.at(low), y.at(high));
            }
        }
        svg.path(curve.side.line(), &points);
        for (bin, at) in curve.bins.iter().zip(&points) {
            let tip = format!(
                "{}: mean score {}, true {}, n {}",
                curve.name,
                percent(bin.score),
                percent(bin.share),
                count(bin.n)
            );
            svg.group(&tip, |svg| curve.side.mark(svg, at.0, at.1));
        }
    }
    let bottom = strip(&mut svg, curves, &x, frame);
    (svg, bottom)
}

/// How many rows each bin has, below the plot.
fn strip(svg: &mut Svg, curves: &[Curve<'_>], x: &Scale, frame: Frame) -> f64 {
    let top = frame.bottom + 42.0;
    let bottom = top + STRIP;
    let most = curves.iter().flat_map(|c| c.bins.iter().map(|b| b.n)).max().unwrap_or(1);
    svg.text("soft", 0.0, top - 8.0, Anchor::Start, &format!("rows per bin, at most {}", count(most)));
    let height = Scale::linear((0.0, most as f64), (0.0, STRIP));
    for curve in curves {
        let aside = if curve.side == Side::Champion { -6.0 } else { 0.5 };
        for bin in &curve.bins {
            let high = height.at(bin.n as f64).max(0.8);
            svg.rect(curve.side.fill(), x.at(bin.score) + aside, bottom - high, 5.5, high);
        }
    }
    svg.across("axis", frame.left, frame.right, bottom);
    let middle = f64::midpoint(frame.left, frame.right);
    svg.text("soft", middle, bottom + 17.0, Anchor::Middle, "mean score of the bin");
    bottom + 24.0
}

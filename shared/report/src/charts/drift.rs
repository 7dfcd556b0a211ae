//! How far each feature has moved: a bar of the effect size, its interval, and the limit.

use seatrial_domain::verdict::Verdict;
use seatrial_evidence::charts::{DriftBar, DriftBars};
use seatrial_evidence::report::MetricUnit;

use super::frame::{Frame, Key, interval, legend, verdict_mark, verdict_word};
use super::scale::{Scale, extent, tame, ticks};
use super::svg::{Anchor, Svg};
use super::text::{SIZE, SMALL, bold_width, fitted, fitted_bold, width as text_width};
use super::{Chart, Table, Width, format};
use crate::numbers::count;

/// Bars that are drawn at most.
const MOST: usize = 20;

/// The chart of one comparison. None without a feature.
#[must_use]
pub fn drift(data: &DriftBars, width: Width) -> Option<Chart> {
    let mut bars: Vec<&DriftBar> = data.bars.iter().filter(|b| b.effect.is_finite()).collect();
    if bars.is_empty() {
        return None;
    }
    bars.sort_by(|a, b| b.effect.total_cmp(&a.effect).then_with(|| a.feature.cmp(&b.feature)));
    let (svg, height) = drawn(data, &bars, width);
    let title = format!("Drift of {} from {}", data.current, data.reference);
    Some(Chart::new(width, height, title, described(data, &bars), tabled(&bars, &data.measure), svg))
}

fn described(data: &DriftBars, bars: &[&DriftBar]) -> String {
    let beyond = bars.iter().filter(|b| b.verdict == Verdict::Fail).count();
    let mut text = format!(
        "{} of {} against {} for {} features, the largest first; {beyond} beyond the limit.",
        data.measure,
        data.current,
        data.reference,
        (bars.len() as u64).saturating_add(data.left_out)
    );
    if let Some(first) = bars.first() {
        text.push_str(&format!(" The largest is {} with {}.", first.feature, format::brief(first.effect)));
    }
    text
}

fn range(bar: &DriftBar) -> String {
    bar.interval
        .map_or_else(String::new, |[low, high]| format!("{} to {}", format::brief(low), format::brief(high)))
}

fn tabled(bars: &[&DriftBar], measure: &str) -> Table {
    let mut table = Table::new(["Feature", measure, "Interval", "Limit", "n", "Verdict"]);
    table.rows = bars
        .iter()
        .map(|b| {
            vec![
                b.feature.clone(),
                format::brief(b.effect),
                range(b),
                b.limit.map_or_else(String::new, format::brief),
                count(b.n),
                verdict_word(Some(b.verdict)).into(),
            ]
        })
        .collect();
    table
}

fn drawn(data: &DriftBars, bars: &[&DriftBar], width: Width) -> (Svg, f64) {
    let wide = width == Width::Wide;
    let shown = bars.get(..MOST).unwrap_or(bars);
    let row = if wide { 28.0 } else { 42.0 };
    let right = width.units();
    let (left, end) = if wide { (204.0, 560.0) } else { (8.0, right - 12.0) };
    let mut svg = Svg::default();
    let verdicts = [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail];
    let mut keys: Vec<(Key, String)> = verdicts
        .into_iter()
        .filter(|v| shown.iter().any(|b| b.verdict == *v))
        .map(|v| (Key::Verdict(Some(v)), verdict_word(Some(v)).to_owned()))
        .collect();
    if shown.iter().any(|b| b.interval.is_some()) {
        keys.push((Key::Range, "interval".into()));
    }
    if shown.iter().any(|b| b.limit.is_some()) {
        keys.push((Key::Dashed("limit"), "limit".into()));
    }
    let top = legend(&mut svg, 0.0, right, &keys) + 10.0;
    let bottom = top + shown.len() as f64 * row;
    let ends = |b: &&DriftBar| {
        let [low, high] = b.interval.unwrap_or([b.effect; 2]);
        [b.effect, low, high, b.limit.unwrap_or(b.effect)]
    };
    let (low, high) = extent(shown.iter().flat_map(ends)).unwrap_or((0.0, 1.0));
    let domain = (low.min(0.0), if high > 0.0 { high * 1.05 } else { 1e-6 });
    let scale = Scale::linear(domain, (left, end));
    let values = ticks(domain.0, domain.1, if wide { 6 } else { 5 });
    let labelled: Vec<(f64, String)> =
        values.iter().copied().zip(format::labels(MetricUnit::Number, &values)).collect();
    let frame = Frame { left, top: if wide { top } else { bottom - 4.0 }, right: end, bottom };
    frame.x_axis(&mut svg, &scale, &labelled, &fitted(&data.measure, SMALL, end - left));
    for (i, bar) in shown.iter().enumerate() {
        let y = row.mul_add(i as f64, top);
        svg.group(&format!("{}: {} ({})", bar.feature, format::brief(bar.effect), range(bar)), |svg| {
            one(svg, bar, &scale, (y, row), (left, right), wide);
        });
    }
    let more = ((bars.len() - shown.len()) as u64).saturating_add(data.left_out);
    let mut height = bottom + Frame::BELOW;
    if more > 0 {
        height += 16.0;
        let note = format!("{} more features have smaller effects.", count(more));
        svg.text("soft", 0.0, height - 4.0, Anchor::Start, &note);
    }
    (svg, height)
}

fn one(
    svg: &mut Svg,
    bar: &DriftBar,
    scale: &Scale,
    (y, row): (f64, f64),
    (left, right): (f64, f64),
    wide: bool,
) {
    let value = format::brief(bar.effect);
    let (n, feature) = (format::n(bar.n), format::named(&bar.feature));
    let middle = if wide { y + row / 2.0 } else { y + 29.0 };
    if wide {
        svg.text("strong", 0.0, middle + 4.3, Anchor::Start, &fitted_bold(feature, SIZE, left - 14.0));
        svg.text("strong", 580.0, middle + 4.3, Anchor::Start, &value);
        svg.text("soft", right, middle + 4.3, Anchor::End, &n);
    } else {
        let value_room = bold_width(&value, SIZE) + 8.0;
        let n_room = text_width(&n, SMALL) + 12.0;
        let room = right - value_room - n_room;
        svg.text("strong", 0.0, y + 15.0, Anchor::Start, &fitted_bold(feature, SIZE, room));
        svg.text("soft", right - value_room, y + 15.0, Anchor::End, &n);
        svg.text("strong", right, y + 15.0, Anchor::End, &value);
    }
    let (zero, at) = (scale.at(0.0), scale.at(bar.effect));
    svg.down("zero", zero, middle - 12.0, middle + 12.0);
    svg.rect("bar", zero.min(at), middle - 6.0, (at - zero).abs(), 12.0);
    if let Some(limit) = bar.limit.and_then(tame) {
        svg.down("limit", scale.at(limit), middle - 12.0, middle + 12.0);
    }
    if let Some([low, high]) = bar.interval {
        interval(svg, scale, [low.min(high), high.max(low)], middle);
    }
    verdict_mark(svg, Some(bar.verdict), at, middle);
}

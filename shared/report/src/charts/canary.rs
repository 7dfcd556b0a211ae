//! A canary over time: each guardrail's evidence of harm on its way to its threshold, and differences with their bounds.

use seatrial_domain::verdict::{Direction, Verdict};
use seatrial_evidence::charts::{
    CanaryBand, CanaryChart, DifferenceLook, DifferenceSequence, EvidenceSequence,
};
use seatrial_evidence::report::MetricUnit;

use super::frame::{Frame, Key, Side, label_room, legend, verdict_mark};
use super::scale::{Scale, extent, tame, ticks};
use super::svg::{Anchor, Svg};
use super::text::{SIZE, SMALL, bold_width, fitted, fitted_bold, width as text_width};
use super::{Chart, Table, Width, format};
use crate::{numbers, words};

/// Height of one panel's plot.
const PANEL: f64 = 104.0;
/// From one panel's plot to the next one's: the next title, and air.
const BETWEEN: f64 = 46.0;
/// Panels that are drawn at most.
const MOST: usize = 8;

/// What all panels share.
struct Time {
    bands: Vec<CanaryBand>,
    until: f64,
    x: Scale,
    left: f64,
    right: f64,
}

/// The chart of one canary. None without a look that can be drawn.
#[must_use]
pub fn canary(data: &CanaryChart, width: Width) -> Option<Chart> {
    let evidence: Vec<&EvidenceSequence> =
        data.evidence.iter().filter(|s| !looks_of(s).is_empty()).take(MOST).collect();
    let differences: Vec<&DifferenceSequence> =
        data.differences.iter().filter(|s| !differences_of(s).is_empty()).take(MOST).collect();
    if evidence.is_empty() && differences.is_empty() {
        return None;
    }
    let mut bands: Vec<CanaryBand> =
        data.steps.iter().filter(|s| s.since.is_finite() && s.weight.is_finite()).copied().collect();
    bands.sort_by(|a, b| a.since.total_cmp(&b.since));
    let times = evidence.iter().flat_map(|s| looks_of(s)).map(|l| l.0);
    let times = times.chain(differences.iter().flat_map(|s| differences_of(s)).map(|l| l.at));
    let latest = extent(times.chain(bands.iter().map(|b| b.since)).chain([data.until]));
    let until = latest.map_or(1.0, |(_, high)| high).max(1.0);
    let panels =
        evidence.iter().map(|s| evidence_scale(s)).chain(differences.iter().map(|s| difference_scale(s)));
    let room = panels.map(|(_, labels)| label_room(&labels)).fold(0.0, f64::max);
    let (left, right) = (room, width.units() - 14.0);
    let time = Time { bands, until, x: Scale::linear((0.0, until), (left, right)), left, right };
    let (svg, height) = drawn(&time, &evidence, &differences, width);
    let desc = described(data, &evidence, &differences);
    Some(Chart::new(width, height, "The canary over time".into(), desc, tabled(&evidence, &differences), svg))
}

/// Time and log e-value of each look that can be drawn.
fn looks_of(sequence: &EvidenceSequence) -> Vec<(f64, f64)> {
    sequence.looks.iter().filter_map(|l| Some((tame(l.at)?.max(0.0), tame(l.log_e)?))).collect()
}

fn differences_of(sequence: &DifferenceSequence) -> Vec<DifferenceLook> {
    sequence.looks.iter().filter(|l| tame(l.at).is_some() && l.estimate.is_finite()).copied().collect()
}

fn threshold(sequence: &EvidenceSequence) -> Option<f64> {
    tame(sequence.threshold).filter(|t| *t > 0.0)
}

/// The first look at which the evidence passes its threshold.
fn rejected(sequence: &EvidenceSequence) -> Option<(f64, f64)> {
    let threshold = threshold(sequence)?;
    looks_of(sequence).into_iter().find(|l| l.1 >= threshold)
}

fn evidence_scale(sequence: &EvidenceSequence) -> ((f64, f64), Vec<(f64, String)>) {
    let values = looks_of(sequence).into_iter().map(|l| l.1).chain([0.0]).chain(threshold(sequence));
    let (low, high) = extent(values).unwrap_or((0.0, 1.0));
    let pad = ((high - low) * 0.08).max(0.05);
    let domain = (low - pad, high + pad);
    (domain, axis(domain, MetricUnit::Number))
}

fn difference_scale(sequence: &DifferenceSequence) -> ((f64, f64), Vec<(f64, String)>) {
    let looks = differences_of(sequence);
    let harm = harm_at(sequence);
    let ends = |l: &DifferenceLook| [Some(l.estimate), l.lower, l.upper].into_iter().flatten();
    let values: Vec<f64> = looks.iter().flat_map(ends).filter_map(tame).collect();
    // Early bounds are so wide that they would flatten all that follows: what is far beyond the margin and every estimate is cut.
    let core = extent(looks.iter().map(|l| l.estimate).chain(harm).chain([0.0])).unwrap_or((0.0, 1.0));
    let span = (core.1 - core.0).max(1e-9);
    let all = extent(values.into_iter().chain(harm).chain([0.0])).unwrap_or((0.0, 1.0));
    let domain = (all.0.max(core.0 - 2.0 * span), all.1.min(core.1 + 2.0 * span));
    let pad = (domain.1 - domain.0) * 0.06;
    let domain = (domain.0 - pad, domain.1 + pad);
    (domain, axis(domain, sequence.unit))
}

fn axis(domain: (f64, f64), unit: MetricUnit) -> Vec<(f64, String)> {
    let values = ticks(domain.0, domain.1, 4);
    values.iter().copied().zip(format::labels(unit, &values)).collect()
}

/// Where the margin lies: on the side of harm.
fn harm_at(sequence: &DifferenceSequence) -> Option<f64> {
    let margin = sequence.margin.and_then(tame)?;
    Some(match sequence.direction {
        Direction::LowerIsBetter => margin,
        Direction::HigherIsBetter => -margin,
    })
}

fn described(
    data: &CanaryChart,
    evidence: &[&EvidenceSequence],
    differences: &[&DifferenceSequence],
) -> String {
    let weights: Vec<String> = data.steps.iter().map(|s| numbers::percent(s.weight)).collect();
    let mut text = format!("The canary at {} of the traffic.", weights.join(", then "));
    for s in evidence {
        let last = looks_of(s).last().map_or(0.0, |l| l.1);
        let threshold = threshold(s).map_or_else(|| "none".to_owned(), format::brief);
        let end = match rejected(s) {
            Some((at, _)) => format!("it rejected after {}", format::short_duration(at)),
            None => "it never rejected".to_owned(),
        };
        text.push_str(&format!(
            " Evidence of harm by {}: log e-value {} at the end, threshold {threshold}; {end}.",
            words::metric_name(&s.name),
            format::brief(last)
        ));
    }
    for s in differences {
        if let Some(last) = differences_of(s).last() {
            text.push_str(&format!(
                " {}: canary minus champion {} at the end{}.",
                words::metric_name(&s.name),
                numbers::difference(s.unit, last.estimate),
                bounds(s, last)
            ));
        }
    }
    text
}

fn bounds(sequence: &DifferenceSequence, look: &DifferenceLook) -> String {
    let end = |x: f64| numbers::difference(sequence.unit, x);
    match (look.lower, look.upper) {
        (Some(low), Some(high)) => format!(", between {} and {}", end(low), end(high)),
        (None, Some(high)) => format!(", at most {}", end(high)),
        (Some(low), None) => format!(", at least {}", end(low)),
        (None, None) => String::new(),
    }
}

fn tabled(evidence: &[&EvidenceSequence], differences: &[&DifferenceSequence]) -> Table {
    let mut table = Table::new(["After", "What", "Value", "Rule"]);
    let time = |at: f64| crate::times::duration(at.clamp(0.0, 1e12) as u64);
    for s in evidence {
        let rule = threshold(s).map_or_else(String::new, |t| format!("rejects at {}", format::brief(t)));
        let what = format!("log e-value, {}", words::metric_name(&s.name));
        table.rows.extend(
            looks_of(s).iter().map(|l| vec![time(l.0), what.clone(), format::brief(l.1), rule.clone()]),
        );
    }
    for s in differences {
        let rule =
            harm_at(s).map_or_else(String::new, |m| format!("margin {}", numbers::difference(s.unit, m)));
        let what = format!("difference, {}", words::metric_name(&s.name));
        table.rows.extend(differences_of(s).iter().map(|l| {
            let value = format!("{}{}", numbers::difference(s.unit, l.estimate), bounds(s, l));
            vec![time(l.at), what.clone(), value, rule.clone()]
        }));
    }
    table
}

fn drawn(
    time: &Time,
    evidence: &[&EvidenceSequence],
    differences: &[&DifferenceSequence],
    width: Width,
) -> (Svg, f64) {
    let mut svg = Svg::default();
    let mut keys = Vec::new();
    if !evidence.is_empty() {
        keys.push((Key::Dashed("limit"), "rejects here".to_owned()));
    }
    if !differences.is_empty() {
        let two_sided = |l: &DifferenceLook| l.lower.is_some() && l.upper.is_some();
        let bounds = if differences.iter().any(|s| s.looks.iter().any(two_sided)) {
            Key::Square("challenger-area")
        } else {
            Key::Dashed("challenger-bound")
        };
        keys.push((bounds, "always-valid bound".to_owned()));
        keys.push((Key::Zone, "beyond the margin".to_owned()));
    }
    let mut y = legend(&mut svg, 0.0, width.units(), &keys) + 44.0;
    let count = evidence.len() + differences.len();
    let panels =
        evidence.iter().map(|s| Panel::Evidence(s)).chain(differences.iter().map(|s| Panel::Difference(s)));
    let mut bottom = y;
    for (i, panel) in panels.enumerate() {
        let frame = Frame { left: time.left, top: y, right: time.right, bottom: y + PANEL };
        weights(&mut svg, time, frame, i == 0);
        panel.title(&mut svg, time, if i == 0 { y - 24.0 } else { y - 10.0 });
        match panel {
            Panel::Evidence(s) => evidence_panel(&mut svg, s, time, frame),
            Panel::Difference(s) => difference_panel(&mut svg, s, time, frame),
        }
        bottom = frame.bottom;
        if i + 1 == count {
            let marks = format::time_ticks(time.until, if width == Width::Wide { 8 } else { 5 });
            let below = Frame { top: bottom, ..frame };
            below.x_axis(&mut svg, &time.x, &marks, "since the first step");
        } else {
            svg.across("axis", frame.left, frame.right, bottom);
        }
        y = bottom + BETWEEN;
    }
    (svg, bottom + Frame::BELOW)
}

enum Panel<'a> {
    Evidence(&'a EvidenceSequence),
    Difference(&'a DifferenceSequence),
}

impl Panel<'_> {
    /// What the panel shows, in bold, and how it ended.
    fn title(&self, svg: &mut Svg, time: &Time, y: f64) {
        let (name, end) = match self {
            Self::Evidence(s) => {
                let end = match rejected(s) {
                    Some((at, _)) => format!("rejected after {}", format::short_duration(at)),
                    None => {
                        let last = looks_of(s).last().map_or(0.0, |l| l.1);
                        format!("{last:.2} of {}", rule(s)).replace('-', "−")
                    }
                };
                (format!("{}: log e-value", words::metric_name(&s.name)), end)
            }
            Self::Difference(s) => {
                let end = differences_of(s)
                    .last()
                    .map_or_else(String::new, |l| numbers::difference(s.unit, l.estimate));
                (format!("{}: canary − champion", words::metric_name(&s.name)), end)
            }
        };
        let room = time.right - bold_width(&end, SIZE) - 12.0;
        svg.text("strong", 0.0, y, Anchor::Start, &fitted_bold(&name, SIZE, room));
        svg.text("strong", time.right, y, Anchor::End, &end);
    }
}

fn rule(sequence: &EvidenceSequence) -> String {
    threshold(sequence).map_or_else(|| numbers::NONE.to_owned(), |t| format!("{t:.2}"))
}

/// The steps as bands, every other one shaded; with their weights above the first panel.
fn weights(svg: &mut Svg, time: &Time, frame: Frame, labelled: bool) {
    let mut free = 0.0;
    for (i, band) in time.bands.iter().enumerate() {
        let from = time.x.at(band.since);
        let to = time.bands.get(i + 1).map_or(frame.right, |next| time.x.at(next.since));
        if i % 2 == 1 {
            svg.rect("band", from, frame.top, to - from, PANEL);
        }
        svg.down("grid", from, frame.top, frame.bottom);
        let label = numbers::percent(band.weight);
        if labelled && from + 2.0 >= free {
            let label = fitted(&label, SMALL, time.right + 14.0 - from);
            svg.text("soft", from + 2.0, frame.top - 5.0, Anchor::Start, &label);
            free = from + 2.0 + text_width(&label, SMALL) + 5.0;
        }
    }
}

fn evidence_panel(svg: &mut Svg, sequence: &EvidenceSequence, time: &Time, frame: Frame) {
    let (domain, labels) = evidence_scale(sequence);
    let y = Scale::linear(domain, (frame.bottom, frame.top));
    frame.y_axis(svg, &y, &labels, "");
    svg.across("zero", frame.left, frame.right, y.at(0.0));
    if let Some(t) = threshold(sequence) {
        svg.across("limit", frame.left, frame.right, y.at(t));
    }
    let points: Vec<(f64, f64)> = looks_of(sequence).iter().map(|l| (time.x.at(l.0), y.at(l.1))).collect();
    svg.path(Side::Challenger.line(), &points);
    if let [only] = points.as_slice() {
        Side::Challenger.mark(svg, only.0, only.1);
    }
    if let Some((at, log_e)) = rejected(sequence) {
        verdict_mark(svg, Some(Verdict::Fail), time.x.at(at), y.at(log_e));
    }
}

fn difference_panel(svg: &mut Svg, sequence: &DifferenceSequence, time: &Time, frame: Frame) {
    let (domain, labels) = difference_scale(sequence);
    let y = Scale::linear(domain, (frame.bottom, frame.top));
    if let Some(harm) = harm_at(sequence) {
        let end = match sequence.direction {
            Direction::LowerIsBetter => frame.top,
            Direction::HigherIsBetter => frame.bottom,
        };
        let at = y.at(harm);
        svg.rect("zone", frame.left, at.min(end), frame.right - frame.left, (end - at).abs());
        svg.across("limit", frame.left, frame.right, at);
    }
    frame.y_axis(svg, &y, &labels, "");
    svg.across("zero", frame.left, frame.right, y.at(0.0));
    // A difference is of one step: lines do not cross from one step into the next.
    for looks in by_step(&differences_of(sequence), &time.bands) {
        let at = |l: &DifferenceLook, value: f64| (time.x.at(l.at), y.at(value));
        let upper = looks.iter().filter_map(|l| Some(at(l, tame(l.upper?)?)));
        let lower = looks.iter().rev().filter(|l| l.upper.is_some());
        // A bound of one side only leaves the other side open.
        let open = match sequence.direction {
            Direction::LowerIsBetter => domain.0,
            Direction::HigherIsBetter => domain.1,
        };
        let two_sided = looks.iter().any(|l| l.lower.is_some() && l.upper.is_some());
        if two_sided {
            let ring: Vec<_> =
                upper.chain(lower.map(|l| at(l, l.lower.and_then(tame).unwrap_or(open)))).collect();
            svg.area("challenger-area", &ring);
        } else {
            let bound: Vec<_> =
                looks.iter().filter_map(|l| Some(at(l, tame(l.upper.or(l.lower)?)?))).collect();
            svg.path("challenger-bound", &bound);
        }
        let line: Vec<_> = looks.iter().map(|l| at(l, l.estimate)).collect();
        svg.path(Side::Challenger.line(), &line);
        if let [only] = line.as_slice() {
            Side::Challenger.mark(svg, only.0, only.1);
        }
    }
}

/// Looks parted by the step they were made in.
fn by_step(looks: &[DifferenceLook], bands: &[CanaryBand]) -> Vec<Vec<DifferenceLook>> {
    let step = |at: f64| bands.iter().filter(|b| b.since < at || b.since == 0.0).count();
    let mut parts: Vec<Vec<DifferenceLook>> = Vec::new();
    let mut last = None;
    for look in looks {
        let here = step(look.at);
        match parts.last_mut().filter(|_| last == Some(here)) {
            Some(part) => part.push(*look),
            None => parts.push(vec![*look]),
        }
        last = Some(here);
    }
    parts
}

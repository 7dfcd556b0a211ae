//! Whether probabilities mean what they say: debiased calibration error, slope and intercept.

use seatrial_stats::Interval;
use seatrial_stats::calibration::{Calibration, CalibrationLine, calibration_line};

use super::bench::{Bench, Metric, Side};
use super::classes::is_positive;
use super::weighted;
use crate::progress::CONFIDENCE;
use crate::rows::Estimate;

/// The metric of this name, where it is one of calibration.
///
/// Slope and intercept are judged by their distance from 1 and 0, since less of it is better on both sides.
pub(super) fn metric<'a>(bench: &'a Bench<'_>, name: &str) -> Option<Metric<'a>> {
    Some(match name {
        "ece" => Box::new(|side, part| ece(bench, side, part)),
        "calibration_slope" => Box::new(|side, part| Some((line(bench, side, part)?.1 - 1.0).abs())),
        "calibration_intercept" => Box::new(|side, part| Some(line(bench, side, part)?.0.abs())),
        _ => return None,
    })
}

fn ece(bench: &Bench<'_>, side: &Side, part: &[usize]) -> Option<f64> {
    let given = side.confidence.as_ref()?;
    if bench.data.weights.is_some() {
        let rows: Vec<_> = part.iter().map(|&r| (given[r].0, given[r].1, bench.weight(r))).collect();
        return weighted::ece(&rows);
    }
    curve(part.iter().map(|&r| given[r])).ece_debiased()
}

pub(super) fn curve(rows: impl Iterator<Item = (f64, bool)>) -> Calibration {
    let mut calibration = Calibration::default();
    rows.for_each(|(confidence, hit)| {
        calibration.observe(confidence, hit);
    });
    calibration
}

/// Intercept and slope. The fit with exact sums is for what is shown; the many fits of a jackknife take the plain one.
fn line(bench: &Bench<'_>, side: &Side, part: &[usize]) -> Option<(f64, f64)> {
    if bench.data.weights.is_none() && part.len() == bench.all.len() {
        return exact_line(bench, side, part).map(|l| (l.intercept, l.slope));
    }
    let given = side.positive.as_ref()?;
    let rows: Vec<_> = part.iter().map(|&r| (is_positive(bench, r), given[r], bench.weight(r))).collect();
    weighted::line(&rows)
}

pub(super) fn exact_line(bench: &Bench<'_>, side: &Side, part: &[usize]) -> Option<CalibrationLine> {
    let given = side.positive.as_ref()?;
    let truths: Vec<bool> = part.iter().map(|&r| is_positive(bench, r)).collect();
    let scores: Vec<f64> = part.iter().map(|&r| given[r]).collect();
    calibration_line(&truths, &scores)
}

/// The row's estimate, and the fitted values themselves in words.
///
/// The distance has a kink where the value is perfect. Its interval is that of the distance with the sign found on all rows,
/// which is smooth, and its own lower end is at least 0.
pub(super) fn judged(bench: &Bench<'_>, name: &str, metric: &Metric<'_>) -> Option<(Estimate, String)> {
    let (slope, ideal, what) = match name {
        "calibration_slope" => (true, 1.0, "slope"),
        "calibration_intercept" => (false, 0.0, "intercept"),
        _ => return None,
    };
    let place = |(intercept, steep): (f64, f64)| if slope { steep } else { intercept };
    let of = |side: &Side, part: &[usize]| line(bench, side, part).map(place);
    let sign = |side: &Side| of(side, &bench.all).map(|x| if x < ideal { -1.0 } else { 1.0 });
    let distance = |side: &Side, sign: f64, part: &[usize]| Some(sign * (of(side, part)? - ideal));
    let mut estimate = bench.values(metric);
    let theirs = sign(&bench.challenger);
    let raw = bench.jackknife(|part| of(&bench.challenger, part));
    estimate.own = theirs.and_then(|s| {
        let made = bench.jackknife(|part| distance(&bench.challenger, s, part))?.interval;
        Interval::new(made.low.max(0.0), made.high.max(0.0))
    });
    if let (Some(champion), Some(theirs)) = (&bench.champion, theirs)
        && let Some(ours) = sign(champion)
    {
        let delta = |part: &[usize]| {
            Some(distance(&bench.challenger, theirs, part)? - distance(champion, ours, part)?)
        };
        estimate.interval = bench.jackknife(delta).map(|j| j.interval);
    }
    let shown = raw.map_or_else(
        || format!("the challenger's {what} could not be fitted"),
        |j| {
            format!(
                "the challenger's {what} is {:.3} ({:.0} % interval {:.3} to {:.3})",
                j.estimate,
                CONFIDENCE * 100.0,
                j.interval.low,
                j.interval.high
            )
        },
    );
    let champion = bench.champion.as_ref().and_then(|c| of(c, &bench.all));
    let beside = champion.map_or_else(String::new, |x| format!(", the champion's {x:.3}"));
    Some((estimate, format!("{shown}{beside}; {ideal} is perfect, and its distance from that is judged")))
}

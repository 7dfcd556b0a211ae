//! Metrics of predicted numbers.

use seatrial_stats::Interval;
use seatrial_stats::paired::PairedMoments;

use super::bench::{Bench, Metric, Side};
use crate::progress::CONFIDENCE;

/// The metric of this name, where it is one of numbers.
pub(super) fn metric<'a>(bench: &'a Bench<'_>, name: &str) -> Option<Metric<'a>> {
    Some(match name {
        "mae" => Box::new(|side, part| bench.mean(part, |r| Some(miss(bench, side, r).abs()))),
        "rmse" => Box::new(|side, part| squared(bench, side, part).map(f64::sqrt)),
        "r2" => Box::new(|side, part| {
            let mean = bench.mean(part, |r| Some(bench.target[r]))?;
            let spread = bench.mean(part, |r| Some((bench.target[r] - mean).powi(2)))?;
            // A constant target leaves only rounding.
            (spread > mean * mean * 1e-24)
                .then(|| squared(bench, side, part))
                .flatten()
                .map(|s| 1.0 - s / spread)
        }),
        _ => return None,
    })
}

fn miss(bench: &Bench<'_>, side: &Side, row: usize) -> f64 {
    side.value[row] - bench.target[row]
}

fn squared(bench: &Bench<'_>, side: &Side, part: &[usize]) -> Option<f64> {
    bench.mean(part, |r| Some(miss(bench, side, r).powi(2)))
}

/// The paired absolute (`mae`) or squared errors on some rows.
pub(super) fn moments(bench: &Bench<'_>, name: &str, champion: &Side, part: &[usize]) -> PairedMoments {
    let of = |side: &Side, r: usize| {
        let miss = miss(bench, side, r);
        if name == "mae" { miss.abs() } else { miss * miss }
    };
    let mut moments = PairedMoments::default();
    for &r in part {
        moments.observe(of(champion, r), of(&bench.challenger, r));
    }
    moments
}

/// The interval of the difference, and its method, where rows are independent and a method was made for that.
pub(super) fn difference(
    bench: &Bench<'_>,
    name: &str,
    champion: &Side,
) -> Option<(Option<Interval>, &'static str)> {
    let moments = || moments(bench, name, champion, &bench.all);
    match name {
        "mae" => Some((Some(moments().mean_difference(CONFIDENCE)?.interval), "paired t")),
        "rmse" => Some((Some(moments().root_mean_difference(CONFIDENCE)?.interval), "paired, delta method")),
        _ => None,
    }
}

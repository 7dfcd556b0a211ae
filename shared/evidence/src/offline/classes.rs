//! Metrics of classes and their probabilities.

use seatrial_stats::Interval;
use seatrial_stats::auc::{auc, delong};
use seatrial_stats::bootstrap::Bootstrap;
use seatrial_stats::intervals::{PairedCounts, wilson};
use seatrial_stats::joint::JointConfusion;
use seatrial_stats::losses::{brier_loss, log_loss};
use seatrial_stats::paired::PairedMoments;
use seatrial_stats::weighted::weighted_auc;

use super::bench::{Bench, Metric, Side};
use crate::progress::CONFIDENCE;

/// The metric of this name, where it is one of classes.
pub(super) fn metric<'a>(bench: &'a Bench<'_>, name: &str) -> Option<Metric<'a>> {
    let losses = move |of: fn(&Bench<'_>, &Side, usize) -> Option<f64>| -> Metric<'a> {
        Box::new(move |side, part| bench.mean(part, |r| of(bench, side, r)))
    };
    Some(match name {
        "accuracy" => losses(|b, side, r| Some(f64::from(u8::from(b.right(side, r))))),
        "log_loss" => losses(truth_loss),
        "brier" => losses(brier),
        "macro_f1" => Box::new(|side, part| f1(bench, side, part, false)),
        "weighted_f1" => Box::new(|side, part| f1(bench, side, part, true)),
        "auc" => Box::new(|side, part| {
            let scores = side.positive.as_ref()?;
            let truths: Vec<bool> = part.iter().map(|&r| is_positive(bench, r)).collect();
            let scores: Vec<f64> = part.iter().map(|&r| scores[r]).collect();
            if bench.data.weights.is_none() {
                return auc(&truths, &scores);
            }
            let weights: Vec<f64> = part.iter().map(|&r| bench.weight(r)).collect();
            weighted_auc(&truths, &scores, &weights)
        }),
        _ => return None,
    })
}

pub(super) fn is_positive(bench: &Bench<'_>, row: usize) -> bool {
    bench.data.positive.as_deref() == Some(bench.names[bench.truth[row]])
}

fn truth_loss(_: &Bench<'_>, side: &Side, row: usize) -> Option<f64> {
    log_loss(side.of_truth.as_ref()?[row])
}

fn brier(bench: &Bench<'_>, side: &Side, row: usize) -> Option<f64> {
    brier_loss(side.positive.as_ref()?[row], is_positive(bench, row))
}

/// The mean of the classes' F1 over the classes that were seen (scikit-learn with `zero_division=0`): of equal weight, or by
/// their share of the truth.
fn f1(bench: &Bench<'_>, side: &Side, part: &[usize], by_share: bool) -> Option<f64> {
    let mut counts = vec![[0.0_f64; 3]; bench.names.len()];
    let mut total = 0.0;
    for &row in part {
        let (truth, said, weight) = (bench.truth[row], side.label[row], bench.weight(row));
        total += weight;
        counts[truth][0] += weight;
        counts[said][1] += weight;
        counts[truth][2] += if truth == said { weight } else { 0.0 };
    }
    let seen: Vec<[f64; 3]> = counts.into_iter().filter(|c| c[0] + c[1] > 0.0).collect();
    let one = |c: &[f64; 3]| 2.0 * c[2] / (c[0] + c[1]);
    let sum: f64 = seen.iter().map(|c| one(c) * if by_share { c[0] / total } else { 1.0 }).sum();
    (total > 0.0).then(|| if by_share { sum } else { sum / seen.len() as f64 })
}

/// Pairs by which version was right.
pub(super) fn correctness(bench: &Bench<'_>, champion: &Side, part: &[usize]) -> PairedCounts {
    let mut counts = PairedCounts::default();
    part.iter().for_each(|&r| counts.observe(bench.right(champion, r), bench.right(&bench.challenger, r)));
    counts
}

/// The interval of the difference, and its method, where rows are independent and a method was made for that.
pub(super) fn difference(
    bench: &Bench<'_>,
    name: &str,
    champion: &Side,
) -> Option<(Option<Interval>, &'static str)> {
    let bootstrap = Bootstrap::with_seed(bench.data.seed);
    let by_cells = "Poisson bootstrap of joint cells";
    match name {
        "accuracy" => {
            let made = correctness(bench, champion, &bench.all).difference(CONFIDENCE)?;
            Some((Some(made.interval), "Newcombe, paired"))
        }
        "macro_f1" => Some((joint(bench, champion).macro_f1(bootstrap)?.interval, by_cells)),
        "weighted_f1" => Some((joint(bench, champion).weighted_f1(bootstrap)?.interval, by_cells)),
        "log_loss" => paired_t(bench, champion, truth_loss),
        "brier" => paired_t(bench, champion, brier),
        "auc" => {
            let truths: Vec<bool> = bench.all.iter().map(|&r| is_positive(bench, r)).collect();
            let made = delong(&truths, champion.positive.as_ref()?, bench.challenger.positive.as_ref()?)?;
            Some((made.interval(CONFIDENCE), "DeLong, paired"))
        }
        _ => None,
    }
}

/// The challenger's own interval, where rows are independent and a method was made for that.
pub(super) fn own(bench: &Bench<'_>, name: &str) -> Option<Interval> {
    let right = |side: &Side| bench.all.iter().filter(|&&r| bench.right(side, r)).count() as u64;
    match name {
        "accuracy" => wilson(right(&bench.challenger), bench.all.len() as u64, CONFIDENCE),
        _ => None,
    }
}

fn paired_t(
    bench: &Bench<'_>,
    champion: &Side,
    loss: fn(&Bench<'_>, &Side, usize) -> Option<f64>,
) -> Option<(Option<Interval>, &'static str)> {
    let mut moments = PairedMoments::default();
    for &r in &bench.all {
        moments.observe(loss(bench, champion, r)?, loss(bench, &bench.challenger, r)?);
    }
    Some((Some(moments.mean_difference(CONFIDENCE)?.interval), "paired t"))
}

fn joint(bench: &Bench<'_>, champion: &Side) -> JointConfusion {
    let mut joint = JointConfusion::default();
    let name = |class: usize| bench.names[class];
    for &r in &bench.all {
        joint.observe(name(bench.truth[r]), name(champion.label[r]), name(bench.challenger.label[r]));
    }
    joint
}

//! A benchmark made ready for the metrics: classes numbered, failures resolved, rows grouped by unit.

use std::collections::{BTreeMap, BTreeSet};

use seatrial_stats::jackknife::{GROUPS, Grouped, Jackknife, group_of};
use seatrial_stats::{Interval, Merge};

use super::data::{Answers, FAILED, Judged, Truths};
use super::weighted;
use crate::progress::CONFIDENCE;
use crate::rows::Estimate;

/// Rows by unit, where units repeat; by row otherwise. Leaving out a group is a mask over the groups, so that a benchmark of
/// millions of rows is not copied for each of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    grouped: Grouped<Mask>,
    /// The group of each row.
    rows: Vec<(u8, usize)>,
}

/// Which groups are in, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mask(u64);

const _: () = assert!(GROUPS <= 64, "a mask has a bit for each group");

impl Merge for Mask {
    fn merge(&mut self, other: &Self) {
        self.0 |= other.0;
    }
}

impl Groups {
    /// A statistic of rows with its interval.
    pub(super) fn jackknife(&self, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Jackknife> {
        let chosen = |mask: &Mask| -> Vec<usize> {
            self.rows.iter().filter(|(group, _)| mask.0 >> group & 1 == 1).map(|(_, row)| *row).collect()
        };
        self.grouped.jackknife(CONFIDENCE, |mask| statistic(&chosen(mask)))
    }
}

/// One version's answers, as the metrics read them.
#[derive(Debug, Clone, Default)]
pub(super) struct Side {
    /// The class of each row by its number; the last number is that of a failure.
    pub(super) label: Vec<usize>,
    /// The probability of the truth of each row; none when the version gives no scores.
    pub(super) of_truth: Option<Vec<f64>>,
    /// The score of the positive class of each row.
    pub(super) positive: Option<Vec<f64>>,
    /// Confidence in the answer, and whether it was right.
    pub(super) confidence: Option<Vec<(f64, bool)>>,
    /// The number of each row.
    pub(super) value: Vec<f64>,
}

/// A metric of one version on some rows.
pub(super) type Metric<'a> = Box<dyn Fn(&Side, &[usize]) -> Option<f64> + 'a>;

pub(super) struct Bench<'a> {
    pub(super) data: &'a Judged,
    /// The classes that were seen as truth or as answer, [`FAILED`] last.
    pub(super) names: Vec<&'a str>,
    /// The true class of each row by its number; empty for numbers.
    pub(super) truth: Vec<usize>,
    /// The true number of each row; empty for classes.
    pub(super) target: &'a [f64],
    pub(super) champion: Option<Side>,
    pub(super) challenger: Side,
    pub(super) all: Vec<usize>,
    grouped: Groups,
    /// Whether every row is a unit of its own and counts the same: the methods made for such rows hold.
    pub(super) independent: bool,
}

impl<'a> Bench<'a> {
    pub(super) fn new(data: &'a Judged) -> Self {
        let all: Vec<usize> = (0..data.truths.len()).collect();
        let repeated = data.units.as_ref().is_some_and(|u| u.iter().collect::<BTreeSet<_>>().len() < u.len());
        let mut bench = Self {
            data,
            names: Vec::new(),
            truth: Vec::new(),
            target: &[],
            champion: None,
            challenger: Side::default(),
            grouped: Groups::default(),
            independent: !repeated && data.weights.is_none(),
            all,
        };
        bench.grouped = bench.group(&bench.all);
        let versions = || data.champion.iter().chain([&data.challenger]);
        match &data.truths {
            Truths::Numbers(target) => {
                bench.target = target;
                let side = |a: &Answers| Side { value: values(a, target), ..Side::default() };
                (bench.champion, bench.challenger) =
                    (data.champion.as_ref().map(side), side(&data.challenger));
            }
            Truths::Classes(truths) => {
                let answered = versions().flat_map(|a| bench.all.iter().map(|&r| a.label(r)));
                let seen: BTreeSet<&str> =
                    truths.iter().map(String::as_str).chain(answered).filter(|n| *n != FAILED).collect();
                bench.names = seen.into_iter().chain([FAILED]).collect();
                let numbers: BTreeMap<&str, usize> =
                    bench.names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
                let number = |name: &str| numbers.get(name).copied().unwrap_or(numbers.len() - 1);
                bench.truth = truths.iter().map(|t| number(t)).collect();
                let side = |a: &Answers| classes(data, truths, a, &number);
                (bench.champion, bench.challenger) =
                    (data.champion.as_ref().map(side), side(&data.challenger));
            }
        }
        bench
    }

    pub(super) fn weight(&self, row: usize) -> f64 {
        self.data.weights.as_ref().map_or(1.0, |w| w[row])
    }

    /// Whether a version's answer is the truth.
    pub(super) fn right(&self, side: &Side, row: usize) -> bool {
        side.label[row] == self.truth[row]
    }

    /// The weighted mean of something over rows; `None` where it is unknown for one.
    pub(super) fn mean(&self, part: &[usize], of: impl Fn(usize) -> Option<f64>) -> Option<f64> {
        let rows: Option<Vec<(f64, f64)>> = part.iter().map(|&r| Some((of(r)?, self.weight(r)))).collect();
        weighted::mean(rows?.into_iter())
    }

    /// Some rows by unit, where units repeat; by row otherwise.
    pub(super) fn group(&self, part: &[usize]) -> Groups {
        let mut groups = Groups::default();
        for &row in part {
            let unit = self.data.units.as_ref().map_or_else(|| row.to_string(), |u| u[row].clone());
            let group = group_of(&unit, GROUPS) as u8;
            groups.grouped.of_unit(&unit).0 |= 1 << group;
            groups.rows.push((group, row));
        }
        groups
    }

    pub(super) fn jackknife(&self, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Jackknife> {
        self.grouped.jackknife(statistic)
    }

    /// Values and difference, without any interval.
    pub(super) fn values(&self, metric: &Metric<'_>) -> Estimate {
        let champion = self.champion.as_ref().and_then(|c| metric(c, &self.all));
        let challenger = metric(&self.challenger, &self.all);
        Estimate {
            how: "delete-a-group jackknife",
            n: self.all.len() as u64,
            champion,
            challenger,
            delta: champion.zip(challenger).map(|(x, y)| y - x),
            interval: None,
            own: None,
        }
    }

    /// The interval of the difference by the jackknife.
    pub(super) fn of_difference(&self, metric: &Metric<'_>) -> Option<Interval> {
        let champion = self.champion.as_ref()?;
        let delta = |part: &[usize]| Some(metric(&self.challenger, part)? - metric(champion, part)?);
        self.jackknife(delta).map(|j| j.interval)
    }

    /// The interval of the challenger's own value by the jackknife.
    pub(super) fn of_own(&self, metric: &Metric<'_>) -> Option<Interval> {
        self.jackknife(|part| metric(&self.challenger, part)).map(|j| j.interval)
    }
}

fn classes(data: &Judged, truths: &[String], a: &Answers, number: &impl Fn(&str) -> usize) -> Side {
    let rows = || truths.iter().enumerate();
    let positive = data.positive.as_deref();
    Side {
        label: rows().map(|(r, _)| number(a.label(r))).collect(),
        of_truth: rows().map(|(r, t)| a.of_truth(r, t)).collect(),
        positive: positive.and_then(|p| rows().map(|(r, t)| a.positive(r, t == p, p)).collect()),
        confidence: rows().map(|(r, t)| a.confidence(r, t, positive)).collect(),
        value: Vec::new(),
    }
}

/// The numbers of a version. A failure counts as the end of the benchmark's range that is farther from the truth: as wrong
/// as an answer within the range can be, and the same for every version.
fn values(a: &Answers, target: &[f64]) -> Vec<f64> {
    let low = target.iter().copied().fold(f64::INFINITY, f64::min);
    let high = target.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let worst = |truth: f64| if truth - low > high - truth { low } else { high };
    target.iter().enumerate().map(|(r, &truth)| a.value(r).unwrap_or_else(|| worst(truth))).collect()
}

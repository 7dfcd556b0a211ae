//! The paired increase of fairness differences.

use std::collections::BTreeMap;

use seatrial_domain::policy::{MetricRule, Policy};
use seatrial_domain::verdict::MetricClass;
use seatrial_stats::bootstrap::Bootstrap;
use seatrial_stats::fairness::{AbsentClass, FairnessCells, FairnessMetric};

use super::bench::{Bench, Metric, Side};
use super::data::Answers;
use crate::report::{MetricGroup, MetricRow, MetricUnit};
use crate::rows::{self, Estimate, Name};

/// A row for each protected column.
pub(super) fn rows(bench: &Bench<'_>, policy: &Policy, metric: &str, rule: &MetricRule) -> Vec<MetricRow> {
    policy.protected.iter().map(|column| row(bench, policy, metric, rule, column)).collect()
}

fn row(bench: &Bench<'_>, policy: &Policy, metric: &str, rule: &MetricRule, column: &str) -> MetricRow {
    let name =
        Name { group: MetricGroup::Offline, name: metric, segment: Some(column), unit: MetricUnit::Share };
    let Some(positive) = bench.data.positive.as_deref() else {
        let rule = MetricRule { class: MetricClass::Info, ..*rule };
        let why = "this difference is defined for two classes; this model has several";
        return rows::without(name, &rule, why);
    };
    let Some(values) = bench.data.segments.get(column) else {
        return rows::without(name, rule, format!("the benchmark has no column {column}"));
    };
    let champion = bench.data.champion.as_ref();
    let (paired, left_out) = cells(bench, values, positive, champion).of_at_least(policy.segment_min_n);
    let estimate = if bench.independent {
        // Beside a version that never says yes the increase is the challenger's own difference.
        let (alone, _) = cells(bench, values, positive, None).of_at_least(policy.segment_min_n);
        by_cells(bench, metric, &paired, &alone)
    } else {
        by_jackknife(bench, metric, values, &left_out, paired.n())
    };
    let mut row = rows::judge(name, rule, &estimate, policy.offline.min_n, champion.is_some());
    if !left_out.is_empty() {
        row.why.push_str(&format!(
            "; groups with fewer than {} rows are left out: {}",
            policy.segment_min_n,
            left_out.join(", ")
        ));
    }
    row
}

fn by_cells(bench: &Bench<'_>, metric: &str, paired: &FairnessCells, alone: &FairnessCells) -> Estimate {
    let kind = match metric {
        "demographic_parity" => FairnessMetric::DemographicParity,
        _ => FairnessMetric::EqualisedOdds(AbsentClass::Leave),
    };
    let bootstrap = Bootstrap::with_seed(bench.data.seed);
    let own = alone.increase(kind, bootstrap);
    let increase = bench.champion.as_ref().and_then(|_| paired.increase(kind, bootstrap));
    Estimate {
        how: "Poisson bootstrap of joint cells",
        n: paired.n(),
        champion: increase.map(|p| p.champion),
        challenger: own.map(|p| p.challenger),
        delta: increase.map(|p| p.delta),
        interval: increase.and_then(|p| p.interval),
        own: own.and_then(|p| p.interval),
    }
}

/// Where units repeat or rows have weights, the cells do not hold what the interval needs.
fn by_jackknife(
    bench: &Bench<'_>,
    metric: &str,
    values: &[Option<String>],
    left_out: &[String],
    n: u64,
) -> Estimate {
    let group = |r: usize| values[r].as_deref().filter(|g| !left_out.iter().any(|l| l == g));
    let difference: Metric<'_> =
        Box::new(|side, part| weighted_difference(bench, metric == "demographic_parity", side, part, &group));
    let mut estimate = bench.values(&difference);
    estimate.n = n;
    estimate.interval = bench.of_difference(&difference);
    estimate.own = bench.of_own(&difference);
    estimate
}

/// Largest minus smallest rate over the groups; for equalised odds the larger of the differences among the true and among
/// the false.
fn weighted_difference<'v>(
    bench: &Bench<'_>,
    parity: bool,
    side: &Side,
    part: &[usize],
    group: &impl Fn(usize) -> Option<&'v str>,
) -> Option<f64> {
    // Weight of all and of those decided yes, by group and by truth.
    let mut sums: BTreeMap<&str, [[f64; 2]; 2]> = BTreeMap::new();
    for &row in part {
        let Some(group) = group(row) else { continue };
        let truth = super::classes::is_positive(bench, row);
        let slot = &mut sums.entry(group).or_default()[usize::from(truth)];
        slot[0] += bench.weight(row);
        slot[1] += if decided(bench, side, row) { bench.weight(row) } else { 0.0 };
    }
    let spread = |rates: Vec<f64>| {
        let low = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let high = rates.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if rates.len() > 1 { Some(high - low) } else { None }
    };
    let rates = |of: &dyn Fn(&[[f64; 2]; 2]) -> [f64; 2]| {
        let shares = sums.values().map(of).filter(|s| s[0] > 0.0).map(|s| s[1] / s[0]);
        spread(shares.collect())
    };
    if parity {
        return rates(&|s| [s[0][0] + s[1][0], s[0][1] + s[1][1]]);
    }
    let (among_true, among_false) = (rates(&|s| s[1]), rates(&|s| s[0]));
    match (among_true, among_false) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// Whether a version says yes; a failure is the wrong decision.
fn decided(bench: &Bench<'_>, side: &Side, row: usize) -> bool {
    let name = bench.names[side.label[row]];
    if name == super::data::FAILED {
        return !super::classes::is_positive(bench, row);
    }
    bench.data.positive.as_deref() == Some(name)
}

/// The counts of every group, unweighted.
pub(super) fn cells(
    bench: &Bench<'_>,
    values: &[Option<String>],
    positive: &str,
    champion: Option<&Answers>,
) -> FairnessCells {
    let mut cells = FairnessCells::default();
    for (row, group) in values.iter().enumerate() {
        let Some(group) = group else { continue };
        let truth = super::classes::is_positive(bench, row);
        let decided = |a: &Answers| if a.failed(row) { !truth } else { a.label(row) == positive };
        cells.observe(group, truth, champion.is_some_and(decided), decided(&bench.data.challenger));
    }
    cells
}

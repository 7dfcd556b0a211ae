//! Requests that lie on the other side of the policy's decision threshold with the challenger than with the champion.

use seatrial_domain::policy::{MetricRule, Policy};
use seatrial_domain::verdict::MetricClass;
use seatrial_stats::crossing::Crossings;

use super::bench::Bench;
use crate::progress::CONFIDENCE;
use crate::report::{MetricGroup, MetricRow, MetricUnit};
use crate::rows::{self, Estimate, Name};

/// The metric's name.
pub(super) const NAME: &str = "threshold_crossing";

/// Both scores of the rows that both versions scored.
pub(super) fn scores(bench: &Bench<'_>) -> Option<Vec<(usize, f64, f64)>> {
    let positive = bench.data.positive.as_deref()?;
    let champion = bench.data.champion.as_ref()?;
    let both = |r: usize| Some((r, champion.given(r, positive)?, bench.data.challenger.given(r, positive)?));
    Some(bench.all.iter().filter_map(|&r| both(r)).collect())
}

/// Counts of the rows that both versions scored.
pub(super) fn counts(bench: &Bench<'_>, threshold: f64) -> Option<Crossings> {
    let mut crossings = Crossings::default();
    for (_, x, y) in scores(bench)? {
        crossings.observe(threshold, x, y);
    }
    Some(crossings)
}

/// The row: the share of requests whose decision changes. Judged by a limit, since there is nothing to be better than.
pub(super) fn row(bench: &Bench<'_>, policy: &Policy, rule: &MetricRule) -> MetricRow {
    let name = Name { group: MetricGroup::Offline, name: NAME, segment: None, unit: MetricUnit::Share };
    let Some(threshold) = policy.decision_threshold else {
        return rows::without(name, rule, "the policy names no decision_threshold");
    };
    let info = MetricRule { class: MetricClass::Info, ..*rule };
    if bench.champion.is_none() {
        return rows::without(name, &info, "there is no champion whose decisions could change");
    }
    let Some(shares) = counts(bench, threshold).and_then(|c| c.shares(CONFIDENCE)) else {
        return rows::without(name, rule, "no row was scored by both versions");
    };
    let mut estimate = Estimate {
        how: "Wilson",
        n: shares.n,
        challenger: Some(shares.either.share),
        own: Some(shares.either.interval),
        ..Estimate::default()
    };
    if !bench.independent {
        let crossed: Vec<Option<f64>> = crossed(bench, threshold);
        let share = |part: &[usize]| {
            let scored: Vec<usize> = part.iter().copied().filter(|&r| crossed[r].is_some()).collect();
            bench.mean(&scored, |r| crossed[r])
        };
        estimate.how = "delete-a-group jackknife";
        estimate.challenger = share(&bench.all);
        estimate.own = bench.jackknife(share).map(|j| j.interval.clamped(0.0, 1.0));
    }
    let mut row = rows::judge(name, rule, &estimate, policy.offline.min_n, false);
    let own = estimate.own.map_or_else(String::new, |i| {
        let (low, high) = (rows::value(MetricUnit::Share, i.low), rows::value(MetricUnit::Share, i.high));
        format!(" (95 % interval {low} to {high}, {})", estimate.how)
    });
    let what = format!(
        "{} of n = {} requests{own} lie on the other side of {threshold} with the challenger: {} from below it, {} from above",
        rows::value(MetricUnit::Share, estimate.challenger.unwrap_or(shares.either.share)),
        shares.n,
        shares.upward.count,
        shares.downward.count
    );
    row.why = match (rule.limit, row.n_needed) {
        (_, Some(needed)) => format!("{what}; {needed} rows are needed"),
        (None, _) => format!("{what}; shown only: the policy sets no limit"),
        _ => format!("{what}; {}", row.why.split_once("; ").map_or("", |(_, judged)| judged)),
    };
    row
}

/// 1 for a row that crosses, 0 for one that does not, none for one that a version did not score.
fn crossed(bench: &Bench<'_>, threshold: f64) -> Vec<Option<f64>> {
    let mut crossed = vec![None; bench.all.len()];
    for (r, x, y) in scores(bench).unwrap_or_default() {
        crossed[r] = Some(f64::from(u8::from((x >= threshold) != (y >= threshold))));
    }
    crossed
}

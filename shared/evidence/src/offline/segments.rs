//! Segments of the benchmark: many are looked at, and harm in one of them must not be chance.
//!
//! A segment fails when the challenger is worse in it by more than the margin *and* that is no accident of having looked at
//! many: its p-value for "not worse than the margin", adjusted over all judged segments by Holm (1979), is at most 5 %. A segment that the
//! policy names must also be shown to be unharmed; one that it does not name is watched for harm only, since with fifty
//! segments some interval always crosses the margin.

use std::collections::BTreeMap;

use seatrial_domain::policy::{Margin, MetricRule, Policy};
use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_stats::Interval;
use seatrial_stats::intervals::wilson;
use seatrial_stats::multiplicity::holm;
use seatrial_stats::quantiles::t_quantile;
use seatrial_stats::segments as stats;

use super::bench::{Bench, Metric, Side};
use super::{classes, numbers};
use crate::progress::CONFIDENCE;
use crate::report::{MetricGroup, MetricRow, MetricUnit};
use crate::rows::{self, Estimate, Family, Name};

/// What is measured in segments.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    /// The name of the rows.
    pub(super) name: &'a str,
    /// The metric.
    pub(super) metric: &'a str,
    /// Its unit.
    pub(super) unit: MetricUnit,
    /// Whether more of it is worse.
    pub(super) lower_is_better: bool,
}

impl<'a> Measured<'a> {
    fn of<'n>(self, segment: &'n str) -> Name<'n>
    where
        'a: 'n,
    {
        Name { group: MetricGroup::Offline, name: self.name, segment: Some(segment), unit: self.unit }
    }
}

/// A segment with what was found in it.
struct Segment {
    name: String,
    named: bool,
    estimate: Estimate,
    /// The one-sided p-value for "the challenger is not worse here than the margin".
    p: Option<f64>,
}

/// The rows of one metric in every segment.
pub(super) fn rows(
    bench: &Bench<'_>,
    policy: &Policy,
    rule: &MetricRule,
    what: Measured<'_>,
) -> Vec<MetricRow> {
    let mut made = Vec::new();
    let mut found = Vec::new();
    for column in policy.segment_columns() {
        match bench.data.segments.get(&column) {
            Some(values) => found.extend(
                parts(policy, &column, values)
                    .into_iter()
                    .map(|(s, part)| segment(bench, policy, rule, what, s, &part)),
            ),
            None => {
                let why = format!("the benchmark has no column {column}");
                made.push(rows::without(what.of(&column), rule, why));
            }
        }
    }
    let judged = |s: &Segment| s.estimate.n >= policy.segment_min_n;
    let p_values: Vec<f64> = found.iter().filter(|s| judged(s)).map(|s| s.p.unwrap_or(1.0)).collect();
    let size = p_values.len();
    let mut adjusted = holm(&p_values).into_iter();
    for segment in &found {
        let family = if judged(segment) {
            adjusted.next().map(|p| Family { size, adjusted: segment.p.map(|_| p) })
        } else {
            None
        };
        let paired = bench.champion.is_some();
        let mut row = rows::judge_of_family(
            what.of(&segment.name),
            rule,
            &segment.estimate,
            policy.segment_min_n,
            paired,
            family,
        );
        if !judged(segment) && !segment.named {
            row.class = MetricClass::Info;
            row.why = format!("not judged: {}", row.why);
        } else if !segment.named
            && row.class == MetricClass::Guardrail
            && row.verdict == Verdict::Inconclusive
        {
            row.class = MetricClass::Signal;
            row.why.push_str("; the policy does not name this segment: it is watched for harm, and need not be shown to be unharmed");
        }
        made.push(row);
    }
    made
}

/// The rows of each value of a segment column; what the policy names is there even without rows.
fn parts(policy: &Policy, column: &str, values: &[Option<String>]) -> BTreeMap<String, Vec<usize>> {
    let mut parts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (row, value) in values.iter().enumerate() {
        if let Some(value) = value {
            parts.entry(format!("{column}={value}")).or_default().push(row);
        }
    }
    let prefix = format!("{column}=");
    for named in policy.named_segments.iter().filter(|s| s.starts_with(&prefix)) {
        parts.entry(named.clone()).or_default();
    }
    parts
}

fn segment(
    bench: &Bench<'_>,
    policy: &Policy,
    rule: &MetricRule,
    what: Measured<'_>,
    name: String,
    part: &[usize],
) -> Segment {
    let named = policy.named_segments.contains(&name);
    let metric = classes::metric(bench, what.metric).or_else(|| numbers::metric(bench, what.metric));
    let (estimate, p) = metric.map_or_else(Default::default, |m| measure(bench, rule, what, &m, part));
    Segment { name, named, estimate, p }
}

fn measure(
    bench: &Bench<'_>,
    rule: &MetricRule,
    what: Measured<'_>,
    metric: &Metric<'_>,
    part: &[usize],
) -> (Estimate, Option<f64>) {
    let champion = bench.champion.as_ref().and_then(|c| metric(c, part));
    let challenger = metric(&bench.challenger, part);
    let mut estimate = Estimate {
        how: "delete-a-group jackknife",
        n: part.len() as u64,
        champion,
        challenger,
        delta: champion.zip(challenger).map(|(x, y)| y - x),
        interval: None,
        own: None,
    };
    let rows_alone = bench.independent && what.metric == "accuracy";
    estimate.own = if rows_alone {
        let right = part.iter().filter(|&&r| bench.right(&bench.challenger, r)).count() as u64;
        wilson(right, estimate.n, CONFIDENCE)
    } else {
        bench.group(part).jackknife(|p| metric(&bench.challenger, p)).map(|j| j.interval)
    };
    let Some(champion) = &bench.champion else { return (estimate, None) };
    let margin = match rule.margin {
        Margin::Absolute(points) => points,
        Margin::Relative(share) => share * estimate.champion.unwrap_or(f64::NAN).abs(),
    };
    if let Some((how, interval, p)) = paired(bench, what, metric, champion, part, margin) {
        (estimate.how, estimate.interval) = (how, Some(interval));
        return (estimate, p);
    }
    (estimate, None)
}

/// Method, interval of the difference and one-sided p-value for "not worse than the margin".
fn paired(
    bench: &Bench<'_>,
    what: Measured<'_>,
    metric: &Metric<'_>,
    champion: &Side,
    part: &[usize],
    margin: f64,
) -> Option<(&'static str, Interval, Option<f64>)> {
    let beyond = |delta: f64| if what.lower_is_better { delta - margin } else { -delta - margin };
    if bench.independent && what.metric == "accuracy" {
        let counts = classes::correctness(bench, champion, part);
        let interval = counts.difference(CONFIDENCE)?.interval;
        let alone = [stats::Segment { name: String::new(), named: true, counts }];
        let rule = stats::SegmentRule { margin, min_n: 1, alpha: 1.0 - CONFIDENCE };
        let p = stats::judge_segments(&alone, rule).first().and_then(|s| s.p_value);
        return Some(("Newcombe, paired", interval, p));
    }
    if bench.independent && what.metric == "mae" {
        let made = numbers::moments(bench, "mae", champion, part).mean_difference(CONFIDENCE)?;
        let p = upper_tail(beyond(made.delta), made.standard_error, made.n as f64 - 1.0);
        return Some(("paired t", made.interval, p));
    }
    let delta = |p: &[usize]| Some(metric(&bench.challenger, p)? - metric(champion, p)?);
    let made = bench.group(part).jackknife(delta)?;
    let p = upper_tail(beyond(made.estimate), made.standard_error, made.groups as f64 - 1.0);
    Some(("delete-a-group jackknife", made.interval, p))
}

/// The probability that Student's t exceeds `estimate / error`; found by bisection of its quantiles.
fn upper_tail(estimate: f64, error: f64, freedom: f64) -> Option<f64> {
    if error <= 0.0 {
        return Some(if estimate > 0.0 { 0.0 } else { 1.0 });
    }
    let t = estimate / error;
    if t <= 0.0 {
        return Some(1.0);
    }
    let (mut low, mut high) = (1e-12, 0.5);
    if t_quantile(1.0 - low, freedom)? <= t {
        return Some(low);
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        *(if t_quantile(1.0 - middle, freedom)? > t { &mut low } else { &mut high }) = middle;
    }
    Some(high)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_students() {
        // scipy.stats.t.sf(2.0, 9) and (3.5, 63)
        assert!((upper_tail(2.0, 1.0, 9.0).unwrap() - 0.038_276_411_885).abs() < 1e-8);
        assert!((upper_tail(7.0, 2.0, 63.0).unwrap() - 0.000_430_072).abs() < 1e-8);
        assert_eq!(upper_tail(-1.0, 1.0, 9.0), Some(1.0));
        assert_eq!((upper_tail(1.0, 0.0, 9.0), upper_tail(0.0, 0.0, 9.0)), (Some(0.0), Some(1.0)));
    }
}

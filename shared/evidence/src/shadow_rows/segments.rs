//! Accuracy in each segment: many are looked at, and harm in one of them must not be chance.

use seatrial_domain::policy::{Margin, MetricRule, Policy};
use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_stats::intervals::PairedCounts;
use seatrial_stats::multiplicity::holm;
use seatrial_stats::segments as stats;

use super::{name, paired_by_group};
use crate::progress::CONFIDENCE;
use crate::report::{MetricRow, MetricUnit};
use crate::rows::{self, Estimate, Family, Name};
use crate::summary::Summary;
use crate::summary::cells::Segment;

struct Found {
    name: String,
    named: bool,
    estimate: Estimate,
    p: Option<f64>,
}

/// A row for each segment: as on the benchmark, one that the policy does not name is watched for harm only.
pub(super) fn rows(policy: &Policy, summary: &Summary, rule: &MetricRule) -> Vec<MetricRow> {
    let mut segments: Vec<Segment> = policy
        .segment_columns()
        .iter()
        .flat_map(|column| {
            summary.cells.of_column(column).map(|(segment, _)| segment.clone()).collect::<Vec<_>>()
        })
        .collect();
    for named in &policy.named_segments {
        let Some((column, value)) = named.split_once('=') else { continue };
        let segment = Segment { column: column.to_owned(), value: value.to_owned() };
        if !segments.contains(&segment) {
            segments.push(segment);
        }
    }
    let found: Vec<Found> = segments.iter().map(|segment| measure(policy, summary, rule, segment)).collect();
    let judged = |f: &Found| f.estimate.n >= policy.segment_min_n;
    let p_values: Vec<f64> = found.iter().filter(|f| judged(f)).map(|f| f.p.unwrap_or(1.0)).collect();
    let size = p_values.len();
    let mut adjusted = holm(&p_values).into_iter();
    found
        .iter()
        .map(|f| {
            let family =
                judged(f).then(|| Family { size, adjusted: adjusted.next().and_then(|p| f.p.map(|_| p)) });
            row(policy, rule, f, family, judged(f))
        })
        .collect()
}

fn row(policy: &Policy, rule: &MetricRule, found: &Found, family: Option<Family>, judged: bool) -> MetricRow {
    let name = Name { segment: Some(&found.name), ..name("segment_accuracy", MetricUnit::Share) };
    let mut row = rows::judge_of_family(name, rule, &found.estimate, policy.segment_min_n, true, family);
    if !judged && !found.named {
        row.class = MetricClass::Info;
        row.why = format!("not judged: {}", row.why);
    } else if !found.named && row.class == MetricClass::Guardrail && row.verdict == Verdict::Inconclusive {
        row.class = MetricClass::Signal;
        row.why.push_str(
            "; the policy does not name this segment: it is watched for harm, and need not be shown to be unharmed",
        );
    }
    row
}

fn measure(policy: &Policy, summary: &Summary, rule: &MetricRule, segment: &Segment) -> Found {
    let counts = summary.cells.correct(segment);
    let groups = summary.cells.correct_by_group(segment);
    let estimate = paired_by_group(&groups, &counts, summary.shared_units > 0);
    let margin = match rule.margin {
        Margin::Absolute(points) => points,
        Margin::Relative(share) => share * estimate.champion.unwrap_or(f64::NAN).abs(),
    };
    let name = segment.name();
    Found { named: policy.named_segments.contains(&name), p: p_value(counts, margin), name, estimate }
}

/// The one-sided p-value for "not worse than the margin".
fn p_value(counts: PairedCounts, margin: f64) -> Option<f64> {
    let alone = [stats::Segment { name: String::new(), named: true, counts }];
    let rule = stats::SegmentRule { margin, min_n: 1, alpha: 1.0 - CONFIDENCE };
    stats::judge_segments(&alone, rule).first().and_then(|s| s.p_value)
}

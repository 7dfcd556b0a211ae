//! Rows that need a truth: judged only where labels are many enough, old enough, and come alike for all answers.

use seatrial_domain::policy::{MetricRule, Policy};
use seatrial_domain::verdict::{MetricClass, Verdict};

use super::{name, quality, segments};
use crate::progress::CONFIDENCE;
use crate::report::{MetricRow, MetricUnit};
use crate::rows;
use crate::summary::cells::{Segment, answered};
use crate::summary::{Coverage, Summary};

/// The rows of a metric that needs a truth.
pub(super) fn judged(policy: &Policy, summary: &Summary, metric: &str, rule: &MetricRule) -> Vec<MetricRow> {
    let labelled = summary.labelled();
    if labelled.labelled == 0 {
        let why = match (labelled.mature, summary.early_labels) {
            (0, early) if summary.pairs > 0 => format!(
                "none of the {} pairs is as old as the labels' maturity of {} s ({early} have a label already)",
                summary.pairs, policy.labels.maturity_seconds
            ),
            _ => format!("no label has arrived for the {} pairs", summary.pairs),
        };
        return vec![rows::without(name(metric, unit(metric)), rule, why)];
    }
    let mut made = match metric {
        "segment_accuracy" => segments::rows(policy, summary, rule),
        "demographic_parity" | "equalised_odds" => quality::fairness(policy, summary, metric, rule),
        _ => vec![match quality::measure(summary, metric) {
            Ok(estimate) => {
                rows::judge(name(metric, unit(metric)), rule, &estimate, policy.offline.min_n, true)
            }
            Err(why) => rows::without(name(metric, unit(metric)), rule, why),
        }],
    };
    if metric == "auc"
        && let (Some(row), Some(area)) = (made.first_mut(), summary.auc.difference(CONFIDENCE))
    {
        row.why.push_str(&format!("; the bins leave the difference open by at most {:.1e}", area.bound));
    }
    let gap = largest_gap(policy, summary);
    for row in &mut made {
        if policy.labels.selected {
            row.class = MetricClass::Info;
            row.why.push_str(
                "; shown only: the policy says that labels come only for some answers (labels.selected)",
            );
        } else if let Some(gap) = gap.as_ref().filter(|g| g.points > policy.labels.max_coverage_gap) {
            row.verdict = row.verdict.max(Verdict::Inconclusive);
            row.why.push_str(&format!(
                "; labels do not come alike: {gap}, and the policy allows {:.1} points",
                policy.labels.max_coverage_gap * 100.0
            ));
        }
    }
    made
}

fn unit(metric: &str) -> MetricUnit {
    match metric {
        "log_loss" | "brier" | "ece" | "rmse" | "mae" => MetricUnit::Number,
        _ => MetricUnit::Share,
    }
}

/// Two parts of the pairs of which one has labels more often.
pub(super) struct Gap {
    pub(super) points: f64,
    more: (String, f64),
    less: (String, f64),
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ((more, high), (less, low)) = (&self.more, &self.less);
        write!(f, "{:.1} % of {more} have one, {:.1} % of {less}", high * 100.0, low * 100.0)
    }
}

/// The largest difference of coverage within one division of the pairs. Parts with fewer pairs than a segment needs are
/// passed over.
pub(super) fn largest_gap(policy: &Policy, summary: &Summary) -> Option<Gap> {
    divisions(policy, summary)
        .into_iter()
        .filter_map(|(_, parts)| gap(policy, &parts))
        .max_by(|a, b| a.points.total_cmp(&b.points))
}

fn gap(policy: &Policy, parts: &[(String, Coverage)]) -> Option<Gap> {
    let shares: Vec<(&String, f64)> = parts
        .iter()
        .filter(|(_, c)| c.mature >= policy.segment_min_n)
        .filter_map(|(name, c)| Some((name, c.share()?)))
        .collect();
    let by_share = |a: &&(&String, f64), b: &&(&String, f64)| a.1.total_cmp(&b.1);
    let (more, less) = (shares.iter().max_by(by_share)?, shares.iter().min_by(by_share)?);
    let pair = |(name, share): &(&String, f64)| ((*name).clone(), *share);
    Some(Gap { points: more.1 - less.1, more: pair(more), less: pair(less) })
}

/// Coverage by the version that served, by the champion's answer, by whether the versions agree, and by each segment column.
pub(super) fn divisions(policy: &Policy, summary: &Summary) -> Vec<(String, Vec<(String, Coverage)>)> {
    let whole = Segment::whole();
    let of = |chosen: &dyn Fn(crate::summary::cells::Cell) -> bool| summary.coverage_of(&whole, chosen);
    let classes = summary.cells.classes();
    let by_answer = classes
        .iter()
        .enumerate()
        .map(|(class, name)| (format!("answers {name}"), of(&|c| answered(c.champion) == Some(class))))
        .filter(|(_, c)| c.mature > 0)
        .collect();
    let equal = |c: crate::summary::cells::Cell| c.champion > 0 && c.champion == c.challenger;
    let mut all = vec![
        (
            "version that served".to_owned(),
            summary.coverage.iter().map(|(v, c)| (format!("requests served by {v}"), *c)).collect(),
        ),
        ("champion's answer".to_owned(), by_answer),
        (
            "agreement".to_owned(),
            vec![
                ("equal answers".to_owned(), of(&equal)),
                ("different answers".to_owned(), of(&|c| c.champion > 0 && !equal(c))),
            ],
        ),
    ];
    for column in policy.segment_columns() {
        let parts = summary
            .cells
            .of_column(&column)
            .map(|(segment, _)| (segment.name(), summary.coverage_of(segment, |_| true)))
            .collect();
        all.push((column, parts));
    }
    all
}

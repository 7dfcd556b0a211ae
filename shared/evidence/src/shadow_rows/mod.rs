//! The rows, facts, notes and charts of a shadow, from its summary. Pure.

mod charts;
mod labels;
mod notes;
mod quality;
mod segments;

use seatrial_domain::policy::{MetricRule, Policy, applies};
use seatrial_domain::promotion::{PromotionRecord, ShadowTimes};
use seatrial_domain::verdict::Verdict;
use seatrial_stats::Interval;
use seatrial_stats::agreement::FullAgreement as Cause;
use seatrial_stats::intervals::{PairedCounts, wilson};

use crate::progress::{CONFIDENCE, missing};
use crate::report::{Disagreement, Fidelity, FullAgreement, MetricGroup, MetricRow, MetricUnit, ShadowFacts};
use crate::rows::{self, Estimate, Name};
use crate::summary::Summary;

pub use charts::charts;
pub use notes::notes;

pub(crate) fn name(name: &str, unit: MetricUnit) -> Name<'_> {
    Name { group: MetricGroup::Shadow, name, segment: None, unit }
}

/// The rows of the shadow.
#[must_use]
pub fn rows(policy: &Policy, summary: &Summary) -> Vec<MetricRow> {
    let rules = &policy.shadow;
    let mut all = vec![evidence_row(policy, summary), fidelity_row(policy, summary)];
    all.extend(incomplete_row(summary));
    for (metric, rule) in rules.metrics.iter().filter(|(metric, _)| applies(metric, policy.task)) {
        match metric.as_str() {
            "agreement" => all.push(agreement(rule, summary, rules.min_pairs)),
            "error_rate" => all.push(error_rate(metric, rule, summary, rules.min_pairs)),
            "threshold_crossing" => all.push(quality::crossing(rule, policy, summary)),
            // Pairs hold no inputs: the report judges drift by the serving log.
            "drift" => {}
            other => match other.strip_prefix("latency_p").and_then(|p| p.parse::<f64>().ok()) {
                Some(q) => all.push(latency(metric, rule, summary, q / 100.0, rules.min_pairs)),
                None => all.extend(labels::judged(policy, summary, metric, rule)),
            },
        }
    }
    all
}

fn paired(counts: &PairedCounts) -> Estimate {
    let d = counts.difference(CONFIDENCE);
    Estimate {
        how: "Newcombe, paired",
        n: counts.n(),
        champion: d.map(|d| d.champion),
        challenger: d.map(|d| d.challenger),
        delta: d.map(|d| d.delta),
        interval: d.map(|d| d.interval),
        own: None,
    }
}

/// Paired counts of something that is true or not: as independent pairs, or where units repeat by the jackknife over groups
/// of units.
fn paired_by_group(groups: &[PairedCounts], total: &PairedCounts, repeats: bool) -> Estimate {
    let own = wilson(total.both + total.challenger_only, total.n(), CONFIDENCE);
    let alone = Estimate { own, ..paired(total) };
    if !repeats {
        return alone;
    }
    let of = |count: u64, n: u64| (n > 0).then(|| count as f64 / n as f64);
    let difference = |c: &PairedCounts| {
        of(c.challenger_only, c.n()).zip(of(c.champion_only, c.n())).map(|(gain, loss)| gain - loss)
    };
    let challenger = |c: &PairedCounts| of(c.both + c.challenger_only, c.n());
    Estimate {
        how: JACKKNIFE,
        interval: crate::summary::moments::jackknife(groups, CONFIDENCE, difference),
        own: crate::summary::moments::jackknife(groups, CONFIDENCE, challenger).map(share),
        ..alone
    }
}

/// How intervals are made where units repeat.
const JACKKNIFE: &str = "delete-a-group jackknife over units";

fn share(interval: Interval) -> Interval {
    interval.clamped(0.0, 1.0)
}

fn agreement(rule: &MetricRule, summary: &Summary, min_pairs: u64) -> MetricRow {
    let groups = quality::agreement_by_group(summary);
    let mut counts = PairedCounts::default();
    groups.iter().for_each(|group| seatrial_stats::Merge::merge(&mut counts, group));
    let n = counts.n();
    let estimate = paired_by_group(&groups, &counts, summary.shared_units > 0);
    let estimate = Estimate {
        how: if summary.shared_units > 0 { JACKKNIFE } else { "Wilson" },
        n,
        challenger: (n > 0).then(|| counts.both as f64 / n as f64),
        own: estimate.own,
        ..Estimate::default()
    };
    let mut row = rows::judge(name("agreement", MetricUnit::Share), rule, &estimate, min_pairs, false);
    if rule.limit.is_none() && row.n_needed.is_none() {
        row.why = format!("{} of {n} answers are equal; shown only: the policy sets no limit", counts.both);
    }
    row
}

fn error_rate(metric: &str, rule: &MetricRule, summary: &Summary, min_pairs: u64) -> MetricRow {
    let total = summary.errors.total();
    let mut estimate = paired(&total);
    estimate.own = wilson(summary.challenger_errors(), summary.pairs, CONFIDENCE);
    if summary.shared_units > 0 {
        let rate = |count: u64, n: u64| (n > 0).then(|| count as f64 / n as f64);
        let groups = &summary.errors;
        estimate.how = JACKKNIFE;
        estimate.interval = groups
            .jackknife(CONFIDENCE, |c| Some(rate(c.challenger_only, c.n())? - rate(c.champion_only, c.n())?));
        estimate.own = groups.jackknife(CONFIDENCE, |c| rate(c.both + c.challenger_only, c.n())).map(share);
    }
    rows::judge(name(metric, MetricUnit::Share), rule, &estimate, min_pairs, true)
}

fn latency(metric: &str, rule: &MetricRule, summary: &Summary, q: f64, min_pairs: u64) -> MetricRow {
    let estimate = rows::latency(Some(&summary.champion_latency), &summary.challenger_latency, q);
    let mut row = rows::judge(name(metric, MetricUnit::Microseconds), rule, &estimate, min_pairs, true);
    row.why = format!("replay, relative (both versions in one process): {}", row.why);
    row
}

/// Whether there is enough to judge by.
fn evidence_row(policy: &Policy, summary: &Summary) -> MetricRow {
    let (verdict, why) = match missing(policy, summary.pairs, &summary.by_class()) {
        None => (
            Verdict::Pass,
            format!(
                "{} pairs seen of {} needed; every class has its minimum",
                summary.pairs, policy.shadow.min_pairs
            ),
        ),
        Some(what) => (Verdict::Inconclusive, what.to_string()),
    };
    let mut row = rows::check(name("pairs", MetricUnit::Number), summary.pairs, verdict, why);
    row.n_needed = (verdict != Verdict::Pass).then_some(policy.shadow.min_pairs);
    row
}

/// Evidence that was frozen and cannot be counted: then nothing over the rest is a pass.
fn incomplete_row(summary: &Summary) -> Option<MetricRow> {
    let defects = &summary.defects;
    if !defects.incomplete() {
        return None;
    }
    let mut parts = Vec::new();
    if !defects.unreadable.is_empty() {
        parts.push(format!(
            "{} frozen files cannot be read, so their pairs are missing: {}",
            defects.unreadable.len(),
            defects
                .unreadable
                .iter()
                .map(|(file, why)| format!("{file} ({why})"))
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    if defects.misplaced > 0 {
        parts.push(format!(
            "{} pairs lie in a partition that is not theirs and are left out",
            defects.misplaced
        ));
    }
    let left_out = defects.unreadable.len() as u64 + defects.misplaced;
    Some(rows::check(name("complete", MetricUnit::Number), left_out, Verdict::Inconclusive, parts.join("; ")))
}

fn fidelity_row(policy: &Policy, summary: &Summary) -> MetricRow {
    let needed = policy.shadow.min_fidelity;
    let (verdict, why) = match summary.fidelity() {
        None => (
            Verdict::Inconclusive,
            "no replay of the champion could be checked against what it really answered".to_owned(),
        ),
        Some(share) => {
            let seen = format!(
                "the replayed champion gave the served answer in {} of {} pairs ({:.2} %); {:.2} % needed",
                summary.faithful,
                summary.checked,
                share * 100.0,
                needed * 100.0
            );
            if share >= needed {
                (Verdict::Pass, seen)
            } else {
                (Verdict::Inconclusive, format!("{seen}: the replay does not stand for live traffic"))
            }
        }
    };
    let mut row = rows::check(name("fidelity", MetricUnit::Share), summary.checked, verdict, why);
    row.champion = summary.fidelity();
    row.limit = Some(needed);
    row
}

/// What is known about the shadow.
#[must_use]
pub fn facts(promotion: &PromotionRecord, summary: &Summary, times: &ShadowTimes) -> ShadowFacts {
    let same = promotion.champion.as_ref().is_some_and(|c| c.digest == promotion.challenger.digest);
    let agreement = summary.agreement();
    let cause = agreement.full_agreement(same).map(|cause| match cause {
        Cause::SameDigest => FullAgreement::SameDigest,
        Cause::OneSidedTraffic { .. } => FullAgreement::OneSidedTraffic,
        Cause::TrulyEqual { .. } => FullAgreement::TrulyEqual,
    });
    let mut disagreement: Vec<Disagreement> = agreement
        .matrix()
        .filter(|(champion, challenger, _)| *challenger != Some(*champion))
        .map(|(champion, challenger, n)| Disagreement {
            champion: champion.to_owned(),
            challenger: challenger.map(str::to_owned),
            n,
        })
        .collect();
    disagreement.sort_by(|a, b| {
        b.n.cmp(&a.n).then_with(|| (&a.champion, &a.challenger).cmp(&(&b.champion, &b.challenger)))
    });
    ShadowFacts {
        opened_at: times.opened_at,
        closed_at: times.closed_at,
        stopped_early: times.stopped_early,
        pairs: summary.pairs,
        duplicates: summary.duplicates,
        fidelity: summary.fidelity().map(|share| Fidelity { n: summary.checked, share }),
        agreement: quality::agreement_share(summary),
        cause_of_full_agreement: cause,
        disagreement,
    }
}

//! What is measured with a truth, and agreement and crossings without one.

use seatrial_domain::policy::{MetricRule, Policy};
use seatrial_domain::verdict::MetricClass;
use seatrial_stats::Arm;
use seatrial_stats::Merge;
use seatrial_stats::bootstrap::Bootstrap;
use seatrial_stats::fairness::{AbsentClass, FairnessCells, FairnessMetric};
use seatrial_stats::intervals::{PairedCounts, wilson};
use seatrial_stats::joint::PairedMetric;
use seatrial_stats::paired::{Difference, PairedMoments};

use super::{JACKKNIFE, name, paired_by_group, share};
use crate::progress::CONFIDENCE;
use crate::report::{MetricRow, MetricUnit};
use crate::rows::{self, Estimate};
use crate::summary::Summary;
use crate::summary::cells::{Segment, answered};
use crate::summary::moments::{GROUPS, Groups, PairedLoss, jackknife};

/// The seed of the bootstrap: fixed, since a report that is made again must have the same bytes.
const SEED: u64 = 0x5ea7_41a1;

/// Whether the challenger's answer is the champion's: `both` where it is, `champion_only` where it is not.
pub(super) fn agreement_by_group(summary: &Summary) -> Vec<PairedCounts> {
    let mut groups = vec![PairedCounts::default(); GROUPS];
    if summary.numbers.agreement != Groups::default() {
        groups = summary.numbers.agreement.groups().to_vec();
        return groups;
    }
    for (cell, n) in summary.cells.whole() {
        let Some(champion) = answered(cell.champion) else { continue };
        let Some(group) = groups.get_mut(usize::from(cell.group)) else { continue };
        let equal = answered(cell.challenger) == Some(champion);
        *(if equal { &mut group.both } else { &mut group.champion_only }) += n;
    }
    groups
}

/// The share of equal answers.
pub(super) fn agreement_share(summary: &Summary) -> Option<f64> {
    let mut total = PairedCounts::default();
    agreement_by_group(summary).iter().for_each(|group| total.merge(group));
    (total.n() > 0).then(|| total.both as f64 / total.n() as f64)
}

/// The share of requests whose decision changes at the policy's threshold. Judged by a limit: there is nothing to be better
/// than.
pub(super) fn crossing(rule: &MetricRule, policy: &Policy, summary: &Summary) -> MetricRow {
    let name = name("threshold_crossing", MetricUnit::Share);
    let Some(threshold) = policy.decision_threshold else {
        return rows::without(name, rule, "the policy names no decision_threshold");
    };
    let total = summary.crossings.total();
    let changed = |c: &PairedCounts| c.champion_only + c.challenger_only;
    let rate = |c: &PairedCounts| (c.n() > 0).then(|| changed(c) as f64 / c.n() as f64);
    let Some(challenger) = rate(&total) else {
        return rows::without(name, rule, "no request was scored by both versions");
    };
    let repeats = summary.shared_units > 0;
    let estimate = Estimate {
        how: if repeats { JACKKNIFE } else { "Wilson" },
        n: total.n(),
        challenger: Some(challenger),
        own: if repeats {
            summary.crossings.jackknife(CONFIDENCE, rate).map(share)
        } else {
            wilson(changed(&total), total.n(), CONFIDENCE)
        },
        ..Estimate::default()
    };
    let mut row = rows::judge(name, rule, &estimate, policy.shadow.min_pairs, false);
    row.why.push_str(&format!(
        "; at the threshold {threshold} {} requests go up and {} down",
        total.challenger_only, total.champion_only
    ));
    row
}

/// A metric of the whole that needs the truth: what was measured, or why it was not.
pub(super) fn measure(summary: &Summary, metric: &str) -> Result<Estimate, String> {
    let repeats = summary.shared_units > 0;
    let whole = Segment::whole();
    let two = |metric: &str| -> Result<(), String> {
        match summary.positive.len() {
            0 => Err(format!(
                "{metric} is about one class's probability, and neither the policy nor the pairs name it (positive_class)"
            )),
            1 => Ok(()),
            _ => Err("the pairs' scores are about different classes".into()),
        }
    };
    match metric {
        "accuracy" => {
            let groups = summary.cells.correct_by_group(&whole);
            Ok(paired_by_group(&groups, &summary.cells.correct(&whole), repeats))
        }
        "macro_f1" | "weighted_f1" => f1(summary, metric == "macro_f1", repeats),
        "auc" => two(metric).and_then(|()| auc(summary)),
        "log_loss" if !summary.positive.is_empty() => {
            two(metric).and_then(|()| loss(&summary.log_loss, repeats))
        }
        "log_loss" => loss(&summary.log_loss, repeats),
        "brier" => two(metric).and_then(|()| loss(&summary.brier, repeats)),
        "ece" => ece(summary),
        "mae" => moments(&summary.numbers.absolute, repeats, false),
        "rmse" => moments(&summary.numbers.squared, repeats, true),
        other => Err(format!("{other} is not measured in a shadow")),
    }
    .and_then(|estimate| match estimate.n {
        0 => Err("no pair has a truth and the answers of both versions that this needs".into()),
        _ => Ok(estimate),
    })
}

fn loss(groups: &Groups<PairedLoss>, repeats: bool) -> Result<Estimate, String> {
    let none = || "no pair has a truth and the scores of both versions".to_owned();
    let mut estimate = groups.total().estimate(CONFIDENCE).ok_or_else(none)?;
    estimate.own = groups.jackknife(CONFIDENCE, |loss| Some(loss.means()?.1));
    if repeats {
        estimate.how = JACKKNIFE;
        estimate.interval = groups.jackknife(CONFIDENCE, PairedLoss::delta);
    }
    Ok(estimate)
}

fn moments(groups: &Groups<PairedMoments>, repeats: bool, root: bool) -> Result<Estimate, String> {
    let none = || "no pair has a true number and the numbers of both versions".to_owned();
    let total = groups.total();
    let last = |x: f64| if root { x.sqrt() } else { x };
    let (champion, challenger) = total.means().ok_or_else(none)?;
    let made: Option<Difference> =
        if root { total.root_mean_difference(CONFIDENCE) } else { total.mean_difference(CONFIDENCE) };
    let mut estimate = Estimate {
        how: if root { "delta method" } else { "paired t" },
        n: total.n(),
        champion: Some(last(champion)),
        challenger: Some(last(challenger)),
        delta: Some(last(challenger) - last(champion)),
        interval: made.map(|d| d.interval),
        own: groups.jackknife(CONFIDENCE, |m| Some(last(m.means()?.1))),
    };
    if repeats {
        estimate.how = JACKKNIFE;
        estimate.interval = groups.jackknife(CONFIDENCE, |m| {
            let (champion, challenger) = m.means()?;
            Some(last(challenger) - last(champion))
        });
    }
    Ok(estimate)
}

fn ece(summary: &Summary) -> Result<Estimate, String> {
    let total = summary.reliability.total();
    let (champion, challenger) = (total.champion.ece(), total.challenger.ece());
    Ok(Estimate {
        how: JACKKNIFE,
        n: total.challenger.n(),
        champion,
        challenger,
        delta: champion.zip(challenger).map(|(x, y)| y - x),
        interval: summary
            .reliability
            .jackknife(CONFIDENCE, |r| Some(r.challenger.ece()? - r.champion.ece()?)),
        own: summary.reliability.jackknife(CONFIDENCE, |r| r.challenger.ece()).map(share),
    })
}

fn auc(summary: &Summary) -> Result<Estimate, String> {
    let made = summary.auc.difference(CONFIDENCE).ok_or_else(|| {
        "the area needs pairs of both classes with a truth and the scores of both versions".to_owned()
    })?;
    Ok(Estimate {
        how: "65,536 score bins, delete-a-group jackknife",
        n: made.positives + made.negatives,
        champion: Some(made.champion),
        challenger: Some(made.challenger),
        delta: Some(made.delta),
        interval: made.interval,
        own: None,
    })
}

fn f1(summary: &Summary, by_class: bool, repeats: bool) -> Result<Estimate, String> {
    let joint = summary.joint();
    let bootstrap = Bootstrap::with_seed(SEED);
    let made = if by_class { joint.macro_f1(bootstrap) } else { joint.weighted_f1(bootstrap) };
    let made = made.ok_or_else(|| "no pair has a truth".to_owned())?;
    let mut estimate = of_metric(&made);
    let score = |counts: &Flat, arm: Arm| counts.f1(arm, by_class);
    let groups = Flat::by_group(summary);
    estimate.own = jackknife(&groups, CONFIDENCE, |c| score(c, Arm::Challenger)).map(share);
    if repeats {
        estimate.how = JACKKNIFE;
        estimate.interval =
            jackknife(&groups, CONFIDENCE, |c| Some(score(c, Arm::Challenger)? - score(c, Arm::Champion)?));
    }
    Ok(estimate)
}

fn of_metric(made: &PairedMetric) -> Estimate {
    Estimate {
        how: "Poisson bootstrap of joint cells",
        n: made.n,
        champion: Some(made.champion),
        challenger: Some(made.challenger),
        delta: Some(made.delta),
        interval: made.interval,
        own: None,
    }
}

/// What F1 needs of one group, by class: rows of the truth, and for each version rows it predicted and rows it got right.
#[derive(Debug, Clone, Default, PartialEq)]
struct Flat(Vec<[u64; 5]>);

impl Flat {
    fn by_group(summary: &Summary) -> Vec<Self> {
        let classes = summary.cells.classes().len();
        // The last place is for no answer, which is a class that no truth has.
        let mut groups = vec![Self(vec![[0; 5]; classes + 1]); GROUPS];
        for (cell, n) in summary.cells.whole() {
            let (Some(truth), Some(group)) = (cell.class(), groups.get_mut(usize::from(cell.group))) else {
                continue;
            };
            let champion = answered(cell.champion).unwrap_or(classes);
            let challenger = answered(cell.challenger).unwrap_or(classes);
            group.0[truth][0] += n;
            group.0[champion][1] += n;
            group.0[challenger][2] += n;
            group.0[truth][3] += if champion == truth { n } else { 0 };
            group.0[truth][4] += if challenger == truth { n } else { 0 };
        }
        groups
            .into_iter()
            .map(|g| if g.0.iter().flatten().all(|n| *n == 0) { Self::default() } else { g })
            .collect()
    }

    fn f1(&self, arm: Arm, by_class: bool) -> Option<f64> {
        let (predicted, hits) = if arm == Arm::Champion { (1, 3) } else { (2, 4) };
        let total: u64 = self.0.iter().map(|c| c[0]).sum();
        let seen: Vec<&[u64; 5]> = self.0.iter().filter(|c| c[0] + c[predicted] > 0).collect();
        let part = |c: &[u64; 5]| {
            let score = 2.0 * c[hits] as f64 / (c[0] + c[predicted]) as f64;
            score * if by_class { 1.0 / seen.len() as f64 } else { c[0] as f64 / total as f64 }
        };
        (total > 0).then(|| seen.iter().map(|c| part(c)).sum())
    }
}

impl Merge for Flat {
    fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }
}

/// A row for each protected column: the paired increase of the difference between its values.
pub(super) fn fairness(
    policy: &Policy,
    summary: &Summary,
    metric: &str,
    rule: &MetricRule,
) -> Vec<MetricRow> {
    policy.protected.iter().map(|column| difference(policy, summary, metric, rule, column)).collect()
}

fn difference(
    policy: &Policy,
    summary: &Summary,
    metric: &str,
    rule: &MetricRule,
    column: &str,
) -> MetricRow {
    let name = rows::Name { segment: Some(column), ..name(metric, MetricUnit::Share) };
    let Some(positive) = summary.positive.first().filter(|_| summary.positive.len() == 1) else {
        let rule = MetricRule { class: MetricClass::Info, ..*rule };
        return rows::without(
            name,
            &rule,
            "neither the policy nor the pairs name the positive class (positive_class)",
        );
    };
    let kind = match metric {
        "demographic_parity" => FairnessMetric::DemographicParity,
        _ => FairnessMetric::EqualisedOdds(AbsentClass::Leave),
    };
    let all = summary.fairness(column, positive, None, true);
    let (cells, left_out) = all.of_at_least(policy.segment_min_n);
    let Some(made) = cells.increase(kind, Bootstrap::with_seed(SEED)) else {
        return rows::without(
            name,
            rule,
            format!(
                "{column} has fewer than two values with {} labelled pairs and the rates that this compares",
                policy.segment_min_n
            ),
        );
    };
    let mut estimate = of_metric(&made);
    if summary.shared_units > 0 {
        let of = |cells: &FairnessCells, arm| cells.metric(kind, arm);
        let groups: Vec<FairnessCells> = (0..GROUPS as u8)
            .map(|group| summary.fairness_of(column, positive, Some(group), true, &left_out))
            .collect();
        estimate.how = JACKKNIFE;
        estimate.interval = jackknife(&groups, CONFIDENCE, |c: &FairnessCells| {
            Some(of(c, Arm::Challenger)? - of(c, Arm::Champion)?)
        });
        estimate.own = jackknife(&groups, CONFIDENCE, |c| of(c, Arm::Challenger)).map(share);
    } else {
        // Beside a version that never says yes the increase is the challenger's own difference.
        let alone = summary.fairness_of(column, positive, None, false, &left_out);
        estimate.own = alone.increase(kind, Bootstrap::with_seed(SEED)).and_then(|made| made.interval);
    }
    let mut row = rows::judge(name, rule, &estimate, policy.offline.min_n, true);
    if !left_out.is_empty() {
        row.why.push_str(&format!(
            "; values with fewer than {} labelled pairs are left out: {}",
            policy.segment_min_n,
            left_out.join(", ")
        ));
    }
    row
}

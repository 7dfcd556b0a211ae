//! What a person who decides should know beside the rows, a sentence each: what was counted, and what was wrong.

use seatrial_domain::policy::Policy;
use seatrial_stats::agreement::FullAgreement as Cause;

use super::{labels, quality};
use crate::summary::Summary;

/// How many parts of a list a sentence names.
const NAMED: usize = 5;

/// The notes of a shadow.
#[must_use]
pub fn notes(policy: &Policy, summary: &Summary) -> Vec<String> {
    let mut notes = of_labels(policy, summary);
    for (kind, n) in &summary.error_kinds {
        notes.push(format!("the challenger failed with {kind} on {n} pairs"));
    }
    if let Some(cause) = summary.agreement().full_agreement(false) {
        notes.push(match cause {
            Cause::OneSidedTraffic { label } => format!(
                "nearly all answers are {label}: the traffic hardly asked what could tell the versions apart"
            ),
            _ => "the versions agree on every pair".into(),
        });
    } else if quality::agreement_share(summary) == Some(1.0) {
        notes.push("the versions agree on every pair".into());
    }
    if summary.shared_units > 0 {
        notes.push(format!(
            "{} pairs belong to a unit that can have several: pairs of one unit resemble each other, so intervals come from the delete-a-group jackknife over units",
            summary.shared_units
        ));
    }
    of_defects(summary, &mut notes);
    notes
}

fn of_labels(policy: &Policy, summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    let coverage = summary.labelled();
    if coverage.labelled > 0 {
        let share = coverage.share().unwrap_or_default() * 100.0;
        let old = if policy.labels.maturity_seconds > 0 {
            format!(" that are older than {} s", policy.labels.maturity_seconds)
        } else {
            String::new()
        };
        notes.push(format!(
            "the truth is known for {} of {} pairs{old} ({share:.1} %)",
            coverage.labelled, coverage.mature
        ));
        if let Some(gap) = labels::largest_gap(policy, summary)
            && gap.points > policy.labels.max_coverage_gap
        {
            notes.push(format!("labels do not come alike: {gap}"));
        }
    }
    if summary.early_labels > 0 {
        notes.push(format!(
            "{} pairs have a label before they are as old as the policy asks; these do not count yet",
            summary.early_labels
        ));
    }
    if summary.contradicted > 0 {
        notes.push(format!(
            "{} pairs have labels that contradict each other; the latest counts",
            summary.contradicted
        ));
    }
    if summary.reused_client_ids > 0 {
        notes.push(format!(
            "{} pairs share their client id with another pair; no label is joined to them by it",
            summary.reused_client_ids
        ));
    }
    notes
}

fn of_defects(summary: &Summary, notes: &mut Vec<String>) {
    let defects = &summary.defects;
    let range =
        if summary.numbers == Default::default() { "not numbers from 0 to 1" } else { "not finite numbers" };
    for (n, what) in [
        (summary.duplicates, "copies of pairs came again and count once".to_owned()),
        (defects.champion_scores, format!("of the champion's scores are {range}; they are left out")),
        (defects.challenger_scores, format!("of the challenger's scores are {range}; they are left out")),
        (defects.clock_ahead, "pairs say they were served more than a minute after the queue took them: a producer's clock is ahead; only the queue's clock counts".to_owned()),
        (defects.clock_behind, "pairs say they were served more than an hour before the queue took them: a producer's clock is behind, or it sent late; only the queue's clock counts".to_owned()),
        (defects.unusable_labels, "labels are of the wrong kind or not finite; they are left out".to_owned()),
        (defects.misplaced, "pairs lie in a partition that is not theirs; they are left out".to_owned()),
    ] {
        if n > 0 {
            notes.push(format!("{n} {what}"));
        }
    }
    for (file, why) in &defects.unreadable {
        notes.push(format!("the frozen file {file} cannot be read ({why}): what is in it is missing"));
    }
    let unknown = summary.unknown_classes();
    for (class, (truths, champion, challenger)) in unknown.iter().take(NAMED) {
        notes.push(format!(
            "the class {class:?} is in no version's list of classes: {truths} labels, {champion} answers of the champion and {challenger} of the challenger name it; labels of it make every version wrong"
        ));
    }
    if unknown.len() > NAMED {
        notes.push(format!("{} more classes are in no version's list of classes", unknown.len() - NAMED));
    }
}
